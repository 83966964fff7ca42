"""Who was given which version of a dataset's task card: the runs that were trained with it, the comparisons told it."""

from __future__ import annotations

from typing import NamedTuple

from recipes.run.directory import Run
from studio.read.glance import report_heads
from studio.read.history import history
from synth.dataset import TASK
from synth.errors import UserError
from synth.storage import read_json
from synth.workspace import Workspace


class Uses(NamedTuple):
    """Ids of runs and comparisons."""

    runs: tuple[str, ...] = ()
    comparisons: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Who it is, in words."""
        parts = []
        for names, one, several in ((self.runs, "run", "runs"), (self.comparisons, "comparison", "comparisons")):
            if names:
                parts.append(f"{one if len(names) == 1 else several} {', '.join(names)}")
        return "; ".join(parts) or "nobody"


def uses(workspace: Workspace, dataset: str) -> dict[str, Uses]:
    """By the hash of the card. Runs of earlier versions, and those that learned bare prompts, name none."""
    found: dict[str, Uses] = {}
    for run in history(workspace):
        if run.recipe.data.dataset == dataset and run.recipe.data.task:
            digest = _noted(Run(workspace.runs / run.id))
            if digest:
                known = found.get(digest, Uses())
                found[digest] = known._replace(runs=(*known.runs, run.id))
    for head in report_heads(workspace):
        digest = _digest(workspace, head.id, dataset)
        if digest:
            known = found.get(digest, Uses())
            found[digest] = known._replace(comparisons=(*known.comparisons, head.id))
    return found


def _noted(run: Run) -> str:
    file = run.path / "env.json"
    try:
        return str(read_json(file).get(TASK) or "") if file.is_file() else ""
    except UserError:
        return ""


def _digest(workspace: Workspace, comparison: str, dataset: str) -> str:
    try:
        entry = read_json(workspace.comparisons / comparison / "report.json").get("dataset") or {}
    except UserError:
        return ""
    return str((entry.get("sha256") or {}).get(TASK) or "") if entry.get("name") == dataset else ""
