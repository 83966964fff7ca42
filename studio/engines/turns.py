"""One training at a time in a workspace: others wait for their turn, and can be taken out while they wait.

Two trainings at once would each take more than twice as long and might not fit in memory. Whoever tries first when
the turn is free gets it; the order is not promised.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.run.directory import Run, Stopped
from synth.jobdir import QUEUED
from synth.storage import storage_faults

if TYPE_CHECKING:
    from filelock import FileLock

POLL_SEC = 0.5
LOCK = ".training.lock"


@contextlib.contextmanager
def turn(run: Run) -> Iterator[None]:
    """Wait for the workspace's turn to train and keep it for the block.

    Raises Stopped when asked to end before it began, and StorageError when the disk refuses.
    """
    from filelock import FileLock

    mark = run.path / QUEUED
    lock = FileLock(str(run.path.parent / LOCK), thread_local=False)
    try:
        with storage_faults(mark):
            while not _taken(lock, mark):
                if run.stop_requested():
                    raise Stopped(0)
                time.sleep(POLL_SEC)
        if run.stop_requested():
            raise Stopped(0)
        yield
    finally:
        mark.unlink(missing_ok=True)
        lock.release()


def _taken(lock: FileLock, mark: Path) -> bool:
    from filelock import Timeout

    mark.touch()  # it waits still
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
