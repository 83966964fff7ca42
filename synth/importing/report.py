"""What an import did, counted and in words: rows kept and rejected, splits and why, keys that played no part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from synth.importing.splits import Grouping

MAX_LISTED = 1000
"""Rejected rows that a report lists one by one; all are in the dataset's rejected.jsonl."""


class UnusedKey(NamedTuple):
    """A key that plays no part, in how many rows (or files, `beside` their rows) it has a value, and one value."""

    key: str
    rows: int
    example: str
    beside: bool = False

    def __str__(self) -> str:
        where = f"beside the rows ({self.rows} of the files)" if self.beside else f"in {self.rows} rows"
        return f"'{self.key}' {where}, for instance {self.example}"


class ImportReport(NamedTuple):
    """Rows in = kept + rejected_rows.

    `rejected` are (line, reason) of the first MAX_LISTED, `reasons` counts all. `why` is split → cause → rows.
    `layouts` is layout → rows. `leaks` are the faults of the leakage check.
    """

    modality: str
    kept: int
    rejected: list[tuple[int, str]]
    reasons: dict[str, int]
    splits: dict[str, int]
    why: dict[str, dict[str, int]]
    layouts: dict[str, int]
    unused: tuple[UnusedKey, ...]
    groupings: tuple[Grouping, ...]
    notes: tuple[str, ...]
    leaks: tuple[str, ...]

    @property
    def rejected_rows(self) -> int:
        """Rows that were not kept."""
        return sum(self.reasons.values())

    def lines(self) -> Iterator[str]:
        """The report in sentences, without the rejected lines."""
        yield f"{self.kept} rows kept, {self.rejected_rows} set aside"
        for split, causes in self.why.items():
            yield f"{split}: " + ", ".join(f"{rows} rows {cause}" for cause, rows in causes.items())
        yield "read as " + ", ".join(f"{name} ({rows})" for name, rows in self.layouts.items())
        yield from self.notes
        for key in self.unused:
            yield f"not used: {key}"
        tested = [
            grouping for grouping in self.groupings if grouping.splits.get("test") and grouping.splits.get("train")
        ]
        for grouping in tested[:5]:
            sizes = ", ".join(f"{rows} {split}" for split, rows in grouping.splits.items())
            yield (
                f"--group-by '{grouping.column}' would keep the rows of each of its {grouping.values} values in one "
                f"split: {sizes}"
            )
        yield from (f"leakage: {fault}" for fault in self.leaks)

    def record(self) -> dict[str, Any]:
        """For the dataset's card."""
        return {
            "why": self.why,
            "layouts": self.layouts,
            "unused": [key._asdict() for key in self.unused],
            "groupings": [grouping._asdict() for grouping in self.groupings],
            "notes": list(self.notes),
        }


class UnusedKeys:
    """Counts keys that play no part."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, bool], list[Any]] = {}

    def see(self, key: str, value: Any, beside: bool = False) -> None:
        """A row has this key with this value, or a file beside its rows."""
        found = self._found.get((key, beside))
        if found is None and len(self._found) >= MAX_LISTED:
            key = "(other keys)"
            found = self._found.get((key, beside))
        if found is None:
            self._found[key, beside] = [1, _shown(value)]
        else:
            found[0] += 1

    def listing(self) -> tuple[UnusedKey, ...]:
        """The keys, the most frequent first."""
        ordered = sorted(self._found.items(), key=lambda item: -item[1][0])
        return tuple(UnusedKey(key[:200], rows, example, beside) for (key, beside), (rows, example) in ordered)


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=lambda item: f"<{type(item).__name__}>")
    except (ValueError, RecursionError):
        text = str(type(value).__name__)
    return (text if len(text) <= 80 else f"{text[:79]}…").encode("utf-8", "replace").decode()
