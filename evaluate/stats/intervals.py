"""Intervals of one figure: a rate or mean score, a word error rate, the spread over training seeds.

Score intervals: a value is plausible when the data would not be surprising under it, with the variance that belongs to
*it*, so they never leave 0..1, are never of zero width and stay honest near 0 and 1. Differences are in `paired`,
ratios of money in `ratios`, F1 in `classes`. Formulas, sources and simulations: docs/evaluation.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from evaluate.stats.clusters import (
    FEWEST_CLUSTERS,
    cluster_codes,
    counted,
    none_of,
    spread,
    t_quantile,
    too_few,
)
from synth.wilson import wilson_bounds


class Interval(NamedTuple):
    """A value with its two-sided 95 % interval; `method`: how it was made; `effective`: rows it is worth."""

    value: float
    low: float
    high: float
    n: int
    method: str
    effective: float


class SeedSpread(NamedTuple):
    """Spread over training seeds; low/high is the t interval of the mean, None below three seeds."""

    n: int
    mean: float
    sd: float
    smallest: float
    largest: float
    low: float | None
    high: float | None


def wilson(correct: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of `correct` right rows out of `n` independent ones. ValueError when n is 0."""
    from scipy.special import ndtri

    if n <= 0:
        raise ValueError("a rate needs at least one scored row")
    bounds = wilson_bounds(correct / n, n, float(ndtri(0.5 + confidence / 2)))
    return Interval(correct / n, bounds.low, bounds.high, n, "Wilson", float(n))


def mean_score(scores: ArrayLike, clusters: Sequence[str] | None = None, unit: str = "template") -> Interval:
    """Interval of a mean of scores between 0 and 1: Wilson on the effective number of rows, with t(C - 1).

    n_eff = n / (design effect x dispersion), see `clusters.spread`. One or two clusters say nothing of others: 0 to 1.
    ValueError for no rows.
    """
    values = np.asarray(scores, dtype=np.float64)
    n = len(values)
    if n == 0:
        raise ValueError("a rate needs at least one scored row")
    mean, codes = float(values.mean()), cluster_codes(n, clusters)
    found = spread(values - mean, _not_usual(values), codes, mean * (1 - mean))
    if found.clusters < FEWEST_CLUSTERS:
        return Interval(mean, 0.0, 1.0, n, too_few(found.clusters, n, unit), found.effective)
    bounds = wilson_bounds(min(1.0, max(0.0, mean)), found.effective, t_quantile(0.975, found.dof))
    method = f"Wilson, t({found.dof}), {counted(found.clusters, n, unit)}, design effect {found.design:.2g}"
    return Interval(mean, bounds.low, bounds.high, n, method, found.effective)


def _not_usual(values: np.ndarray) -> np.ndarray:
    """Rows whose value is not the most frequent one."""
    levels, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return which != counts.argmax() if len(levels) > 1 else np.zeros(len(values), dtype=bool)


def error_rate(
    edits: ArrayLike, words: ArrayLike, clusters: Sequence[str] | None = None, unit: str = "template"
) -> Interval:
    """Corpus error rate (sum of edits / sum of reference words, never the mean of rows) with a score interval.

    Values r with |rate - r| <= t se (r / rate)^(p/2), se from each row's edits - rate x words (Taylor linearisation).
    Below, p = 1, as of Poisson counts; above, p = 3/2, as of counts whose rate differs between clusters (compound
    Poisson, Tweedie 1984): few clusters cannot tell which holds, and each is the wider one there. Without any edit: at
    most 1 - 0.025^(1/C) of clusters go wrong, each by at most all of its words. ValueError without reference words.
    """
    e, w = np.asarray(edits, dtype=np.float64), np.asarray(words, dtype=np.float64)
    n, total = len(e), float(w.sum())
    if total <= 0:
        raise ValueError("an error rate needs reference words")
    rate, codes = float(e.sum()) / total, cluster_codes(n, clusters)
    found = spread((e - rate * w) / (total / n), e > 0, codes, 0.0)
    said = f"{counted(found.clusters, n, unit)}, design effect {found.design:.2g}"
    if found.clusters < FEWEST_CLUSTERS:
        return Interval(rate, 0.0, max(1.0, rate), n, too_few(found.clusters, n, unit), 1.0)
    if rate == 0:
        high = none_of(found.units, 0.025)
        return Interval(0.0, 0.0, high, n, f"exact bound, no errors, {said}", found.units)
    quantile = t_quantile(0.975, found.dof)
    shift = quantile**2 * found.se**2 / rate
    half = math.sqrt(shift * rate + shift**2 / 4)
    low, high = rate + shift / 2 - half, _tweedie_bound(rate, quantile * found.se)
    return Interval(rate, max(0.0, low), high, n, f"score, t({found.dof}), {said}", n / found.design)


def _tweedie_bound(rate: float, reach: float) -> float:
    """The r > rate with r - rate = reach (r / rate)^(3/4), by Newton's method on u = r^(1/4), from above."""
    pull = reach / rate**0.75
    u = rate**0.25 + pull
    for _ in range(50):
        step = (u**4 - pull * u**3 - rate) / (4 * u**3 - 3 * pull * u**2)
        u -= step
        if abs(step) < 1e-14 * u:
            break
    return float(u**4)


def seed_spread(values: Sequence[float]) -> SeedSpread:
    """Mean, standard deviation and range of one metric over training seeds."""
    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    if n == 0:
        raise ValueError("no seeds")
    mean, sd = float(array.mean()), float(array.std(ddof=1)) if n > 1 else 0.0
    half = t_quantile(0.975, n - 1) * sd / math.sqrt(n) if n >= 3 else None
    low, high = (mean - half, mean + half) if half is not None else (None, None)
    return SeedSpread(n, mean, sd, float(array.min()), float(array.max()), low, high)
