"""How sure are we: intervals, paired tests, non-inferiority, power and the one-word verdict.

Pure functions: arrays in, NamedTuples out; they read no file and know no report. A difference is always oriented so
that a positive value favours the small system. "Rows that hang together" (one template, image or document) share a
cluster id; without ids every row is its own cluster. Methods and thresholds come from EVALUATION.md, table "Certainty".
Not here: what a row scored (scorers.py) and what it cost (cost.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]  # (…, k) sums over rows -> (…,) value

MIN_ROWS_NORMAL = 200  # below this no interval is shown that normal theory alone gives (EVALUATION.md)
FEW_CLUSTERS = 20  # fewer than this make any method too sure, and it is said
RESAMPLES = 2000
BETTER, NOT_WORSE, WORSE, INCONCLUSIVE = "BETTER", "NOT WORSE", "WORSE", "INCONCLUSIVE"


class Interval(NamedTuple):
    """A value with its two-sided 95 % interval; `method` says how it was made."""

    value: float
    low: float
    high: float
    n: int
    method: str


class Difference(NamedTuple):
    """A paired mean difference (positive favours the small system).

    low/high: two-sided interval; lower_one_sided: 95 % bound for non-inferiority; sd: spread of one row's difference
    including the design effect of clusters, so that se = sd / sqrt(n).
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
    method: str


class McNemar(NamedTuple):
    """Counts of rows by who was right, and the exact two-sided p of the discordant ones."""

    both: int
    only_small: int
    only_large: int
    neither: int
    p: float


class Bootstrap(NamedTuple):
    """Resampled values of one statistic, and its BCa interval and one-sided 95 % lower bound."""

    value: float
    low: float
    high: float
    lower_one_sided: float
    distribution: Floats
    method: str


class Verdict(NamedTuple):
    """One of BETTER, NOT WORSE, WORSE, INCONCLUSIVE; a sentence; and about how many rows would decide (or None)."""

    word: str
    sentence: str
    rows_to_decide: int | None


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
    """Wilson score interval of `correct` right rows out of `n`. ValueError when n is 0."""
    from statsmodels.stats.proportion import proportion_confint

    if n <= 0:
        raise ValueError("a rate needs at least one scored row")
    low, high = proportion_confint(correct, n, alpha=1 - confidence, method="wilson")
    return Interval(correct / n, float(low), float(high), n, "Wilson")


def mean_score(scores: ArrayLike, clusters: Sequence[str] | None = None, seed: int = 0) -> Interval:
    """Interval of a mean score: Wilson when every score is 0 or 1, else a BCa bootstrap over clusters."""
    values = np.asarray(scores, dtype=np.float64)
    if is_binary(values):
        return wilson(float(values.sum()), len(values))
    boot = cluster_bootstrap(np.column_stack([values, np.ones_like(values)]), ratio, clusters, seed)
    return Interval(boot.value, boot.low, boot.high, len(values), boot.method)


def is_binary(values: Floats) -> bool:
    """True when every value is exactly 0 or 1."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def ratio(sums: Floats) -> Floats:
    """sums[..., 0] / sums[..., 1]; infinite where the denominator is 0. Corpus WER is ratio(Σ edits, Σ words)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.inf)


def cluster_codes(n: int, clusters: Sequence[str] | None) -> NDArray[np.intp]:
    """Cluster index per row, 0..C-1; each row its own cluster when no ids are given."""
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} cluster ids for {n} rows")
    return np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1]


def cluster_sums(columns: Floats, clusters: Sequence[str] | None) -> Floats:
    """(n, k) row values -> (C, k) sums per cluster."""
    codes = cluster_codes(len(columns), clusters)
    sums = np.zeros((int(codes.max()) + 1, columns.shape[1]))
    np.add.at(sums, codes, columns)
    return sums


