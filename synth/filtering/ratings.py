"""A teacher's points for texts, as `rate-rows` and `rate-documents` make them, or from a table of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from synth.dataset import CARD, DatasetDir
from synth.errors import DataError
from synth.pipeline.records import read_records

RATED = "rated"
"""The step whose note in a row's lineage holds the text and its points."""
LOWEST, HIGHEST = 0, 5


class Rating(NamedTuple):
    """A text with the points that it got; `second` where it was rated twice."""

    text: str
    first: float
    second: float | None = None

    @property
    def points(self) -> float:
        """What a head learns: the mean where there are two."""
        return self.first if self.second is None else (self.first + self.second) / 2


def read_ratings(path: Path) -> list[Rating]:
    """Ratings of a dataset that a rating pipeline made, or of a table with `text`, `rating` and perhaps `second`.

    Raises DataError where there are none, or points are outside 0 to 5.
    """
    found = list(_of_dataset(DatasetDir(path)) if (path / CARD).is_file() else _of_table(path))
    if not found:
        message = f"{path.name} holds no ratings."
        remedy = "Make them with `smolstudio pipeline run rate-rows`, or give a table with the columns text and rating."
        raise DataError(message, remedy, "filter.no_ratings")
    return found


def _of_dataset(dataset: DatasetDir) -> Iterator[Rating]:
    for split in dataset.splits():
        for row in dataset.examples(split):
            lineage = row.source.get("lineage")
            for note in lineage if isinstance(lineage, list) else []:
                if note.get("step") == RATED:
                    yield _rating(note["text"], *note["ratings"])


def _of_table(path: Path) -> Iterator[Rating]:
    if path.is_dir() or not path.exists():
        message = f"There is no table or dataset of ratings at {path}."
        raise DataError(message, "Check the name or path.", "filter.no_ratings")
    for row in read_records(path):
        points = next((row[name] for name in ("rating", "points", "score") if row.get(name) is not None), None)
        if points is not None and isinstance(row.get("text"), str):
            yield _rating(row["text"], points, row.get("second"))


def _rating(text: str, first: Any, second: Any = None) -> Rating:
    try:
        values = [float(value) for value in (first, second) if value not in (None, "")]
    except (TypeError, ValueError) as error:
        raise DataError(f"'{first}' is no number of points.", "Give 0 to 5.", "filter.rating") from error
    if not all(LOWEST <= value <= HIGHEST for value in values):
        raise DataError(f"{values} are outside the points 0 to 5.", "Scale them to 0 to 5.", "filter.rating")
    return Rating(text, *values)
