"""Supervised tuning of a speech model on recording and transcript, as QLoRA through transformers' Trainer.

TRL has no collator for sound, so ours is in `recipes.audio_rows`: short windows, given language and task tokens,
SpecAugment in training only. See `recipes.training` for what all train modules share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipes import audio_rows, preflight, training
from recipes.audio_rows import AudioRow
from recipes.recipe import Recipe
from recipes.run import Run, TrainResult
from synth.example import Example


def train(run: Run, recipe: Recipe) -> TrainResult:
    """Train the recipe in `run`, from its newest checkpoint if it has one, and write `run.adapter`."""
    work = training.prepare(run, recipe)
    learned, watched = training.examples(work)
    run.emit("phase", name="encoding")
    recordings = [audio_rows.recording(example, work.dataset) for example in (*learned, *watched)]
    seconds = audio_rows.window_seconds(recordings, work.loaded.processor)
    audio_rows.shorten(work.loaded.model, work.loaded.processor, seconds)
    encoded = encode(learned, recordings[: len(learned)], work, seconds)
    held = encode(watched, recordings[len(learned) :], work, seconds) if watched else None
    trainer = build_trainer(work, encoded, held)
    preflight.check(trainer, [row.tokens for row in encoded])
    result = training.fit(trainer)
    audio_rows.note_window(run.adapter, seconds)
    return result


def encode(
    examples: Sequence[Example], recordings: Sequence[audio_rows.Samples], work: training.Work, seconds: float
) -> list[AudioRow]:
    """Windows and tokens of the rows, in order."""
    processor = work.loaded.processor
    tokens = audio_rows.encode(examples, processor, work.recipe.data)
    sounds = audio_rows.windows(recordings, processor, seconds)
    return [AudioRow(sound, row) for sound, row in zip(sounds, tokens, strict=True)]


def build_trainer(work: training.Work, learned: list[AudioRow], held: list[AudioRow] | None) -> Any:
    """transformers' Trainer on encoded rows; `held` are the rows of the validation loss."""
    from transformers import Trainer as Plain
    from transformers import TrainingArguments

    class Trainer(training.FastHead, training.RunTrainer, Plain):  # type: ignore[misc]
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            loss = super().compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
            return (loss, {}) if return_outputs else loss

    trainer = Trainer(
        model=work.loaded.model,
        args=training.training_args(TrainingArguments, work, label_names=["labels"]),
        train_dataset=audio_rows.Rows(learned),
        eval_dataset=audio_rows.Rows(held, watched=True) if held else None,
        processing_class=work.loaded.tokenizer,
        work=work,
        lengths=[len(row.tokens.input_ids) for row in learned],
    )
    trainer.data_collator = audio_rows.Collator(
        work.loaded.tokenizer.pad_token_id, work.recipe.seed, lambda: trainer.batches.epoch
    )
    return trainer
