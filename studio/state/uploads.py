"""Uploaded files on their way into a dataset: kept in the workspace until they are imported, or for a day at most."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from synth.storage import storage_faults
from synth.workspace import Workspace

KEPT_SEC = 24 * 3600


def _folder(workspace: Workspace) -> Path:
    return workspace.path / "uploads"


def keep(workspace: Workspace, files: Mapping[str, bytes]) -> Path:
    """Write files, by name, into a new folder of their own; folders that were left behind go. Raises StorageError."""
    root = _folder(workspace)
    with storage_faults(root):
        root.mkdir(parents=True, exist_ok=True)
        for old in root.iterdir():
            if time.time() - old.stat().st_mtime > KEPT_SEC:
                shutil.rmtree(old, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=root))
        for name, content in files.items():
            (folder / Path(name).name).write_bytes(content)
    return folder


def forget(workspace: Workspace, source: Path) -> None:
    """Delete the folder of an upload that was imported; any other path is left alone."""
    if source.parent.parent == _folder(workspace):
        shutil.rmtree(source.parent, ignore_errors=True)
