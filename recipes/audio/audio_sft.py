"""Supervised tuning of a speech model on recording and transcript, as QLoRA through transformers' Trainer.

TRL has no collator for sound, so ours is in `recipes.audio.audio_rows`: short windows, given language and task tokens,
SpecAugment in training only. What differs between classes of models is in `recipes.audio.backend`, and what all train
modules share in `recipes.train`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipes.audio import audio_answers, audio_rows
from recipes.audio.audio_rows import AudioRow
from recipes.audio.backend import AudioBackend, Samples
from recipes.audio.backends import audio_backend, save_window
from recipes.decode import sampling
from recipes.models.attention import short_attention
from recipes.models.loaded import Loaded
from recipes.recipe.options import Data
from recipes.recipe.schema import Recipe
from recipes.run.directory import Run, TrainResult
from recipes.train import preflight, training
from recipes.train.head import FastHead
from recipes.train.ranks import ranks
from recipes.train.trainer import RunTrainer, training_args
from recipes.train.work import Work, load_rows, prepare
from synth.example import Example


def train(run: Run, recipe: Recipe) -> TrainResult:
    """Train the recipe in `run`, from its newest checkpoint if it has one, and write `run.adapter`."""
    work = prepare(run, recipe)
    train_rows, eval_rows = load_rows(work)
    run.emit("phase", name="encoding")
    recordings = [audio_rows.recording(example, work.dataset) for example in (*train_rows, *eval_rows)]
    backend = audio_backend(work.loaded)
    seconds = backend.window_seconds(recordings)
    backend.fit(seconds)
    encoded = encode(train_rows, recordings[: len(train_rows)], backend, recipe.data)
    eval_encoded = encode(eval_rows, recordings[len(train_rows) :], backend, recipe.data) if eval_rows else None
    trainer = build_trainer(work, encoded, eval_encoded)
    picture = audio_rows.show([row.sound for row in encoded[:1]], run.path)
    preflight.check(trainer, [row.tokens for row in encoded], picture=picture, decode=backend.spell)
    result = training.fit(trainer, lambda loaded, asked: generator(loaded, asked, work))
    if ranks().leads:
        save_window(run.adapter, seconds)
    return result


def generator(loaded: Loaded, asked: Sequence[Example], work: Work) -> sampling.Generate:
    """The model as it is at this moment, ready to answer `asked`."""
    room = sampling.longest_target_tokens(loaded, asked)
    return audio_answers.audio_generator(loaded, work.dataset, 1.0, work.recipe.seed, room)


def encode(
    examples: Sequence[Example], recordings: Sequence[Samples], backend: AudioBackend, data: Data
) -> list[AudioRow]:
    """Sounds and tokens of the rows, in order."""
    sounds = backend.prepare(recordings, audio_rows.languages(examples, backend))
    tokens = audio_rows.encode(examples, sounds, backend, data)
    return [AudioRow(sound, row) for sound, row in zip(sounds, tokens, strict=True)]


def build_trainer(work: Work, train_rows: list[AudioRow], eval_encoded: list[AudioRow] | None) -> Any:
    """transformers' Trainer on encoded rows; `eval_encoded` are the rows of the validation loss."""
    import torch
    from transformers import Trainer as Plain
    from transformers import TrainingArguments

    sounds, tokens = [row.sound for row in train_rows], [row.tokens for row in train_rows]
    short_attention(work.loaded.model, audio_rows.longest_attention(sounds, tokens))

    class Trainer(FastHead, RunTrainer, Plain):  # type: ignore[misc]
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            backend = self.data_collator.backend
            with torch.autocast(inputs["labels"].device.type, torch.bfloat16, enabled=self.args.bf16):
                loss = backend.loss(inputs, num_items_in_batch)
                inputs = backend.ready(inputs)
            if loss is None:
                loss = super().compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
            return (loss, {}) if return_outputs else loss

    trainer = Trainer(
        model=work.loaded.model,
        args=training_args(TrainingArguments, work, label_names=["labels"]),
        train_dataset=audio_rows.Rows(train_rows),
        eval_dataset=audio_rows.Rows(eval_encoded, eval_rows=True) if eval_encoded else None,
        processing_class=work.loaded.tokenizer,
        work=work,
        lengths=[row.sound.positions + len(row.tokens.input_ids) for row in train_rows],
    )
    trainer.data_collator = audio_rows.Collator(
        audio_backend(work.loaded), work.recipe.seed, lambda: trainer.batches.epoch
    )
    return trainer
