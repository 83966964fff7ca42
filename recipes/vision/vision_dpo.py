"""Preference tuning of a vision model, as QLoRA through TRL's DPOTrainer, on top of an adapter from supervised
tuning.

As `recipes.text.text_dpo`, with pictures: the reference is the adapter that training starts from, its
log-probabilities are computed once; pairs are the model's own wrong answers to the pictures
(`recipes.train.preference`). See `recipes.train` for what all train modules share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipes.decode import sampling
from recipes.models.attention import short_attention
from recipes.models.files import resolve
from recipes.models.loaded import Loaded
from recipes.models.loading import load_for_inference
from recipes.recipe.schema import Recipe
from recipes.run.directory import Run, TrainResult
from recipes.train import dpo_eval, preference, training
from recipes.train.pairs import (
    WHOLE,
    PairRow,
    as_dataset,
    both_sides,
    compares_first_difference,
    preference_rows,
    reference_in_parts,
    trl_options,
)
from recipes.train.trainer import RunTrainer, training_args
from recipes.train.work import Work, prepare
from recipes.vision import vision_rows, vision_sampling, vision_sft
from recipes.vision.vision_rows import VisionRow
from synth.dataset import DatasetDir
from synth.example import Example


def train(run: Run, recipe: Recipe) -> TrainResult:
    """Train the recipe in `run`, from its newest checkpoint if it has one, and write `run.adapter`."""
    pairs = preference.pair_dataset(run, recipe, lambda prompts: generator(run, recipe, prompts))
    work = prepare(run, recipe)
    run.emit("phase", name="encoding")
    train_rows, eval_rows = preference.select(pairs, recipe)
    cut = compares_first_difference(recipe.dpo, preference.mined(pairs, run))
    encoded, eval_encoded = encode(train_rows, work, pairs, cut), encode(eval_rows, work, pairs, cut)
    trainer = build_trainer(work, encoded, eval_encoded)
    answers = [VisionRow(row, pair.pictures) for pair in encoded for row in pair.as_tuning()]
    vision_sft.check(
        trainer, answers, [(vision_rows.chat(e.prompt), e.target) for e in train_rows[: vision_sft.CHECKED_ROWS]]
    )

    def answering(loaded: Loaded, asked: Sequence[Example]) -> sampling.Generate:
        return vision_sft.generator(loaded, asked, work)

    with dpo_eval.measured(work, answering):
        return training.fit(trainer, answering)


def generator(run: Run, recipe: Recipe, prompts: Sequence[Example]) -> sampling.Generate:
    """The model to be tuned, ready to answer `prompts` as `recipe.dpo` says."""
    base = resolve(recipe.base_model, recipe.revision)
    loaded = load_for_inference(base, recipe.adapter, runs=run.workspace.runs)
    room = sampling.longest_target_tokens(loaded, prompts)
    return vision_sampling.vision_generator(loaded, run.dataset(), recipe.dpo.temperature, room, recipe.seed)


def encode(examples: Sequence[Example], work: Work, dataset: DatasetDir, cut: bool = True) -> list[PairRow]:
    """Token rows of pairs, in order; with `cut`, up to their first difference."""
    if not examples:
        return []
    sides = [vision_rows.encode(side, work.loaded.processor, WHOLE, dataset) for side in both_sides(examples)]
    chosen, rejected = ([row.tokens for row in side] for side in sides)
    pairs = preference_rows(chosen, rejected, work.loaded.tokenizer, cut)
    return [pair._replace(pictures=row.pictures) for pair, row in zip(pairs, sides[0], strict=True)]


def build_trainer(work: Work, train_rows: list[PairRow], eval_encoded: list[PairRow]) -> Any:
    """TRL's trainer on tokenised pairs; `eval_encoded` are the pairs of the validation loss."""
    from trl import DPOConfig, DPOTrainer

    lengths = [pair.longest for pair in train_rows]
    short_attention(work.loaded.model, vision_rows.longest_attention(lengths, work.loaded.model))

    class Trainer(RunTrainer, DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset  # the rows are tokens already

    with reference_in_parts():
        return Trainer(
            model=work.loaded.model,
            args=training_args(DPOConfig, work, remove_unused_columns=False, **trl_options(work.recipe.dpo)),
            train_dataset=as_dataset(train_rows),
            eval_dataset=as_dataset(eval_encoded) if eval_encoded else None,
            data_collator=vision_rows.PairCollator(work.loaded.processor),
            processing_class=work.loaded.tokenizer,
            work=work,
            lengths=lengths,
        )
