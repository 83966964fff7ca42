"""Rows written by models, as work of a task: a run of a pipeline, or the preview of one; and with which prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from synth.progress import ProgressFn
from synth.workspace import Workspace

if TYPE_CHECKING:
    from synth.pipeline.plan import Outside

Outcome = dict[str, Any]
SHOWN = 50
"""Rejected candidates of a preview that a page lists."""


def outside(workspace: Workspace, on_progress: ProgressFn, stop: Callable[[], bool]) -> Outside:
    """What a run needs from here: the workspace's prices, who shows its progress, who stops it."""
    from evaluate.cost import formulas, prices
    from synth.pipeline.plan import Outside

    sheet = prices.load(workspace=workspace.path)
    return Outside(workspace, lambda usage, model: formulas.bill(usage, model, sheet).usd, on_progress, stop)


def write(
    workspace: Workspace, arguments: dict[str, Any], on_progress: ProgressFn, stop: Callable[[], bool]
) -> Outcome:
    """Run a pipeline; one of that name that ended early goes on."""
    from synth.pipeline import work
    from synth.pipeline.plan import RunPlan
    from synth.strict import validated

    plan, name = validated(RunPlan, arguments["plan"], "run"), str(arguments["name"])
    given = outside(workspace, on_progress, stop)
    if (workspace.pipelines / name / work.RUN).is_file():
        changes = {"rows": plan.rows, "cap_usd": plan.cap_usd, "inputs": plan.inputs, "teachers": plan.teachers}
        return {"dataset": work.resume(name, given, **changes).name}
    return {"dataset": work.start(name, plan, given).name}


def preview(
    workspace: Workspace, arguments: dict[str, Any], on_progress: ProgressFn, stop: Callable[[], bool]
) -> Outcome:
    """The first rows of a run, what was rejected, and the forecast, in plain values."""
    from synth.pipeline import forecast
    from synth.pipeline.plan import RunPlan
    from synth.strict import validated

    plan = validated(RunPlan, arguments["plan"], "run")
    seen = forecast.preview(plan, outside(workspace, on_progress, stop))
    reasons = Counter(f"{step}: {one.reason}" for step, one in seen.rejected)
    return {
        "rows": [row.model_dump(mode="json") for row in seen.rows],
        "reasons": dict(reasons.most_common()),
        "rejected": [
            {"step": step, "reason": one.reason, "detail": one.detail, **one.candidate.record()}
            for step, one in seen.rejected[:SHOWN]
        ],
        "forecast": seen.forecast._asdict(),
        "paid_usd": seen.paid_usd,
    }
