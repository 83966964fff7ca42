"""A preview of a run: its first rows, for real, and what the whole would cost and take.

    seen = preview(plan, outside, rows=20)
    seen.forecast.usd

The answers of a preview are kept: the run that follows does not pay for them again.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from synth.context import Ledger
from synth.errors import RunError
from synth.example import Example
from synth.pipeline.asking import Spending, Teacher
from synth.pipeline.candidate import Rejected
from synth.pipeline.engine import PipelineEngine, StepCount, Tally, usd_of
from synth.pipeline.plan import Outside, RunPlan
from synth.pipeline.routing import contestants, roles
from synth.pipeline.spec import find_pipeline
from synth.pipeline.step import MAIN
from synth.pipeline.steps import KINDS
from synth.pipeline.steps.row import ROW
from synth.pipeline.work import engine_of, note_of, opened
from synth.progress import Meter
from synth.wilson import wilson_bounds

TENTH = 0.1
PATIENCE = 10
"""Candidates that were asked about in vain for each row of a preview, after which it ends with the rows that it has."""


class Forecast(NamedTuple):
    """What a run would cost and take.

    Attributes:
        rows: accepted rows of the run; None where all seeds are used and their number is not known.
        usd: cost of all answers, those of the preview too; None without a price or an accepted row.
        usd_range: `usd` at the ends of the 95 % interval (Wilson) of the acceptance rate.
        seconds: time at the teachers' concurrency.
        rows_for_tenth: accepted rows of a preview whose interval would end a tenth above `usd`; None where that many
            are not to be made.
    """

    rows: int | None
    usd: float | None
    usd_range: tuple[float, float] | None
    usd_per_row: float | None
    seconds: float | None
    accepted: int
    rejected: int
    rows_for_tenth: int | None = None


class Preview(NamedTuple):
    """The first rows of a run, some rejected candidates of each step, and the forecast."""

    rows: list[Example]
    rejected: list[tuple[str, Rejected]]
    steps: tuple[StepCount, ...]
    forecast: Forecast
    paid_usd: float | None


class _Enough(Exception):
    """More rejected candidates than a preview has patience for."""


def preview(plan: RunPlan, outside: Outside, rows: int = 20) -> Preview:
    """The first `rows` accepted rows, and the forecast for `plan.rows`. Raises as `work.start`."""
    rows = min(rows, plan.rows or rows)
    pipeline = find_pipeline(plan.pipeline)
    rejected: list[tuple[str, Rejected]] = []
    in_vain = 0
    found: list[Example] = []
    spending = Spending(Ledger())

    def on_rejected(step: str, one: Rejected) -> None:
        nonlocal in_vain
        rejected.append((step, one))
        in_vain += one.candidate.asked()
        if in_vain > PATIENCE * rows:
            raise _Enough

    small = plan.model_copy(update={"rows": rows})
    with opened(plan, outside, spending) as teachers, tempfile.TemporaryDirectory(prefix="smolstudio-") as media:
        engine = engine_of(pipeline, small, teachers, outside, on_rejected, Path(media))
        meter = Meter("preview", rows, "rows", outside.on_progress)
        with contextlib.suppress(_Enough):
            for candidate in engine.rows():
                if not candidate.given:
                    found.append(candidate.fields[ROW])
                meter.update(engine.accepted, note_of(engine, spending))
        if not engine.tallies:
            raise RunError("The pipeline has no steps.", "Add some.", "pipeline.invalid")
        expected = forecast(engine, plan.rows if not engine.exhausted else engine.accepted, teachers)
    return Preview(found, rejected, engine.counts(), expected, spending.usd)


def bake_off(plan: RunPlan, outside: Outside, rows: int = 20) -> dict[str, Preview]:
    """A preview with each teacher of the plan as the one that writes; roles of the steps, such as judge, stay.

    Raises RecipeError when there are fewer than two.
    """
    pipeline = find_pipeline(plan.pipeline)
    steps = pipeline.bind(pipeline.read_inputs(plan.inputs))
    names = contestants(plan, steps)
    judges = {name: one for name, one in plan.teachers.items() if name not in names}
    # Whoever judges is the same for all, or each would judge itself.
    judges |= dict.fromkeys(roles(steps) - judges.keys(), plan.teachers[names[0]])
    plans = {name: plan.model_copy(update={"teachers": {MAIN: plan.teachers[name], **judges}}) for name in names}
    return {name: preview(one, outside, rows) for name, one in plans.items()}


def forecast(engine: PipelineEngine, rows: int | None, teachers: dict[str, Teacher]) -> Forecast:
    """What `rows` accepted rows would cost, from those of the engine so far."""
    gathered = engine.gathered()
    once, repeated = engine.tallies[: gathered + 1], engine.tallies[gathered + 1 :]
    accepted = engine.accepted
    lost = sum(one.reasons.total() for one in repeated if one.step.kind is not KINDS["given"])  # nobody was asked
    fixed, variable = usd_of(once), usd_of(repeated)
    if not accepted:
        return Forecast(rows, None, None, None, None, 0, lost)
    ended = [_ended(repeated[place:], accepted) for place in range(len(repeated))]
    if variable is not None:
        variable = sum((one.usd or 0.0) * share for one, share in zip(repeated, ended, strict=True))
    per_row = None if variable is None else variable / accepted
    usd = None if per_row is None or fixed is None or rows is None else fixed + per_row * rows
    bounds = None
    if usd is not None and variable is not None and fixed is not None and rows is not None:
        low, high = wilson_bounds(accepted / (accepted + lost), accepted + lost)
        per_candidate = variable / (accepted + lost)
        bounds = (min(usd, fixed + per_candidate * rows / high), fixed + per_candidate * rows / low)
    seconds = None
    if rows is not None:
        seconds = _seconds(once, [1.0] * len(once), teachers)
        seconds += _seconds(repeated, ended, teachers) * rows / accepted
    return Forecast(rows, usd, bounds, per_row, seconds, accepted, lost, _rows_for_tenth(accepted, lost, rows))


def _rows_for_tenth(accepted: int, lost: int, rows: int | None) -> int | None:
    """Accepted rows, in tens, from which the interval's upper end is within 10 % of the forecast.

    A preview ends with a row that was accepted, so candidates ÷ rows is an unbiased estimate of what a row takes; how
    far it may be off depends on nothing but the number of rows and the share that is accepted. That share is taken from
    the middle of its interval: 20 of 20 do not show that none is ever rejected.
    """
    share = fmean(wilson_bounds(accepted / (accepted + lost), accepted + lost))
    for wanted in range(10, rows or 0, 10):
        if share / wilson_bounds(share, round(wanted / share))[0] <= 1 + TENTH:
            return wanted
    return None


def _ended(tallies: list[Tally], accepted: int) -> float:
    """The share of the first step's candidates that were accepted or rejected since.

    A preview ends with its last row, and answers of candidates that were on their way then belong to none. Where a
    later step makes several candidates of one, they cannot be told apart: 1.
    """
    later = [one for one in tallies[1:] if one.step.kind is not KINDS["given"]]  # which adds rows of the user's own
    if any(one.step.kind.fans_out and one.out > one.taken for one in later):
        return 1.0
    out = tallies[0].out
    return min(1.0, (accepted + sum(one.reasons.total() for one in tallies)) / out) if out else 1.0


def _seconds(tallies: list[Tally], shares: list[float], teachers: dict[str, Teacher]) -> float:
    """Time of these shares of the answers, each teacher's at its concurrency; teachers work beside each other."""
    by_teacher: dict[str, float] = {}
    for one, share in zip(tallies, shares, strict=True):
        if one.step.kind.asks:
            name = getattr(one.step.settings, "teacher", "")
            name = name if name in teachers else next(iter(teachers), "")
            by_teacher[name] = by_teacher.get(name, 0.0) + one.seconds * share / teachers[name].concurrency
    return max(by_teacher.values(), default=0.0)
