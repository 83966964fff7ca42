"""From scored rows to figures with intervals: one system on one split, two systems on the same rows.

Knows which metrics are better when lower (word and character error rates, which are ratios of sums, never means of
rows) and hides that from the rest: every difference is positive where it favours the small system.
What a cluster is, the generator of the data says per split (`units`).
Not here: the mathematics (`paired`, `intervals`, `ratios`), money (`cost`), words (`report.wording`).
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluate.report.parts import (
    CarriedPart,
    Comparison,
    Family,
    FamilyCounts,
    FamilyValue,
    Outcomes,
    RowsNeeded,
    SplitSummary,
)
from evaluate.report.results import Results, Row, SystemResult
from evaluate.report.rows import Rows, equal, flags, marks, matched, numbers, of_split, taken, where
from evaluate.stats import influence, paired, power, verdict
from evaluate.stats.classes import Classes, classification, macro_f1_difference
from evaluate.stats.clusters import Floats, Ids, cluster_codes
from evaluate.stats.intervals import Interval, error_rate, mean_score
from evaluate.stats.ratios import error_rate_difference
from synth.generators import sampling_unit
from synth.scoring.scorers import metric as metric_facts
from synth.shelf import Mapped

MOST_FAMILIES = 100  # of one split; data whose every row is its own family must not make a report of 50,000 tables
MOST_CLASSES = 50  # labels of a classification; more are an open answer
Units = dict[str, str]  # split -> "template", "group" or "family": what its rows were sampled by


class PairedRows(NamedTuple):
    """Rows that both systems have a score for, in the same order; `dropped` rows lack one or both scores."""

    small: Sequence[Row]
    large: Sequence[Row]
    dropped: int
    unit: str

    @property
    def clusters(self) -> Sequence[str]:
        """(n,) cluster id of each row."""
        return cluster_ids(self.small, self.unit)


def units(results: Results, splits: Sequence[str]) -> Units:
    """What counts as one cluster in each split: what the data's generator says that it sampled there.

    Unseen families are few families, however many templates they have. One family alone cannot say how far another
    would be off; its templates are used, and `report.wording` says that the interval speaks of that family only.
    """
    found = {}
    for split in splits:
        unit = sampling_unit(results.dataset.generator, split.partition(".")[0])  # mixed splits: test.real
        known = [np.unique(marks(of_split(system.rows, split), "family")) for system in results.systems]
        several = bool(known) and len(np.unique(np.concatenate(known))) > 1
        found[split] = unit if unit != "family" or several else "template"
    return found


def cluster_ids(rows: Sequence[Row], unit: str) -> Sequence[str]:
    """(n,) cluster id of each row."""
    ids = Mapped(rows, lambda row: row.family if unit == "family" else row.template)
    return Ids(ids, marks(rows, "family" if unit == "family" else "template")) if isinstance(rows, Rows) else ids


def all_scored(rows: Sequence[Row], metric: str) -> NDArray[np.bool_]:
    """(n,) whether each row counts, see `is_scored`."""
    there = ~np.isnan(numbers(rows, "score"))
    return there & ~np.isnan(numbers(rows, "ref_units")) if metric_facts(metric).pools_edits else there


def is_scored(row: Row, metric: str) -> bool:
    """Whether the row counts: it has a score and, for error rates, a reference to divide by."""
    return row.score is not None and (not metric_facts(metric).pools_edits or row.ref_units is not None)


def scored_rows(system: SystemResult, split: str) -> Sequence[Row]:
    """The rows of a split that count."""
    rows = of_split(system.rows, split)
    return where(rows, all_scored(rows, system.metric))


def scores(rows: Sequence[Row]) -> Floats:
    """(n,) scores of scored rows, higher is better."""
    return numbers(rows, "score")


def edits_and_words(rows: Sequence[Row]) -> tuple[Floats, Floats]:
    """(n,) edits and (n,) reference units of each row."""
    return np.nan_to_num(numbers(rows, "edits")), np.nan_to_num(numbers(rows, "ref_units"))


def value(rows: Sequence[Row], metric: str, unit: str) -> Interval | None:
    """The metric over scored rows with its 95 % interval; None when there are none, or no reference words."""
    if not rows:
        return None
    if metric_facts(metric).pools_edits:
        edits, words = edits_and_words(rows)
        return error_rate(edits, words, cluster_ids(rows, unit), unit) if words.any() else None
    return mean_score(scores(rows), cluster_ids(rows, unit), unit)


def class_table(rows: Sequence[Row], unit: str = "template") -> Classes | None:
    """Per-class figures of scored rows of one split; None where gold answers are not a small set of labels.

    A small set: at most MOST_CLASSES labels, and five rows or more to each on average. A right answer counts as its
    gold label however it was written; any other as what the scorer read.
    """
    labels, most = set(), min(MOST_CLASSES, len(rows) // 5)
    for row in rows:
        labels.add(row.gold)
        if len(labels) > most:
            return None
    if len(labels) < 2:
        return None
    golds, given = _labels(rows)
    return classification(golds, given, cluster_ids(rows, unit), unit)


def _labels(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """(n,) gold labels and (n,) given ones, equal ones held once."""
    golds, given = [], []
    for row in rows:
        gold = sys.intern(row.gold)
        golds.append(gold)
        given.append(sys.intern(label_given(gold, row.answer, row.score)))
    return golds, given


def label_given(gold: str, answer: str, score: float | None) -> str:
    """The label that an answer counts as: its score says whether that is the gold one, however it was written."""
    return gold if score == 1 else "" if answer == gold else answer


def macro_f1_ahead(both: PairedRows) -> paired.Difference | None:
    """Macro-F1 of small minus large on the rows of both, where answers are classes."""
    if class_table(both.small) is None:
        return None
    (golds, ours), (_, theirs) = _labels(both.small), _labels(both.large)
    return macro_f1_difference(golds, ours, theirs, both.clusters, both.unit)


def pair(small: SystemResult, large: SystemResult, split: str, unit: str = "template") -> PairedRows:
    """The rows of one split that both systems were scored on."""
    ours, theirs = (of_split(system.rows, split) for system in (small, large))
    return pair_rows(ours, theirs, small.metric, unit)


def pair_rows(small: Sequence[Row], large: Sequence[Row], metric: str, unit: str = "template") -> PairedRows:
    """The rows, matched by example id, that are scored on both sides."""
    met = matched(small, large)
    both = all_scored(small, metric)[met.ours] & all_scored(large, metric)[met.theirs]
    ours, theirs = taken(small, met.ours[both]), taken(large, met.theirs[both])
    return PairedRows(ours, theirs, len(small) - len(ours), unit)


def difference(both: PairedRows, metric: str) -> paired.Difference | None:
    """How far the small system is ahead; None below two common rows or without reference words."""
    if len(both.small) < 2:
        return None
    if not metric_facts(metric).pools_edits:
        return paired.paired_difference(scores(both.small), scores(both.large), both.clusters, both.unit)
    (edits, words), (others, _) = edits_and_words(both.small), edits_and_words(both.large)
    return error_rate_difference(edits, others, words, both.clusters, both.unit) if words.any() else None


def mcnemar(both: PairedRows, metric: str) -> paired.McNemar | None:
    """Exact McNemar test where rows are right or wrong (for error rates: free of errors or not); else None.

    With clusters, their signs are flipped as wholes.
    """
    if not both.small:
        return None
    a, b = scores(both.small), scores(both.large)
    if metric_facts(metric).pools_edits:
        return paired.mcnemar(a >= 1, b >= 1, both.clusters)
    right_or_wrong = np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all()
    return paired.mcnemar(a, b, both.clusters) if right_or_wrong else None


def split_summary(system: SystemResult, split: str, unit: str = "template") -> SplitSummary:
    """One system on one split: counts, value, interval."""
    rows = of_split(system.rows, split)
    scored = where(rows, all_scored(rows, system.metric))
    interval = value(scored, system.metric, unit)
    faults = int(flags(rows, "format_fault").sum())
    return SplitSummary(
        n=len(rows),
        scored=len(scored),
        unscored=len(rows) - len(scored),
        errors=int(flags(rows, "error").sum()),
        metric=system.metric,
        value=interval.value if interval else None,
        ci95=(interval.low, interval.high) if interval else None,
        method=interval.method if interval else "nothing is said in these rows" if scored else "nothing to score",
        templates=len(np.unique(marks(scored, "template"))),
        unit=unit,
        clusters=len(np.unique(marks(scored, "family" if unit == "family" else "template"))),
        format_faults=faults,
        value_if_format_forgiven=_forgiven(scored, system.metric) if faults else None,
        carried=_carried(scored, unit) if metric_facts(system.metric).pools_edits else None,
    )


def _carried(rows: Sequence[Row], unit: str) -> CarriedPart | None:
    """The few rows that carry the error rate of all."""
    found = influence.carried(*edits_and_words(rows), cluster_ids(rows, unit), unit)
    if found is None:
        return None
    bounds = (found.without.low, found.without.high)
    return CarriedPart(rows=found.rows, share=found.share, value_without=found.without.value, ci95_without=bounds)


def _forgiven(rows: Sequence[Row], metric: str) -> float | None:
    """Accuracy if every answer that is right but unreadable counted as right."""
    if metric_facts(metric).pools_edits or not rows:
        return None
    forgiven, kept = numbers(rows, "value_if_format_forgiven"), np.nan_to_num(scores(rows))
    otherwise = np.where(flags(rows, "format_fault"), 1.0, kept)
    return float(np.mean(np.where(np.isnan(forgiven), otherwise, forgiven)))


def comparison(
    small: SystemResult, large: SystemResult, split: str, unit: str, margin: float, main: bool
) -> Comparison | None:
    """The two on one split, `p_holm` as of this comparison alone; None when they share fewer than two scored rows."""
    both = pair(small, large, split, unit)
    found = difference(both, small.metric)
    if found is None:
        return None
    test = mcnemar(both, small.metric)
    said = verdict.verdict(found, margin, small.label, large.label)
    rows = said.rows_to_decide
    return Comparison(
        small=small.id,
        large=large.id,
        split=split,
        main=main,
        n=found.n,
        dropped_unscored=both.dropped,
        clusters=found.clusters,
        unit="row" if found.clusters == found.n else found.unit,
        design_effect=found.design,
        delta=found.delta,
        ci95=(found.low, found.high),
        lower_one_sided95=found.lower_one_sided,
        sd=found.sd,
        p=found.p,
        p_holm=found.p,
        p_mcnemar=test.p if test else None,
        outcomes=_outcomes(test) if test else None,
        method=found.method,
        margin=margin,
        minimum_detectable_effect=power.minimum_detectable_effect(found),
        verdict=said.word,
        sentence=said.sentence,
        rows_to_decide=rows.low if rows else None,
        rows_to_decide_range=RowsNeeded(**rows._asdict()) if rows else None,
    )


def _outcomes(test: paired.McNemar) -> Outcomes:
    return Outcomes(
        both=test.both, only_small=test.only_small, only_large=test.only_large, neither=test.neither, p=test.p
    )


def families(
    systems: Sequence[SystemResult], small: SystemResult, large: SystemResult | None, splits: Sequence[str]
) -> list[Family]:
    """Per split and family: every system's value, and the main difference with Holm's correction over these families.

    Within a family the templates are the clusters. p is the exact sign-flip test over them, so that more wins never
    give a larger p. Of a split with more than MOST_FAMILIES, the most numerous ones.
    """
    metrics = {system.id: system.metric for system in systems}
    table = []
    for split in splits:
        asked = {system.id: of_split(system.rows, split) for system in systems}
        rows = []
        for name in sorted(_largest_families(asked[small.id])):
            here = {system_id: where(found, equal(found, "family", name)) for system_id, found in asked.items()}
            values = {system_id: _value_of(found, metrics[system_id]) for system_id, found in here.items()}
            both = pair_rows(here[small.id], here[large.id], small.metric) if large else None
            rows.append(_family(split, name, values, len(here[small.id]), both, small.metric))
        adjusted = iter(paired.holm([row.p for row in rows if row.p is not None]))
        table += [row if row.p is None else row.model_copy(update={"p_holm": next(adjusted)}) for row in rows]
    return table


def family_counts(table: Sequence[Family]) -> dict[str, FamilyCounts]:
    """Per split: families where the small system is ahead, level, behind, and for how many Holm's p is below 0.05.

    `mean_delta` weighs each family alike; the difference of the split weighs each row alike. A mean over families is
    no mean over rows.
    """
    found = {}
    for split in dict.fromkeys(row.split for row in table):
        rows = [(row.delta, row.p_holm) for row in table if row.split == split and row.delta is not None]
        if not rows:
            continue
        deltas = [delta for delta, _ in rows]
        sure = [delta for delta, p in rows if p is not None and p < 0.05]
        found[split] = FamilyCounts(
            compared=len(rows),
            ahead=sum(delta > 0 for delta in deltas),
            level=sum(delta == 0 for delta in deltas),
            behind=sum(delta < 0 for delta in deltas),
            surely_ahead=sum(delta > 0 for delta in sure),
            surely_behind=sum(delta < 0 for delta in sure),
            mean_delta=float(np.mean(deltas)),
        )
    return found


def families_in_all(small: SystemResult, splits: Sequence[str]) -> dict[str, int]:
    """How many families each split has."""
    return {split: len(np.unique(marks(of_split(small.rows, split), "family"))) for split in splits}


def _largest_families(rows: Sequence[Row]) -> list[str]:
    """The MOST_FAMILIES with the most rows, of equal ones those that come first in the alphabet."""
    _, first, sizes = np.unique(marks(rows, "family"), return_index=True, return_counts=True)
    order = np.argsort(first)
    found = ((-int(size), rows[int(place)].family) for place, size in zip(first[order], sizes[order], strict=True))
    return [name for _, name in heapq.nsmallest(MOST_FAMILIES, found)]


def _value_of(rows: Sequence[Row], metric: str) -> FamilyValue:
    counted = where(rows, all_scored(rows, metric))
    interval = value(counted, metric, "template")
    if interval is None:  # without rows, or with recordings in which nothing is said: they have no error rate
        return FamilyValue(value=None, ci95=None, n=len(counted))
    return FamilyValue(value=interval.value, ci95=(interval.low, interval.high), n=interval.n)


def _family(
    split: str, name: str, values: dict[str, FamilyValue], n: int, both: PairedRows | None, metric: str
) -> Family:
    """One family, with how far the small system is ahead; Holm's p is known once all families are."""
    found = difference(both, metric) if both else None
    return Family(
        split=split,
        family=name,
        n=n,
        values=values,
        delta=found.delta if found else None,
        ci95=(found.low, found.high) if found else None,
        clusters=found.clusters if found else None,
        p=_family_p(both, metric) if both and found else None,
        p_holm=None,
    )


def _family_p(both: PairedRows, metric: str) -> float:
    """Exact p of the family's sum of points, or of edits, under flips of whole templates."""
    codes = cluster_codes(len(both.small), both.clusters)
    if metric_facts(metric).pools_edits:
        return paired.sign_flip(edits_and_words(both.large)[0] - edits_and_words(both.small)[0], codes)
    return paired.sign_flip(scores(both.small) - scores(both.large), codes)
