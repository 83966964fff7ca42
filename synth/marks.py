"""Texts by their hashes (64 bits, the same in every process): who was met, in 8 bytes of memory each.

    seen = Seen(); seen.add("a"); "a" in seen

Two texts share a hash once in some 10^19 pairs: for a million texts one chance in thirty million that any two do.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

_RECENT = 1 << 15


def mark_of(text: str) -> int:
    """The hash of a text."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class Seen:
    """Texts that were met."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._sorted: Any = None

    def add(self, text: str) -> None:
        """One more."""
        self._recent.add(mark_of(text))
        if len(self._recent) > _RECENT:
            import numpy as np

            recent = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._sorted = np.union1d(recent, recent if self._sorted is None else self._sorted)
            self._recent.clear()

    def __contains__(self, text: str) -> bool:
        mark = mark_of(text)
        if mark in self._recent or self._sorted is None:
            return mark in self._recent
        place = int(self._sorted.searchsorted(self._sorted.dtype.type(mark)))
        return place < len(self._sorted) and int(self._sorted[place]) == mark
