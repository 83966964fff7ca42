"""From scored rows to figures with intervals: one system on one split, two systems on the same rows.

Knows which metrics are better when lower (word and character error rates, which are ratios of sums, never means of
rows) and hides that from the rest: every difference is positive where it favours the small system.
Not here: the mathematics (stats.py), money (economics.py), words (wording.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluate.report.results import Row, SystemResult
from evaluate.stats import certainty
from synth.scoring.scorers import metric as metric_facts
from synth.usage import total

MOST_FAMILIES = 100  # of one split; data whose every row is its own family must not make a report of 50,000 tables
JsonDict = dict[str, Any]


class Pair(NamedTuple):
    """Rows that both systems have a score for, in the same order; `dropped` rows lack one or both scores."""

    small: tuple[Row, ...]
    large: tuple[Row, ...]
    dropped: int

    @property
    def templates(self) -> list[str]:
        return [row.template for row in self.small]


def is_scored(row: Row, metric: str) -> bool:
    """Whether the row counts: it has a score and, for error rates, a reference to divide by."""
    return row.score is not None and (not metric_facts(metric).pools_edits or row.ref_units is not None)


def scores(rows: Sequence[Row]) -> certainty.Floats:
    """(n,) scores of scored rows, higher is better."""
    return np.array([row.score for row in rows], dtype=np.float64)


def edit_columns(rows: Sequence[Row]) -> certainty.Floats:
    """(n, 2): edits and reference units of each row."""
    return np.array([(row.edits or 0, row.ref_units or 0) for row in rows], dtype=np.float64).reshape(-1, 2)


def value(rows: Sequence[Row], metric: str, seed: int) -> certainty.Interval | None:
    """The metric over scored rows with its 95 % interval; None when there are none."""
    if not rows:
        return None
    if metric_facts(metric).pools_edits:
        columns = edit_columns(rows)
        if columns[:, 1].sum() == 0:
            return None
        boot = certainty.cluster_bootstrap(columns, certainty.ratio, [row.template for row in rows], seed)
        return certainty.Interval(boot.value, boot.low, boot.high, len(rows), boot.method)
    return certainty.mean_score(scores(rows), [row.template for row in rows], seed)


def pair(small: SystemResult, large: SystemResult, split: str) -> Pair:
    """The rows of one split that both systems were scored on."""
    ours, theirs = ([row for row in system.rows if row.split == split] for system in (small, large))
    return pair_rows(ours, theirs, small.metric)


def pair_rows(small: Sequence[Row], large: Sequence[Row], metric: str) -> Pair:
    """The rows, matched by example id, that are scored on both sides."""
    wanted = {row.example_id: row for row in large if is_scored(row, metric)}
    kept = [row for row in small if row.example_id in wanted and is_scored(row, metric)]
    return Pair(tuple(kept), tuple(wanted[row.example_id] for row in kept), len(small) - len(kept))


def difference(both: Pair, metric: str, seed: int) -> certainty.Difference | None:
    """How far the small system is ahead, clusters = templates; None below two common rows or without words to hear."""
    if len(both.small) < 2:
        return None
    if not metric_facts(metric).pools_edits:
        return certainty.paired_difference(scores(both.small), scores(both.large), both.templates, seed)
    columns = np.hstack([edit_columns(both.small), edit_columns(both.large)])
    if not columns[:, 1].any():
        return None

    def saved(sums: certainty.Floats) -> certainty.Floats:
        return certainty.ratio(sums[..., 2:]) - certainty.ratio(sums[..., :2])

    return certainty.bootstrap_difference(columns, saved, both.templates, seed)


def mcnemar(both: Pair, metric: str) -> certainty.McNemar | None:
    """Exact McNemar test where rows are right or wrong (for error rates: free of errors or not); else None."""
    if not both.small:
        return None
    a, b = scores(both.small), scores(both.large)
    if metric_facts(metric).pools_edits:
        return certainty.mcnemar(a >= 1, b >= 1)
    return certainty.mcnemar(a, b) if certainty.is_binary(a) and certainty.is_binary(b) else None


def split_summary(system: SystemResult, split: str, seed: int) -> JsonDict:
    """report.json's `systems[].splits{split}`: counts, value, interval; `value` None = nothing could be scored."""
    rows = [row for row in system.rows if row.split == split]
    scored = [row for row in rows if is_scored(row, system.metric)]
    interval = value(scored, system.metric, seed)
    faults = sum(row.format_fault for row in rows)
    return {
        "n": len(rows),
        "scored": len(scored),
        "unscored": len(rows) - len(scored),
        "errors": sum(bool(row.error) for row in rows),
        "metric": system.metric,
        "value": interval.value if interval else None,
        "ci95": [interval.low, interval.high] if interval else None,
        "method": interval.method if interval else "nothing to score",
        "templates": len({row.template for row in scored}),
        "format_faults": faults,
        "value_if_format_forgiven": _forgiven(scored, system.metric) if faults else None,
    }


