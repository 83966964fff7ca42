"""Ratios of sums: the difference of two error rates, money per right answer, the ratio of two such costs.

Each row's pull on the ratio (Taylor linearisation) is treated like a mean over clusters, see `clusters.spread`, with
t(C - 1). The delete-one-cluster jackknife gives the same with clusters of one size and is too sure with one giant
cluster (docs/evaluation.md has both). `resample_sums` draws clusters for questions that have no interval, such as the
chance that two things hold at once. A single error rate is in `intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluate.stats.clusters import (
    FEWEST_CLUSTERS,
    Caution,
    Floats,
    cluster_codes,
    cluster_sums,
    counted,
    none_of,
    spread,
    t_quantile,
    t_two_sided,
    too_few,
)
from evaluate.stats.intervals import Interval, mean_score
from evaluate.stats.paired import Difference

RESAMPLES = 2000
RATIO = Caution(0.25, True, 0.5)


def error_rate_difference(
    small_edits: ArrayLike,
    large_edits: ArrayLike,
    words: ArrayLike,
    clusters: Sequence[str] | None = None,
    unit: str = "template",
) -> Difference:
    """Corpus error rate of large - small (positive favours the small system) on the same reference words.

    ValueError below two rows or without reference words.
    """
    a, b, w = (np.asarray(one, dtype=np.float64) for one in (small_edits, large_edits, words))
    n, total = len(w), float(w.sum())
    if n < 2 or total <= 0:
        raise ValueError("a difference of error rates needs two rows and reference words")
    d = b - a
    delta = float(d.sum()) / total
    return linear_difference(delta, (d - delta * w) / (total / n), (a + b) > 0, clusters, unit)


def linear_difference(
    delta: float, pulls: Floats, speaks: NDArray[np.bool_], clusters: Sequence[str] | None, unit: str
) -> Difference:
    """A difference of two ratios from each row's pull on it: (n,), summing to 0. speaks: see `clusters.spread`.

    Where no row pulls, at most 1 - 0.025^(1/C) of clusters do, each by at most 1.
    """
    n = len(pulls)
    found = spread(pulls, speaks, cluster_codes(n, clusters), 0.0, RATIO)
    said = f"{counted(found.clusters, n, unit)}, design effect {found.design:.2g}"
    if found.clusters < FEWEST_CLUSTERS:
        far = max(1.0, abs(delta))  # more words than were spoken can be wrong
        bounds, p, method = (-far, far, -far), 1.0, too_few(found.clusters, n, unit)
    elif found.se < 1e-12:
        two_sided, one_sided = none_of(found.units, 0.025), none_of(found.units, 0.05)
        bounds, method = (
            (delta - two_sided, delta + two_sided, delta - one_sided),
            f"exact bound, no row differs, {said}",
        )
        p = min(1.0, 2 * (1 - abs(delta)) ** found.units) if abs(delta) < 1 else 0.0
    else:
        two_sided, one_sided = t_quantile(0.975, found.dof) * found.se, t_quantile(0.95, found.dof) * found.se
        bounds, method = (
            (delta - two_sided, delta + two_sided, delta - one_sided),
            f"linearised ratio, t({found.dof}), {said}",
        )
        p = t_two_sided(delta / found.se, found.dof)
    se = found.se if found.clusters >= FEWEST_CLUSTERS else math.inf
    sd = se * math.sqrt(n)
    return Difference(delta, *bounds, se, sd, p, n, found.clusters, unit, found.design, found.units, method)


def cost_per_correct(
    usd: ArrayLike, right: ArrayLike, clusters: Sequence[str] | None = None, unit: str = "template"
) -> Interval | None:
    """USD per right answer: sum of usd / sum of right, both of the same rows. None when nothing was right.

    The interval puts that of the mean cost (t) and that of the share right (`intervals.mean_score`) together on the log
    scale with their correlation (MOVER: Zou and Donner 2008). Where every answer costs the same, it is the share's
    interval, turned over; it is of zero width for free answers only.
    """
    money, score = np.asarray(usd, dtype=np.float64), np.asarray(right, dtype=np.float64)
    n, mean, codes = len(money), float(money.mean()), cluster_codes(len(money), clusters)
    share = mean_score(score, clusters, unit)
    if share.value <= 0:
        return None
    value = mean / share.value
    if mean <= 0:
        return Interval(0.0, 0.0, 0.0, n, "free", share.effective)
    found = spread(money - mean, money != np.median(money), codes, 0.0)
    step = t_quantile(0.975, found.dof) * found.se / mean if found.se else 0.0
    # Means and not sums of clusters: of sums, one giant cluster is always in full agreement with itself.
    means = cluster_sums(np.column_stack([money, score]), codes) / np.bincount(codes)[:, None]
    away = means - means.mean(axis=0)
    scale = math.sqrt(float((away[:, 0] ** 2).sum() * (away[:, 1] ** 2).sum()))
    together = float((away[:, 0] * away[:, 1]).sum()) / scale if scale > 0 else 0.0
    up = math.log(share.high / share.value)
    down = math.log(share.value / share.low) if share.low > 0 else math.inf
    low = value * math.exp(-math.sqrt(max(0.0, step**2 + up**2 - 2 * together * step * up)))
    high = value * math.exp(math.sqrt(max(0.0, step**2 + down**2 - 2 * together * step * down)))
    return Interval(value, low, high, n, f"MOVER on the log scale, {share.method}", share.effective)


def cost_ratio(
    small_usd: ArrayLike,
    small_right: ArrayLike,
    large_usd: ArrayLike,
    large_right: ArrayLike,
    clusters: Sequence[str] | None = None,
    unit: str = "template",
) -> Interval | None:
    """Cost per right answer of the small system over that of the large one; below 1, the small one is cheaper.

    Linearised on the log scale with t(C - 1). Where no row pulls it either way, the exact bound on how often one can.
    None when one of the four sums is 0.
    """
    columns = np.column_stack([small_usd, small_right, large_usd, large_right]).astype(np.float64)
    means = columns.mean(axis=0)
    if (means <= 0).any():
        return None
    value = float(means[0] / means[1] / (means[2] / means[3]))
    pulls = columns / means @ np.array([1.0, -1.0, -1.0, 1.0])
    n, codes = len(columns), cluster_codes(len(columns), clusters)
    found = spread(pulls - pulls.mean(), np.abs(pulls) > 1e-12, codes, 0.0, RATIO)
    said = f"{counted(found.clusters, n, unit)}, design effect {found.design:.2g}"
    if found.se < 1e-12:
        kept = 1 - none_of(found.units, 0.025)
        return Interval(value, value * kept, value / kept, n, f"exact bound, nothing varies, {said}", found.units)
    half = t_quantile(0.975, found.dof) * found.se
    low, high = value * math.exp(-half), value * math.exp(half) if half < 700 else math.inf
    return Interval(value, low, high, n, f"linearised log ratio, t({found.dof}), {said}", n / found.design)


def resample_sums(columns: Floats, clusters: Sequence[str] | None, seed: int, resamples: int = RESAMPLES) -> Floats:
    """(resamples, k): column sums over clusters drawn with replacement; all columns see the same draw (joint)."""
    sums = cluster_sums(columns, cluster_codes(len(columns), clusters))
    rng = np.random.default_rng(seed)
    count, at_once = len(sums), max(1, 1_000_000 // len(sums))  # bounds memory, not results
    drawn = np.empty((resamples, sums.shape[1]))
    for start in range(0, resamples, at_once):
        picks = rng.integers(0, count, (min(at_once, resamples - start), count))
        picks += count * np.arange(len(picks))[:, None]
        weights = np.bincount(picks.ravel(), minlength=picks.size).reshape(picks.shape)
        drawn[start : start + len(picks)] = weights @ sums
    return drawn
