"""Vision: pictures rendered a second, training against a plain TRL vision script, pictures answered a second.

    python tests/bench/bench_vision.py [render] [train] [answer]      # all three when none is named

Training: the vision starter's shape with random weights, the same rows, batch, LoRA, learning rate and steps on both
sides. CPU time is shown beside wall time, because it does not depend on what else the machine does. Exit code 1 below a
goal.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from evaluate.predict import local_vision
from evaluate.predict.prompts import Question
from recipes.models.loading import load_for_inference
from recipes.recipe.schema import Recipe, load_recipe
from recipes.run.directory import Run
from recipes.starters.making.vision_model import build, export
from recipes.train import training
from recipes.train.work import cores, load_rows
from recipes.train.work import prepare as prepare_training
from recipes.vision import vision_rows, vision_sft
from synth.build import build_dataset
from synth.context import Context
from synth.dataset import DatasetDir
from synth.generators import generator
from synth.storage import sha256_bytes
from synth.vision import Spec
from synth.workspace import Workspace

RENDER_GOAL, TRAIN_GOAL = 25.0, 1.2
STEPS, WARM, BATCH = 24, 4, 16


class Side(NamedTuple):
    """Pictures per second by wall and by CPU clock."""

    wall: float
    cpu: float


class Clock:
    """Wraps `training_step` of a trainer and notes when each step begins."""

    def __init__(self, trainer: Any) -> None:
        self.marks: list[tuple[float, float]] = []
        self._step = trainer.training_step
        trainer.training_step = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.mark()
        return self._step(*args, **kwargs)

    def mark(self) -> None:
        self.marks.append((time.perf_counter(), time.process_time()))

    def side(self) -> Side:
        """Call `mark` after the last step first; the first WARM steps are left out."""
        begin, end, pictures = self.marks[WARM], self.marks[-1], (len(self.marks) - 1 - WARM) * BATCH
        return Side(pictures / (end[0] - begin[0]), pictures / (end[1] - begin[1]))


def render() -> bool:
    """All kinds and styles at 384 px, level 3, every degradation, PNG and checks included; one core."""
    rates = [rendered("plain", ()), rendered("degraded", ("blur", "jpeg", "perspective", "shadow", "noise"))]
    return min(rates) >= RENDER_GOAL


def rendered(label: str, effects: tuple[str, ...]) -> float:
    """Pictures per CPU second with these degradations."""
    sizes: dict[str, int] = {}

    def add_media(data: bytes, suffix: str) -> str:
        name = sha256_bytes(data) + suffix
        sizes[name] = len(data)
        return name

    spec = Spec.model_validate({"train": 600, "val": 0, "test": 0, "test_ood": 0, "difficulty": 3, "degrade": effects})
    begun, cpu = time.perf_counter(), time.process_time()
    checked = generator("vision").candidates
    rows = sum(candidate.example is not None for candidate in checked(spec, Context(add_media)))
    wall, used = time.perf_counter() - begun, time.process_time() - cpu
    count = len(sizes)
    print(f"render, {label}: {count} pictures, {rows} rows, {count / wall:.0f}/s wall, {count / used:.0f}/CPU-s")
    return count / used


def prepare(home: Path) -> tuple[Recipe, Workspace, DatasetDir]:
    """The starter's shape with random weights, and a dataset of charts."""
    from recipes.starters.making.text_tokenizer import starter_tokenizer

    model, processor = build(None, starter_tokenizer())
    export(model, processor, home / "base")
    workspace = Workspace(home)
    settings = {
        "train": BATCH * STEPS, "val": 0, "test": 256, "test_ood": 0, "kinds": ["hbar"], "difficulty": 1,
        "size": 128, "model_size": 128, "questions_per_image": 1,
    }  # fmt: skip
    dataset = build_dataset("vision", settings, "charts", workspace)
    options = {
        "method": "vision_sft", "base_model": str(home / "base"), "dataset": "charts", "lora_r": 16, "lora_alpha": 32,
        "per_device_train_batch_size": BATCH, "learning_rate": 1e-3, "max_length": None, "torch_compile": "off",
        "data.val_split": "", "save_steps": 10**6, "logging_steps": 10,
    }  # fmt: skip
    return load_recipe(options), workspace, dataset


