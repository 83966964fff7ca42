"""Which split a row goes to; which columns could keep rows together, and how many rows each split would get."""

from __future__ import annotations

import hashlib
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from synth.errors import DataError
from synth.example import SPLITS, Split
from synth.importing.paths import at
from synth.importing.values import BadRow, missing

SHARES: dict[Split, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
"""How rows without a split are shared out."""
MAX_STRATA = 500
"""Different answers up to which each of them is shared out by itself."""
MAX_GROUPS = 1000
"""Different values up to which a column is followed as one that could keep rows together."""


Part = TypeVar("Part", bound=str)
"""What rows are shared out to: splits, or folds."""


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


def shares_of(percents: str) -> dict[Split, float]:
    """Shares of training, validation and test rows, written as `80,10,10`. Raises DataError."""
    try:
        values = [float(part.strip().removesuffix("%")) for part in percents.split(",")]
    except ValueError:
        values = []
    if len(values) != len(SHARES):
        remedy = "Write the percent of training, validation and test rows, as in 80,10,10."
        raise DataError(f"'{percents}' does not say three shares.", remedy, "data.shares")
    return checked_shares({split: value / 100 for split, value in zip(SHARES, values, strict=True)})


def checked_shares(shares: Mapping[Split, float]) -> dict[Split, float]:
    """The shares, none below 0, together 1, and some for training. Raises DataError."""
    unknown = [split for split in shares if split not in SPLITS]
    whole = sum(shares.values())
    if unknown or min(shares.values(), default=-1.0) < 0 or not abs(whole - 1) < 1e-6 or not shares.get("train"):
        said = ", ".join(f"{100 * share:g} % {split}" for split, share in shares.items())
        message = f"{said or 'Nothing'} cannot be the shares of the splits."
        remedy = "Choose shares that are together 100 %, none below 0, with some rows for training."
        raise DataError(message, remedy, "data.shares")
    return dict(shares)


def share_out(keys: Sequence[str], labels: Sequence[str], shares: Mapping[Part, float]) -> list[Part]:
    """The split (or fold) of each row: exact counts, every label in its share, rows of one key together.

    Depends on what the rows are, not on their order. Where every key is its own, the counts are those of the shares
    rounded by largest remainders, each label is within a row or two of its share, and train has every label (while it
    has rows enough). Keys of several rows come first, the largest ahead, each where its labels are wanted most and it
    still fits; the counts are then as near as the keys allow.
    """
    drawn = _Draw(shares, labels if 1 < len(set(labels)) <= min(MAX_STRATA, len(labels) / 2) else [""] * len(labels))
    groups: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    for key in sorted(groups, key=lambda key: (-len(groups[key]), _hash(key))):
        if len(groups[key]) > 1:
            drawn.place_group(groups[key])
    alone = sorted((key for key in groups if len(groups[key]) == 1), key=_hash)
    drawn.place_alone([groups[key][0] for key in alone])
    return drawn.splits


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def _rounded(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in the proportion of the weights that sum to the total, by largest remainders."""
    whole = sum(weights)
    if not whole:
        return [total, *[0] * (len(weights) - 1)]
    exact = [total * weight / whole for weight in weights]
    counts = [int(value + 1e-9) for value in exact]
    for place in sorted(range(len(weights)), key=lambda i: counts[i] - exact[i])[: total - sum(counts)]:
        counts[place] += 1
    return counts


def joined(keys: list[str], groups: Sequence[Sequence[int]]) -> list[str]:
    """The keys, with those of each group's rows made one (and so all that share one of them)."""
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while (above := leader.get(key, key)) != key:
            key = above
        return key

    for group in groups:
        first = min(find(keys[place]) for place in group)
        leader |= {found: first for place in group if (found := find(keys[place])) != first}
    return [find(key) for key in keys] if leader else keys


class _Draw(Generic[Part]):
    """Rows on their way into splits: how many of each label every split should get, and has."""

    def __init__(self, shares: Mapping[Part, float], labels: Sequence[str]) -> None:
        self.names, self.labels = list(shares), labels
        self.splits: list[Part] = [self.names[0]] * len(labels)
        weights = list(shares.values())
        self.left = _rounded(len(labels), weights)
        whole = sum(weights)
        self.wanted = {
            label: [count * weight / whole for weight in weights] for label, count in Counter(labels).items()
        }
        self.share = {label: list(wanted) for label, wanted in self.wanted.items()}

    def _place(self, row: int, place: int) -> None:
        self.splits[row] = self.names[place]
        self.left[place] -= 1
        self.wanted[self.labels[row]][place] -= 1

    def place_group(self, rows: Sequence[int]) -> None:
        """All of these rows into one split."""
        places = [place for place in range(len(self.names)) if self.left[place] >= len(rows)]

        def need(place: int) -> float:
            return sum(
                self.wanted[label][place] / max(self.share[label][place], 1e-9)
                for label in (self.labels[row] for row in rows)
            )

        # Where it fits nowhere, where most is lacking; test before validation, without which one can train.
        order = sorted(range(len(self.names)), key=lambda i: self.names[i] == "val")
        best = max(places, key=need) if places else max(order, key=lambda place: self.left[place])
        for row in rows:
            self._place(row, best)

    def place_alone(self, rows: Sequence[int]) -> None:
        """These rows, each by itself; in the order in which they are given within their label."""
        room = _rounded(len(rows), [max(0, left) for left in self.left])
        by_label: dict[str, list[int]] = {}
        for row in rows:
            by_label.setdefault(self.labels[row], []).append(row)
        cells: dict[str, list[int]] = {}
        lacking: dict[tuple[str, int], float] = {}
        for label in sorted(by_label, key=lambda label: (len(by_label[label]), label)):
            wanted = [max(0.0, count) for count in self.wanted[label]]
            whole = sum(wanted) or 1.0
            exact = [len(by_label[label]) * count / whole for count in wanted]
            cells[label] = [min(int(count + 1e-9), free) for count, free in zip(exact, room, strict=True)]
            room = [free - count for free, count in zip(room, cells[label], strict=True)]
            lacking |= {(label, i): exact[i] - cells[label][i] for i in range(len(exact))}
        over = {label: len(by_label[label]) - sum(cells[label]) for label in cells}
        while any(over.values()):
            for label, place in sorted(lacking, key=lambda key: -lacking[key]):
                if over[label] and room[place]:
                    cells[label][place] += 1
                    over[label], room[place] = over[label] - 1, room[place] - 1
        self._cover(cells)
        for label, counts in cells.items():
            free = iter(by_label[label])
            for place, count in enumerate(counts):
                for _ in range(count):
                    self._place(next(free), place)

    def _cover(self, cells: dict[str, list[int]]) -> None:
        """Give the first split a row of each label, in exchange for one of a label that it has most of."""
        for label, counts in cells.items():
            rich = max(cells, key=lambda other: cells[other][0])
            placed = self.share[label][0] - self.wanted[label][0]
            if counts[0] or placed > 0.5 or cells[rich][0] < 2 or not any(counts):
                continue
            place = max(range(1, len(counts)), key=lambda i: counts[i])
            counts[0], counts[place] = 1, counts[place] - 1
            cells[rich][0] -= 1
            cells[rich][place] += 1


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

    def suggestions(self, sizes: Callable[[str, Mapping[str, int]], Mapping[str, int]]) -> list[Grouping]:
        """Columns that repeat their values, those with most values first; `sizes` says what each split would get."""
        found = []
        for column, counts in self._values.items():
            if counts and len(counts) > 1 and sum(counts.values()) >= 2 * len(counts):
                found.append(Grouping(column, len(counts), dict(sizes(column, counts))))
        return sorted(found, key=lambda grouping: -grouping.values)


def hashed_sizes(counts: Mapping[str, int], shares: Mapping[Split, float]) -> dict[str, int]:
    """Rows of each split when each value goes by its hash."""
    sizes: Counter[str] = Counter(dict.fromkeys(shares, 0))
    for value, rows in counts.items():
        sizes[split_of(value, shares)] += rows
    return dict(sizes)


class Seen:
    """Ids that were met, with their lines and marks of their answers, in some 50 bytes each: a hash table in arrays, so
    that millions fit.
    """

    def __init__(self) -> None:
        self._size, self._count = 1 << 10, 0
        self._make(self._size)

    def _make(self, size: int) -> None:
        self._size = size
        self._high, self._low = (array("Q", bytes(8 * size)) for _ in range(2))
        self._lines, self._answers = (array("I", bytes(4 * size)) for _ in range(2))

    def first(self, key: str, line: int, answer: str) -> tuple[int, bool]:
        """The line (from 1) at which this id of 32 hex digits was met first, and whether with the same answer;
        line 0, and it is noted, when it is new.
        """
        number, mark = int(key, 16), zlib.crc32(answer.encode("utf-8", "replace"))
        found, before = self._put(number >> 64, number & 0xFFFFFFFFFFFFFFFF, line, mark)
        if not found:
            self._count += 1
            if 3 * self._count > 2 * self._size:
                self._grow()
        return found, before == mark

    def _put(self, high: int, low: int, line: int, mark: int) -> tuple[int, int]:
        mask, place = self._size - 1, low & (self._size - 1)
        while self._lines[place]:
            if self._low[place] == low and self._high[place] == high:
                return self._lines[place], self._answers[place]
            place = (place + 1) & mask
        self._high[place], self._low[place], self._lines[place], self._answers[place] = high, low, line, mark
        return 0, mark

    def _grow(self) -> None:
        before = zip(self._high, self._low, self._lines, self._answers, strict=True)
        self._make(2 * self._size)
        for high, low, line, mark in before:
            if line:
                self._put(high, low, line, mark)
