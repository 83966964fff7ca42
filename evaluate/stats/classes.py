"""Classification: per-class recall, precision and F1, macro-F1 with its interval, confusion counts, majority line.

Labels are compared as given; which replies are read as which label is the scorer's business. An answer outside the
gold labels counts as wrong for its gold class and for no other. Formulas: docs/evaluation.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evaluate.stats.clusters import Caution, Codes, Floats, cluster_codes, counted, picked, spread, t_quantile
from evaluate.stats.intervals import Interval, mean_score
from evaluate.stats.paired import Difference
from synth.wilson import wilson_bounds

CLASSES = Caution(0.5, False, 1.0)
"""A few mistakes say little of the mistakes in a rare class."""


class ClassFacts(NamedTuple):
    """One gold label. precision is None when nothing was given that label; recall has its interval."""

    label: str
    gold: int
    given: int
    right: int
    recall: Interval
    precision: float | None
    f1: float


class Classes(NamedTuple):
    """confusion: (gold, given, rows), most frequent first; majority: share of the most frequent gold label."""

    classes: tuple[ClassFacts, ...]
    macro_f1: Interval
    accuracy: Interval
    majority_label: str
    majority: float
    confusion: tuple[tuple[str, str, int], ...]


def classification(
    gold: Sequence[str], given: Sequence[str], clusters: Sequence[str] | None = None, unit: str = "template"
) -> Classes:
    """Every figure of one system. ValueError for no rows or lists of different length."""
    labels = _labels(gold, given)
    codes = cluster_codes(len(gold), clusters)
    asked, answered = _coded(gold, labels), _coded(given, labels)
    counts, pulls = _macro(asked, answered, len(labels))
    value = float(_f1(counts).mean())
    # The variance that a row's pull has when every class is mistaken alike: rare classes weigh more than their rows.
    uneven = float(len(gold) / counts[:, 1] @ np.ones(len(labels))) / len(labels) ** 2
    found = spread(pulls, asked != answered, codes, value * (1 - value) * uneven, CLASSES)
    effective = found.effective / uneven
    bounds = wilson_bounds(value, effective, t_quantile(0.975, found.dof))
    method = f"linearised, Wilson, t({found.dof}), {counted(found.clusters, len(gold), unit)}"
    facts = []
    for index, label in enumerate(labels):
        here = np.flatnonzero(asked == index)
        right = (answered[here] == index).astype(np.float64)
        own = None if clusters is None else picked(clusters, here)
        of_gold, times_given = (int(counts[index, which]) for which in (1, 2))
        precision = float(counts[index, 0] / times_given) if times_given else None
        recall, f1 = mean_score(right, own, unit), float(_f1(counts)[index])
        facts.append(ClassFacts(label, of_gold, times_given, int(right.sum()), recall, precision, f1))
    most, times = Counter(gold).most_common(1)[0]
    return Classes(
        tuple(facts),
        Interval(value, bounds.low, bounds.high, len(gold), method, effective),
        mean_score(asked == answered, clusters, unit),
        most,
        times / len(gold),
        tuple((a, b, count) for (a, b), count in Counter(zip(gold, given, strict=True)).most_common()),
    )


def macro_f1_difference(
    gold: Sequence[str],
    small: Sequence[str],
    large: Sequence[str],
    clusters: Sequence[str] | None = None,
    unit: str = "template",
) -> Difference:
    """Macro-F1 of small - large on the same rows, linearised, with t(C - 1) (see `ratios`)."""
    from evaluate.stats.ratios import linear_difference

    labels = _labels(gold, small)
    truth, a, b = (_coded(one, labels) for one in (gold, small, large))
    (ours, our_pulls), (theirs, their_pulls) = (_macro(truth, one, len(labels)) for one in (a, b))
    delta = float(_f1(ours).mean() - _f1(theirs).mean())
    return linear_difference(delta, our_pulls - their_pulls, (a != truth) | (b != truth), clusters, unit)


def _labels(gold: Sequence[str], given: Sequence[str]) -> list[str]:
    if not gold or len(gold) != len(given):
        raise ValueError(f"{len(gold)} gold labels and {len(given)} answers")
    return sorted(set(gold))


def _coded(given: Sequence[str], labels: Sequence[str]) -> Codes:
    """(n,) the place of each in the labels, -1 for anything else."""
    place = {label: index for index, label in enumerate(labels)}
    return np.fromiter((place.get(one, -1) for one in given), np.intp, len(given))


def _macro(asked: Codes, answered: Codes, count: int) -> tuple[Floats, Floats]:
    """From (n,) gold and given labels, `count` of them: (K, 3) right, gold and given per label; (n,) each row's pull
    on the macro-F1, summing to 0.

    F1 = 2 right / (gold + given), so a row pulls by (2 right - F1 (gold + given)) / total of its classes, over K.
    """
    counts = np.zeros((count, 3))
    counts[:, 0] = np.bincount(asked[asked == answered], minlength=count)
    counts[:, 1] = np.bincount(asked, minlength=count)
    counts[:, 2] = np.bincount(answered[answered >= 0], minlength=count)
    f1, total = _f1(counts), counts[:, 1] + counts[:, 2]
    pulls = (2.0 * (asked == answered) - f1[asked]) / total[asked]
    known = answered >= 0
    pulls[known] -= f1[answered[known]] / total[answered[known]]
    return counts, pulls * len(asked) / count


def _f1(counts: Floats) -> Floats:
    return 2 * counts[:, 0] / (counts[:, 1] + counts[:, 2])
