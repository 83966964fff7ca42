"""Train a text starter from nothing, or go on from another.

    python -m recipes.starters.text --name starter-text --minutes 45 --out DIR
    python -m recipes.starters.text --name starter-text --steps 6000 --seed 0 --out DIR    # same loss curve each time

DIR holds log.jsonl, state.safetensors (the same command goes on from it) and model/ (what transformers loads).
`python -m recipes.starters.card NAME` then measures the model and puts it where the project finds it.
"""

import argparse
import itertools
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.starters.text_answers import answers, tallies
from recipes.starters.text_data import FAMILIES, checked, rows
from recipes.starters.text_data.row import Row
from recipes.starters.text_model import Shape, export, new_model
from recipes.starters.text_tokenizer import business_lines, train_tokenizer
from recipes.starters.text_training import Plan, Trainer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ROWS_FOR_TOKENIZER = 40_000
CHECK_ROWS_PER_FAMILY = 5
SAVES_PER_CHECK = 3


def starter_tokenizer() -> "PreTrainedTokenizerFast":
    """The tokenizer of all text starters; the same each time."""
    rng = random.Random("text-starter/tokenizer")
    drawn = itertools.islice(rows(rng), ROWS_FOR_TOKENIZER)
    texts = (f"{role}\n{text}" for row in drawn for role, text in (*row.prompt, ("assistant", row.target)))
    return train_tokenizer(itertools.chain(texts, business_lines(rng, ROWS_FOR_TOKENIZER // 2)))


def check_rows(per_family: int, seed: str) -> list[Row]:
    """The same number of rows of each family, from seeds that training never draws."""
    rng = random.Random(f"text-starter/check/{seed}")
    return [
        checked(generators[number % len(generators)][0](rng))
        for generators in FAMILIES.values()
        for number in range(per_family)
    ]


def measure_and_export(trainer: Trainer) -> None:
    """Export the model as it is; at every third save log its accuracy by family on a small fixed set."""
    export(trainer.model, trainer.tokenizer, trainer.out / "model")
    trainer.saves += 1
    if trainer.saves % SAVES_PER_CHECK and trainer.step != trainer.total:
        return
    asked = check_rows(CHECK_ROWS_PER_FAMILY, "training")
    by_family = tallies(asked, answers(trainer.model, trainer.tokenizer, asked))
    right = sum(tally.right for tally in by_family.values())
    weak = {family: round(t.right / t.n, 2) for family, t in by_family.items() if t.right < t.n}
    trainer.log(accuracy=round(right / len(asked), 4), weak=weak)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", choices=["starter-text"], default="starter-text")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=Plan().batch)
    parser.add_argument("--muon-lr", type=float, default=Plan().muon_lr)
    parser.add_argument("--no-compile", action="store_true")
    asked = parser.parse_args()
    if asked.minutes is None and asked.steps is None:
        parser.error("give --minutes or --steps")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch

    torch.set_num_threads(asked.threads)
    tokenizer = starter_tokenizer()
    model = new_model(Shape(), tokenizer, asked.seed)
    plan = Plan(
        seed=asked.seed,
        steps=asked.steps,
        minutes=asked.minutes,
        batch=asked.batch,
        muon_lr=asked.muon_lr,
        compile=not asked.no_compile,
    )
    trainer = Trainer(model, tokenizer, rows, plan, asked.out)
    resumed = trainer.resume()
    trainer.log(parameters=sum(p.numel() for p in model.parameters()), resumed=resumed, plan=plan._asdict())
    trainer.run(measure_and_export)


if __name__ == "__main__":
    main()
