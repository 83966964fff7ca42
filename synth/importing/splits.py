"""Which split a row goes to; which columns could keep rows together, and how many rows each split would get."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from synth.example import Split
from synth.importing.layouts import at
from synth.importing.values import BadRow, missing

SHARES: dict[Split, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
"""How rows without a split are shared out."""
MAX_GROUPS = 1000
"""Different values up to which a column is followed as one that could keep rows together."""


class Grouping(NamedTuple):
    """A column that could keep rows together: its number of values, and the rows that each split would get."""

    column: str
    values: int
    splits: dict[str, int]


def split_of(key: str, shares: Mapping[Split, float]) -> Split:
    """The split of a group or prompt: by the place of its hash in the shares."""
    place = int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:6]) / 2**48
    for split, share in shares.items():
        if place < share:
            return split
        place -= share
    return next(iter(shares))


def seconds(value: Any) -> float:
    """A time in seconds since 1970: a number (of seconds or milliseconds) or ISO 8601. Raises BadRow."""
    if missing(value) or isinstance(value, bool):
        raise BadRow("no time")
    try:
        number = float(value)
    except (TypeError, ValueError):
        pass
    else:
        return number / 1000 if abs(number) > 1e11 else number
    try:
        moment = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise BadRow("the time is neither a number nor ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class ByTime:
    """Rows shared out in the order of a time: the earliest are learned, the latest test. Takes 8 bytes a row."""

    def __init__(self, column: str, shares: Mapping[Split, float]) -> None:
        self.path, self._shares = tuple(column.split(".")), shares
        self._times = array("d")
        self._ends: list[tuple[float, Split]] = []

    def note(self, row: Mapping[str, Any]) -> None:
        """Count a row's time; one without a time will be a BadRow in `split`."""
        try:
            self._times.append(seconds(at(row, self.path)))
        except BadRow:
            return

    def close(self) -> None:
        """All rows are noted."""
        import numpy as np

        if not len(self._times):
            return
        ordered, share = np.sort(np.frombuffer(self._times)), 0.0
        for split, part in self._shares.items():
            share += part
            self._ends.append((float(ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]), split))

    def split(self, row: Mapping[str, Any]) -> Split:
        """The split of a row. Rows of one moment are together. Raises BadRow."""
        moment = seconds(at(row, self.path))
        return next((split for end, split in self._ends if moment <= end), list(self._shares)[-1])


class Groupings:
    """Watches unused columns with few different short values."""

    def __init__(self) -> None:
        self._values: dict[str, Counter[str] | None] = {}

    def see(self, column: str, value: Any) -> None:
        """Count the value of a kept row."""
        counts = self._values.setdefault(column, Counter())
        if counts is None:
            return
        if not isinstance(value, str | int) or len(str(value)[:101]) > 100:
            self._values[column] = None
            return
        counts[str(value)] += 1
        if len(counts) > MAX_GROUPS:
            self._values[column] = None

    def suggestions(self, shares: Mapping[Split, float]) -> list[Grouping]:
        """Columns that repeat their values, those with most values first."""
        found = []
        for column, counts in self._values.items():
            if counts and len(counts) > 1 and sum(counts.values()) >= 2 * len(counts):
                sizes: Counter[str] = Counter(dict.fromkeys(shares, 0))
                for value, rows in counts.items():
                    sizes[split_of(value, shares)] += rows
                found.append(Grouping(column, len(counts), dict(sizes)))
        return sorted(found, key=lambda grouping: -grouping.values)


class Seen:
    """Ids that were met, with their lines, in some 40 bytes each: a hash table in arrays, so that millions fit."""

    def __init__(self) -> None:
        self._size, self._count = 1 << 10, 0
        self._make(self._size)

    def _make(self, size: int) -> None:
        self._size = size
        self._high, self._low = (array("Q", bytes(8 * size)) for _ in range(2))
        self._lines = array("I", bytes(4 * size))

    def line_of(self, key: str, line: int) -> int:
        """The line (from 1) at which this id of 32 hex digits was met first; 0, and it is noted, when it is new."""
        number = int(key, 16)
        found = self._put(number >> 64, number & 0xFFFFFFFFFFFFFFFF, line)
        if not found:
            self._count += 1
            if 3 * self._count > 2 * self._size:
                self._grow()
        return found

    def _put(self, high: int, low: int, line: int) -> int:
        mask, place = self._size - 1, low & (self._size - 1)
        while self._lines[place]:
            if self._low[place] == low and self._high[place] == high:
                return self._lines[place]
            place = (place + 1) & mask
        self._high[place], self._low[place], self._lines[place] = high, low, line
        return 0

    def _grow(self) -> None:
        before = zip(self._high, self._low, self._lines, strict=True)
        self._make(2 * self._size)
        for high, low, line in before:
            if line:
                self._put(high, low, line)
