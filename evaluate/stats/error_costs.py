"""What mistakes of each kind cost, and from which confidence on a model should answer by itself.

A row that the model is less sure of than the threshold goes to a person (or to another model) at a price; above it the
model's answer stands, and a wrong one costs what that kind of mistake costs. The threshold with the least cost is found
by trying every one. Its own cost is too good, because it was chosen on the same rows; the cost that is reported is of
rows that had no part in choosing it (ten folds). Confidence is whatever ranks the rows: no probability is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from evaluate.stats.clusters import Floats, t_quantile
from evaluate.stats.intervals import wilson

FOLDS = 10
FEWEST_ROWS = 20
ALWAYS, NEVER = 0.0, float("inf")


class Cost(NamedTuple):
    """USD (or any unit) per row, its mean with a 95 % interval over rows."""

    mean: float
    low: float
    high: float


class Threshold(NamedTuple):
    """`at`: answer alone from this confidence on (inf: never). `alone`: share of rows that are.

    `cost` is cross-fitted; `all_alone` and `all_handed` are those of answering every row, and of handing every row on.
    """

    at: float
    alone: float
    cost: Cost
    all_alone: Cost
    all_handed: float


def mistake_costs(gold: Sequence[str], given: Sequence[str], costs: Mapping[tuple[str, str], float]) -> Floats:
    """(n,) cost of each answer: 0 where it is right, and that of the pair where it is not.

    An answer outside the labels ("" too) costs as much as the dearest mistake of its gold label: nobody acts on it
    rightly. Raises ValueError for a negative cost.
    """
    if any(value < 0 for value in costs.values()):
        raise ValueError("a mistake cannot cost less than nothing")
    dearest: dict[str, float] = {}
    for (label, _), value in costs.items():
        dearest[label] = max(dearest.get(label, 0.0), value)
    return np.array(
        [0.0 if a == b else costs.get((a, b), dearest.get(a, 0.0)) for a, b in zip(gold, given, strict=True)]
    )


def best_threshold(mistakes: Floats, confidence: Floats, handed: float, dearest: float = 0.0) -> Threshold | None:
    """The threshold with the least cost on these rows; None for fewer than 20 rows, which decide nothing.

    `dearest`: what the dearest kind of mistake costs, for rows that show none.
    """
    n = len(mistakes)
    if n < FEWEST_ROWS:
        return None
    at = _cheapest(mistakes, confidence, handed)
    folds = np.arange(n) % FOLDS
    out_of_fold = np.empty(n)
    for fold in range(FOLDS):
        here = folds == fold
        chosen = _cheapest(mistakes[~here], confidence[~here], handed)
        out_of_fold[here] = np.where(confidence[here] >= chosen, mistakes[here], handed)
    alone = float(np.mean(confidence >= at))
    return Threshold(at, alone, mean_cost(out_of_fold, dearest), mean_cost(mistakes, dearest), handed)


def mean_cost(costs: Floats, dearest: float = 0.0) -> Cost:
    """Mean with a t interval over rows, which never begins below 0.

    It ends no lower than where the Wilson interval of the share of rows that cost something would put it: rows without
    a mistake do not show that there are none. Unseen mistakes cost as much as those that were seen, or `dearest`.
    """
    n, costly = len(costs), costs[costs > 0]
    mean = float(costs.mean())
    half = t_quantile(0.975, max(1, n - 1)) * float(costs.std(ddof=1)) / n**0.5
    each = float(costly.mean()) if len(costly) else dearest
    return Cost(mean, max(0.0, mean - half), max(mean + half, wilson(len(costly), n).high * each))


def _cheapest(mistakes: Floats, confidence: Floats, handed: float) -> float:
    """Of equally cheap thresholds the lowest, which hands on the fewest rows."""
    order = np.argsort(-confidence, kind="stable")
    sure = confidence[order]
    # Cost of answering the k most confident rows alone and handing on the rest, for k = 0 .. n.
    totals = np.concatenate(([0.0], np.cumsum(mistakes[order]))) + handed * np.arange(len(sure), -1, -1)
    # Rows of equal confidence cannot be parted.
    allowed = [0, *(k for k in range(1, len(sure)) if sure[k - 1] > sure[k]), len(sure)]
    best = min(allowed, key=lambda k: (round(float(totals[k]), 12), -k))
    return NEVER if best == 0 else ALWAYS if best == len(sure) else float(sure[best - 1])
