"""How the folders of a workspace stand against what is published in a bucket. It sends and fetches nothing.

standing(Shared(workspace, address))    what differs, folder by folder
known_address(workspace)                the bucket that it was shared through last
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from synth.bucket import Address, address
from synth.published import Item
from synth.shared import ADDRESS, Shared
from synth.workspace import Workspace

State = Literal["equal", "only here", "only there", "changed here", "changed there", "changed on both sides", "busy"]


class Standing(NamedTuple):
    """How a folder stands against what is published under its name; `at`: when the two were last equal (s)."""

    item: Item
    state: State
    at: float | None


def standing(shared: Shared) -> list[Standing]:
    """Every folder here and there. What changed here is told by the looks of its files: it may be equal yet."""
    there = shared.listed()
    items = dict.fromkeys([*shared.here(), *there])
    return [Standing(item, _state(shared, item, there.get(item)), shared.equal_at(item)) for item in items]


def _state(shared: Shared, item: Item, there: str | None) -> State:
    if item not in shared.here():
        return "only there"
    if shared.busy(item):
        return "busy"
    if there is None:
        return "only here"
    base = shared.base(item)
    other = base is None or base.etag != there
    if shared.changed(item):
        return "changed on both sides" if other else "changed here"
    return "changed there" if other else "equal"


def known_address(workspace: Workspace) -> Address | None:
    """The address at which folders of this workspace were shared last; None where none was."""
    found = sorted(workspace.path.glob(f"shared/*/{ADDRESS}"), key=lambda file: file.stat().st_mtime)
    return address(found[-1].read_text("utf-8").strip()) if found else None
