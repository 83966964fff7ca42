"""Preference tuning of a vision model, as QLoRA through TRL's DPOTrainer, on top of an adapter from supervised tuning.

As `recipes.text_dpo`, with pictures: the reference is the adapter that training starts from, its log-probabilities are
computed once; pairs are the model's own wrong answers to the pictures (`recipes.preference`). See `recipes.training`
for what all train modules share.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from recipes import models, preference, sampling, text_dpo, training, vision_rows, vision_sampling, vision_sft
from recipes.recipe import Recipe
from recipes.run import Run, TrainResult
from recipes.vision_rows import VisionRow
from synth.dataset import DatasetDir
from synth.example import Example


class PairRow(NamedTuple):
    """A preference pair as tokens; both answers continue the same prompt about the same pictures."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    pictures: tuple[str, ...]


def train(run: Run, recipe: Recipe) -> TrainResult:
    """Train the recipe in `run`, from its newest checkpoint if it has one, and write `run.adapter`."""
    pairs = preference.pair_dataset(run, recipe, lambda prompts: generator(run, recipe, prompts))
    work = training.prepare(run, recipe)
    run.emit("phase", name="encoding")
    data = recipe.data
    learned = [e for e in pairs.examples(data.train_split) if e.rejected is not None][: recipe.dpo.max_pairs]
    watched = list(islice(pairs.examples(data.val_split), data.max_val_examples)) if data.val_split else []
    encoded = encode(learned, work, pairs)
    held = encode([e for e in watched if e.rejected is not None], work, pairs) if recipe.eval_steps else []
    trainer = build_trainer(work, encoded, held)
    answers = [token_row(row, ids) for row in encoded for ids in (row.chosen_ids, row.rejected_ids)]
    vision_sft.check(
        trainer, answers, [(vision_rows.chat(e.prompt), e.target) for e in learned[: vision_sft.CHECKED_ROWS]]
    )
    return training.fit(trainer)


def generator(run: Run, recipe: Recipe, prompts: Sequence[Example]) -> sampling.Generate:
    """The model to be tuned, ready to answer `prompts` as `recipe.dpo` says."""
    base = models.resolve(recipe.base_model, recipe.revision)
    loaded = models.load_for_inference(base, recipe.adapter, runs=run.workspace.runs)
    room = sampling.longest_target_tokens(loaded, prompts)
    return vision_sampling.vision_generator(loaded, run.dataset(), recipe.dpo.temperature, room, recipe.seed)


def encode(examples: Sequence[Example], work: training.Work, dataset: DatasetDir) -> list[PairRow]:
    """Token rows of pairs, uncut: the row's `target` is the chosen answer, whatever data.target says."""
    if not examples:
        return []
    wrong = [e.model_copy(update={"target": e.rejected}) for e in examples]
    data = work.recipe.data.model_copy(update={"target": "target"})
    sides = [vision_rows.encode(side, work.loaded.processor, data, dataset) for side in (examples, wrong)]
    pairs = []
    for good, bad in zip(*sides, strict=True):
        prompt = text_dpo.prompt_of(good.tokens)
        chosen, rejected = (row.tokens.input_ids[len(prompt) :] for row in (good, bad))
        pairs.append(PairRow(prompt, chosen, rejected, good.pictures))
    return pairs


def token_row(pair: PairRow, answer: list[int]) -> VisionRow:
    """One answer of a pair as a row of supervised tuning."""
    tokens = text_dpo.token_row(text_dpo.PairRow(pair.prompt_ids, pair.chosen_ids, pair.rejected_ids), answer)
    return VisionRow(tokens, pair.pictures)


def build_trainer(work: training.Work, learned: list[PairRow], held: list[PairRow]) -> Any:
    """TRL's trainer on tokenised pairs; `held` are the pairs of the validation loss."""
    from trl import DPOConfig, DPOTrainer

    lengths = [len(r.prompt_ids) + max(len(r.chosen_ids), len(r.rejected_ids)) for r in learned]
    models.short_attention(work.loaded.model, vision_rows.longest_attention(lengths, work.loaded.model))

    class Trainer(training.RunTrainer, DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset  # the rows are tokens already

    dpo = work.recipe.dpo
    weighted = {"loss_type": [dpo.loss_type, "sft"], "loss_weights": [1.0, dpo.sft_weight]}
    return Trainer(
        model=work.loaded.model,
        args=training.training_args(
            DPOConfig,
            work,
            max_length=None,
            remove_unused_columns=False,
            beta=dpo.beta,
            label_smoothing=dpo.label_smoothing,
            precompute_ref_log_probs=True,
            **(weighted if dpo.sft_weight else {"loss_type": [dpo.loss_type]}),
        ),
        train_dataset=as_dataset(learned),
        eval_dataset=as_dataset(held) if held else None,
        data_collator=vision_rows.PairCollator(work.loaded.processor),
        processing_class=work.loaded.tokenizer,
        work=work,
        lengths=lengths,
    )


def as_dataset(pairs: list[PairRow]) -> Any:
    """Pairs as the table that TRL takes; pictures by their files."""
    from datasets import Dataset

    columns = {name: [getattr(pair, name) for pair in pairs] for name in ("prompt_ids", "chosen_ids", "rejected_ids")}
    return Dataset.from_dict({**columns, "pictures": [list(pair.pictures) for pair in pairs]})