def _forgiven(rows: Sequence[Row], metric: str) -> float | None:
    """Accuracy if every answer that is right but unreadable counted as right."""
    if metric_facts(metric).pools_edits or not rows:
        return None
    return float(np.mean([_forgiven_score(row) for row in rows]))


def _forgiven_score(row: Row) -> float:
    if row.value_if_format_forgiven is not None:
        return row.value_if_format_forgiven
    return 1.0 if row.format_fault else row.score or 0.0


def system_facts(system: SystemResult, splits: Sequence[str], seed: int) -> JsonDict:
    """Everything of `systems[]` but its cost."""
    speed = system.speed
    answered = [row for row in system.rows if not row.error]
    if any(row.usage.reported for row in answered):
        # Failed answers that reported tokens were paid as well: in the sum, but not among the answers it is shared by.
        counted = [row.usage for row in system.rows if row.usage.reported]
        unreported = sum(not row.usage.reported for row in answered)
        answered = [row for row in answered if row.usage.reported]
    else:
        counted, unreported = [row.usage for row in answered], 0
    usage = total(counted)
    return {
        "id": system.id,
        "label": system.label,
        "kind": system.kind,
        "base_model": system.base_model,
        "revision": system.revision,
        "adapter": system.adapter,
        "method": system.method,
        "prompting": system.prompting,
        "shots": system.shots,
        "max_new_tokens": system.max_new_tokens,
        "params": system.params,
        "stand_in": system.stand_in,
        "train_seed": system.train_seed,
        "hardware": system.hardware,
        "metric": system.metric,
        "higher_is_better": not metric_facts(system.metric).lower_is_better,
        "normaliser": system.normaliser,
        "splits": {split: split_summary(system, split, seed) for split in splits},
        "usage": {
            **usage.model_dump(),
            "answers": len(answered),
            "unreported": unreported,
            "largest_input_tokens": max((one.input_tokens or 0 for one in counted), default=0),
        },
        "latency_s": {"p50": speed.latency_p50, "p95": speed.latency_p95, "basis": speed.latency_basis},
        "requests_per_s": speed.requests_per_s,
        "audio_sec_per_s": speed.audio_sec_per_s,
        "batch_size": speed.batch_size,
        "wall_seconds": speed.wall_seconds,
        "load_seconds": speed.load_seconds,
    }


def comparison(
    small: SystemResult, large: SystemResult, split: str, margin: float, seed: int, main: bool
) -> JsonDict | None:
    """One row of `comparisons[]`; None when the two share fewer than two scored rows."""
    both = pair(small, large, split)
    found = difference(both, small.metric, seed)
    if found is None:
        return None
    test = mcnemar(both, small.metric)
    word = certainty.verdict(found, margin, small.label, large.label)
    power = certainty.minimum_detectable_effect(found.sd, found.n) if np.isfinite(found.sd) else None
    return {
        "small": small.id,
        "large": large.id,
        "split": split,
        "main": main,
        "n": found.n,
        "dropped_unscored": both.dropped,
        "clusters": found.clusters,
        "delta": found.delta,
        "ci95": [found.low, found.high],
        "lower_one_sided95": found.lower_one_sided,
        "sd": found.sd,
        "p": found.p,
        "p_mcnemar": test.p if test else None,
        "outcomes": test._asdict() if test else None,
        "method": found.method,
        "margin": margin,
        "minimum_detectable_effect": power,
        "verdict": word.word,
        "sentence": word.sentence,
        "rows_to_decide": word.rows_to_decide,
    }


