"""Rows that were kept and have no split yet: held back until all are there, so that splits get exact numbers.

Beyond MAX_EXACT rows nothing is held back any longer; rows then go by their hash. How rows are shared out is in
`splits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from synth.example import Example, Split
from synth.importing.layouts import at
from synth.importing.splits import hashed_sizes, share_out, split_of

MAX_EXACT = 20_000
"""Rows without a split of their own up to which they are shared out exactly."""


class Placed(NamedTuple):
    """A row with its split, and why it is there."""

    example: Example
    cause: str


class _Row(NamedTuple):
    example: Example
    row: Mapping[str, Any]
    grouped: bool


class Waiting:
    """Holds rows back. `unit` is what a person calls that which keeps rows together, `group` the chosen key or ""."""

    def __init__(self, shares: Mapping[Split, float], unit: str, group: str) -> None:
        self.shares, self.unit, self.group = shares, unit, group
        self.exact = True
        self._rows: list[_Row] = []

    def add(self, example: Example, row: Mapping[str, Any], grouped: bool) -> Iterator[Placed]:
        """Take a row; those that need to wait no longer come out."""
        self._rows.append(_Row(example, row, grouped))
        self.exact = self.exact and len(self._rows) <= MAX_EXACT
        if not self.exact:
            yield from self._by_hash()

    def hashed(self, key: str, grouped: bool) -> tuple[Split, str]:
        """Split and cause of a row that cannot wait, and after which none does: of preference pairs and judged answers
        several may share a prompt, and which of them stay depends on their split.
        """
        self.exact = False
        by = (self.group or "their group") if grouped else f"their {self.unit}"
        return split_of(key, self.shares), f"by a hash of {by}"

    def _by_hash(self) -> Iterator[Placed]:
        rows, self._rows = self._rows, []
        for example, _, grouped in rows:
            split, cause = self.hashed(example.template, grouped)
            yield Placed(example.model_copy(update={"split": split}), cause)

    def close(self) -> Iterator[Placed]:
        """All rows are there: those that still wait, with their splits, in the order in which they came."""
        if not self.exact:
            yield from self._by_hash()
            return
        drawn = self._drawn([row.example.template for row in self._rows])
        for (example, _, grouped), split in zip(self._rows, drawn, strict=True):
            cause = f"with the rows of one {self.group or 'group'} together" if grouped else "by exact shares"
            yield Placed(example.model_copy(update={"split": split}), cause)

    def _drawn(self, keys: list[str]) -> list[Split]:
        labels = [row.example.answer or row.example.target for row in self._rows]
        return share_out(keys, labels, self.shares) if keys else []

    def sizes(self, column: str, counts: Mapping[str, int]) -> dict[str, int]:
        """Rows that each split would get if the rows of one value of the column were kept together."""
        if not self.exact or not self._rows:
            return hashed_sizes(counts, self.shares)
        path = tuple(column.split("."))
        values = [at(row.row, path) for row in self._rows]
        keys = [row.example.template if v in (None, "") else str(v) for v, row in zip(values, self._rows, strict=True)]
        sizes: dict[str, int] = dict.fromkeys(self.shares, 0)
        for split in self._drawn(keys):
            sizes[split] += 1
        return sizes
