"""Rows that hang together: how far a mean over them can be trusted.

Rows of one sampling unit (a template, image, document or family) share a cluster id; without ids every row is its own
cluster. Pure functions over arrays. Every interval of this package rests on `spread`; the intervals themselves are in
`intervals`, `paired`, `ratios` and `classes`. Formulas, sources and simulations: docs/evaluation.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synth.shelf import Lazy, Mapped

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

FEW_CLUSTERS = 20
"""Fewer than this make any method too sure or too wide, and it is said (MacKinnon, Nielsen and Webb 2023)."""
FEWEST_CLUSTERS = 3
"""Fewer carry no interval: with one degree of freedom t reaches over 13 standard errors, which says nothing."""
MOST_HELD = 50_000  # cluster ids
NO_INTERVAL = "no interval"  # what the `method` of such a figure ends in


class Caution(NamedTuple):
    """How far `spread` trusts the clusters; the values were chosen on the simulations of docs/evaluation.md.

    prior: weight, in clusters, of the belief that rows of one cluster always come out alike. fades: whether that belief
    goes where every cluster speaks. own: which variance of a row is taken: 1 = each row weighs alike, so that a giant
    cluster widens the interval by its own deviation; 0 = each cluster weighs as much as it can tell; between, their
    geometric mean.
    """

    prior: float
    fades: bool
    own: float


MEAN = Caution(0.25, False, 1.0)
"""Rates, mean scores, prices, word error rates."""


class Spread(NamedTuple):
    """Uncertainty of a mean over clustered rows.

    design: Kish's design effect, 1 = rows are independent; dispersion: variance of a row as a share of the largest that
    is possible at that mean; effective: independent rows of the largest possible variance that would say as much;
    dof: degrees of freedom of t, clusters - 1; units: independent rows that as many clusters are worth at least.
    """

    se: float
    rows: int
    clusters: int
    icc: float
    design: float
    dispersion: float
    effective: float
    units: float
    dof: int


class Ids(Lazy[str]):
    """Cluster ids that lie on disk. marks: (n,) hashes by which they are told apart."""

    def __init__(self, ids: Sequence[str], marks: NDArray[np.uint64]) -> None:
        self._ids, self.marks = ids, marks

    def at(self, place: int) -> str:
        return self._ids[place]

    def __len__(self) -> int:
        return len(self.marks)


def picked(ids: Sequence[str], places: NDArray[np.intp]) -> Sequence[str]:
    """(m,) the ids at some places."""
    some: Sequence[str] = Mapped(ids, str, places.tolist())
    return Ids(some, ids.marks[places]) if isinstance(ids, Ids) else some


def cluster_codes(n: int, clusters: Sequence[str] | None) -> Codes:
    """(n,) cluster index per row, 0..C-1; each row its own cluster when no ids are given."""
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} cluster ids for {n} rows")
    if isinstance(clusters, Ids):
        return _codes_of(clusters)
    known: dict[str, int] = {}
    codes = np.fromiter((known.setdefault(one, len(known)) for one in clusters), np.intp, n)
    in_order = np.empty(len(known), np.intp)  # by the order of the ids, not by who came first
    in_order[[known[one] for one in sorted(known)]] = np.arange(len(known))
    return in_order[codes]


def _codes_of(ids: Ids) -> Codes:
    """In the order of the ids, or of their hashes where they are too many to be held."""
    marks, first, codes = np.unique(ids.marks, return_index=True, return_inverse=True)
    if len(marks) > MOST_HELD:
        return codes
    names = {int(place): ids[int(place)] for place in np.sort(first)}  # in the order in which they lie on disk
    in_order = np.empty(len(marks), np.intp)
    in_order[sorted(range(len(marks)), key=lambda code: names[int(first[code])])] = np.arange(len(marks))
    return in_order[codes]


def cluster_sums(columns: Floats, codes: Codes) -> Floats:
    """(n, k) row values -> (C, k) sums per cluster."""
    count = int(codes.max()) + 1
    return np.column_stack([np.bincount(codes, column, count) for column in columns.T])


def spread(
    deviations: Floats,
    speaks: NDArray[np.bool_],
    codes: Codes,
    most: float,
    caution: Caution = MEAN,
) -> Spread:
    """Uncertainty of a mean from each row's deviation from it.

    deviations: (n,), summing to 0. speaks: (n,), rows that show variation at all (a wrong answer, a word error, systems
    that differ). most: the largest variance that a score can have at this mean (p(1-p) of a rate), 0 = unknown.

    The correlation of rows within a cluster is the share of the variance that lies between clusters. Where few clusters
    speak it says little and is too small more often than not, so it is pulled towards 1 (`caution`); where none speaks,
    the clusters count and not the rows. The design effect is 1 + icc (sum n_c^2 / n - 1) (Kish 1965), which holds for
    clusters of unequal size.
    """
    n, sizes = len(deviations), np.bincount(codes)
    count = len(sizes)
    variance = float(deviations @ deviations) / n
    largest = float(sizes @ sizes) / n  # design effect of rows that always come out alike
    loud = int((np.bincount(codes, speaks, count) > 0).sum())
    icc, doubt = 1.0, caution.prior * ((1 - loud / count) if caution.fades else 1)
    if loud and count > 1 and variance > 0:
        between, within = _components(deviations, variance, codes, sizes)
        icc = (doubt + loud * between / (between + within)) / (doubt + loud)
        variance = variance**caution.own * (between + within) ** (1 - caution.own)
    design, dispersion = 1 + icc * (largest - 1), 1.0
    if most > 0 and doubt + loud > 0:
        # Graded scores that are all equal have no variance at all; n rows do not make that certain.
        dispersion = max((doubt + loud * variance / most) / (doubt + loud), 1 / n)
    se = math.sqrt(variance / max(1, n - 1) * design)
    return Spread(se, n, count, icc, design, dispersion, n / (design * dispersion), n / largest, count - 1)


class _Components(NamedTuple):
    between: float
    within: float


def _components(deviations: Floats, variance: float, codes: Codes, sizes: Codes) -> _Components:
    """Variance of a row between clusters and within them; none between where they differ no more than by chance.

    Within: the mean over clusters. Between: the value under which the clusters' means, each weighed by its own
    precision, vary as much as they should (Paule and Mandel 1982; for shares Kleinman 1973). The one-way ANOVA weighs
    clusters by their rows instead, so that a giant one mostly measures its own deviation.
    """
    n, count = len(deviations), len(sizes)
    if n == count:
        return _Components(0.0, variance)
    means = np.bincount(codes, deviations, count) / sizes
    squares = np.bincount(codes, (deviations - means[codes]) ** 2, count)
    within = float((squares / sizes).sum() / (1 - 1 / sizes).sum())
    if within <= 1e-12 * variance:
        return _Components(float(means.var(ddof=1)), 0.0)

    def excess(between: float) -> float:
        weight = 1 / (between + within / sizes)
        away = means - float(weight @ means) / float(weight.sum())
        return float(weight @ away**2) - (count - 1)

    if excess(0.0) <= 0:
        return _Components(0.0, variance)
    low, high = 0.0, float(((means - means.mean()) ** 2).sum())  # at `high` no weighed square exceeds its share
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return _Components((low + high) / 2, within)


def t_quantile(level: float, dof: int) -> float:
    """Quantile of Student's t; infinite without a degree of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(dof, level)) if dof > 0 else math.inf


def t_two_sided(statistic: float, dof: int) -> float:
    """Two-sided p of a t statistic; 1 without a degree of freedom."""
    from scipy.special import stdtr

    return float(2 * stdtr(dof, -abs(statistic))) if dof > 0 else 1.0


def none_of(units: float, alpha: float) -> float:
    """Largest share that is still plausible when it was seen in none of `units`: 1 - alpha^(1/units) (exact)."""
    return float(1 - alpha ** (1 / units))


def counted(difference_clusters: int, rows: int, unit: str) -> str:
    """'40 templates', '6 families', '1 row' or '200 rows'."""
    if difference_clusters == rows or unit == "row":
        return f"{difference_clusters:,} {'row' if difference_clusters == 1 else 'rows'}"
    plural = f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"
    return f"{difference_clusters:,} {unit if difference_clusters == 1 else plural}"


def too_few(clusters: int, rows: int, unit: str) -> str:
    """The method of a figure from so few clusters that it has no interval: '2 templates: no interval'."""
    return f"{counted(clusters, rows, unit)}: {NO_INTERVAL}"
