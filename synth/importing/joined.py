"""Columns that a table does not have: several as one JSON object, which is then the answer.

Changes no file; rows pass through on their way to the importer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from synth.errors import DataError, did_you_mean
from synth.importing.folders import Source, Table
from synth.importing.raw import RawRow
from synth.importing.values import json_text, missing

JSON_ANSWER = "answer as JSON"
"""The column that the others become."""


def with_json_answer(source: Source, columns: Sequence[str]) -> Source:
    """The source with these columns of each row joined; a row in which one is empty has no such answer.

    Raises DataError for columns without names, or fewer than two of them.
    """
    if not source.named or len(set(columns)) < 2:
        message = f"A JSON answer is made of two named columns or more; here are {', '.join(columns) or 'none'}."
        raise DataError(message, "Name two columns, or map one column to the answer.")
    return source._replace(tables=tuple(_joined(table, columns) for table in source.tables))


def _joined(table: Table, columns: Sequence[str]) -> Table:
    def rows(notes: list[str]) -> Iterator[RawRow]:
        met: set[str] = set()
        for raw in table.rows(notes):
            if raw.value is None:
                yield raw
                continue
            met.update(raw.value)
            parts = {column: raw.value.get(column) for column in columns}
            rest = {key: value for key, value in raw.value.items() if key not in parts}
            empty = next((column for column, value in parts.items() if missing(value)), None)
            if empty is None:
                yield raw._replace(value={**rest, JSON_ANSWER: json_text(parts)})
            else:
                yield RawRow(raw.line, None, f"no {empty}", str(raw.value)[:2000])
        if absent := [column for column in columns if met and column not in met]:
            hint = did_you_mean(absent[0], sorted(met))
            raise DataError(
                f"{table.name} has no column '{absent[0]}'{hint}.",
                f"Choose one of its columns: {', '.join(sorted(met)[:20])}.",
            )

    return table._replace(rows=rows)
