"""A small dataset in folds: every row is tested once, by a model that learned the others.

    chosen = fold_count(dataset, 5)                       # how many folds its labels allow, and a sentence
    part = FoldedDataset(dataset.path, folds=5, fold=2)   # train, val and test of the second fold
    whole = FoldedDataset(dataset.path, folds=5, fold=0)  # every row to learn from

The rows of train, val and test are put together and shared out anew; `test_ood` and `test_real` stay what they are.
Rows of one template and rows that say nearly the same stay in one fold, labels are spread evenly. Writes nothing and
trains nothing: the runs of a cross-validation are ordinary ones (`recipes.run.folds`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from synth.curation.alike import alike
from synth.curation.runs import read_text
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.example import Example, Split, media_parts, text_of
from synth.importing.splits import joined, share_out
from synth.importing.waiting import MAX_EXACT, MOST_SHARE, MOST_TOGETHER
from synth.task import TaskCard

POOL: tuple[Split, ...] = ("train", "val", "test")
"""Splits whose rows are shared out in folds."""
SMALL = 150
"""Rows below which a tenth of them is no test, so that folds are offered first."""
FOLDS = 5
MOST_FOLDS = 20
VAL_SHARE = 0.125
"""Of the rows that a fold may learn from: kept to validate on, so that the best step can be kept."""


class FoldCount(NamedTuple):
    """How many folds; `why` says so where it is not what was wanted."""

    folds: int
    why: str = ""


def is_small(splits: dict[str, int]) -> bool:
    """Whether so few rows are better tested in folds; `splits` are the counts of a dataset's card."""
    return 0 < sum(splits.get(split, 0) for split in POOL) < SMALL


def pooled(dataset: DatasetDir) -> list[Example]:
    """The rows that are shared out, each prompt once. Raises DataError where folds are not for them."""
    found: dict[str, Example] = {}
    for split in POOL:
        for row in DatasetDir.examples(dataset, split):
            if row.rejected is not None:
                message = f"{dataset.name} has preference pairs, and folds are for answers that are learned."
                raise DataError(message, "Train it on its own splits.")
            found.setdefault(row.id, row)
    if len(found) > MAX_EXACT:
        message = f"{dataset.name} has {len(found):,} rows; folds are for up to {MAX_EXACT:,}."
        raise DataError(message, "So many rows are well tested by a test split: train it on its own splits.")
    return list(found.values())


def fold_count(dataset: DatasetDir, wanted: int = FOLDS) -> FoldCount:
    """As many folds as are wanted and the rows allow. Raises DataError where there cannot be two."""
    rows = pooled(dataset)
    if not 2 <= wanted <= MOST_FOLDS:
        raise DataError(f"There cannot be {wanted} folds.", f"Give a number from 2 to {MOST_FOLDS}.")
    counts = Counter(row.answer or row.target for row in rows) if dataset.task.kind == "classification" else Counter()
    label, rarest = min(counts.items(), key=lambda item: item[1], default=("", len(rows)))
    count = min(wanted, rarest, len(rows))
    if count < 2:
        few = f"“{label}” has one row" if label else f"{dataset.name} has too few rows"
        message = f"{few}, so it cannot be learned and tested."
        raise DataError(message, "Add rows of it, or leave it out, and import them again.")
    few = f"“{label}” has {rarest} rows, and each fold needs one of it" if counts else f"there are {rarest} rows"
    if counts and not label:
        few = f"{rarest} rows have an empty answer, and each fold needs one of them"
    why = f"{count} folds instead of {wanted}: {few}."
    _places(dataset.name, rows, count, labelled=bool(counts))
    return FoldCount(count, why if count < wanted else "")


def _places(name: str, rows: Sequence[Example], count: int, *, labelled: bool) -> list[int]:
    """The fold of each row, from 1. Raises DataError where a fold would be empty, or a label in one fold only."""
    labels = [row.answer or row.target for row in rows]
    names = [str(fold) for fold in range(1, count + 1)]
    found = share_out(_keys(rows), labels, dict.fromkeys(names, 1 / count))
    if empty := [fold for fold in names if fold not in found]:
        message = f"The rows of {name} belong together in so few groups that {len(empty)} of {count} folds are empty."
        raise DataError(message, "Ask for fewer folds, or import rows that differ more.")
    folds_of: dict[str, set[str]] = {}
    for label, fold in zip(labels, found, strict=True):
        folds_of.setdefault(label, set()).add(fold)
    alone = [label for label, folds in folds_of.items() if labelled and len(folds) < 2]
    if alone:
        message = f"All rows of “{alone[0]}” belong together or say nearly the same, so one fold would have them all."
        raise DataError(message, "Add rows of it that are worded otherwise, or leave it out, and import them again.")
    return [int(fold) for fold in found]


def _keys(rows: Sequence[Example]) -> list[str]:
    """What keeps rows together: their template, and all that nearly say the same, as an import does it."""
    places = [place for place, row in enumerate(rows) if not media_parts(row)]
    groups = alike([read_text(text_of(rows[place])) for place in places])
    most = max(MOST_TOGETHER, MOST_SHARE * len(rows))
    near = [[places[at] for at in group] for group in groups if len(group) <= most]
    return joined([row.template for row in rows], near)


class FoldedDataset(DatasetDir):
    """A dataset's folder as one of the models of a cross-validation sees it; fold 0 learns every row.

    Rows keep their ids; their `split` is the one that they have here. The same files give the same folds.
    """

    def __init__(self, path: Path, folds: int, fold: int) -> None:
        super().__init__(path)
        self.folds, self.fold = folds, fold

    @cached_property
    def task(self) -> TaskCard:
        """That of the whole dataset."""
        return DatasetDir(self.path).task

    @cached_property
    def _rows(self) -> dict[Split, list[Example]]:
        rows = pooled(self)
        if self.fold == 0:
            return {"train": [_in(row, "train") for row in rows]}
        labelled = self.task.kind == "classification"
        places = _places(self.name, rows, self.folds, labelled=labelled)
        rest = [row for row, place in zip(rows, places, strict=True) if place != self.fold]
        shares: dict[Split, float] = {"train": 1 - VAL_SHARE, "val": VAL_SHARE}
        drawn = share_out(_keys(rest), [row.answer or row.target for row in rest], shares)
        found: dict[Split, list[Example]] = {"train": [], "val": []}
        for row, split in zip(rest, drawn, strict=True):
            found[split].append(_in(row, split))
        found["test"] = [_in(row, "test") for row, place in zip(rows, places, strict=True) if place == self.fold]
        return found

    def splits(self) -> list[Split]:
        """The splits that hold rows."""
        return [*(split for split in POOL if self._rows.get(split)), *(s for s in super().splits() if s not in POOL)]

    def count(self, split: Split) -> int:
        """Rows of a split."""
        return len(self._rows.get(split, ())) if split in POOL else super().count(split)

    def examples(self, split: Split) -> Iterator[Example]:
        """Rows of a split."""
        return iter(self._rows.get(split, ())) if split in POOL else super().examples(split)

    def draw(self, split: Split, most: int | None, seed: int) -> list[Example]:
        """As `DatasetDir.draw`."""
        if split not in POOL:
            return super().draw(split, most, seed)
        rows = self._rows.get(split, [])
        order = random.Random(f"{seed}/{split}").sample(range(len(rows)), len(rows))
        chosen = set(order[:most])
        return self.to_measure(row for place, row in enumerate(rows) if place in chosen)


def _in(row: Example, split: Split) -> Example:
    return row if row.split == split else row.model_copy(update={"split": split})
