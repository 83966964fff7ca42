"""Rows in ranges: how work that an engine may do on other machines is cut, and what a finished range leaves.

    for one in engine.each(work, ranges, stop):     # in their order, each when its file is there
        read(one.file)

A range's file takes its name when it is complete. So a killed machine, or a killed caller, leaves ranges that are done
and ranges that are open, and only open ones are done again. Engines are made by whoever starts the work (`studio`); a
plain call without one works on this machine, as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from synth.endpoint.elsewhere import Send


class Range(NamedTuple):
    """Rows from `first` up to but without `end`, and the file of what becomes of them; `rows` are what is given."""

    file: Path
    first: int
    end: int
    rows: tuple[Any, ...] = ()

    @property
    def done(self) -> bool:
        """Whether its file is there, which is then complete."""
        return self.file.is_file()


Work = Callable[[Range], None]
"""Makes a range's file in one step, in another process: a module's function, or a `functools.partial` of one."""


class RangeEngine(Protocol):
    """Something that does ranges, several at once."""

    def slots(self, model: bool = False) -> int:
        """Ranges at once; `model`: of work that loads a model, which takes a GPU where there are any."""
        ...

    def each(
        self, work: Work, ranges: Iterable[Range], stop: Callable[[], bool], model: bool = False
    ) -> Iterator[Range]:
        """The ranges in their order, each when it is done. Raises what a work raised, and RunError run.stopped."""
        ...

    def sending(self) -> AbstractContextManager[Send]:
        """A way to have requests sent by its machines."""
        ...


def cut(folder: Path, first: int, end: int, size: int, rows: Sequence[Any] = ()) -> Iterator[Range]:
    """Ranges of `size` rows, the last one shorter; each with its part of `rows`."""
    for start in range(first, end, size):
        stop = min(end, start + size)
        yield Range(folder / f"{start:08d}-{stop:08d}.jsonl", start, stop, tuple(rows[start:stop]))
