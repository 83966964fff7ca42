"""Supervised tuning of a vision model on picture, question and target, as QLoRA through TRL's SFTTrainer.

The loss is on the target only. Rows come tokenised with their image tokens, pixels batch by batch, so TRL prepares
nothing. Which modules get LoRA (language, tower, connector) is `lora.target_modules` and `lora.exclude_modules`. See
`recipes.train` for what all train modules share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipes.decode import sampling
from recipes.models.attention import short_attention
from recipes.models.loaded import Loaded
from recipes.recipe.schema import Recipe
from recipes.run.directory import Run, TrainResult
from recipes.train import preflight, training
from recipes.train.head import sft_trainer
from recipes.train.row_checks import check_template
from recipes.train.trainer import training_args
from recipes.train.work import Work, load_rows, prepare
from recipes.vision import vision_rows, vision_sampling
from recipes.vision.vision_rows import VisionRow
from synth.example import Example

CHECKED_ROWS = 64  # rows on which the chat template is tried


def train(run: Run, recipe: Recipe) -> TrainResult:
    """Train the recipe in `run`, from its newest checkpoint if it has one, and write `run.adapter`."""
    work = prepare(run, recipe)
    train_rows, eval_rows = load_rows(work)
    run.emit("phase", name="encoding")
    processor = work.loaded.processor
    encoded = vision_rows.encode(train_rows, processor, recipe.data, work.dataset)
    eval_encoded = vision_rows.encode(eval_rows, processor, recipe.data, work.dataset) if eval_rows else None
    trainer = build_trainer(work, encoded, eval_encoded)
    check(trainer, encoded, [(vision_rows.chat(e.prompt), e.target) for e in train_rows[:CHECKED_ROWS]])
    return training.fit(trainer, lambda loaded, asked: generator(loaded, asked, work))


def generator(loaded: Loaded, asked: Sequence[Example], work: Work) -> sampling.Generate:
    """The model as it is at this moment, ready to answer `asked`."""
    room = sampling.longest_target_tokens(loaded, asked)
    return vision_sampling.vision_generator(loaded, work.dataset, 1.0, room, work.recipe.seed)


def check(trainer: Any, encoded: list[VisionRow], chats: list[tuple[list[dict[str, Any]], str]]) -> None:
    """Preflight with the chat template tried, image tokens counted and the picture shown as the model sees it."""
    work: Work = trainer.work
    if work.checkpoint is not None:
        return
    processor = work.loaded.processor
    faults = check_template(vision_rows.template_view(processor), chats)
    faults += vision_rows.problems(encoded, work.loaded.model, processor)
    picture = vision_rows.show(encoded, processor, work.run.path)
    decode = vision_rows.short_decode(processor)
    preflight.check(trainer, [row.tokens for row in encoded], problems=faults, picture=picture, decode=decode)


def build_trainer(work: Work, train_rows: list[VisionRow], eval_encoded: list[VisionRow] | None) -> Any:
    """TRL's trainer on tokenised rows; `eval_encoded` are the rows of the validation loss."""
    from trl import SFTConfig

    lengths = [len(row.tokens.input_ids) for row in train_rows]
    short_attention(work.loaded.model, vision_rows.longest_attention(lengths, work.loaded.model))

    return sft_trainer(work.loaded.model.device.type)(
        model=work.loaded.model,
        args=training_args(
            SFTConfig, work, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, packing=False
        ),
        train_dataset=as_dataset(train_rows),
        eval_dataset=as_dataset(eval_encoded) if eval_encoded else None,
        data_collator=vision_rows.Collator(work.loaded.processor),
        processing_class=work.loaded.tokenizer,
        work=work,
        lengths=lengths,
    )


def as_dataset(encoded: list[VisionRow]) -> Any:
    """Token rows as the table that TRL takes; pictures by their files."""
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [row.tokens.input_ids for row in encoded],
            "labels": [row.tokens.labels for row in encoded],
            "pictures": [list(row.pictures) for row in encoded],
        }
    )
