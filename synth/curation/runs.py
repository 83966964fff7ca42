"""Texts as words, and the runs of words that texts have in common, as hashes in arrays: for hundreds of thousands.

Says which texts share something, not whether they are alike; see `leakage` and `alike`. The hashes are the same in
every process.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from synth.marks import mark_of
from synth.shelf import Spool

WORDS = re.compile(r"\w+(?:[.:]\d+)*")
NUMBERS = re.compile(r"\d+(?:[.:]\d+)*")
_BLOCK_WORDS = 1 << 16
MOST_HELD = 1 << 19
"""Keys in memory; more are sorted and put on disk."""
PARTS = 256
"""Ranges in which keys are read again."""
_MARKS_HELD = 1 << 16
_STEP = 512  # keys of an index between two that are held
_MIX = 0x9E3779B97F4A7C15


class Text(NamedTuple):
    """A text folded to lower case, its numbers in order, and the hashes of its words in order."""

    text: str
    numbers: tuple[str, ...]
    words: array[int]


def read_text(text: str) -> Text:
    """Fold a text and find its numbers and words."""
    folded = text.casefold()
    if len(_hashes) > 1 << 16:
        _hashes.clear()
    return Text(folded, tuple(NUMBERS.findall(folded)), array("I", map(_hashes.__getitem__, WORDS.findall(folded))))


class _Hashes(dict[str, int]):
    """The hash of each word that was met."""

    def __missing__(self, word: str) -> int:
        value = self[word] = zlib.crc32(word.encode("utf-8", "replace"))
        return value


_hashes = _Hashes()


class Shared(NamedTuple):
    """Sorted keys, each with the place of a text that has it."""

    keys: Any
    places: Any


class Runs:
    """Keys of texts that are added one by one: of runs of `length` words (of a shorter text, all its words) and, where
    a text has several numbers, of all its numbers.

    Args:
        most: of each text only so many keys, the smallest (bottom-k MinHash); 0 for all.
        with_numbers: whether texts share a run only if they also share all numbers.
    """

    def __init__(self, length: int, most: int = 0, with_numbers: bool = False) -> None:
        self.length, self.most, self.with_numbers = length, most, with_numbers
        self.count = 0
        self._block: list[Text] = []
        self._words = 0
        self._keys: list[Any] = []
        self._places: list[Any] = []
        self._held = 0
        self._kept = _Kept()

    def add(self, text: Text) -> None:
        """The next text."""
        self._block.append(text)
        self._words += max(len(text.words), self.length)
        self.count += 1
        if self._words > _BLOCK_WORDS:
            self._flush()

    def _flush(self) -> None:
        import numpy as np

        if not self._block:
            return
        flat_words = array("I")
        for text in self._block:
            flat_words.extend(text.words)
            if len(text.words) < self.length:
                flat_words.extend([0] * (self.length - len(text.words)))
        lengths = np.array([max(self.length, len(text.words)) for text in self._block])
        flat = mixed(np.frombuffer(flat_words, np.uint32))
        runs = flat[: len(flat) - self.length + 1].copy()
        for place in range(1, self.length):
            runs = runs * np.uint64(_MIX) + flat[place : place + len(runs)]
        row = np.repeat(np.arange(len(lengths)), lengths)
        begun = np.repeat(np.cumsum(lengths) - lengths, lengths)
        inside = np.arange(len(flat)) - begun <= (lengths - self.length)[row]
        row, keys = row[inside], mixed(runs[inside[: len(runs)]])
        said = np.array([number_mark(text) for text in self._block], np.uint64)
        numbers = mixed(said + np.uint64(1 << 40))
        if self.with_numbers:
            keys = keys ^ numbers[row]
        if self.most:
            order = np.lexsort((keys, row))
            row, keys = row[order], keys[order]
            kept = np.arange(len(row)) - np.searchsorted(row, np.arange(len(lengths)))[row] < self.most
            row, keys = row[kept], keys[kept]
        several = np.array([place for place, text in enumerate(self._block) if len(text.numbers) > 1], np.int64)
        self._keys.append(np.concatenate([keys, numbers[several]]))
        places = np.concatenate([row, several]) + self.count - len(self._block)
        self._places.append(places.astype(np.uint32))
        self._block, self._words = [], 0
        self._held += len(self._keys[-1])
        if self._held > MOST_HELD:
            self._kept.put(*self._in_order())

    def _in_order(self) -> Shared:
        """The keys that are held, which are held no longer."""
        import numpy as np

        found = _sorted(
            np.concatenate([np.empty(0, np.uint64), *self._keys]),
            np.concatenate([np.empty(0, np.uint32), *self._places]),
        )
        self._keys, self._places, self._held = [], [], 0
        return found

    def keys(self) -> Keys:
        """All keys. Nothing is added afterwards."""
        self._flush()
        return Keys(self._in_order(), self._kept)

    def shared(self) -> Shared:
        """All keys at once, sorted, and among equal ones by place."""
        import numpy as np

        parts = list(self.keys().parts())
        return Shared(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class Keys:
    """Sorted keys, in memory or, where they are many, on disk. kept: pieces of them beside those held."""

    def __init__(self, held: Shared, kept: _Kept) -> None:
        import numpy as np

        self._held, self._count, self._ends = held, len(held.keys), [0]
        self._fences = held.keys[:0]
        if not kept.ends:
            self._ends = [*held.keys.searchsorted(_bounds()).tolist(), self._count]
            return
        self._keys, self._places = Spool(), Spool()
        ends = [*held.keys.searchsorted(_bounds()).tolist(), self._count]
        fences, self._count = [], 0
        for part in range(PARTS):
            here = slice(ends[part], ends[part + 1])
            found = _sorted(*kept.part(part, held.keys[here], held.places[here]))
            fences.append(found.keys[-self._count % _STEP :: _STEP].copy())
            self._keys.put(found.keys.tobytes())
            self._places.put(found.places.tobytes())
            self._count += len(found.keys)
            self._ends.append(self._count)
        self._held, self._fences = _sorted(held.keys[:0], held.places[:0]), np.concatenate(fences)

    def parts(self) -> Iterator[Shared]:
        """All of them, range after range; the ranges are the same for all."""
        return (self._between(*self._ends[part : part + 2]) for part in range(PARTS))

    def places(self, key: Any) -> Any:
        """The places of the texts that have a key (uint64), in order."""
        first, last = 0, self._count
        if len(self._fences):
            first = max(0, int(self._fences.searchsorted(key, "left")) - 1) * _STEP
            last = min(self._count, int(self._fences.searchsorted(key, "right")) * _STEP)
        near = self._between(first, last)
        return near.places[near.keys.searchsorted(key, "left") : near.keys.searchsorted(key, "right")]

    def _between(self, start: int, end: int) -> Shared:
        import numpy as np

        if not len(self._fences):
            return Shared(self._held.keys[start:end], self._held.places[start:end])
        keys, places = self._keys.get(8 * start, 8 * (end - start)), self._places.get(4 * start, 4 * (end - start))
        return Shared(np.frombuffer(keys, np.uint64), np.frombuffer(places, np.uint32))


class _Kept:
    """Columns on disk, each piece sorted by the first, which holds hashes."""

    def __init__(self) -> None:
        self.ends: list[Any] = []  # of each piece, where its ranges end
        self._starts: list[list[int]] = []
        self._spool: Spool | None = None

    def put(self, *columns: Any) -> None:
        """A piece."""
        self._spool = self._spool or Spool()
        self.ends.append([*columns[0].searchsorted(_bounds()).tolist(), len(columns[0])])
        self._starts.append([self._spool.put(column.tobytes()) for column in columns])

    def part(self, part: int, *here: Any) -> list[Any]:
        """A range of all pieces, after what is `here` of it."""
        import numpy as np

        found = [[column] for column in here]
        for ends, starts in zip(self.ends, self._starts, strict=True):
            assert self._spool is not None
            first, last = ends[part : part + 2]
            for column, start, one in zip(found, starts, here, strict=True):
                size = one.dtype.itemsize
                column.append(np.frombuffer(self._spool.get(start + first * size, (last - first) * size), one.dtype))
        return [np.concatenate(column) for column in found]


class Marks:
    """Hashes (64 bits) of texts, of which the number and the order do not matter."""

    def __init__(self) -> None:
        self._held = array("Q")
        self._kept = _Kept()

    def add(self, text: str) -> None:
        """One more."""
        self._held.append(mark_of(text))
        if len(self._held) == _MARKS_HELD:
            self._kept.put(self._in_order())
            self._held = array("Q")

    def common(self, other: Marks) -> int:
        """How many different texts are in both."""
        import numpy as np

        return sum(
            len(np.intersect1d(ours, theirs)) for ours, theirs in zip(self._parts(), other._parts(), strict=True)
        )

    def found_in(self, other: Marks) -> int:
        """How many of these, each as often as it was added, are among the others."""
        import numpy as np

        parts = zip(self._parts(), other._parts(), strict=True)
        return sum(int(np.isin(ours, theirs, kind="sort").sum()) for ours, theirs in parts)

    def _in_order(self) -> Any:
        import numpy as np

        return np.sort(np.frombuffer(self._held, np.uint64)) if self._held else np.empty(0, np.uint64)

    def _parts(self) -> Iterator[Any]:
        held = self._in_order()
        ends = [*held.searchsorted(_bounds()).tolist(), len(held)]
        return (self._kept.part(part, held[ends[part] : ends[part + 1]])[0] for part in range(PARTS))


class Tally:
    """Numbers, of which the order does not matter: each different one is held once."""

    def __init__(self) -> None:
        import numpy as np

        self._new = array("d")
        self._values, self._counts = np.empty(0), np.empty(0, np.int64)

    def extend(self, numbers: Iterable[float]) -> None:
        """Some more."""
        self._new.extend(numbers)
        if len(self._new) > _MARKS_HELD:
            self._merge()

    def _merge(self) -> None:
        import numpy as np

        new, times = np.unique(np.frombuffer(self._new, np.float64) if self._new else [], return_counts=True)
        self._values, which = np.unique(np.concatenate([self._values, new]), return_inverse=True)
        weights = np.concatenate([self._counts, times])
        self._counts, self._new = np.bincount(which, weights, len(self._values)).astype(np.int64), array("d")

    def counted(self) -> Counted:
        """Each different number once, in order, with how often it is there."""
        self._merge()
        return Counted(self._values, self._counts)


class Counted(NamedTuple):
    """(n,) different numbers in order, and how often each is there."""

    values: Any
    counts: Any

    def distance(self, other: Counted) -> float | None:
        """Kolmogorov and Smirnov's: the largest difference of the shares of numbers up to some number."""
        import numpy as np

        if min(self.counts.sum(), other.counts.sum()) < 30:
            return None
        every = np.union1d(self.values, other.values)
        return round(float(np.abs(self._shares_up_to(every) - other._shares_up_to(every)).max()), 3)

    def digit_shares(self) -> dict[str, float]:
        """The share of the numbers that have so many digits before the point, six and more together."""
        counts: Counter[int] = Counter()
        for value, times in zip(self.values.tolist(), self.counts.tolist(), strict=True):
            counts[min(6, len(str(int(value))))] += times
        return {str(digits): round(counts[digits] / counts.total(), 4) for digits in sorted(counts)}

    def _shares_up_to(self, values: Any) -> Any:
        import numpy as np

        below = np.append(0, self.counts.cumsum())
        return below[self.values.searchsorted(values, "right")] / below[-1]


def number_mark(text: Text) -> int:
    """A hash (32 bits) of all numbers of a text in order."""
    return zlib.crc32("|".join(text.numbers).encode())


def _bounds() -> Any:
    import numpy as np

    return np.arange(PARTS, dtype=np.uint64) << np.uint64(56)


def _sorted(keys: Any, places: Any) -> Shared:
    import numpy as np

    order = np.lexsort((places, keys))
    return Shared(keys[order], places[order])


def mixed(values: Any) -> Any:
    """64-bit integers, well mixed (the finaliser of SplitMix64)."""
    import numpy as np

    values = values.astype(np.uint64)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
