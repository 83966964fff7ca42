"""Did preference tuning help? Validation rows answered greedily before and after it, and one honest sentence.

Margins say how well the pairs were learned; they grow while answers get worse. So the model in training answers rows
that it learns nothing from, and `accuracy` events keep which were right: {when, right} before, {when, right, sentence}
after. The end of the run repeats the sentence. A look that fails is told and never ends a training.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from typing import NamedTuple

from recipes.run.directory import Run
from recipes.train import preference, samples
from recipes.train.ranks import ranks
from recipes.train.rows import with_training_target
from recipes.train.work import Work, drawn
from synth.example import Example

EVENT = "accuracy"
CHANCE = 0.05  # a loss that chance brings about less often than this is called one


class Change(NamedTuple):
    """Rows, right ones before and after, and those that were lost and gained."""

    rows: int
    before: int
    after: int
    lost: int
    gained: int

    @property
    def harmful(self) -> bool:
        """Whether so many of the changed rows were lost that chance does not explain it (one-sided sign test)."""
        changed = self.lost + self.gained
        tail = sum(math.comb(changed, lost) for lost in range(self.lost, changed + 1)) / 2**changed
        return self.lost > self.gained and tail < CHANCE

    @property
    def sentence(self) -> str:
        said = f"Of {self.rows} validation rows, {self.before} were answered right before and {self.after} after it"
        if not self.harmful:
            return f"{said}."
        return f"{said}, which is statistically significant: keep the adapter it started from."


def change(before: list[int], after: list[int]) -> Change:
    """Two lists of 0 and 1, the same rows in the same order, compared."""
    sides = list(zip(before, after, strict=True))
    return Change(len(sides), sum(before), sum(after), sides.count((1, 0)), sides.count((0, 1)))


@contextlib.contextmanager
def measured(work: Work, generator: samples.Generator) -> Iterator[None]:
    """Look before the block, unless it continues a training that was looked at, and after it, unless it was stopped."""
    rows = eval_rows(work)
    if rows and work.checkpoint is None and not work.run.stop_requested():
        _look(work, generator, rows, "before")
    yield
    if rows and _first_look(work.run):
        _look(work, generator, rows, "after")


def eval_rows(work: Work) -> list[Example]:
    """The rows of the validation split that a rule can check."""
    data = work.recipe.data
    seed = work.recipe.seed
    found = drawn(work.dataset, data.val_split, data.max_val_examples, seed) if data.val_split else []
    return [example for example in work.dataset.to_measure(found) if preference.checkable(example)]


def last_sentence(run: Run) -> str:
    """What the newest comparison says; empty when there is none."""
    return next((str(event["sentence"]) for event in reversed(run.events(EVENT)) if "sentence" in event), "")


def _first_look(run: Run) -> list[int]:
    return next((event["right"] for event in reversed(run.events(EVENT)) if event["when"] == "before"), [])


def _look(work: Work, generator: samples.Generator, rows: list[Example], when: str) -> None:
    run = work.run
    if not ranks().leads or ranks().shards:  # no process can answer alone
        return
    run.emit("phase", name="checking")
    try:
        rows = [with_training_target(row, work.recipe.data.target) for row in rows]
        found = samples.answers(work, generator, rows)
        right = [int(preference.is_right(row, given[0])) for row, given in zip(rows, found, strict=True)]
    except Exception as error:  # the training is worth more
        logging.exception("validation rows could not be answered")
        run.emit("warning", sentence=f"Answers before and after are not compared: {error}")
        return
    if when == "before":
        run.emit(EVENT, when=when, right=right)
        return
    outcome = change(_first_look(run), right)
    run.emit(EVENT, when=when, right=right, sentence=outcome.sentence)
    if outcome.harmful:
        run.emit("warning", sentence=outcome.sentence)
