"""Named places where a test makes a process die or a disk refuse; nothing unless SMOLSTUDIO_FAIL is set.

    SMOLSTUDIO_FAIL=place:count:what     the count-th time that `place` is reached (from 1): KILL, TERM, ENOSPC or EIO

A place that ends in `*` stands for all that begin so. Every process counts for itself.
"""

from __future__ import annotations

import errno
import os
import signal

VARIABLE = "SMOLSTUDIO_FAIL"
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM}
PLACES = (
    "file.open", "file.written", "file.synced", "file.renamed",
    "dir.made", "dir.filled", "dir.synced", "dir.renamed",
    "journal.written", "journal.synced", "lock.taken", "checkpoint.rotated",
)  # fmt: skip

_reached: dict[str, int] = {}


def reach(place: str) -> None:
    """Say that `place` was reached. Raises OSError when this is where the disk is to refuse."""
    asked = os.environ.get(VARIABLE)
    if asked is None:
        return
    name, _, rest = asked.partition(":")
    if name != place and not (name.endswith("*") and place.startswith(name[:-1])):
        return
    count, _, what = rest.partition(":")
    _reached[asked] = _reached.get(asked, 0) + 1
    if _reached[asked] != int(count):
        return
    if what in SIGNALS:
        os.kill(os.getpid(), SIGNALS[what])
        return
    code = getattr(errno, what)
    raise OSError(code, os.strerror(code))
