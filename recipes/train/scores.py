"""The task's own metric on validation rows while a model is trained: `score` events, which sweeps and curves read.

    score   step, metric, value, rows, lower_is_better, final

`final` is of the adapter that the run keeps. Answers are greedy and leave no trace in what is learned. Few rows are
asked, so the figure tells trainings apart roughly; how good a model is says `evaluate`, on rows of test.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from recipes.recipe.schema import Recipe
from recipes.run.directory import Run
from recipes.train.rows import with_training_target
from recipes.train.samples import Generator, answers
from recipes.train.work import Work
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.example import Example
from synth.scoring import scorers
from synth.scoring.rule import Metric, Score, golds

EVENT = "score"
DRAWN_BY = 0


class Scored(NamedTuple):
    """A metric over rows: a mean of the rows' scores, of error rates all edits by all reference units."""

    metric: str
    value: float
    rows: int
    lower_is_better: bool


class Scores:
    """The scored rows of one training, and the looks at them."""

    def __init__(self, work: Work, generator: Generator) -> None:
        self._work = work
        self._generator = generator
        self._failed = False
        self._rows: list[Example] | None = None
        self.last: Scored | None = None

    def look(self, step: int, final: bool = False) -> None:
        """Answer the rows with the model as it is after `step`, and tell the metric; a failure is told once, and ends
        a training whose best step the metric decides.
        """
        if not self._work.recipe.score_rows or self._failed:
            return
        try:
            found = answers(self._work, self._generator, self.rows)
            pairs = zip(self.rows, found, strict=True)
            scored = pooled(self.rows, [scorers.score_reply(given[0].text, row) for row, given in pairs])
        except Exception as error:  # whatever goes wrong here, the training is worth more
            if self._work.recipe.metric_for_best_model == "task":
                raise
            logging.exception("validation rows could not be scored")
            self._failed = True
            self._work.run.emit("warning", sentence=f"The task's metric on validation rows is not measured: {error}")
            return
        self.last = scored
        self._work.run.emit(EVENT, step=step, final=final, **scored._asdict())

    @property
    def rows(self) -> list[Example]:
        """The rows asked, `target` as the recipe teaches it."""
        if self._rows is None:
            found = scored_rows(self._work.recipe, self._work.dataset)
            self._rows = [with_training_target(e, self._work.recipe.data.target) for e in found]
        return self._rows


def scored_rows(recipe: Recipe, dataset: DatasetDir) -> list[Example]:
    """The validation rows that `score_rows` asks for, the same ones whatever the seed, so that trainings compare.

    Raises DataError where val gives no metric.
    """
    split = recipe.data.val_split
    found = dataset.draw(split, recipe.score_rows, DRAWN_BY) if split else []
    if not found:
        raise DataError(
            f"{dataset.name} has no validation rows, so its metric cannot be measured while training.",
            "Give it a val split, or name one in data.val_split.",
            "data.no_metric",
        )
    metric_of(found, dataset.name)
    return [row for row in found if _gives_score(row)]


def metric_of(rows: Iterable[Example], name: str) -> Metric:
    """The metric of these rows of the dataset `name`. Raises DataError where no rule scores any of them."""
    usable = [row for row in rows if _gives_score(row)]
    if not usable:
        raise DataError(
            f"No rule can score answers to the validation rows of {name}: free text, or rows without a short answer.",
            "Watch the validation loss instead, or import rows with a short answer.",
            "data.no_metric",
        )
    return scorers.metric(scorers.metric_name(row.scorer for row in usable))


def pooled(rows: Sequence[Example], scores: Sequence[Score]) -> Scored:
    """The metric of rows and their scores, in order; what could not be scored is left out."""
    known = [score for score in scores if score.value is not None]
    metric = metric_of(rows, "these rows")
    if not known:
        raise DataError("No answer could be scored.", "Look at the answers of the run.")
    units = sum(score.ref_units or 0 for score in known)
    if metric.pools_edits and units:
        value = sum(score.edits or 0 for score in known) / units
    else:
        value = sum(score.value or 0.0 for score in known) / len(known)
    return Scored(metric.name, value, len(known), metric.lower_is_better)


def _gives_score(row: Example) -> bool:
    return scorers.known_scorer(row.scorer).checkable and bool(golds(row))


def finals(run: Run) -> Scored | None:
    """The metric of the adapter that a run kept; None where it was not measured."""
    finals_logged = [event for event in run.events(EVENT) if event.get("final")]
    return Scored(**{name: finals_logged[-1][name] for name in Scored._fields}) if finals_logged else None
