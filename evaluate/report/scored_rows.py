"""Rows of a comparison's scores.jsonl by the splits of its report.

The file names splits as the dataset does; a report takes one of mixed origin apart (`basis.sliced`): `test.real`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from evaluate.report.basis import kind_of_dataset
from evaluate.report.results import Row
from evaluate.report.schema import Report
from synth.errors import StorageError
from synth.storage import read_jsonl


def is_in(report: Report, split: str, row_split: str, origin: str) -> bool:
    """Whether a row that the file has in `row_split` is in that split of the report."""
    base, _, kind = split.partition(".")
    return row_split == base and (not kind or (origin or kind_of_dataset(report.dataset.generator)) == kind)


def scored_rows(scores: Path, report: Report, split: str) -> Iterator[tuple[str, Row]]:
    """System and row, for each row of a split of the report. Raises StorageError for anything else in the file."""
    for line in read_jsonl(scores):
        if line.value is None:
            continue
        try:
            system = str(line.value.pop("system"))
            row = Row.model_validate(line.value)
        except (KeyError, ValidationError) as error:
            message = f"{scores} holds in line {line.number} something else than an answer of this version."
            raise StorageError(message, "Run the comparison again under its name.", "storage.row") from error
        if is_in(report, split, row.split, row.origin):
            yield system, row
