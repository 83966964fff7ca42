"""Preference tuning of a text model, as QLoRA through TRL's DPOTrainer, on top of an adapter from supervised tuning.

The reference is the adapter that training starts from: its log-probabilities of all pairs are computed once, before
the first step. Where the dataset has no `rejected` answers, pairs are mined from the model's own wrong answers
(`recipes.train.preference`) and kept in `pairs/` of the run. See `recipes.train` for what all train
modules share.
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
from recipes.text import rows, text_sft
from recipes.train import dpo_eval, preference, preflight, training
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
from synth.example import Example


def train(run: Run, recipe: Recipe) -> TrainResult:
    """Train the recipe in `run`, from its newest checkpoint if it has one, and write `run.adapter`."""
    pairs = preference.pair_dataset(run, recipe, lambda prompts: generator(run, recipe, prompts))
    work = prepare(run, recipe)
    run.emit("phase", name="encoding")
    train_rows, eval_rows = preference.select(pairs, recipe)
    cut = compares_first_difference(recipe.dpo, preference.mined(pairs, run))
    encoded, eval_encoded = encode(train_rows, work, cut), encode(eval_rows, work, cut)
    trainer = build_trainer(work, encoded, eval_encoded)
    preflight.check(trainer, [row for pair in encoded for row in pair.as_tuning()])

    def answering(loaded: Loaded, asked: Sequence[Example]) -> sampling.Generate:
        return text_sft.generator(loaded, asked, work)

    with dpo_eval.measured(work, answering):
        return training.fit(trainer, answering)


def generator(run: Run, recipe: Recipe, prompts: Sequence[Example]) -> sampling.Generate:
    """The model to be tuned, ready to answer `prompts` as `recipe.dpo` says."""
    import torch

    base = resolve(recipe.base_model, recipe.revision)
    dtype = torch.bfloat16 if recipe.optim.bf16 else torch.float32
    loaded = load_for_inference(base, recipe.adapter, dtype, runs=run.workspace.runs)
    room = sampling.longest_target_tokens(loaded, prompts)
    return sampling.text_generator(loaded, recipe.dpo.temperature, room, recipe.seed)


def encode(examples: Sequence[Example], work: Work, cut: bool = True) -> list[PairRow]:
    """Token rows of pairs, in order; with `cut`, up to their first difference."""
    if not examples:
        return []
    tokenizer = work.loaded.tokenizer
    chosen, rejected = (rows.encode(side, tokenizer, WHOLE) for side in both_sides(examples))
    return preference_rows(chosen, rejected, tokenizer, cut)


def build_trainer(work: Work, train_rows: list[PairRow], eval_encoded: list[PairRow]) -> Any:
    """TRL's trainer on tokenised pairs; `eval_encoded` are the pairs of the validation loss."""
    from trl import DPOConfig, DPOTrainer

    lengths = [pair.longest for pair in train_rows]
    short_attention(work.loaded.model, max(lengths))

    class Trainer(RunTrainer, DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset  # the rows are tokens already

    with reference_in_parts():
        return Trainer(
            model=work.loaded.model,
            args=training_args(DPOConfig, work, **trl_options(work.recipe.dpo)),
            train_dataset=as_dataset(train_rows),
            eval_dataset=as_dataset(eval_encoded) if eval_encoded else None,
            processing_class=work.loaded.tokenizer,
            work=work,
            lengths=lengths,
        )
