"""Which text of a row a filter reads, and the texts of files and of rejected rows in the same form.

A classifier that sees good texts in one form and bad ones in another learns the form. So a rejected row is used only
when it is a whole row, or when what is read is what the teacher wrote, which every candidate of a pipeline has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from synth.curation.written import answers_of, writing_step
from synth.dataset import CARD, DatasetDir
from synth.errors import DataError
from synth.example import Example, text_of
from synth.pipeline.records import read_records

Which = Literal["both", "prompt", "target", "written"]
"""The user's text and the target; one of them; or what a teacher wrote on the way to the row."""
LOOKED_AT = 200
"""Rows that say which step of a pipeline wrote most."""


class Reading(NamedTuple):
    """What is read of a row; `step` is the pipeline's step whose answer that is."""

    which: Which = "both"
    step: str = ""

    def text(self, row: Example) -> str:
        """The text of a row. Raises DataError where it has no such."""
        if self.which == "prompt":
            return text_of(row)
        if self.which == "target":
            return row.target
        if self.which == "both":
            return f"{text_of(row)}\n\n{row.target}"
        found = answers_of(row.source.get("lineage")).get(self.step)
        if found is None:
            message = f"Row {row.id} was not written by a teacher."
            raise DataError(message, "Read `both`, `prompt` or `target` instead.", "filter.not_written")
        return found


def reading_of(dataset: DatasetDir, which: Which) -> Reading:
    """How the rows of a dataset are read."""
    step = writing_step(islice(dataset.examples("train"), LOOKED_AT)) if which == "written" else None
    return Reading(which, step or "")


WHOLE = Reading()


def texts_at(path: Path, reading: Reading = WHOLE) -> Iterator[str]:
    """Texts of the training rows of a dataset, or of a table. Raises DataError where there are none."""
    if (path / CARD).is_file():
        yield from map(reading.text, DatasetDir(path).examples("train"))
        return
    if not path.is_file():
        raise DataError(f"There is no file or dataset at {path}.", "Check the name or path.", "filter.missing")
    name = {"both": "whole", "target": "target"}.get(reading.which, "text")
    yield from (str(fields[name]) for fields in read_records(path) if fields.get(name))


def rejected_texts(dataset: DatasetDir, reading: Reading) -> Iterator[str]:
    """Texts of a dataset's rejected rows that have the form of its rows; others are passed over."""
    for rejected in dataset.rejected():
        row: Mapping[str, Any] = rejected.row if isinstance(rejected.row, Mapping) else {}
        if "prompt" not in row:
            found = answers_of(row.get("lineage")).get(reading.step) if reading.which == "written" else None
            if found:
                yield found
            continue
        try:
            yield reading.text(Example.model_validate(dict(row)))
        except (ValidationError, DataError):
            continue
