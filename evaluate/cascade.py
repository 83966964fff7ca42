"""A cascade from a finished comparison: the small system answers first, the large one where the small one is unsure.

    found = forecast(workspace, "comparison-id")     # what each threshold gives, on rows that did not choose it
    asked = sides(workspace, "comparison-id")        # how both systems were asked, for whoever serves them

The threshold is chosen on val and the figures are those of the report's primary split; rows as they stand in
scores.jsonl. Serves nothing (`studio.serving.cascade`) and asks nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from evaluate.cost import economics, formulas, payback, prices
from evaluate.cost.prices import PriceSheet
from evaluate.cost.spread import Spread, total
from evaluate.folds import SHOT_POOL
from evaluate.plan import Plan, SystemPlan
from evaluate.predict.prompts import Framing, Prompter
from evaluate.report.reading import read_report
from evaluate.report.results import Row
from evaluate.report.schema import Report
from evaluate.report.scored_rows import scored_rows
from evaluate.stats import measures
from evaluate.stats.clusters import Floats
from evaluate.stats.intervals import mean_score
from synth.dataset import open_dataset
from synth.errors import DataError
from synth.example import TextPart
from synth.generators import sampling_unit
from synth.scoring.scorers import metric as metric_facts
from synth.storage import sha256_file
from synth.workspace import Workspace

STEPS = 11  # thresholds: none handed on, a tenth of val, … all
FEWEST_ON_VAL = 20  # rows; fewer choose nothing


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Frozen):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Point(_Frozen):
    """A cascade at one threshold. USD are per request of the whole cascade; None = unpriced.

    `large_usd` is the large system's part of it, `usd` both systems'.
    """

    threshold: float
    handed_on: Estimate
    score: Estimate
    large_usd: Estimate | None
    usd: Estimate | None


class Forecast(_Frozen):
    """What a cascade will do, measured on `n` rows of `split`; the threshold of `chosen` comes from `n_val` val rows.

    `small_usd` and `large_usd`: what one answer of each system cost in the comparison.
    """

    comparison: str
    small: str
    large: str
    metric: str
    split: str
    n: int
    n_val: int
    small_usd: float | None
    large_usd: float | None
    points: tuple[Point, ...]
    chosen: Point


class Side(NamedTuple):
    """A system as the comparison asked it."""

    plan: SystemPlan
    framing: Framing


class Sides(NamedTuple):
    """Both systems of a comparison."""

    small: Side
    large: Side


class _Rows(NamedTuple):
    """Scored rows of both systems for which the small one gave a confidence."""

    confidence: Floats
    small: Floats
    large: Floats
    bills: Floats | None
    clusters: Sequence[str]
    unit: str


def forecast(workspace: Workspace, comparison: str, threshold: float | None = None) -> Forecast:
    """What the cascade of a finished comparison does at several thresholds, and at the one chosen on val, or given.

    Raises DataError where the comparison cannot tell.
    """
    report = _report(workspace, comparison)
    plan = Plan.model_validate(report.provenance.plan)
    large = report.large_system
    if large is None:
        raise DataError(
            "This comparison has no large system to hand over to.", "Compare with one.", "cascade.comparison"
        )
    if metric_facts(report.small_system.metric).pools_edits:
        message = f"Rates of errors ({report.small_system.metric}) belong to all rows together, not to one answer."
        raise DataError(message, "A cascade can be had for metrics that score each answer.", "cascade.comparison")
    sheet = prices.load(Path(plan.prices) if plan.prices else None, workspace.path)
    file = workspace.comparisons / comparison / "scores.jsonl"
    here, val = (_rows(file, report, split, sheet) for split in (report.primary_split, "val"))
    if here is None:
        message = f"The small system {report.small} gave no confidences: it is an endpoint, or a file of answers."
        raise DataError(message, "Compare with the tuned model itself as the small system.", "cascade.comparison")
    if threshold is None and (report.primary_split == "val" or val is None or len(val.small) < FEWEST_ON_VAL):
        count = 0 if val is None or report.primary_split == "val" else len(val.small)
        message = (
            f"The threshold is chosen on val rows, at least {FEWEST_ON_VAL} and none that is tested: here are {count}."
        )
        remedy = "Compare again with `splits: [val, test]` (answers are kept), or give threshold=…"
        raise DataError(message, remedy, "cascade.comparison")
    small_usd, large_usd = report.what_if.small_usd_per_request, report.what_if.large_usd_per_request
    steps = formulas.cascade_thresholds((val or here).confidence, STEPS)
    if threshold is None and val is not None:
        threshold = formulas.threshold_on(val.confidence, val.small, val.large, plan.margin)
    spread = payback.per_request(report.small_system)
    return Forecast(
        comparison=comparison,
        small=report.small,
        large=large.id,
        metric=report.small_system.metric,
        split=report.primary_split,
        n=len(here.small),
        n_val=len(val.small) if val is not None else 0,
        small_usd=small_usd,
        large_usd=large_usd,
        points=tuple(_point(here, at, spread) for at in steps),
        chosen=_point(here, threshold or 0.0, spread),
    )


def _point(rows: _Rows, threshold: float, small_usd: Spread | None) -> Point:
    handed = (rows.confidence < threshold).astype(np.float64)
    large_usd = None
    if rows.bills is not None:
        # Bills lie between nothing and the dearest of all, as scores lie between 0 and 1.
        top = float(rows.bills.max()) or 1.0
        large_usd = _mean(handed * rows.bills / top, rows, top)
    usd = None
    if large_usd is not None and small_usd is not None:
        both = total(small_usd, Spread(large_usd.value, large_usd.low, large_usd.high))
        usd = Estimate(**both._asdict())
    score = _mean(handed * rows.large + (1 - handed) * rows.small, rows)
    return Point(threshold=threshold, handed_on=_mean(handed, rows), score=score, large_usd=large_usd, usd=usd)


def _mean(values: Floats, rows: _Rows, factor: float = 1.0) -> Estimate:
    found = mean_score(values, rows.clusters, rows.unit)
    return Estimate(value=found.value * factor, low=found.low * factor, high=found.high * factor)


def _report(workspace: Workspace, comparison: str) -> Report:
    return read_report(workspace.comparisons / comparison / "report.json")


def _rows(file: Path, report: Report, split: str, sheet: PriceSheet) -> _Rows | None:
    """The rows of a split in scores.jsonl, or of one kind of its rows; None without confidences."""
    both: dict[str, dict[str, Row]] = {report.small: {}, report.large or "": {}}
    for system, row in scored_rows(file, report, split):
        if system in both:
            both[system][row.example_id] = row
    metric = report.small_system.metric
    pairs = [
        (row, other)
        for key, row in both[report.small].items()
        if (other := both[report.large or ""].get(key)) is not None
        and row.confidence is not None
        and measures.is_scored(row, metric)
        and measures.is_scored(other, metric)
    ]
    if len(pairs) < 2:
        return None
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    large = report.large_system
    unit = sampling_unit(report.dataset.generator, split.partition(".")[0])
    unit = unit if unit != "family" or len({row.family for row in ours}) > 1 else "template"
    return _Rows(
        np.array([row.confidence for row in ours], dtype=np.float64),
        measures.scores(ours),
        measures.scores(theirs),
        economics.row_costs(theirs, large, sheet) if large else None,
        measures.cluster_ids(ours, unit),
        unit,
    )


def sides(workspace: Workspace, comparison: str) -> Sides:
    """How a comparison asked its two systems. Raises DataError where its worked examples are no longer there."""
    report = _report(workspace, comparison)
    plan = Plan.model_validate(report.provenance.plan)
    small, large = plan.roles()
    return Sides(*(_side(workspace, report, plan, plan.system(name or "")) for name in (small, large)))


def _side(workspace: Workspace, report: Report, plan: Plan, system: SystemPlan) -> Side:
    if not system.with_shots and not system.held_to_schema:
        return Side(system, Framing(instruction=system.instruction))
    dataset = open_dataset(plan.dataset, workspace.datasets)
    known, now = report.dataset.sha256.get("train.jsonl"), dataset.path / "train.jsonl"
    if known and (not now.is_file() or sha256_file(now) != known):
        message = f"The train rows of {dataset.name} have changed since {report.provenance.comparison_id}."
        raise DataError(message, "Run the comparison again: answers are kept.", "cascade.comparison")
    framing = Prompter(system, dataset.draw("train", SHOT_POOL, plan.seed), plan.seed, dataset.path).framing
    if not all(isinstance(part, TextPart) for message in framing.shots for part in message.content):
        message = f"{system.name} is shown examples with pictures or recordings, which the service cannot send along."
        raise DataError(message, "Compare with `prompting: zero_shot` or `schema`.", "cascade.comparison")
    return Side(system, framing)
