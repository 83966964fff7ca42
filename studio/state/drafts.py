"""Unfinished work of a page that a refresh must not lose: labels given so far. `drafts/<dataset>.json`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from synth.errors import StorageError
from synth.storage import read_json, write_json
from synth.workspace import Workspace


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
