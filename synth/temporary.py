"""Names of things that are being made, and what is left of those whose maker was killed.

    .NAME.HOST-PID-RANDOM.tmp     beside NAME, on its disk, until it is whole and takes its name

A leftover is removed once its maker is dead: another process of this machine, no matter which, may do that. Of makers
on other machines nothing is known, so what they left goes after a day in which nothing in it has changed.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from synth.workspace import Workspace

FORMAT = re.compile(r"\.(?P<name>.+)\.(?:(?P<host>[0-9a-f]{4})-(?P<pid>\d+)-)?[0-9a-f]{8}\.tmp")
UNKNOWN_MAKER_SEC = 24 * 3600.0
CLOCK_SET_SEC = 3600.0  # a maker that only seems to have begun later must not lose its work
DEEPEST = 4  # folders below the workspace in which something is made: runs/<id>/checkpoints/<step>


class Leftover(NamedTuple):
    """What a dead maker left: where, and how many bytes."""

    path: Path
    bytes: int


@functools.cache
def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:4]


def temporary(target: Path) -> Path:
    """A name for what will be `target`, which nobody else has and which says who makes it."""
    return target.with_name(f".{target.name}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def is_dead(path: Path) -> bool:
    """Whether `path` has a temporary name and nobody makes it any more."""
    found = FORMAT.fullmatch(path.name)
    if found is None:
        return False
    try:
        changed = path.lstat().st_mtime
    except OSError:
        return False
    if found["pid"] is None or found["host"] != _host():
        since = time.time() - UNKNOWN_MAKER_SEC
        return changed < since and not any(_changed(inside) >= since for inside in path.rglob("*"))
    return not alive(int(found["pid"]), changed, CLOCK_SET_SEC)


def _changed(path: Path) -> float:
    """When a file was changed last, which a growing one does not show on its folder; 0 once it is gone."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def alive(pid: int, since: float, slack_sec: float) -> bool:
    """Whether the process of that number runs and had begun by `since` (s since the epoch); a later one is another.

    `slack_sec`: how far the clock may have been set back meanwhile.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since + slack_sec
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def leftovers(workspace: Workspace) -> Iterator[Leftover]:
    """Everything that dead makers left in a workspace."""
    above = len(workspace.path.parts)
    for folder, below, files in os.walk(workspace.path):
        place = Path(folder)
        made = [name for name in (*below, *files) if name.startswith(".") and name.endswith(".tmp")]
        # What is being made, by whomever, belongs to its maker, with all that is in it.
        below[:] = [] if len(place.parts) - above >= DEEPEST else [name for name in below if name not in made]
        for path in (place / name for name in made):
            if is_dead(path):
                yield Leftover(path, _size(path))


def sweep(workspace: Workspace) -> list[Leftover]:
    """Remove what dead makers left; returns it."""
    found = list(leftovers(workspace))
    for leftover in found:
        remove(leftover.path)
    return found


def sweep_beside(target: Path) -> None:
    """Remove what dead makers of this very name left beside it."""
    prefix = f".{target.name}."
    for path in _dead_in(target.parent):
        if path.name.startswith(prefix):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or folder; what resists stays for the next time."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _dead_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [Path(entry.path) for entry in entries if entry.name.startswith(".") and entry.name.endswith(".tmp")]
    return [path for path in names if is_dead(path)]


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())
