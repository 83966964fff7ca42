"""Fewer passes of Python's cyclic garbage collector while many rows are made, none of which refers to itself.

Each pass walks through all rows that are held: with 20,000 of them that took as long as reading them.
"""

from __future__ import annotations

import gc
import threading

ALLOCATIONS = 100_000
"""New objects between two passes; Python's own number is 700."""


class _Rarely:
    """A context in which the collector runs rarely; several may be open at once, in threads too."""

    def __init__(self) -> None:
        self._lock, self._open, self._usual = threading.Lock(), 0, gc.get_threshold()

    def __enter__(self) -> None:
        with self._lock:
            self._open += 1
            if self._open == 1:
                self._usual = gc.get_threshold()
                gc.set_threshold(ALLOCATIONS, *self._usual[1:])

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._open -= 1
            if not self._open:
                gc.set_threshold(*self._usual)


rarely = _Rarely()
