"""Uploaded files on their way into a dataset: kept in the workspace until they are imported, or for a day at most.

Those that a run of a pipeline reads are kept, because whoever goes on with it reads them again.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from synth.errors import DataError
from synth.importing import archives
from synth.pipeline.work import RUN
from synth.storage import storage_faults
from synth.workspace import Workspace

KEPT_SEC = 24 * 3600
MAX_NAME_BYTES = 200
MAX_UNPACKED = 2 << 30
"""Bytes that an uploaded archive may unpack to; whoever may upload need not be who owns the disk."""


def _folder(workspace: Workspace) -> Path:
    return workspace.path / "uploads"


def keep(workspace: Workspace, files: Sequence[tuple[str, bytes]]) -> Path:
    """Write (name, content) into a new folder of their own; folders that were left behind go.

    Names stay, because tables refer to their pictures and recordings by them. Raises DataError for a name that is none
    for two of a name, of which one would be lost, and for an archive that unpacks to too much; StorageError.
    """
    for name, count in Counter(name.casefold() for name, _ in files).items():
        if count > 1:
            message = f"{count} of the files are called {name[:80]}."
            raise DataError(message, "Rename them, or put them into a zip with folders.", "upload.twice")
    for name, _ in files:
        if not is_plain(name):
            raise DataError(f"{name[:80]!r} cannot be a file's name here.", "Rename it.", "upload.name")
    root = _folder(workspace)
    with storage_faults(root):
        root.mkdir(parents=True, exist_ok=True)
        old = [one for one in root.iterdir() if time.time() - one.stat().st_mtime > KEPT_SEC]
        asked = [file.read_text("utf-8", "replace") for file in workspace.pipelines.glob(f"*/{RUN}")] if old else []
        for one in old:
            if not any(f"/{one.name}" in plan for plan in asked):
                shutil.rmtree(one, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=root))
        for name, content in files:
            (folder / name).write_bytes(content)
    try:
        for name, _ in files:
            archives.refuse_large(folder / name, MAX_UNPACKED)
    except DataError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def table_of(folder: Path, endings: Sequence[str]) -> Path:
    """The one table among uploaded files. Raises DataError when there is none, or more than one."""
    tables = [file for file in sorted(folder.iterdir()) if file.suffix.lower().lstrip(".") in endings]
    if len(tables) != 1:
        message = f"There are {len(tables)} tables among the files."
        raise DataError(message, "Upload one table, and what it names.", "upload.tables")
    return tables[0]


def kept(workspace: Workspace, name: str) -> Path | None:
    """An upload that is still there, by `folder/file` as addresses name it."""
    folder, _, file = name.partition("/")
    path = _folder(workspace) / folder / file
    return path if is_plain(folder) and is_plain(file) and path.is_file() else None


def is_plain(name: str) -> bool:
    """Whether a name says a file and nothing else: no folder, no control characters, no more than file systems take."""
    fits = 0 < len(name.encode("utf-8", "replace")) <= MAX_NAME_BYTES
    return fits and name.isprintable() and name not in (".", "..") and not set(name) & {"/", "\\"}


def forget(workspace: Workspace, source: Path) -> None:
    """Delete the folder of an upload that was imported; any other path is left alone."""
    if source.parent.parent == _folder(workspace):
        shutil.rmtree(source.parent, ignore_errors=True)
