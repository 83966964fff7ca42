"""A directory in which one piece of long work lives: its events, its lock, its end.

    events.jsonl worker.log lock exit.json (last)

Status is derived and never stored: exit.json says how it ended, unless a worker was asked for after that; a held lock
means running; neither means queued while the worker that was started for it lives and waits, or, where no worker is
known, while the directory is young and tells nothing yet; else the worker was lost. So a killed worker cannot leave a
lie behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from synth import temporary
from synth.errors import StorageError
from synth.storage import (
    DirLock,
    Journal,
    JsonDict,
    atomic_write_text,
    read_json,
    read_jsonl,
    storage_faults,
    write_json,
)

Status = Literal["queued", "running", "done", "failed", "stopped", "lost"]
EXIT = "exit.json"
LOG = "worker.log"
EVENTS = "events.jsonl"
STOP = "stop"
QUEUED = "queued"  # touched by a worker that waits; names its process where that is known
UNREADABLE = "run.exit"
QUEUED_SEC = 10.0
CLOCKS_SEC = 2.0  # how far a time may lie in the future: clocks of two machines


def load_per_core() -> float | None:
    """Threads that wanted each core in the last minute, on average, this program's included; None where unknown."""
    if not hasattr(os, "getloadavg"):
        return None
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)


class Exit(NamedTuple):
    """How work ended: verdict, a stable code, one sentence for the user."""

    verdict: Literal["done", "failed", "stopped"]
    code: str
    sentence: str


class JobDir:
    """One piece of work on disk. Many may read; the holder of the lock writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events: Journal | None = None

    @property
    def id(self) -> str:
        """The directory's name."""
        return self.path.name

    def status(self) -> Status:
        """Derived as the module says; costs at most three stats, one file and one lock probe."""
        if ended := self.exit():
            return ended.verdict
        if DirLock(self.path).held_elsewhere():
            return "running"
        if ended := self.exit():
            return ended.verdict
        return "queued" if self._waits() else "lost"

    def _waits(self) -> bool:
        """Whether a worker lives that has not begun, or may still come."""
        with contextlib.suppress(StorageError, ValueError, KeyError, TypeError, OverflowError):
            mark = read_json(self.path / QUEUED)
            at = float(mark["at"])
            # By a time in the future, any later process of that number would pass for the worker.
            if mark["host"] == socket.gethostname() and at <= time.time() + CLOCKS_SEC:
                return temporary.alive(int(mark["pid"]), at, CLOCKS_SEC)
        signs = [self.path / QUEUED, *([] if (self.path / EVENTS).exists() else [self.path])]
        ages = []
        for sign in signs:
            with contextlib.suppress(OSError):
                ages.append(time.time() - sign.stat().st_mtime)
        return any(-CLOCKS_SEC <= age < QUEUED_SEC for age in ages)

    def expect(self, pid: int | None = None) -> None:
        """Say that a worker was asked for, and which process of this machine it is, once that is known."""
        mark = json.dumps({"pid": pid, "host": socket.gethostname(), "at": time.time()}) if pid else ""
        atomic_write_text(self.path / QUEUED, mark)

    def exit(self) -> Exit | None:
        """How it ended; None where it did not, or where a worker was asked for after that to go on with it."""
        ended = self.last_exit()
        return None if ended and ended.verdict != "done" and self.asked_again() else ended

    def last_exit(self) -> Exit | None:
        """What exit.json says, whatever was asked for since."""
        file = self.path / EXIT
        if not file.is_file():
            return None
        try:
            value = read_json(file)
            if value["verdict"] in ("done", "failed", "stopped"):
                return Exit(value["verdict"], str(value["code"]), str(value["sentence"]))
        except (StorageError, KeyError, TypeError):
            pass
        return Exit("failed", UNREADABLE, f"How it ended cannot be read from {file}. See {LOG} beside it.")

    def asked_again(self) -> bool:
        """Whether a worker was asked for since the work ended: it waits, or died before it began."""
        with contextlib.suppress(OSError):
            return (self.path / QUEUED).stat().st_mtime_ns >= (self.path / EXIT).stat().st_mtime_ns
        return False

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Be the worker: lock, forget an earlier end. Raises StorageError when another works, or the disk refuses.

        A request to stop is forgotten too, unless somebody asked for this worker: then it came after that.
        """
        with storage_faults(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with DirLock(self.path):
            with storage_faults(self.path):
                (self.path / EXIT).unlink(missing_ok=True)
                if not (self.path / QUEUED).exists():
                    (self.path / STOP).unlink(missing_ok=True)
                (self.path / QUEUED).unlink(missing_ok=True)
            try:
                yield
            finally:
                if self._events is not None:
                    self._events.close()
                    self._events = None

    def finish(
        self, verdict: Literal["done", "failed", "stopped"], sentence: str = "", code: str = "", **more: Any
    ) -> None:
        """Write exit.json, the last file of the work."""
        write_json(
            self.path / EXIT,
            {"verdict": verdict, "code": code, "sentence": sentence, "at": time.time(), **more},
        )

    def emit(self, kind: str, **fields: Any) -> None:
        """Append one event with the time (s since the epoch) and how many programs want each core."""
        if self._events is None:
            self._events = Journal(self.path / EVENTS, durable=False)
        load = load_per_core()
        noted = {} if load is None else {"load": load}
        self._events.append({"at": round(time.time(), 3), "kind": kind, **noted, **fields})

    def events(self, kind: str | None = None) -> list[JsonDict]:
        """Events so far, oldest first; of one kind when given."""
        file = self.path / EVENTS
        if not file.is_file():
            return []
        values = (line.value for line in read_jsonl(file))
        return [v for v in values if v is not None and (kind is None or v.get("kind") == kind)]

    def request_stop(self, discard: bool = False) -> None:
        """Ask the worker to end, and to save before that unless `discard`; it looks for the file between steps.

        Raises StorageError where the disk refuses.
        """
        atomic_write_text(self.path / STOP, "discard" if discard else "")

    def stop_requested(self) -> bool:
        """Whether someone asked the worker to end."""
        return (self.path / STOP).exists()

    def discard_requested(self) -> bool:
        """Whether the worker need not save what it did."""
        file = self.path / STOP
        return file.is_file() and file.read_text() == "discard"
