"""Rows written by models, as work of a task: a run of a pipeline, or the preview of one; and with which prices."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth.errors import StorageError, UserError
from synth.progress import ProgressFn
from synth.workspace import Workspace

if TYPE_CHECKING:
    from synth.dataset import DatasetDir
    from synth.pipeline.plan import Outside

Outcome = dict[str, Any]
TERMINAL = "`smolstudio pipeline"
GO_ON = "“Try again” goes on from there; no answer is paid twice, and what was accepted can be taken as it is."
RAISE = "“Change it” and raise the spend cap; no answer is paid twice, and what was accepted can be taken as it is."
"""What a page offers for a run that ended early, and for one that reached its cap."""
SHOWN = 50
"""Rejected candidates of a preview that a page lists."""


def outside(workspace: Workspace, on_progress: ProgressFn, stop: Callable[[], bool]) -> Outside:
    """What a run needs from here: the workspace's prices, who shows its progress, who stops it."""
    from evaluate.cost import formulas, prices
    from synth.pipeline.plan import Outside

    sheet = prices.load(workspace=workspace.path)
    return Outside(workspace, lambda usage, model: formulas.bill(usage, model, sheet).usd, on_progress, stop)


@contextlib.contextmanager
def spread(given: Outside, engine: str, address: str) -> Iterator[Outside]:
    """The same, whose requests are sent by the machines of an engine that was asked for by name.

    The workspace's setting does not count here: a teacher's address may be one of this machine.
    """
    from studio.engines import rows

    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(rows.opened(given.workspace, engine or "local", address))
        yield given if cluster is None else given._replace(send=stack.enter_context(cluster.sending()))


def write(
    workspace: Workspace, arguments: dict[str, Any], on_progress: ProgressFn, stop: Callable[[], bool]
) -> Outcome:
    """Run a pipeline; one of that name that ended early goes on, as it is asked for now.

    Raises StorageError where that name belongs to a run of another pipeline.
    """
    from synth.pipeline import work
    from synth.pipeline.plan import RunPlan
    from synth.strict import validated

    plan, name = validated(RunPlan, arguments["plan"], "run"), str(arguments["name"])
    given = outside(workspace, on_progress, stop)
    if not (workspace.pipelines / name / work.RUN).is_file():
        return {"dataset": _on_a_page(lambda: work.start(name, plan, given))}
    _, before = work.read_run(name, workspace)
    if before.pipeline != plan.pipeline:
        message = f"There is a run '{name}' of {Path(before.pipeline).stem} already; nothing was asked."
        remedy = f"Choose another name, or go on with that one (`smolstudio pipeline resume {name}`)."
        raise StorageError(message, remedy, "pipeline.exists")
    return {"dataset": _on_a_page(lambda: work.resume(name, given, **plan.model_dump(exclude={"pipeline"})))}


def _on_a_page(run: Callable[[], DatasetDir]) -> str:
    """The dataset's name; what a terminal would be typed into is said as what the page has buttons for."""
    try:
        return run().name
    except UserError as error:
        if TERMINAL not in error.remedy:
            raise
        remedy = RAISE if error.code == "endpoint.budget" else GO_ON
        raise type(error)(error.message, remedy, error.code) from error


def preview(
    workspace: Workspace, arguments: dict[str, Any], on_progress: ProgressFn, stop: Callable[[], bool]
) -> Outcome:
    """The first rows of a run, what was rejected, and the forecast, in plain values."""
    from synth.pipeline import forecast
    from synth.pipeline.plan import RunPlan
    from synth.strict import validated

    plan = validated(RunPlan, arguments["plan"], "run")
    seen = forecast.preview(plan, outside(workspace, on_progress, stop), arguments["rows"])
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
