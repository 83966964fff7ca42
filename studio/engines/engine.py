"""What an engine is: something that does long work away from whoever asked for it.

Work lies in a directory that tells how it stands (`synth.jobdir`), wherever it is done. An engine knows how work is
started and how many pieces go at once; it does not know what the work is. The first one is `studio.engines.local`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from synth.jobdir import JobDir, Status


class Work(NamedTuple):
    """`python -m MODULE DIRECTORY OPTIONS…`, whose output goes to the directory's log."""

    directory: JobDir
    module: str
    options: tuple[str, ...] = ()


class Engine(Protocol):
    """Starts work, says how it stands and ends it; whoever asked may die meanwhile."""

    waiting: str
    """One sentence for users: why work may be queued."""

    def submit(self, work: Work) -> None:
        """Have the work done, now or in its turn. Raises StorageError when the directory cannot be written."""
        ...

    def status(self, job: JobDir) -> Status:
        """How the work in a directory stands."""
        ...

    def cancel(self, job: JobDir, discard: bool = False) -> None:
        """Ask the work to end, and to save before that unless `discard`."""
        ...
