"""Whether few rows carry an error rate: a speech model that loops on three recordings can write more wrong words there
than on all others together.

`carried` finds such rows and the rate without them. It removes nothing: the rate of all rows stays the rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evaluate.stats.clusters import Floats, picked
from evaluate.stats.intervals import Interval, error_rate

FEW = 0.05
"""Share of the rows (one at least) that is few."""
STANDS_OUT = 5.0
"""Each of them has more than this many times the mean errors of the rows beyond that share."""
MUCH = 0.5
"""Share of all errors that must lie in them."""
MOVES = 0.01
"""The rate must change by this much without them: two of three errors in one of a hundred rows carry nothing."""


class Carried(NamedTuple):
    """The few rows that hold half of all errors or more, their share of them, and the rate of all other rows."""

    rows: int
    share: float
    without: Interval


def carried(edits: Floats, words: Floats, ids: Sequence[str], unit: str) -> Carried | None:
    """The rows that carry an error rate, or None where no few rows do. edits, words, ids: (n,)."""
    total, most = float(edits.sum()), max(1, math.floor(FEW * len(edits)))
    if total <= 0 or len(edits) < 2:
        return None
    order = np.argsort(-edits, kind="stable")
    usual = float(edits[order[most:]].mean())
    few = int((edits[order[:most]] > STANDS_OUT * usual).sum())
    share = float(edits[order[:few]].sum()) / total
    rest = np.sort(order[few:])
    if share < MUCH or not words[rest].any():
        return None
    without = error_rate(edits[rest], words[rest], picked(ids, rest), unit)
    if abs(total / float(words.sum()) - without.value) < MOVES:
        return None
    return Carried(few, share, without)
