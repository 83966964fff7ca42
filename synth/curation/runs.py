"""Texts as words, and the runs of words that texts have in common, as hashes in arrays: for hundreds of thousands.

Says which texts share something, not whether they are alike; see `leakage` and `alike`. The hashes are the same in
every process.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

WORDS = re.compile(r"\w+(?:[.:]\d+)*")
NUMBERS = re.compile(r"\d+(?:[.:]\d+)*")
_BLOCK_WORDS = 1 << 16
MOST_HELD = 1 << 21
"""Keys in memory; more are sorted and put on disk."""
PARTS = 64
"""Ranges in which keys are read again."""
_MIX = 0x9E3779B97F4A7C15


class Text(NamedTuple):
    """A text folded to lower case, its numbers in order, and the hashes of its words in order."""

    text: str
    numbers: tuple[str, ...]
    words: array[int]


def read_text(text: str) -> Text:
    """Fold a text and find its numbers and words."""
    folded = text.casefold()
    if len(_hashes) > 1 << 20:
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
        self._kept: list[_Kept] = []

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
            self._kept.append(_Kept(self._in_order()))

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


class Keys(NamedTuple):
    """Sorted keys in memory, and some more on disk."""

    held: Shared
    kept: Sequence[_Kept]

    def parts(self) -> Iterator[Shared]:
        """All of them, sorted, range after range; the ranges are the same for all."""
        import numpy as np

        ends = self.held.keys.searchsorted(_bounds())
        for part in range(PARTS):
            held = slice(int(ends[part]), int(ends[part + 1]) if part + 1 < PARTS else None)
            here = Shared(self.held.keys[held], self.held.places[held])
            if self.kept:
                several = [here, *(one.part(part) for one in self.kept)]
                here = _sorted(*(np.concatenate(columns) for columns in zip(*several, strict=True)))
            yield here


class _Kept:
    """Sorted keys on disk."""

    def __init__(self, keys: Shared) -> None:
        self._files = [tempfile.TemporaryFile() for _ in keys]  # noqa: SIM115
        for column, file in zip(keys, self._files, strict=True):
            file.write(column.tobytes())
        self._ends = [*keys.keys.searchsorted(_bounds()).tolist(), len(keys.keys)]

    def part(self, part: int) -> Shared:
        """Those of a range."""
        import numpy as np

        start, end = self._ends[part : part + 2]
        found = []
        for kind, file in zip((np.uint64, np.uint32), self._files, strict=True):
            file.seek(start * np.dtype(kind).itemsize)
            found.append(np.fromfile(file, kind, end - start))
        return Shared(*found)


class Marks:
    """Hashes (64 bits) of texts, of which the number and the order do not matter."""

    def __init__(self) -> None:
        self._values = array("Q")

    def add(self, text: str) -> None:
        """One more."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self._values.frombytes(digest)

    def common(self, other: Marks) -> int:
        """How many different texts are in both."""
        import numpy as np

        return len(np.intersect1d(np.unique(self._array()), np.unique(other._array()), assume_unique=True))

    def found_in(self, other: Marks) -> int:
        """How many of these, each as often as it was added, are among the others."""
        import numpy as np

        return int(np.isin(self._array(), np.unique(other._array()), kind="sort").sum())

    def _array(self) -> Any:
        import numpy as np

        return np.frombuffer(self._values, np.uint64)


def number_mark(text: Text) -> int:
    """A hash (32 bits) of all numbers of a text in order."""
    return zlib.crc32("|".join(text.numbers).encode())


def _bounds() -> Any:
    import numpy as np

    return np.arange(PARTS, dtype=np.uint64) << np.uint64(58)


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
