"""Supervised tuning of a text model on prompt and target, as QLoRA through TRL's SFTTrainer.

The loss is on the target only. Rows come tokenised, so TRL prepares nothing. See `recipes.train` for what all train
modules share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipes.decode import sampling
from recipes.models.attention import short_attention
from recipes.models.loaded import Loaded
from recipes.recipe.schema import Recipe
from recipes.run.directory import Run, TrainResult
from recipes.text import rows
from recipes.text.chat import chat_messages
from recipes.train import preflight, training
from recipes.train.head import sft_trainer
from recipes.train.row_checks import check_template
from recipes.train.rows import TokenRow
from recipes.train.trainer import training_args
from recipes.train.work import Work, load_rows, prepare
from synth.example import Example

CHECKED_ROWS = 64  # rows on which the chat template is tried


def train(run: Run, recipe: Recipe) -> TrainResult:
    """Train the recipe in `run`, from its newest checkpoint if it has one, and write `run.adapter`."""
    work = prepare(run, recipe)
    train_rows, eval_rows = load_rows(work)
    run.emit("phase", name="encoding")
    tokenizer = work.loaded.tokenizer
    encoded = rows.encode(train_rows, tokenizer, recipe.data)
    eval_encoded = rows.encode(eval_rows, tokenizer, recipe.data) if eval_rows else None
    chats = ((chat_messages(e, tokenizer), e.target) for e in train_rows[:CHECKED_ROWS] if not e.tools)
    trainer = build_trainer(work, encoded, eval_encoded)
    preflight.check(trainer, encoded, problems=check_template(tokenizer, chats))
    return training.fit(trainer, lambda loaded, asked: generator(loaded, asked, work))


def generator(loaded: Loaded, asked: Sequence[Example], work: Work) -> sampling.Generate:
    """The model as it is at this moment, ready to answer `asked`."""
    room = sampling.longest_target_tokens(loaded, asked)
    return sampling.text_generator(loaded, 1.0, room, work.recipe.seed)


def build_trainer(work: Work, train_rows: list[TokenRow], eval_encoded: list[TokenRow] | None) -> Any:
    """TRL's trainer on tokenised rows; `eval_encoded` are the rows of the validation loss."""
    from trl import SFTConfig
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    lengths = [len(row.input_ids) for row in train_rows]
    short_attention(work.loaded.model, max(lengths))

    return sft_trainer(work.loaded.model.device.type)(
        model=work.loaded.model,
        args=training_args(
            SFTConfig, work, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, packing=False
        ),
        train_dataset=as_dataset(train_rows),
        eval_dataset=as_dataset(eval_encoded) if eval_encoded else None,
        data_collator=DataCollatorForLanguageModeling(pad_token_id=work.loaded.tokenizer.pad_token_id),
        processing_class=work.loaded.tokenizer,
        work=work,
        lengths=lengths,
    )


def as_dataset(encoded: list[TokenRow]) -> Any:
    """Token rows as the table that TRL takes."""
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": [r.input_ids for r in encoded], "labels": [r.labels for r in encoded]})
