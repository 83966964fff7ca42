"""The margin is fixed in the plan before answers exist: which one that was, for whoever moves it afterwards.

    comparisons/<id>/margin.json   {"margin": 0.02}, written once, before the first answer

Finds the earlier margin; whether and how a move is marked is `report.decision`'s.
"""

from __future__ import annotations

from pathlib import Path

from evaluate.plan import Plan, load_plan
from synth.errors import UserError
from synth.storage import read_json, write_json
from synth.workspace import Workspace

FILE = "margin.json"


def fixed(folder: Path, plan: Plan, workspace: Workspace) -> float:
    """The margin that stood when these two systems were first asked about this dataset; the plan's, when never yet.

    Call it before the folder's plan.yaml is written anew.
    """
    known = _of(folder)
    if known is None:
        earlier = [one for one in workspace.comparisons.glob("*/plan.yaml") if one.parent != folder]
        asked = [one.parent for one in earlier if _has_answers(one.parent) and _same(one, plan)]
        first = min(asked, key=lambda one: (one / "plan.yaml").stat().st_ctime_ns, default=None)
        known = _of(first) if first is not None else None
    found = plan.margin if known is None else known
    write_json(folder / FILE, {"margin": found})
    return found


def _of(folder: Path) -> float | None:
    if (folder / FILE).is_file():
        return float(read_json(folder / FILE)["margin"])
    if not _has_answers(folder) or not (folder / "plan.yaml").is_file():
        return None
    try:
        return load_plan(folder / "plan.yaml").margin  # made before the file existed
    except UserError:
        return None


def _has_answers(folder: Path) -> bool:
    return any(journal.stat().st_size for journal in folder.glob("predictions/*.jsonl"))


def _same(plan_file: Path, plan: Plan) -> bool:
    """Whether another plan compares the same two models on the same data."""
    try:
        other = load_plan(plan_file)
    except UserError:
        return False
    return other.dataset == plan.dataset and _pair(other) == _pair(plan)


def _pair(plan: Plan) -> list[tuple[str | None, ...]]:
    named = [plan.system(name) for name in plan.roles() if name]
    return [(one.kind, one.model, one.revision, one.adapter, one.base_url, one.path) for one in named]
