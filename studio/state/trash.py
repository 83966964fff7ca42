"""Deleting a run, a dataset or a comparison, and taking that back: folders move to the workspace's `trash` and out.

Runs lie in `trash` itself, as they always did, the others in a folder of their kind. For what must not stay on this
disk at all, see `studio.state.erase`.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.state.titles import Kind
from synth.errors import RunError, UserError
from synth.jobdir import JobDir
from synth.storage import storage_faults
from synth.workspace import Workspace

MARK = "~"  # between a name, which cannot hold it, and the time of its deletion
NOUNS: dict[Kind, str] = {"runs": "run", "datasets": "dataset", "comparisons": "comparison"}


def home(workspace: Workspace, kind: Kind) -> Path:
    """Where things of a kind lie while they are not deleted."""
    return workspace.path / kind


def folder(workspace: Workspace, kind: Kind) -> Path:
    """Where they lie once they are."""
    return workspace.path / "trash" if kind == "runs" else workspace.path / "trash" / kind


def delete(workspace: Workspace, kind: Kind, name: str) -> str:
    """Move one to the trash; returns its name there. Raises RunError for one that is in use, StorageError."""
    source = home(workspace, kind) / name
    if Path(name).name != name or not source.is_dir():
        raise RunError(f"There is no {NOUNS[kind]} '{name[:80]}'.", "See what there is: it may be deleted already.")
    if busy := user_of(workspace, kind, name):
        raise RunError(busy, "Stop it first.")
    target = f"{name}{MARK}{time.time_ns() // 1_000_000}"
    with storage_faults(source):
        folder(workspace, kind).mkdir(parents=True, exist_ok=True)
        source.rename(folder(workspace, kind) / target)
    return target


def user_of(workspace: Workspace, kind: Kind, name: str) -> str:
    """In a sentence, what works on it or with it just now; empty when nothing does."""
    from studio.engines import jobs

    if kind == "datasets":
        for run in jobs.list_runs(workspace):
            going = run.exit() is None and run.status() in ("queued", "running")
            with contextlib.suppress(UserError, OSError):  # nobody trains by a recipe that cannot be read
                if going and Path(run.recipe.data.dataset).name == name:
                    return f"{run.id} is training on {name}."
        for job, asked in jobs.tasks(workspace):
            going = job.exit() is None and job.status() in ("queued", "running")
            if going and name in _datasets_in(asked["arguments"]):
                return f"{job.id} is working with {name}."
        return ""
    status = JobDir(home(workspace, kind) / name).status()
    return f"{name} is {status}." if status in ("queued", "running") else ""


def _datasets_in(arguments: Any) -> Iterator[str]:
    """Names of the datasets that a task was given, itself, in a plan or in a recipe."""
    if isinstance(arguments, dict):
        for key, value in arguments.items():
            if key == "dataset" and isinstance(value, str):
                yield Path(value).name
            yield from _datasets_in(value)


def deleted(workspace: Workspace, kind: Kind) -> list[str]:
    """Names in the trash, the last deleted first."""
    there = folder(workspace, kind)
    names = [p.name for p in there.iterdir() if MARK in p.name] if there.is_dir() else []
    return sorted(names, key=lambda name: name.rpartition(MARK)[2], reverse=True)


def before(name: str) -> str:
    """The name that it had before it was deleted."""
    return name.rpartition(MARK)[0]


def restore(workspace: Workspace, kind: Kind, name: str) -> str:
    """Put one back; returns its name. Raises RunError when it is gone or its name is taken again."""
    source, target = _checked(workspace, kind, name), home(workspace, kind) / before(name)
    if target.exists():
        raise RunError(f"There is another {NOUNS[kind]} named {target.name} now.", "Delete that one first.")
    with storage_faults(target):
        source.rename(target)
    return target.name


def destroy(workspace: Workspace, kind: Kind, name: str) -> None:
    """Remove one for good. Raises RunError when it is not in the trash."""
    shutil.rmtree(_checked(workspace, kind, name), ignore_errors=True)


def _checked(workspace: Workspace, kind: Kind, name: str) -> Path:
    if name not in deleted(workspace, kind):
        raise RunError(
            f"{before(name) or name} is not in the trash.", "See the trash: it was put back, or removed for good."
        )
    return folder(workspace, kind) / name
