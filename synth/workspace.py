"""Where a user's datasets, runs, comparisons and tasks lie: one folder with six others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

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


def resolve_workspace(argument: str | Path | None = None) -> Workspace:
    """The workspace named by the argument, else by SMOLSTUDIO_HOME, else ./workspace (absolute path)."""
    chosen = argument or os.environ.get(ENVIRONMENT) or "workspace"
    return Workspace(Path(chosen).expanduser().absolute())
