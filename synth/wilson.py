"""The interval of a share that every other package builds on: Wilson's score interval (1927)."""

from __future__ import annotations

import math
from typing import NamedTuple

QUANTILE_95 = 1.959964  # of the normal distribution, both sides


class Bounds(NamedTuple):
    """Both ends of an interval of a share, between 0 and 1."""

    low: float
    high: float


def wilson_bounds(share: float, n: float, quantile: float = QUANTILE_95) -> Bounds:
    """Values p with |share - p| <= quantile sqrt(p(1-p)/n); n may be an effective number of rows."""
    if math.isinf(quantile):
        return Bounds(0.0, 1.0)
    shift = quantile**2 / n
    middle = (share + shift / 2) / (1 + shift)
    half = math.sqrt(shift * share * (1 - share) + shift**2 / 4) / (1 + shift)
    return Bounds(max(0.0, middle - half), min(1.0, middle + half))
