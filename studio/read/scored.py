"""The rows of a comparison's `scores.jsonl` with their places in the file, which shows them again without a search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synth.errors import StorageError


def row_of(line: bytes, file: Path, offset: int) -> dict[str, Any]:
    """The object of a line that begins at `offset` bytes. Raises StorageError where somebody broke it."""
    try:
        row = json.loads(line)
        if isinstance(row, dict):
            return row
        why = "it is no object"
    except (ValueError, RecursionError) as error:
        why = str(error)
    message = f"{file}, at byte {offset:,}: the row cannot be read ({why})."
    raise StorageError(message, "Restore the file, or make it again.", "storage.row")


def rows_of_scores(scores: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Where each row begins (bytes), and the row. Raises StorageError where one cannot be read."""
    offset = 0
    with scores.open("rb") as lines:
        for line in lines:
            if line.strip():
                row = row_of(line, scores, offset)
                if missing := {"system", "example_id", "split", "score"} - row.keys():
                    message = f"{scores}, at byte {offset:,}: the row has no {', '.join(sorted(missing))}."
                    raise StorageError(message, "Restore the file, or make it again.", "storage.row")
                yield offset, row
            offset += len(line)
