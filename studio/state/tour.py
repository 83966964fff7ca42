"""Whether the three steps on Start were read: `tour.json`."""

from __future__ import annotations

from synth.storage import write_json
from synth.workspace import Workspace

FILE = "tour.json"


def dismissed(workspace: Workspace) -> bool:
    """Whether somebody hid them."""
    return (workspace.path / FILE).is_file()


def dismiss(workspace: Workspace) -> None:
    """Hide them for good."""
    workspace.path.mkdir(parents=True, exist_ok=True)
    write_json(workspace.path / FILE, {"dismissed": True})