def families(
    systems: Sequence[SystemResult], small: SystemResult, large: SystemResult | None, splits: Sequence[str], seed: int
) -> list[JsonDict]:
    """Per split and family: every system's value, and the main difference with Holm's correction over these families.

    Of a split with more than MOST_FAMILIES, the most numerous ones.
    """
    grouped = {system.id: _by_family(system.rows) for system in systems}
    metrics = {system.id: system.metric for system in systems}
    table = []
    for split in splits:
        sizes = {family: len(rows) for (where, family), rows in grouped[small.id].items() if where == split}
        names = sorted(sorted(sizes, key=lambda name: (-sizes[name], name))[:MOST_FAMILIES])
        rows = []
        for name in names:
            here = {system_id: groups.get((split, name), []) for system_id, groups in grouped.items()}
            values = {system_id: _value_of(found, metrics[system_id], seed) for system_id, found in here.items()}
            facts = {"split": split, "family": name, "n": len(here[small.id]), "values": values}
            both = pair_rows(here[small.id], here[large.id], small.metric) if large else None
            rows.append({**facts, **_ahead(both, small.metric, seed)})
        tested = [row for row in rows if row["p"] is not None]
        for row, adjusted in zip(tested, certainty.holm([row["p"] for row in tested]), strict=True):
            row["p_holm"] = adjusted
        table.extend(rows)
    return table


def family_counts(table: Sequence[JsonDict]) -> JsonDict:
    """Per split: families where the small system is ahead, level, behind, and for how many Holm's p is below 0.05.

    `mean_delta` weighs each family alike; the difference of the split weighs each row alike. A mean over families is
    no mean over rows.
    """
    found: JsonDict = {}
    for split in dict.fromkeys(row["split"] for row in table):
        rows = [row for row in table if row["split"] == split and row["delta"] is not None]
        if not rows:
            continue
        sure = [row for row in rows if row["p_holm"] is not None and row["p_holm"] < 0.05]
        found[split] = {
            "compared": len(rows),
            "ahead": sum(row["delta"] > 0 for row in rows),
            "level": sum(row["delta"] == 0 for row in rows),
            "behind": sum(row["delta"] < 0 for row in rows),
            "surely_ahead": sum(row["delta"] > 0 for row in sure),
            "surely_behind": sum(row["delta"] < 0 for row in sure),
            "mean_delta": float(np.mean([row["delta"] for row in rows])),
        }
    return found


def families_in_all(small: SystemResult, splits: Sequence[str]) -> dict[str, int]:
    """How many families each split has."""
    return {split: len({row.family for row in small.rows if row.split == split}) for split in splits}


def _by_family(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.split, row.family), []).append(row)
    return groups


def _value_of(rows: Sequence[Row], metric: str, seed: int) -> JsonDict:
    interval = value([row for row in rows if is_scored(row, metric)], metric, seed)
    if interval is None:
        return {"value": None, "ci95": None, "n": 0}
    return {"value": interval.value, "ci95": [interval.low, interval.high], "n": interval.n}


def _ahead(both: Pair | None, metric: str, seed: int) -> JsonDict:
    found = difference(both, metric, seed) if both else None
    return {
        "delta": found.delta if found else None,
        "ci95": [found.low, found.high] if found else None,
        "clusters": found.clusters if found else None,
        "p": found.p if found else None,
        "p_holm": None,
    }
