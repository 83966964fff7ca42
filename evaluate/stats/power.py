"""What a comparison of this size can find, and about how many rows would decide it.

Both speak of rows in clusters of the same kind: twice the rows means twice the templates, never more rows of the same
ones. Formulas and sources: docs/evaluation.md. The verdict itself is in `verdict`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from evaluate.stats.clusters import Floats, counted, none_of, t_quantile
from evaluate.stats.paired import Difference

POWER = 0.8
PILOT = 0.8  # the range admits the central 80 % of what the pilot's own noise allows
MOST_ROWS = 1_000_000  # beyond this nobody collects rows, and no end is named


class RowsNeeded(NamedTuple):
    """Rows, and clusters of the pilot's size, between which a new test would decide with 80 % power.

    `high` None: the pilot cannot rule out that no number of rows decides (the true difference may be the margin's).
    """

    low: int
    high: int | None
    clusters_low: int
    clusters_high: int | None


def minimum_detectable_effect(difference: Difference, power: float = POWER, alpha: float = 0.05) -> float | None:
    """Smallest true difference that a two-sided test finds with this power: (t(1 - alpha/2) + t(power)) x se.

    t with C - 1 degrees of freedom (Bloom 1995). Where no row differed, the exact bound. None where not even a
    difference of a full point would be found.
    """
    if not math.isfinite(difference.se):
        return None
    if difference.se == 0:
        return none_of(difference.units, alpha / 2)
    dof = difference.clusters - 1
    effect = (t_quantile(1 - alpha / 2, dof) + t_quantile(power, dof)) * difference.se
    return effect if effect <= 1 else None


def rows_needed(effect: float, sd: float, sides: int = 2, power: float = POWER, alpha: float = 0.05) -> float:
    """Rows at which a difference of `effect` is found: ((z(1 - alpha/sides) + z(power)) sd / effect)^2; inf for 0.

    sd: of one row's difference, design effect included. "Not worse by more than m": effect = delta + m, sides = 1.
    """
    from scipy.special import ndtri

    if effect == 0:
        return math.inf
    return float(((ndtri(1 - alpha / sides) + ndtri(power)) * sd / effect) ** 2)


def rows_to_decide(difference: Difference, margin: float) -> RowsNeeded | None:
    """Between how many rows a new test would end in BETTER, NOT WORSE or WORSE.

    Every true difference within the pilot's central 80 % (t) is tried with the smallest and largest spread within its
    central 80 % (chi-squared, C - 1 degrees of freedom); the range is that of the rows needed. None when the pilot
    says nothing (one cluster) or even the lucky end is out of reach.
    """
    if not math.isfinite(difference.sd):
        return None
    candidates, spreads = _plausible(difference)
    lucky = min(_rows(delta, spreads[0], margin) for delta in candidates)
    unlucky = max(_rows(delta, spreads[1], margin) for delta in candidates)
    if lucky > MOST_ROWS:
        return None
    per_cluster = difference.n / difference.clusters
    low = max(difference.n + 1, math.ceil(lucky))
    high = max(low, math.ceil(unlucky)) if unlucky <= MOST_ROWS else None
    return RowsNeeded(
        low, high, math.ceil(low / per_cluster), math.ceil(high / per_cluster) if high is not None else None
    )


def _plausible(difference: Difference) -> tuple[Floats, tuple[float, float]]:
    """True differences and the two spreads that the pilot leaves plausible."""
    from scipy.stats import chi2

    dof, tail = difference.clusters - 1, (1 - PILOT) / 2
    if difference.sd == 0:  # no row differed: up to `share` of rows may, each by a point
        share = none_of(difference.units, tail)
        size = math.sqrt(share * difference.n / difference.units)
        return np.linspace(-share, share, 41) + difference.delta, (0.0, size)
    reach = t_quantile(1 - tail, dof) * difference.se
    small, large = (difference.sd * math.sqrt(dof / float(chi2.ppf(level, dof))) for level in (1 - tail, tail))
    return np.linspace(difference.delta - reach, difference.delta + reach, 41), (small, large)


def _rows(delta: float, sd: float, margin: float) -> float:
    """Rows that decide if these were the true difference and spread: the sooner of NOT WORSE and WORSE."""
    if sd == 0:
        return math.log(0.05) / math.log1p(-margin) if 0 < margin < 1 else math.inf
    not_worse = rows_needed(delta + margin, sd, sides=1) if delta + margin > 0 else math.inf
    other = rows_needed(delta, sd, sides=2) if delta < 0 else math.inf
    return min(not_worse, other)


def about(n: int) -> str:
    """A row count to two significant digits, as people say it: 873 -> '870', 12345 -> '12,000'."""
    digits = max(0, len(str(n)) - 2)
    return f"{round(n, -digits):,}"


def in_words(rows: RowsNeeded | None, unit: str) -> str:
    """'between about 870 and 12,000 rows (44 to 600 templates) would decide'."""
    if rows is None:
        return "more rows of this kind would not decide it"
    grouped = unit != "row" and rows.clusters_low != rows.low
    if rows.high is None:
        inside = f" ({about(rows.clusters_low)} {_plural(unit)})" if grouped else ""
        return f"at least about {about(rows.low)} rows{inside} would decide, and this pilot cannot say how many at most"
    if about(rows.low) == about(rows.high):
        inside = f" ({about(rows.clusters_low)} {_plural(unit)})" if grouped else ""
        return f"about {about(rows.low)} rows{inside} would decide"
    assert rows.clusters_high is not None
    inside = f" ({about(rows.clusters_low)} to {about(rows.clusters_high)} {_plural(unit)})" if grouped else ""
    return f"between about {about(rows.low)} and {about(rows.high)} rows{inside} would decide"


def _plural(unit: str) -> str:
    return counted(2, 3, unit).split(" ", 1)[1]