def ours(recipe: Recipe, workspace: Workspace) -> Side:
    run = Run.create(workspace, recipe)
    work = prepare_training(run, recipe)
    learned, _ = load_rows(work)
    encoded = vision_rows.encode(learned, work.loaded.processor, recipe.data, work.dataset)
    trainer = vision_sft.build_trainer(work, encoded, None)
    clock = Clock(trainer)
    training.fit(trainer)
    clock.mark()
    return clock.side()


def theirs(recipe: Recipe, dataset: DatasetDir) -> Side:
    """The script that TRL's documentation shows for vision models, with QLoRA; gradient checkpointing off, as ours."""
    from datasets import Dataset, Image
    from peft import LoraConfig
    from transformers import AutoModelForImageTextToText, AutoProcessor, BitsAndBytesConfig
    from trl import SFTConfig, SFTTrainer

    examples = list(dataset.examples("train"))
    table = Dataset.from_dict(
        {
            "images": [[str(dataset.path / e.prompt[0].content[0].path)] for e in examples],  # type: ignore[union-attr]
            "prompt": [[{"role": "user", "content": e.prompt[0].text}] for e in examples],
            "completion": [[{"role": "assistant", "content": e.target}] for e in examples],
        }
    ).cast_column("images", [Image()])
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    network = AutoModelForImageTextToText.from_pretrained(
        recipe.base_model, quantization_config=quantization, dtype=torch.bfloat16, device_map="cpu"
    )
    trainer = SFTTrainer(
        network,
        SFTConfig(
            output_dir=tempfile.mkdtemp(), per_device_train_batch_size=BATCH, learning_rate=1e-3, num_train_epochs=1,
            max_length=None, bf16=True, use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True,
            dataloader_pin_memory=False, gradient_checkpointing=False, completion_only_loss=True,
        ),
        train_dataset=table,
        processing_class=AutoProcessor.from_pretrained(recipe.base_model),
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    clock = Clock(trainer)
    trainer.train()
    clock.mark()
    return clock.side()


def train(recipe: Recipe, workspace: Workspace, dataset: DatasetDir) -> bool:
    """Both sides in turn, theirs first and last, so that a busy machine does not favour either."""
    first = theirs(recipe, dataset)
    mine = ours(recipe, workspace)
    last = theirs(recipe, dataset)
    wall, cpu = max(first.wall, last.wall), max(first.cpu, last.cpu)
    print(f"train, plain TRL: {wall:.1f} pictures/s, {cpu:.1f}/CPU-s")
    print(f"train, smolstudio: {mine.wall:.1f} pictures/s, {mine.cpu:.1f}/CPU-s")
    print(f"       {mine.wall / wall:.2f}x wall, {mine.cpu / cpu:.2f}x CPU ({STEPS - WARM} steps of {BATCH})")
    return max(mine.wall / wall, mine.cpu / cpu) >= TRAIN_GOAL


def answer(recipe: Recipe, dataset: DatasetDir) -> bool:
    """Random weights never stop by themselves, so each picture gets the full 64 tokens: a lower bound."""
    loaded = load_for_inference(recipe.base_model)
    questions = [Question(e.id, e.prompt, dataset.path) for e in dataset.examples("test")]
    begun, cpu = time.perf_counter(), time.process_time()
    found = list(local_vision.answer(loaded, questions, 64, None, lambda: False))
    wall, used = time.perf_counter() - begun, time.process_time() - cpu
    count = len(found)
    print(f"answer: {count} pictures, 64 new tokens each, {count / wall:.1f}/s wall, {count / used:.1f}/CPU-s")
    return not any(p.error for p in found)


def main(names: list[str]) -> int:
    torch.set_num_threads(cores())
    fine = render() if not names or "render" in names else True
    if not names or {"train", "answer"} & set(names):
        with tempfile.TemporaryDirectory() as home:
            recipe, workspace, dataset = prepare(Path(home))
            if not names or "train" in names:
                fine &= train(recipe, workspace, dataset)
            if not names or "answer" in names:
                fine &= answer(recipe, dataset)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
