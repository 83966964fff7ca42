"""Scores by rank: the share that scores best, and ensembles by percentile (Nemotron-CC, Su et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

BINS = 20
Combine = Literal["max", "mean"]


def bins(scores: Sequence[float]) -> list[int]:
    """The twentieth of its set that each score is in, 0 (worst) to 19; equal scores share one."""
    import numpy as np
    from scipy.stats import rankdata

    if not scores:
        return []
    ranks = rankdata(np.asarray(scores), method="average") - 0.5
    return [min(BINS - 1, int(rank * BINS / len(scores))) for rank in ranks]


def ensemble(scores: Sequence[Sequence[float]], combine: Combine) -> list[float]:
    """One bin for each text from several scorers: the highest, which keeps what any of them likes, or the mean."""
    found = [bins(one) for one in scores]
    together = zip(*found, strict=True)
    return [float(max(one)) if combine == "max" else sum(one) / len(one) for one in together]


def best_share(scores: Sequence[float], percent: float) -> float:
    """The lowest score that is among the best `percent`; scores equal to it are kept too."""
    ordered = sorted(scores, reverse=True)
    return ordered[max(0, min(len(ordered), round(len(ordered) * percent / 100)) - 1)] if ordered else 0.0
