"""Training speed against a plain TRL QLoRA script: same base, rows, batch size, LoRA, learning rate and steps.

    python tests/bench/bench_training.py                   # all three parts
    python tests/bench/bench_training.py starter           # the embedded starter
    python tests/bench/bench_training.py 135m              # SmolLM2-135M's shape, random weights
    python tests/bench/bench_training.py smollm2           # the published SmolLM2-135M (only where asked for)
    python tests/bench/bench_training.py machinery         # our trainer against a bare loop on the same batches

Tokens are real ones, padding left out. Wall and CPU time are shown, because the second depends less on what else the
machine does. The first WARM steps are left out on every side. All adapters then answer for the same held-out loss.
With several rounds the sides take turns, in the other order every second time, and the middle is shown.
Exit code 1 below a goal.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from recipes.models.files import resolve
from recipes.recipe.schema import Recipe, load_recipe
from recipes.run.directory import Run
from recipes.starters.text_data import examples
from recipes.text import rows, text_sft
from recipes.train import training
from recipes.train.rows import IGNORED, TokenRow
from recipes.train.work import Work, load_rows
from recipes.train.work import prepare as prepare_training
from synth.build import build_dataset
from synth.dataset import Card, DatasetWriter
from synth.workspace import Workspace

WARM = 4
FLOAT32 = "TRL, LoRA in float32"


class Shape(NamedTuple):
    """A base to measure on; `goal` is our tokens/s over TRL's defaults.

    sizes: of a random Llama, instead of `base`. compiled: whether our side is measured with compiled layers too.
    """

    sizes: dict[str, int]
    batch: int
    steps: int
    learning_rate: float
    goal: float
    base: str = "starter-text"
    generator: str = ""
    rounds: int = 1
    compiled: bool = False


class Side(NamedTuple):
    """One training: tokens per second by wall and CPU clock, first step, held-out loss."""

    wall: float
    cpu: float
    first_sec: float
    loss: float


SHAPES = {
    "starter": Shape({}, 16, 24, 1e-3, 1.5),
    "135m": Shape(
        {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
         "num_key_value_heads": 3, "vocab_size": 49152},
        4, 8, 5e-4, 2.0,
    ),
    "smollm2": Shape({}, 8, 12, 1e-3, 2.5, "smollm2-135m", "extraction", rounds=2, compiled=True),
}  # fmt: skip


def prepare(shape: Shape, home: Path) -> tuple[Recipe, Workspace]:
    """A dataset and a recipe; the rows are of the starter's families unless the shape names a generator."""
    base = resolve(shape.base).path
    if shape.sizes:
        from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

        torch.manual_seed(0)
        config = LlamaConfig(**shape.sizes, tie_word_embeddings=True, max_position_embeddings=2048)
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(home / "base")
        AutoTokenizer.from_pretrained(base).save_pretrained(home / "base")
        base = home / "base"
    trained = shape.batch * shape.steps
    if shape.generator:
        settings = {"train": trained, "val": 32, "test": 0, "test_ood": 0, "languages": ["en"]}
        build_dataset(shape.generator, settings, "rows", Workspace(home))
    else:
        folder = home / "datasets" / "rows"
        folder.mkdir(parents=True)
        writer = DatasetWriter(folder)
        for number, row in enumerate(examples(12345, trained + 64)):
            writer.keep(row.model_copy(update={"split": "val" if number < 64 else "train"}))
        writer.finish(Card(name="rows"))
    options = {
        "base_model": str(base), "dataset": "rows", "per_device_train_batch_size": shape.batch, "lora_r": 16,
        "lora_alpha": 32, "learning_rate": shape.learning_rate, "torch_compile": "off", "max_length": None,
        "save_steps": 10**6, "logging_steps": 10,
    }  # fmt: skip
    return load_recipe(options), Workspace(home)


