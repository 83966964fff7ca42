"""Progress of long work, with rate and ETA; whoever shows it (terminal, UI, event log) passes a callback."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """Where a phase of long work stands. `seconds` is the time since the phase began."""

    phase: str
    done: int
    total: int | None
    unit: str
    seconds: float
    note: str = ""

    @property
    def rate(self) -> float:
        """Units per second so far."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_sec(self) -> float | None:
        """Seconds left at the rate so far; None when nothing can be said yet."""
        if self.total is None or self.done <= 0:
            return None
        return (self.total - self.done) / self.rate if self.rate > 0 else None


ProgressFn = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A ProgressFn that shows nothing."""


class Meter:
    """Counts one phase and reports at most four times a second, and always at the end."""

    def __init__(self, phase: str, total: int | None, unit: str, on_progress: ProgressFn = silent) -> None:
        self.phase = phase
        self.total = total
        self.unit = unit
        self._on_progress = on_progress
        self._start = time.monotonic()
        self._last = float("-inf")

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` units are done; shown when 0.25 s have passed or the phase is complete."""
        now = time.monotonic()
        if done != self.total and now - self._last < 0.25:
            return
        self._last = now
        self._on_progress(Progress(self.phase, done, self.total, self.unit, now - self._start, note))