def resample_sums(columns: Floats, clusters: Sequence[str] | None, seed: int, resamples: int = RESAMPLES) -> Floats:
    """(resamples, k): column sums over clusters drawn with replacement; all columns see the same draw (joint)."""
    sums = cluster_sums(columns, clusters)
    rng = np.random.default_rng(seed)
    count, at_once = len(sums), max(1, 1_000_000 // len(sums))  # bounds memory, not results
    drawn = np.empty((resamples, sums.shape[1]))
    for start in range(0, resamples, at_once):
        picks = rng.integers(0, count, (min(at_once, resamples - start), count))
        picks += count * np.arange(len(picks))[:, None]
        weights = np.bincount(picks.ravel(), minlength=picks.size).reshape(picks.shape)
        drawn[start : start + len(picks)] = weights @ sums
    return drawn


def cluster_bootstrap(
    columns: Floats,
    statistic: Statistic,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Bootstrap:
    """Bias-corrected accelerated bootstrap (Efron 1987) of a statistic of column sums, resampling whole clusters.

    columns: (n, k) row values of all systems side by side, so that both sides of a comparison share each draw.
    """
    from scipy.stats import norm

    sums = cluster_sums(columns, clusters)
    total = sums.sum(axis=0)
    value = float(statistic(total))
    drawn = statistic(resample_sums(columns, clusters, seed, resamples))
    if not np.isfinite(drawn).all() or np.ptp(drawn) == 0 or len(sums) < 2:
        low, lower, high = (float(np.quantile(drawn, q, method="inverted_cdf")) for q in (0.025, 0.05, 0.975))
        return Bootstrap(value, low, high, lower, drawn, "bootstrap (percentile)")
    leave_one_out = statistic(total - sums)
    pull = leave_one_out.mean() - leave_one_out
    spread = float((pull**2).sum()) ** 1.5
    acceleration = float((pull**3).sum()) / (6 * spread) if spread > 0 else 0.0
    below = (np.sum(drawn < value) + 0.5 * np.sum(drawn == value)) / resamples
    bias = float(norm.ppf(np.clip(below, 1 / resamples, 1 - 1 / resamples)))

    def quantile(level: float) -> float:
        shifted = bias + float(norm.ppf(level))
        return float(np.quantile(drawn, norm.cdf(bias + shifted / (1 - acceleration * shifted))))

    return Bootstrap(value, quantile(0.025), quantile(0.975), quantile(0.05), drawn, "bootstrap (BCa)")


def paired_difference(
    small: ArrayLike, large: ArrayLike, clusters: Sequence[str] | None = None, seed: int = 0
) -> Difference:
    """Mean of small − large over the same rows, with cluster-robust errors (leave-one-cluster-out, df = C − 1).

    small, large: (n,) scores, higher is better. Without clusters this is the paired t test. Under 200 rows the
    interval is the wider of that and a BCa bootstrap over clusters: where differences are rare, the bootstrap alone
    misses the truth too often (in 11 % of samples of 60 rows of which one in ten differs). When no cluster deviates
    from the mean, it comes from the exact binomial bound on how often one can. ValueError below two rows.
    """
    d = np.asarray(small, dtype=np.float64) - np.asarray(large, dtype=np.float64)
    n = len(d)
    if n < 2:
        raise ValueError("a paired difference needs at least two rows scored by both systems")
    codes = cluster_codes(n, clusters)
    count = int(codes.max()) + 1
    means = np.bincount(codes, d, count) / np.bincount(codes, minlength=count)
    if np.ptp(means) < 1e-12:
        return _difference_without_spread(d, count)
    delta, se, p, low, high, lower = _clustered_mean(d, codes, count)
    method = "paired t" if count == n else f"cluster-robust (CR3), {count} clusters"
    if n < MIN_ROWS_NORMAL:
        boot = cluster_bootstrap(np.column_stack([d, np.ones(n)]), ratio, clusters, seed)
        low, high, lower = min(low, boot.low), max(high, boot.high), min(lower, boot.lower_one_sided)
        low, high, lower = max(-1.0, low), min(1.0, high), max(-1.0, lower)
        method = f"wider of {boot.method} and t({count - 1}), {count} {'rows' if count == n else 'clusters'}"
    return Difference(delta, low, high, lower, se, se * math.sqrt(n), p, n, count, method)


def _clustered_mean(d: Floats, codes: NDArray[np.intp], count: int) -> tuple[float, float, float, float, float, float]:
    """delta, se, p, 95 % low, high, one-sided 95 % lower bound.

    The variance is CR3, the jackknife over clusters: (C − 1)/C · Σ (mean without cluster c − mean)². The usual CR1 is a
    little too sure where clusters differ in size (tests/bench/bench_stats.py: 5.2 % false alarms instead of 5.0 %);
    MacKinnon, Nielsen and Webb 2023 (doi:10.1016/j.jeconom.2022.04.001) advise CR3. With clusters of one row it is the
    paired t test, with clusters of one size it is CR1.
    """
    from scipy.stats import t

    n, delta = len(d), float(d.mean())
    sums, sizes = np.bincount(codes, d, count), np.bincount(codes, minlength=count)
    without = (d.sum() - sums) / (n - sizes)
    se = math.sqrt((count - 1) / count * float(((without - delta) ** 2).sum()))
    two_sided, one_sided = (float(t.ppf(level, count - 1)) * se for level in (0.975, 0.95))
    p = 2 * float(t.sf(abs(delta) / se, count - 1))
    return delta, se, p, delta - two_sided, delta + two_sided, delta - one_sided


def _difference_without_spread(d: Floats, count: int) -> Difference:
    """Every cluster differs alike (mostly: not at all), or there is one only: no variance to estimate.

    With k = 0 of n clusters deviating, the exact (Clopper–Pearson) bound on the deviating share is 1 − α^(1/n).
    """
    delta, n = float(d.mean()), len(d)
    if count < 2 and np.ptp(d) > 0:  # one cluster only: nothing can be said about other clusters
        return Difference(delta, -1.0, 1.0, -1.0, math.inf, math.inf, 1.0, n, count, "one cluster: no interval")
    two_sided, one_sided = 1 - 0.025 ** (1 / count), 1 - 0.05 ** (1 / count)
    p = 1.0 if delta == 0 else float(min(1.0, 2 * 0.5**count))
    low, high = max(-1.0, delta - two_sided), min(1.0, delta + two_sided)
    return Difference(
        delta, low, high, max(-1.0, delta - one_sided), 0.0, 0.0, p, n, count, "exact bound, nothing deviates"
    )


def bootstrap_difference(
    columns: Floats, statistic: Statistic, clusters: Sequence[str] | None = None, seed: int = 0
) -> Difference:
    """Difference of two ratios (corpus WER, micro F1) resampled jointly.

    statistic maps the column sums of both systems to the oriented difference (positive favours the small system).
    """
    boot = cluster_bootstrap(columns, statistic, clusters, seed)
    n, count = len(columns), len(np.unique(cluster_codes(len(columns), clusters)))
    se = float(boot.distribution.std(ddof=1))
    # Two-sided p by inverting the percentile interval; never 0, because only so many draws were made.
    tail = min(float(np.mean(boot.distribution <= 0)), float(np.mean(boot.distribution >= 0)))
    p = min(1.0, max(2 * tail, 1 / len(boot.distribution)))
    return Difference(
        boot.value,
        boot.low,
        boot.high,
        boot.lower_one_sided,
        se,
        se * math.sqrt(n),
        p,
        n,
        count,
        f"joint {boot.method}, {count} {'rows' if count == n else 'clusters'}",
    )


def mcnemar(small: ArrayLike, large: ArrayLike) -> McNemar:
    """Exact McNemar test of right/wrong outcomes on the same rows (binomial on the discordant ones)."""
    from statsmodels.stats.contingency_tables import mcnemar as exact_mcnemar

    a, b = np.asarray(small, dtype=bool), np.asarray(large, dtype=bool)
    both, only_small = int((a & b).sum()), int((a & ~b).sum())
    only_large, neither = int((~a & b).sum()), int((~a & ~b).sum())
    result: Any = exact_mcnemar([[both, only_small], [only_large, neither]], exact=True)
    return McNemar(both, only_small, only_large, neither, min(1.0, float(result.pvalue)))


def _z(level: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(level))


def minimum_detectable_effect(sd: float, n: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest true difference a two-sided test of level alpha finds with this power: (z₁₋α/₂ + z_power)·sd/√n."""
    return (_z(1 - alpha / 2) + _z(power)) * sd / math.sqrt(n)


def rows_needed(effect: float, sd: float, power: float = 0.8, alpha: float = 0.05, sides: int = 2) -> int:
    """Rows at which a difference of `effect` is found with this power. Inverse of `minimum_detectable_effect`.

    For "not worse by more than m" pass effect = delta + m and sides = 1.
    """
    if effect == 0:
        raise ValueError("no number of rows can prove an effect of exactly zero")
    return math.ceil(((_z(1 - alpha / sides) + _z(power)) * sd / abs(effect)) ** 2)


def rows_to_decide(difference: Difference, margin: float, power: float = 0.8) -> int | None:
    """About how many rows would settle the verdict if the observed difference and spread were the true ones."""
    if math.isinf(difference.sd):
        return None
    if difference.sd == 0:
        return math.ceil(math.log(0.05) / math.log1p(-margin)) if 0 < margin < 1 else None
    options = []
    if difference.delta + margin > 0:
        options.append(rows_needed(difference.delta + margin, difference.sd, power, sides=1))
    if difference.delta < 0:
        options.append(rows_needed(difference.delta, difference.sd, power, sides=2))
    return max(min(options), difference.n + 1) if options else None


def about(n: int) -> str:
    """A row count to two significant digits, as people say it: 873 -> '870', 12345 -> '12,000'."""
    digits = max(0, len(str(n)) - 2)
    return f"{round(n, -digits):,}"


def verdict(
    difference: Difference, margin: float, small: str = "the small system", large: str = "the large one"
) -> Verdict:
    """BETTER, NOT WORSE (within margin), WORSE or INCONCLUSIVE, in that order of precedence.

    margin: the loss that one is willing to accept, in score units (0.02 = 2 points). The one-sided 95 % bound decides
    NOT WORSE; the two-sided 95 % interval decides BETTER and WORSE.
    """
    ahead = f"{100 * difference.delta:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0")
    points = f"{ahead} points [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    bound = f"the one-sided 95 % bound is {100 * difference.lower_one_sided:+.1f} points"
    allowed = f"{100 * margin:g} points"
    if difference.low > 0:
        return Verdict(BETTER, f"{small} is better than {large}: {points}.", None)
    if difference.lower_one_sided > -margin:
        behind = " It is measurably behind, but by less than that." if difference.high < 0 else ""
        sentence = f"{small} is not worse than {large} by more than {allowed}: {points}; {bound}.{behind}"
        return Verdict(NOT_WORSE, sentence, None)
    if difference.high < 0:
        return Verdict(WORSE, f"{small} is worse than {large}: {points}.", None)
    rows = rows_to_decide(difference, margin)
    more = f"about {about(rows)} rows would decide" if rows else "more rows of this kind would not decide it"
    sentence = (
        f"{difference.n:,} rows do not tell whether {small} keeps within {allowed} of {large}: "
        f"{points}, {bound}; {more}."
    )
    return Verdict(INCONCLUSIVE, sentence, rows)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p values, in the order given; [] for none.

    Own lines, because statsmodels' multipletests runs a full garbage collection at each call (0.4 s here).
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors))
    return [float(p) for p in adjusted]


def seed_spread(values: Sequence[float]) -> SeedSpread:
    """Mean, standard deviation and range of one metric over training seeds."""
    from scipy.stats import t

    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    if n == 0:
        raise ValueError("no seeds")
    mean, sd = float(array.mean()), float(array.std(ddof=1)) if n > 1 else 0.0
    half = float(t.ppf(0.975, n - 1)) * sd / math.sqrt(n) if n >= 3 else None
    low, high = (mean - half, mean + half) if half is not None else (None, None)
    return SeedSpread(n, mean, sd, float(array.min()), float(array.max()), low, high)
