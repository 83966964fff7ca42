"""Checkpoints that are whole or absent: `checkpoints/step-000200/` with a manifest written last.

The manifest holds size and SHA-256 of each file, the step, and the fingerprint of what was being trained. A
checkpoint counts only when it verifies; older ones go only after a newer one has verified. What the files mean is for
`recipes.train.trainer`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from synth.errors import StorageError
from synth.failpoint import reach
from synth.storage import atomic_dir, read_json, sha256_file, write_json

MANIFEST = "manifest.json"
NAME = re.compile(r"step-[0-9]{1,12}")


class Checkpoint(NamedTuple):
    """A verified checkpoint; `fingerprint` is what `write` was given."""

    path: Path
    step: int
    fingerprint: dict[str, Any]


def write(folder: Path, step: int, fill: Callable[[Path], None], fingerprint: dict[str, Any], keep: int) -> Checkpoint:
    """Save step `step`: `fill(temporary_folder)` writes the files. Keeps the `keep` newest afterwards.

    Raises StorageError when the disk refuses, or gave back other bytes than were written.
    """
    target = folder / f"step-{step:06d}"
    shutil.rmtree(target, ignore_errors=True)  # only one that did not verify can be in the way
    with atomic_dir(target) as temporary:
        fill(temporary)
        files = {f.name: {"bytes": f.stat().st_size, "sha256": sha256_file(f)} for f in sorted(temporary.iterdir())}
        write_json(temporary / MANIFEST, {"version": 1, "step": step, "files": files, "fingerprint": fingerprint})
    saved = read(target)
    if saved is None:
        raise StorageError(f"The checkpoint {target} does not read back as written.", "Check the disk.")
    for old in _by_step(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
        reach("checkpoint.rotated")
    return saved


def read(path: Path) -> Checkpoint | None:
    """The checkpoint at `path` when every byte is as its manifest says, else None."""
    try:
        manifest = read_json(path / MANIFEST)
        for name, facts in manifest["files"].items():
            file = path / name
            if file.stat().st_size != facts["bytes"] or sha256_file(file) != facts["sha256"]:
                return None
        return Checkpoint(path, int(manifest["step"]), manifest["fingerprint"])
    except (StorageError, OSError, AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None


def newest(folder: Path) -> Checkpoint | None:
    """The checkpoint of the highest step that verifies, or None."""
    return next((found for path in _by_step(folder) if (found := read(path))), None)


def exist(folder: Path) -> bool:
    """Whether there is a checkpoint, whether it verifies or not."""
    return bool(_by_step(folder))


def fingerprint(folder: Path) -> dict[str, Any] | None:
    """What the newest checkpoint was trained from, without verifying its bytes; None when there is none."""
    for path in _by_step(folder):
        try:
            return dict(read_json(path / MANIFEST)["fingerprint"])
        except (StorageError, KeyError, TypeError, ValueError):
            continue
    return None


def _by_step(folder: Path) -> list[Path]:
    """Checkpoint folders, the last step first; anything else of a name like theirs is somebody's own."""
    found = (path for path in folder.glob("step-*") if NAME.fullmatch(path.name))
    return sorted(found, key=lambda path: int(path.name.partition("-")[2]), reverse=True)
