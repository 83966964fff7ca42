"""Deleting a run, and taking that back: runs move to the workspace's `trash` folder and out of it again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from synth.errors import RunError
from synth.jobdir import JobDir
from synth.storage import storage_faults
from synth.workspace import Workspace

MARK = "~"  # between a run's id, which cannot hold it, and the time of its deletion


def _folder(workspace: Workspace) -> Path:
    return workspace.path / "trash"


def delete_run(workspace: Workspace, run: JobDir) -> str:
    """Move a run to the trash; returns its name there. Raises RunError for one that runs, StorageError."""
    if (status := run.status()) in ("queued", "running"):
        raise RunError(f"{run.id} is {status}.", "Stop it first.")
    name = f"{run.id}{MARK}{time.time_ns() // 1_000_000}"
    with storage_faults(run.path):
        _folder(workspace).mkdir(parents=True, exist_ok=True)
        run.path.rename(_folder(workspace) / name)
    return name


def deleted_runs(workspace: Workspace) -> list[str]:
    """Names in the trash, the last deleted first."""
    folder = _folder(workspace)
    names = [p.name for p in folder.iterdir() if MARK in p.name] if folder.is_dir() else []
    return sorted(names, key=lambda name: name.rpartition(MARK)[2], reverse=True)


def run_id(name: str) -> str:
    """The id that a run had before it was deleted."""
    return name.rpartition(MARK)[0]


def restore_run(workspace: Workspace, name: str) -> str:
    """Put a deleted run back; returns its id. Raises RunError when it is gone or its id is taken again."""
    source, target = _checked(workspace, name), workspace.runs / run_id(name)
    if target.exists():
        raise RunError(f"There is another run named {target.name} now.", "Delete that one first.")
    with storage_faults(target):
        source.rename(target)
    return target.name


def destroy_run(workspace: Workspace, name: str) -> None:
    """Remove a deleted run for good. Raises RunError when it is not in the trash."""
    shutil.rmtree(_checked(workspace, name), ignore_errors=True)


def _checked(workspace: Workspace, name: str) -> Path:
    if name not in deleted_runs(workspace):
        raise RunError(f"{run_id(name) or name} is not in the trash.", "It was put back, or removed for good.")
    return _folder(workspace) / name
