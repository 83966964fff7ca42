"""MinHash of runs of five words, in arrays (Broder 1997): which of many texts may be near-duplicates of each other.

    keys = Sketch(near=0.8).keys(texts)      # [texts, bands]; two texts with an equal key in a band are candidates
    met = Bands(keys.shape[1])               # of any number of texts, on disk
    met.take(keys)
    met.shared()                             # the keys that several texts have, by the place of the text

A key holds the text's numbers too, so that texts whose numbers differ are never candidates. Candidates are compared
exactly by whoever asks. 64 permutations; the bands are chosen so that texts at the threshold meet in 99 of 100 cases.
"""

from __future__ import annotations

import tempfile
import zlib
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

from synth.curation.runs import Text, mixed

SHINGLE = 5
PERMUTATIONS = 64
FOUND = 0.99
"""Chance that two texts at the threshold share a band."""
_MIX = 0x9E3779B97F4A7C15
_BLOCK = 1 << 16  # shingles that are permuted at once: what a core's cache holds


class Sketch:
    """Band keys of texts for a threshold of likeness (Jaccard of runs of five words)."""

    def __init__(self, near: float) -> None:
        import numpy as np

        self.rows = next(rows for rows in (8, 4, 2, 1) if rows == 1 or _meets(near, rows) >= FOUND)
        self.bands = PERMUTATIONS // self.rows
        seeds = mixed(np.arange(1, 2 * PERMUTATIONS + 1))
        self._times, self._plus = seeds[:PERMUTATIONS] | np.uint64(1), seeds[PERMUTATIONS:]

    def keys(self, texts: Sequence[Text]) -> Any:
        """An array `[texts, bands]` of uint32, none of them 0. A key shared by chance costs a comparison, no row."""
        import numpy as np

        found = np.empty((len(texts), self.bands), np.uint32)
        start = size = 0
        for place, text in enumerate(texts):
            size += max(1, len(text.words) - SHINGLE + 1)
            if size > _BLOCK or place == len(texts) - 1:
                found[start : place + 1] = self._of_block(texts[start : place + 1])
                start, size = place + 1, 0
        return found

    def _of_block(self, texts: Sequence[Text]) -> Any:
        import numpy as np

        words, lengths = array("I"), []
        for text in texts:
            words.extend(text.words)
            missing = max(0, SHINGLE - len(text.words))
            words.extend([0] * missing)
            lengths.append(len(text.words) + missing)
        flat, sizes = mixed(np.frombuffer(words, np.uint32)), np.array(lengths)
        runs = np.zeros(len(flat), np.uint64)
        runs[: len(flat) - SHINGLE + 1] = flat[: len(flat) - SHINGLE + 1]
        for place in range(1, SHINGLE):
            end = len(flat) - SHINGLE + 1
            runs[:end] = runs[:end] * np.uint64(_MIX) + flat[place : place + end]
        starts = np.cumsum(sizes) - sizes
        inside = np.arange(len(flat)) - np.repeat(starts, sizes) <= np.repeat(sizes - SHINGLE, sizes)
        runs, counts = mixed(runs[inside]), sizes - SHINGLE + 1
        starts = np.cumsum(counts) - counts
        keys = np.zeros((len(texts), self.bands), np.uint64)
        for place in range(PERMUTATIONS):
            least = np.minimum.reduceat(runs * self._times[place] + self._plus[place], starts)
            band = place // self.rows
            keys[:, band] = mixed(keys[:, band] ^ least) + np.uint64(place)
        numbers = np.array([zlib.crc32("|".join(text.numbers).encode()) for text in texts], np.uint64)
        return (mixed(keys ^ mixed(numbers)[:, None]) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)


class Shared(NamedTuple):
    """Keys that more texts than one have in a band, ordered by the place of the text."""

    places: Any
    keys: Any

    def at(self, place: int) -> list[int]:
        """The keys of the text at a place; none where no other text meets it."""
        start, end = self.places.searchsorted((place, place + 1))
        return [int(key) for key in self.keys[start:end]]


class Bands:
    """Band keys of many texts, in unnamed temporary files; 0 is no key. Close it."""

    def __init__(self, bands: int) -> None:
        self._columns = [tempfile.TemporaryFile() for _ in range(bands)]  # noqa: SIM115

    def take(self, keys: Any) -> None:
        """Keys `[texts, bands]` (uint32) of the next texts."""
        for column, file in zip(keys.T, self._columns, strict=True):
            file.write(column.tobytes())

    def shared(self) -> Shared:
        """Those that several texts have. One band is in memory at a time."""
        import numpy as np

        places, found = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
        for file in self._columns:
            file.seek(0)
            column = np.fromfile(file, np.uint32)
            several = repeated(column)
            several &= column != 0
            here = np.flatnonzero(several).astype(np.uint32)
            places.append(here)
            found.append(column[here])
        joined = np.concatenate(places)
        order = np.argsort(joined, kind="stable")
        return Shared(joined[order], np.concatenate(found)[order])

    def close(self) -> None:
        """Give the files up."""
        for file in self._columns:
            file.close()


def repeated(values: Any) -> Any:
    """Which values of an array occur more than once: an array of bool."""
    import numpy as np

    ordered = np.sort(values)
    several = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if not len(several):
        return np.zeros(len(values), bool)
    found = np.empty(len(values), bool)
    for start in range(0, len(values), _BLOCK):
        part = values[start : start + _BLOCK]
        found[start : start + _BLOCK] = several[several.searchsorted(part).clip(max=len(several) - 1)] == part
    return found


def shingles(text: Text) -> set[bytes]:
    """The runs of five words of a text, for an exact comparison."""
    return {text.words[start : start + SHINGLE].tobytes() for start in range(max(1, len(text.words) - SHINGLE + 1))}


def likeness(one: Text, other: Text) -> float:
    """Jaccard similarity of their runs of five words."""
    first, second = shingles(one), shingles(other)
    return len(first & second) / len(first | second)


def _meets(near: float, rows: int) -> float:
    return 1 - (1 - near**rows) ** (PERMUTATIONS // rows)
