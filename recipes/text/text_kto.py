"""Tuning a text model on answers that people judged one by one, as QLoRA through TRL's KTOTrainer (arXiv 2402.01306).

Each row has one answer and a label: good or bad. The reference is the adapter that training starts from. The KL term
pairs every prompt of a batch with the answer of its neighbour, made when the batch is, so rows may come in any order;
batches need two rows and more. Where several processes share out a batch, neighbours and the mean of the KL term are
those of the whole batch. See `recipes.train` for what all train modules share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from recipes.models.attention import short_attention
from recipes.recipe.schema import Recipe
from recipes.run.directory import Run, TrainResult
from recipes.text import rows, text_sft
from recipes.train import preflight, training
from recipes.train.pairs import WHOLE
from recipes.train.ranks import Ranks
from recipes.train.repeatable import Batches
from recipes.train.rows import IGNORED, TokenRow
from recipes.train.trainer import RunTrainer, training_args
from recipes.train.work import Work, load_rows, prepare
from synth.errors import DataError, RecipeError
from synth.example import Example


class JudgedRow(NamedTuple):
    """A prompt and an answer as tokens, and whether the answer is good."""

    prompt_ids: list[int]
    completion_ids: list[int]
    label: bool

    def as_tuning(self) -> TokenRow:
        """The row as one of supervised tuning."""
        return TokenRow(self.prompt_ids + self.completion_ids, [IGNORED] * len(self.prompt_ids) + self.completion_ids)


def train(run: Run, recipe: Recipe) -> TrainResult:
    """Train the recipe in `run`, from its newest checkpoint if it has one, and write `run.adapter`."""
    if recipe.optim.per_device_train_batch_size < 2:
        message = "KTO compares rows of a batch, and optim.per_device_train_batch_size is 1."
        raise RecipeError(message, "Set it to 2 or more.", "recipe.kto")
    work = prepare(run, recipe)
    train_rows, eval_rows = load_rows(work)
    run.emit("phase", name="encoding")
    encoded, eval_encoded = encode(train_rows, work), encode(eval_rows, work)
    good = sum(row.label for row in encoded)
    run.emit("labels", good=good, bad=len(encoded) - good)
    trainer = build_trainer(work, encoded, eval_encoded)
    preflight.check(trainer, [row.as_tuning() for row in encoded])
    return training.fit(trainer, lambda loaded, asked: text_sft.generator(loaded, asked, work))


def encode(examples: Sequence[Example], work: Work) -> list[JudgedRow]:
    """Token rows, in order. Raises DataError when rows have no label, or all have the same."""
    if not examples:
        return []
    unjudged = sum(example.label is None for example in examples)
    if unjudged:
        message = f"{unjudged} of {len(examples)} rows have no label that says whether their answer is good."
        raise DataError(message, "Import rows with a label (docs/formats.md), or train with text_sft.", "data.labels")
    if len({example.label for example in examples}) == 1 and len(examples) > 1:
        kind = "good" if examples[0].label else "bad"
        remedy = "Add answers of the other kind, or train the good ones with text_sft."
        raise DataError(f"All {len(examples)} answers are labelled as {kind}.", remedy, "data.labels")
    unlabelled = [example.model_copy(update={"label": None}) for example in examples]
    made = []
    for example, row in zip(examples, rows.encode(unlabelled, work.loaded.tokenizer, WHOLE), strict=True):
        start = next(place for place, label in enumerate(row.labels) if label != IGNORED)
        made.append(JudgedRow(row.input_ids[:start], row.input_ids[start:], bool(example.label)))
    return made


def build_trainer(work: Work, train_rows: list[JudgedRow], eval_rows: list[JudgedRow]) -> Any:
    """TRL's trainer on tokenised rows; `eval_rows` are those of the validation loss."""
    from trl import KTOConfig, KTOTrainer

    lengths = [len(row.prompt_ids) + len(row.completion_ids) for row in train_rows]
    short_attention(work.loaded.model, max(lengths))

    class Trainer(RunTrainer, KTOTrainer):  # type: ignore[misc]
        sharing = False

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset  # the rows are tokens already

        def get_train_dataloader(self) -> Any:
            return self._train_loader(_Neighbouring(self.train_dataset), _WithNeighbours(self.batches))

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            self.sharing = self.team.world > 1
            try:
                return super().training_step(*args, **kwargs)
            finally:
                self.sharing = False

        def _compute_kl_logps(self, model: Any, batch: Any) -> Any:
            own = super()._compute_kl_logps(model, batch)
            return _mean_of_all(own, self.team, not self.repeats) if self.sharing else own

    kto = work.recipe.kto
    return Trainer(
        model=work.loaded.model,
        args=training_args(
            KTOConfig,
            work,
            max_length=None,
            beta=kto.beta,
            desirable_weight=kto.desirable_weight,
            undesirable_weight=kto.undesirable_weight,
            remove_unused_columns=False,
        ),
        train_dataset=as_dataset(train_rows),
        eval_dataset=as_dataset(eval_rows) if eval_rows else None,
        data_collator=_Collator(work.loaded.tokenizer.pad_token_id),
        processing_class=work.loaded.tokenizer,
        work=work,
        lengths=lengths,
    )


class _WithNeighbours:
    """Batch sampler: each row with the one before it in the batch of all processes, the first with the last."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        pairs = ([(row, batch[place - 1]) for place, row in enumerate(batch)] for batch in self._batches.whole())
        return (self._batches.team.mine(batch) for batch in pairs)


class _Neighbouring:
    """Rows with the answers of other rows, by both their places."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, places: tuple[int, int]) -> dict[str, Any]:
        row, other = (self._rows[place] for place in places)
        return {**row, "KL_completion_ids": other["completion_ids"]}


def _mean_of_all(values: Any, team: Ranks, counts: bool) -> Any:
    """(n,) the mean of the values of all processes that count, n times."""
    import torch

    own = values.detach().double()
    total, count = team.sum(torch.stack([own.sum(), own.new_tensor(len(own))]) * counts)
    return (total / count).expand(len(own))


class _Collator:
    """TRL's batches, with each prompt's neighbouring answer for the KL term, where a row does not bring one."""

    def __init__(self, pad_token_id: int) -> None:
        from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

        self._collate = DataCollatorForUnpairedPreference(pad_token_id=pad_token_id)

    def __call__(self, batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
        answers = [row["completion_ids"] for row in batch]
        shifted = [answers[-1], *answers[:-1]]
        paired = [{"KL_completion_ids": other, **row} for row, other in zip(batch, shifted, strict=True)]
        return dict(self._collate(paired))


def as_dataset(judged: Sequence[JudgedRow]) -> Any:
    """Rows as the table that TRL takes."""
    from datasets import Dataset

    return Dataset.from_dict({name: [getattr(row, name) for row in judged] for name in JudgedRow._fields})