class Clock:
    """Wraps `training_step` of a trainer: times from one step's start to the next, with the tokens of each."""

    def __init__(self, trainer: Any) -> None:
        self.marks: list[tuple[float, float, int]] = []
        self._step = trainer.training_step
        trainer.training_step = self

    def __call__(self, model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:
        self.mark(int(inputs["attention_mask"].sum()))
        return self._step(model, inputs, *rest, **more)

    def mark(self, tokens: int) -> None:
        self.marks.append((time.perf_counter(), time.process_time(), tokens))

    def side(self, loss: float) -> Side:
        """Speed from the start of step WARM to the start of the last: what comes after the training is left out."""
        tokens = sum(n for _, _, n in self.marks[WARM:-1])
        begin, end = self.marks[WARM], self.marks[-1]
        first = self.marks[1][0] - self.marks[0][0]
        return Side(tokens / (end[0] - begin[0]), tokens / (end[1] - begin[1]), first, loss)


def encoded(recipe: Recipe, workspace: Workspace) -> tuple[Work, list[TokenRow], list[TokenRow]]:
    run = Run.create(workspace, recipe)
    work = prepare_training(run, recipe)
    learned, _ = load_rows(work)
    held, tokenizer = list(work.dataset.examples("val")), work.loaded.tokenizer
    return work, rows.encode(learned, tokenizer, recipe.data), rows.encode(held, tokenizer, recipe.data)


def ours(recipe: Recipe, workspace: Workspace, compiled: bool = False) -> Side:
    if compiled:
        recipe = recipe.model_copy(update={"optim": recipe.optim.model_copy(update={"torch_compile": "on"})})
    work, learned, held = encoded(recipe, workspace)
    trainer = text_sft.build_trainer(work, learned, held)
    clock = Clock(trainer)
    training.fit(trainer)
    return clock.side(held_out_loss(work.loaded.model, trainer.get_eval_dataloader()))


def theirs(recipe: Recipe, workspace: Workspace, checkpointing: bool, four_bits: bool = True) -> Side:
    """The script that TRL's documentation shows for QLoRA; `checkpointing` is on by TRL's default.

    Without `four_bits` it is LoRA over weights in float32, which suits processors better.
    """
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
    from trl import SFTConfig, SFTTrainer

    _, learned, held = encoded(recipe, workspace)
    nf4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    quantization = BitsAndBytesConfig(**nf4, bnb_4bit_compute_dtype=torch.bfloat16)
    base = recipe.base_model
    how: dict[str, Any] = (
        {"quantization_config": quantization, "dtype": torch.bfloat16} if four_bits else {"dtype": torch.float32}
    )
    network = AutoModelForCausalLM.from_pretrained(base, device_map="cpu", **how)
    more = {} if checkpointing else {"gradient_checkpointing": False}
    trainer = SFTTrainer(
        network,
        SFTConfig(
            output_dir=tempfile.mkdtemp(), per_device_train_batch_size=recipe.optim.per_device_train_batch_size,
            learning_rate=recipe.optim.learning_rate, num_train_epochs=1, max_length=None, bf16=four_bits, use_cpu=True,
            lr_scheduler_type="cosine", warmup_steps=recipe.optim.warmup_ratio, report_to="none", save_strategy="no",
            disable_tqdm=True, dataloader_pin_memory=False, seed=recipe.seed, **more,
        ),
        train_dataset=text_sft.as_dataset(learned),
        eval_dataset=text_sft.as_dataset(held),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(
            r=recipe.lora.r, lora_alpha=recipe.lora.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )  # fmt: skip
    clock = Clock(trainer)
    trainer.train()
    return clock.side(held_out_loss(trainer.model, trainer.get_eval_dataloader()))


def held_out_loss(model: Any, batches: Any) -> float:
    """Mean loss per learned token."""
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for batch in batches:
            learned = int((batch["labels"][:, 1:] != IGNORED).sum())
            total += float(model(**{**batch, "use_cache": False}).loss) * learned
            count += learned
    return total / count


def overhead(recipe: Recipe, workspace: Workspace) -> float:
    """CPU time of a step in our trainer over that of a bare loop on the same batches, minus 1. Each runs twice."""
    trained, bare = [], []
    for _ in range(2):
        trained.append(ours(recipe, workspace).cpu)
        work, learned, held = encoded(recipe, workspace)
        trainer = text_sft.build_trainer(work, learned, held)
        parameters = list(trainer.trainable().values())
        optimizer = torch.optim.AdamW(parameters, lr=recipe.optim.learning_rate, fused=True)
        work.loaded.model.train()
        clock = Clock(trainer)
        for batch in trainer.get_train_dataloader():
            clock.mark(int(batch["attention_mask"].sum()))
            trainer.compute_loss(work.loaded.model, batch).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        bare.append(clock.side(0.0).cpu)
    return max(bare) / max(trained) - 1


def compare(name: str) -> bool:
    """Print the sides on one shape; whether the goal is met at an equal loss, by the better of the two clocks."""
    shape = SHAPES[name]
    with tempfile.TemporaryDirectory() as home:
        recipe, workspace = prepare(shape, Path(home))
        turns: dict[str, Callable[[], Side]] = {
            "TRL, its defaults": lambda: theirs(recipe, workspace, checkpointing=True),
            "TRL, no gradient checkpointing": lambda: theirs(recipe, workspace, checkpointing=False),
            FLOAT32: lambda: theirs(recipe, workspace, checkpointing=False, four_bits=False),
            "smolstudio": lambda: ours(recipe, workspace),
        }
        if shape.compiled:
            turns["smolstudio, compiled layers"] = lambda: ours(recipe, workspace, compiled=True)
        sides: dict[str, list[Side]] = {label: [] for label in turns}
        for number in range(shape.rounds):
            for label in list(turns) if number % 2 == 0 else reversed(turns):
                sides[label].append(side := turns[label]())
                print(f"  round {number + 1}, {label}: {side.wall:.0f} tokens/s, loss {side.loss:.4f}", flush=True)
    middle = {label: Side(*map(median, zip(*found, strict=True))) for label, found in sides.items()}
    first, mine = middle["TRL, its defaults"], middle[list(turns)[-1]]
    print(f"\n{name}: {shape.rounds} x {shape.steps} steps of {shape.batch} rows, {torch.get_num_threads()} threads")
    for label, side in middle.items():
        print(
            f"  {label:32} {side.wall:8.0f} tokens/s  {side.cpu:8.0f} tokens/CPU-s  "
            f"first step {side.first_sec:5.1f} s  held-out loss {side.loss:.4f}  "
            f"{side.wall / first.wall:.2f}x wall {side.cpu / first.cpu:.2f}x CPU",
            flush=True,
        )
    return max(mine.wall / first.wall, mine.cpu / first.cpu) >= shape.goal and mine.loss <= first.loss * 1.02


def machinery() -> bool:
    """Print what our trainer costs over a bare loop, on the starter; whether it is 3 % at most."""
    with tempfile.TemporaryDirectory() as home:
        cost = overhead(*prepare(SHAPES["starter"], Path(home)))
    print(f"\nour machinery costs {cost:.1%} over a bare loop", flush=True)
    return cost <= 0.03


def main(names: list[str]) -> int:
    """Exit code: 0 when every goal is met."""
    met = [machinery() if name == "machinery" else compare(name) for name in names or ["starter", "135m", "machinery"]]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
