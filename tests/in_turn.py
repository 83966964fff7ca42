"""An engine that does ranges in this process, out of their order, and may die on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from synth.errors import RunError
from synth.ranges import Range, Work


class InTurn:
    """Does `ahead` ranges at a time, the last one first. Dies after `dies_after` of them; `done` are those it did."""

    def __init__(self, ahead: int = 3, dies_after: int = 10**9) -> None:
        self.ahead, self.dies_after = ahead, dies_after
        self.done: list[str] = []

    def slots(self, model: bool = False) -> int:
        return 1

    def each(
        self, work: Work, ranges: Iterable[Range], stop: Callable[[], bool], model: bool = False
    ) -> Iterator[Range]:
        left = list(ranges)
        for start in range(0, len(left), self.ahead):
            here = left[start : start + self.ahead]
            for one in reversed(here):
                if stop():
                    raise RunError("Stopped.", "Start it again.", "run.stopped")
                if not one.done:
                    if len(self.done) == self.dies_after:
                        raise KeyboardInterrupt
                    self.done.append(f"{one.file.parent.name}/{one.file.stem}")
                    work(one)
            yield from here
