"""Where a user's datasets, runs, comparisons and tasks lie: one folder with six others.

An address of a bucket (`synth.shared`) is worked on in a folder of this machine; it is no workspace itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from synth.errors import StorageError

ENVIRONMENT = "SMOLSTUDIO_HOME"


class Workspace(NamedTuple):
    """A workspace folder; its parts are made when something is first written."""

    path: Path

    @property
    def datasets(self) -> Path:
        """Folder of dataset folders."""
        return self.path / "datasets"

    @property
    def runs(self) -> Path:
        """Folder of training runs."""
        return self.path / "runs"

    @property
    def comparisons(self) -> Path:
        """Folder of comparisons."""
        return self.path / "comparisons"

    @property
    def tasks(self) -> Path:
        """Folder of detached generation and comparison tasks."""
        return self.path / "tasks"

    @property
    def pipelines(self) -> Path:
        """Folder of pipeline runs: what each asked, accepted and rejected."""
        return self.path / "pipelines"

    @property
    def sweeps(self) -> Path:
        """Folder of sweeps: what each searched, and which runs it made."""
        return self.path / "sweeps"


def is_address(text: str | Path) -> bool:
    """Whether this names a bucket; a `Path` has lost one of the two slashes."""
    return str(text).startswith("s3:/")


def resolve_workspace(argument: str | Path | None = None) -> Workspace:
    """The workspace named by the argument, else by SMOLSTUDIO_HOME, else ./workspace (absolute path).

    Raises StorageError for the address of a bucket.
    """
    chosen = argument or os.environ.get(ENVIRONMENT) or "workspace"
    if is_address(chosen):
        message = f"{chosen} is a bucket, and no folder."
        raise StorageError(message, "Use it with the smolstudio command, as --workspace.", "storage.address")
    return Workspace(Path(chosen).expanduser().absolute())
