"""Train a text starter from nothing, or go on from another.

    python -m recipes.starters.making.text --name starter-text --minutes 40 --out DIR
    python -m recipes.starters.making.text --name starter-text --steps 6000 --seed 0 --out DIR  # one loss curve
    python -m recipes.starters.making.text --name starter-text-broad --start-from DIR/model --lr-scale 0.4 \\
        --minutes 30 --out DIR2
    python -m recipes.starters.making.text --name starter-text-large --start-from DIR2/model --lr-scale 0.25 \\
        --minutes 30 --out DIR3
    python -m recipes.starters.making.text --sweep --minutes 1.5 --out DIR4

starter-text-broad goes on with the small shape on the broad families, where a step is cheap; starter-text-large is
that model grown to more than four times the parameters and trained further. DIR holds log.jsonl, state.safetensors
(the same command goes on from it) and model/ (what transformers loads). `python -m recipes.starters.making.card
NAME` then measures the model and puts it where the project finds it.
"""

import argparse
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipes.starters.making.team import join
from recipes.starters.making.text_answers import answers, tallies
from recipes.starters.making.text_growth import grow
from recipes.starters.making.text_model import Shape, export, new_model
from recipes.starters.making.text_sweep import sweep
from recipes.starters.making.text_tokenizer import starter_tokenizer
from recipes.starters.making.text_training import Plan, Trainer
from recipes.starters.text_data import FAMILIES, checked, rows
from recipes.starters.text_data.broad import UNION, Weighted
from recipes.starters.text_data.drills import with_drills
from recipes.starters.text_data.row import Row

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

CHECK_ROWS_PER_FAMILY = 5
SAVES_PER_CHECK = 3
LARGE_LAYERS = 7
WARMUP_GOING_ON = 20


def check_rows(families: Weighted, per_family: int, seed: str) -> list[Row]:
    """The same number of rows of each family, from seeds that training never draws."""
    rng = random.Random(f"text-starter/check/{seed}")
    return [
        checked(generators[number % len(generators)][0](rng))
        for generators in families.values()
        for number in range(per_family)
    ]


def measure_and_export(trainer: Trainer, families: Weighted) -> None:
    """Export the model as it is; at every third save log its accuracy by family on a small fixed set."""
    export(trainer.model, trainer.tokenizer, trainer.out / "model")
    trainer.saves += 1
    if trainer.saves % SAVES_PER_CHECK and trainer.step != trainer.total:
        return
    asked = check_rows(families, CHECK_ROWS_PER_FAMILY, "training")
    by_family = tallies(asked, answers(trainer.model, trainer.tokenizer, asked))
    right = sum(tally.right for tally in by_family.values())
    weak = {family: round(t.right / t.n, 2) for family, t in by_family.items() if t.right < t.n}
    trainer.log(accuracy=round(right / len(asked), 4), weak=weak)


class Kind(NamedTuple):
    """What a name stands for: the families it learns and whether it is grown from the model it starts from."""

    families: Weighted
    grown: bool


KINDS = {
    "starter-text": Kind(FAMILIES, False),
    "starter-text-broad": Kind(UNION, False),
    "starter-text-large": Kind(UNION, True),
}


def starting_model(
    kind: Kind, tokenizer: "PreTrainedTokenizerFast", start: Path | None, seed: int
) -> "LlamaForCausalLM":
    """A fresh model, the one in `start`, or that one grown."""
    from transformers import LlamaForCausalLM

    if start is None:
        return new_model(Shape(), tokenizer, seed)
    import torch

    model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(start, dtype=torch.float32)
    return grow(model, Shape(), tokenizer, LARGE_LAYERS, seed) if kind.grown else model


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", choices=list(KINDS), default="starter-text")
    parser.add_argument("--start-from", type=Path, help="folder of the model to go on from")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lr-scale", type=float, default=1.0, help="multiplies both learning rates; 0.4 to go on")
    parser.add_argument("--no-compile", action="store_true", help="for runs too short to repay compiling")
    parser.add_argument("--sweep", action="store_true", help="train several shapes for the same time, write sweep.json")
    asked = parser.parse_args()
    if asked.minutes is None and asked.steps is None:
        parser.error("give --minutes or --steps")
    if KINDS[asked.name].grown and asked.start_from is None:
        parser.error(f"{asked.name} needs --start-from")
    return asked


def main() -> None:
    """Read the command line and train."""
    asked = _arguments()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch

    torch.set_num_threads(asked.threads)
    tokenizer = starter_tokenizer()
    plan = Plan(
        seed=asked.seed,
        steps=asked.steps,
        minutes=asked.minutes,
        muon_lr=Plan().muon_lr * asked.lr_scale,
        adam_lr=Plan().adam_lr * asked.lr_scale,
        warmup=WARMUP_GOING_ON if asked.start_from else Plan().warmup,
        compile=not asked.no_compile,
    )
    if asked.sweep:
        sweep(tokenizer, plan, asked.out)
        return
    kind = KINDS[asked.name]
    model = starting_model(kind, tokenizer, asked.start_from, asked.seed)
    model.set_attn_implementation("eager")  # compiled, on one thread, a step takes 0.9 s; with fused attention 4.1 s
    trainer = Trainer(model, tokenizer, lambda rng: with_drills(rng, rows(rng, kind.families)), plan, asked.out, join())
    resumed = trainer.resume()
    trainer.log(
        parameters=sum(p.numel() for p in model.parameters()),
        name=asked.name,
        resumed=resumed,
        threads=asked.threads,
        plan=plan._asdict(),
    )
    trainer.run(lambda at_save: measure_and_export(at_save, kind.families))


if __name__ == "__main__":
    main()
