"""Unfinished work of a page that a refresh must not lose: labels given so far (`drafts/<dataset>.json`), settings of a
training that were changed (`drafts/recipes`), and the run that they would be trained as (`drafts/runs`)."""

from __future__ import annotations

import hashlib
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from synth.errors import StorageError
from synth.jobdir import JobDir
from synth.storage import JsonDict, atomic_write_text, read_json, write_json
from synth.workspace import Workspace

TOKEN_CHARACTERS = 6
TOKEN = re.compile(rf"[0-9a-f]{{{TOKEN_CHARACTERS}}}")
STARTED = "started"
CROSSED = "-cv"
"""What the run of a cross-validation's draft is called beside it."""


class Draft(NamedTuple):
    """Lines, and the answers to the first of them; None for a line that was passed over."""

    lines: tuple[str, ...]
    answers: tuple[str | None, ...] = ()


def folder(workspace: Workspace) -> Path:
    """Where drafts lie."""
    return workspace.path / "drafts"


def load(workspace: Workspace, dataset: str) -> Draft | None:
    """The draft of a dataset; None without one, or when it cannot be read."""
    file = folder(workspace) / f"{dataset}.json"
    try:
        value = read_json(file) if file.is_file() else None
        return Draft(tuple(map(str, value["lines"])), tuple(value["answers"])) if value else None
    except (StorageError, KeyError, TypeError):
        return None


def save(workspace: Workspace, dataset: str, draft: Draft) -> None:
    """Keep a draft. Raises StorageError when the disk refuses."""
    folder(workspace).mkdir(parents=True, exist_ok=True)
    write_json(folder(workspace) / f"{dataset}.json", draft._asdict())


def forget(workspace: Workspace, dataset: str) -> None:
    """Throw it away."""
    (folder(workspace) / f"{dataset}.json").unlink(missing_ok=True)


def recipe_of(workspace: Workspace, form: str) -> JsonDict | None:
    """The settings that were changed in a form and not started yet; None without any, or when they cannot be read."""
    file = _recipe_file(workspace, form)
    try:
        value = read_json(file) if file.is_file() else None
    except StorageError:
        return None
    return value if isinstance(value, dict) else None


def keep_recipe(workspace: Workspace, form: str, values: JsonDict | None) -> None:
    """Keep the settings of a form; None forgets them. Raises StorageError when the disk refuses."""
    file = _recipe_file(workspace, form)
    if values is None:
        file.unlink(missing_ok=True)
    elif values != recipe_of(workspace, form):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, values)


def _recipe_file(workspace: Workspace, form: str) -> Path:
    return folder(workspace) / "recipes" / f"{hashlib.sha256(form.encode('utf-8', 'replace')).hexdigest()[:16]}.json"


def next_run(workspace: Workspace, recipe_hash: str, stem: str) -> str:
    """The run that this recipe would be trained as: one id in every tab and after a refresh, until it was trained.

    Raises StorageError when the disk refuses.
    """
    file = _run_file(workspace, recipe_hash)
    token, _, started = (file.read_text("utf-8") if file.is_file() else "").partition(" ")
    if not TOKEN.fullmatch(token) or _is_spent(workspace, f"{stem}-{token}", bool(started)):
        token = secrets.token_hex(3)
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(file, token)
    return f"{stem}-{token}"


def note_start(workspace: Workspace, recipe_hash: str, run_id: str) -> None:
    """Remember that the run was started: when it is deleted, no other gets its id, which verdicts name."""
    file = _run_file(workspace, recipe_hash)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(file, f"{run_id[-TOKEN_CHARACTERS:]} {STARTED}")


def _run_file(workspace: Workspace, recipe_hash: str) -> Path:
    return folder(workspace) / "runs" / recipe_hash[:12]


def _is_spent(workspace: Workspace, run_id: str, started: bool) -> bool:
    """Whether the run was trained, not only checked, or is gone; one that was killed goes on, and is not spent."""
    run, crossed = (JobDir(workspace.runs / name) for name in (run_id, run_id + CROSSED))
    if started and not run.path.is_dir():
        return True
    return any(job.exit() and next(iter(job.events("step")), None) for job in (run, crossed))
