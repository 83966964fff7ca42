"""Two systems on the same rows: how far apart are they, and is that chance?

A difference is small - large, oriented so that a positive value favours the small system. Formulas, sources and
simulations: docs/evaluation.md. Not here: error rates and money (`ratios`), what a difference means (`verdict`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from evaluate.stats.clusters import (
    FEWEST_CLUSTERS,
    Caution,
    Codes,
    Floats,
    Spread,
    cluster_codes,
    counted,
    none_of,
    spread,
    t_quantile,
    t_two_sided,
    too_few,
)

DIFFERENCE = Caution(0.75, True, 0.0)
"""With a prior of a quarter, rare losses in 40 clusters pass for none in 8 % of samples."""
SUPPORT = 20_000  # steps that the exact distribution of a sum of fractional scores is kept in …
MOST_FRACTIONS = 200  # … for at most so many clusters, a hundred steps to each
MOST_WORK = 20_000_000  # additions; the sum of so many clusters is normal


class Difference(NamedTuple):
    """A paired mean difference (positive favours the small system).

    low/high: two-sided 95 % interval; lower_one_sided: 95 % bound for non-inferiority; sd: spread of one row's
    difference including the design effect, so that se = sd / sqrt(n); p: of no difference, below 0.05 exactly when the
    interval excludes 0; unit: what the clusters are; design: design effect; units: independent rows that the clusters
    are worth at least.
    """

    delta: float
    low: float
    high: float
    lower_one_sided: float
    se: float
    sd: float
    p: float
    n: int
    clusters: int
    unit: str
    design: float
    units: float
    method: str


class McNemar(NamedTuple):
    """Counts of rows by who was right, and the exact two-sided p; `clusters` = n when rows are independent."""

    both: int
    only_small: int
    only_large: int
    neither: int
    p: float
    clusters: int


def paired_difference(
    small: ArrayLike, large: ArrayLike, clusters: Sequence[str] | None = None, unit: str = "template"
) -> Difference:
    """Mean of small - large over the same rows by Tango's score interval, in its clustered form.

    small, large: (n,) scores between 0 and 1, higher is better. With right/wrong outcomes of independent rows it is
    Tango 1998, with t(n - 1) for the normal quantile. Clusters and fractions of points enter through the effective
    number of rows (`clusters.spread`), the largest variance at that mean being (gains + losses) - delta^2. Where no row
    differs, the exact bound on how often one can is used if it is wider. ValueError below two rows, or out of range.
    """
    table, found = _discordant(small, large, clusters)
    n, delta, sd = found.rows, (table.only_small - table.only_large) / table.rows, found.se * math.sqrt(found.rows)
    if found.clusters < FEWEST_CLUSTERS:  # nothing can be said about other clusters
        none = (-1.0, 1.0, -1.0, math.inf, math.inf, 1.0)
        said = too_few(found.clusters, n, unit)
        return Difference(delta, *none, n, found.clusters, unit, found.design, found.units, said)
    two_sided, one_sided = t_quantile(0.975, found.dof), t_quantile(0.95, found.dof)
    low, high, lower = tango_low(table, two_sided), tango_high(table, two_sided), tango_low(table, one_sided)
    p = t_two_sided(tango_statistic(table, 0.0), found.dof)
    said = f"{counted(found.clusters, n, unit)}, design effect {found.design:.2g}"
    method = f"Tango score, t({found.dof}), {said}"
    if table.only_small == table.only_large == 0:
        bound = none_of(found.units, 0.025)
        low, high, lower = min(low, -bound), max(high, bound), min(lower, -none_of(found.units, 0.05))
        method = f"exact bound, no row differs, {said}"
    return Difference(
        delta, low, high, lower, found.se, sd, p, n, found.clusters, unit, found.design, found.units, method
    )


def not_worse_confidence(
    small: ArrayLike, large: ArrayLike, margin: float, clusters: Sequence[str] | None = None
) -> float:
    """1 - p of "worse by the margin or more", from the statistic behind `paired_difference`.

    At least 0.95 exactly when the one-sided bound lies above -margin, that is when the verdict is NOT WORSE or BETTER.
    """
    table, found = _discordant(small, large, clusters)
    if found.clusters < FEWEST_CLUSTERS:
        return 0.0
    statistic = tango_statistic(table, -margin)
    both_sides = t_two_sided(statistic, found.dof)
    confidence = 1 - both_sides / 2 if statistic > 0 else both_sides / 2
    if table.only_small == table.only_large == 0:
        return min(confidence, 1 - float((1 - margin) ** found.units))
    return confidence


def _discordant(small: ArrayLike, large: ArrayLike, clusters: Sequence[str] | None) -> tuple[Discordant, Spread]:
    """Gains and losses on the effective number of rows, and the uncertainty that it comes from."""
    d = np.asarray(small, dtype=np.float64) - np.asarray(large, dtype=np.float64)
    n = len(d)
    if n < 2:
        raise ValueError("a paired difference needs at least two rows scored by both systems")
    if np.abs(d).max() > 1 + 1e-9:
        raise ValueError("scores must lie between 0 and 1")
    gains, losses = float(np.maximum(d, 0).mean()), float(np.maximum(-d, 0).mean())
    delta = gains - losses
    found = spread(d - delta, d != 0, cluster_codes(n, clusters), gains + losses - delta**2, DIFFERENCE)
    return Discordant(gains * found.effective, losses * found.effective, found.effective), found


class Discordant(NamedTuple):
    """Rows on which only the small system is right, only the large one, and all rows; need not be whole numbers."""

    only_small: float
    only_large: float
    rows: float


def tango_statistic(table: Discordant, delta: float) -> float:
    """Tango's score statistic of a hypothesised difference (Tango 1998, Statistics in Medicine 17:891-908)."""
    gained, lost, n = table
    distance = gained - lost - n * delta
    if distance == 0:
        return 0.0
    b = (2 * n - gained + lost) * delta - gained - lost
    c = -lost * delta * (1 - delta)
    lost_share = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)  # most likely one under the hypothesis
    variance = n * (2 * lost_share + delta * (1 - delta))
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)


def tango_low(table: Discordant, quantile: float) -> float:
    """The smallest difference that the score test does not reject."""
    below, above = -1.0, (table.only_small - table.only_large) / table.rows
    for _ in range(50):
        middle = (below + above) / 2
        rejected = tango_statistic(table, middle) > quantile
        below, above = (middle, above) if rejected else (below, middle)
    return below


def tango_high(table: Discordant, quantile: float) -> float:
    """The largest difference that the score test does not reject."""
    return -tango_low(Discordant(table.only_large, table.only_small, table.rows), quantile)


def mcnemar(small: ArrayLike, large: ArrayLike, clusters: Sequence[str] | None = None) -> McNemar:
    """Exact McNemar test of right/wrong outcomes on the same rows; with clusters, their signs are flipped as wholes."""
    a, b = np.asarray(small, dtype=bool), np.asarray(large, dtype=bool)
    counts = int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum())
    codes = cluster_codes(len(a), clusters)
    return McNemar(*counts, sign_flip(a.astype(np.float64) - b, codes), int(codes.max()) + 1)


def sign_flip(differences: Floats, codes: Codes) -> float:
    """Exact two-sided p of a sum of differences when each cluster's sign could as well have been the other one.

    If the systems are alike, swapping them within a cluster changes nothing. With right/wrong rows that are their own
    clusters this is the exact McNemar test. The distribution is built by convolution, not by drawing; fractions are
    rounded to 1/SUPPORT of their total. Beyond MOST_FRACTIONS clusters of them, or MOST_WORK, it is taken as normal.
    """
    from scipy.stats import binom, norm

    sums = np.bincount(codes, differences)
    total = float(np.abs(sums).sum())
    if total == 0:
        return 1.0
    whole = np.array_equal(sums, np.round(sums))
    many = total * np.count_nonzero(np.abs(sums) > 1) > MOST_WORK if whole else np.count_nonzero(sums) > MOST_FRACTIONS
    if many:
        return float(2 * norm.sf(abs(float(sums.sum())) / math.sqrt(float(sums @ sums))))
    scale = 1.0 if whole else SUPPORT / total
    steps = np.round(np.abs(sums) * scale).astype(int)
    ones = int((steps == 1).sum())
    chance = binom.pmf(np.arange(ones + 1), ones, 0.5)  # of each sum of the clusters with a positive sign
    for step in steps[steps > 1]:
        wider = np.zeros(len(chance) + step)
        wider[: len(chance)] += chance / 2
        wider[step:] += chance / 2
        chance = wider
    reach = len(chance) - 1
    seen = abs(round(float(sums.sum()) * scale))
    distance = np.abs(2 * np.arange(reach + 1) - reach)
    return min(1.0, float(chance[distance >= seen].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p values, in the order given; [] for none.

    Own lines, because statsmodels' multipletests runs a full garbage collection at each call (0.4 s here).
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors))
    return [float(p) for p in adjusted]
