"""From usage and prices to money: bills, cost per request of an own model, break-even, error price, cascade, energy.

Pure functions over numbers and a PriceSheet. `None` means "unpriced" or "not measured" and spreads: it is never
taken for 0. Formulas: EVALUATION.md, section "Cost". USD throughout; 730 hours are a month.
Not here: measuring speed (predict.py), intervals (stats.py), how it is shown (report.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluate.cost import spread
from evaluate.cost.prices import PriceSheet, Unit
from evaluate.cost.spread import Spread
from evaluate.stats.intervals import Interval
from evaluate.stats.paired import not_worse_confidence
from evaluate.stats.ratios import cost_per_correct, resample_sums
from synth.usage import Usage

HOURS_PER_MONTH = 730
MILLION = 1_000_000
CACHE_UNITS = frozenset({"cached_mtok", "cached_audio_mtok", "cache_write_mtok", "cache_write_1h_mtok"})


class BillItem(NamedTuple):
    """One line of a bill; price: with the discount of a batch; usd is None when the sheet lacks the price."""

    unit: Unit
    quantity: float
    price: float | None
    usd: float | None


class Bill(NamedTuple):
    """What some usage costs; usd is None when anything in it is unpriced, and `missing` says what."""

    usd: float | None
    items: tuple[BillItem, ...]
    missing: tuple[str, ...]


class BreakEven(NamedTuple):
    """requests: after how many the fixed cost is earned back."""

    status: Literal["pays_back", "never", "unpriced"]
    requests: int | None
    saved_per_request: float | None


class CascadePoint(NamedTuple):
    """Small system first; rows below `threshold` confidence go on to the large one."""

    threshold: float
    escalated: float
    score: float
    usd_per_request: float | None


class Joint(NamedTuple):
    """Cost per right answer of both systems with intervals, and P(small cheaper and not worse)."""

    small: Interval | None
    large: Interval | None
    p_not_worse: float
    p_cheaper_and_not_worse: float | None


def bill(usage: Usage, model: str, sheet: PriceSheet, batch: bool = False, largest_input: int | None = None) -> Bill:
    """Price the reported usage of one request of `model`, or of many when `largest_input` tells their longest prompt.

    Cached, cache-written and audio tokens are parts of the input and are taken out of it before pricing; images stay
    in it; reasoning is part of the output, and so are spoken tokens, which have their own price. Retries that the
    vendor bills are in the usage already. Models sold by the minute of sound are billed so when no token count is
    reported.
    """
    longest = largest_input if largest_input is not None else usage.input_tokens or 0
    quantities: dict[Unit, float]
    if not usage.reported and sheet.price(model, "audio_minute") is not None and usage.audio_sec:
        quantities = {"audio_minute": usage.audio_sec / 60}
    elif not usage.reported:
        return Bill(None, (), ("token usage was not reported",))
    else:
        quantities = _token_quantities(usage)
    factor, cache_factor = (
        (sheet.price(model, "batch_factor"), sheet.price(model, "batch_cache_factor")) if batch else (1.0, 1.0)
    )
    items, missing = [], []
    for unit, quantity in quantities.items():
        if not quantity:
            continue
        row = sheet.find(model, unit)
        discount = cache_factor if unit in CACHE_UNITS else factor
        limit = row.up_to_input_tokens if row else None
        if row is None:
            missing.append(f"{model}: {unit}")
        elif limit and longest > limit:
            missing.append(f"{model}: {unit} above {limit:,} input tokens")
        elif discount is None:
            missing.append(f"{model}: batch discount of {unit}")
        else:
            items.append(BillItem(unit, quantity, row.price * discount, quantity * row.price * discount))
            continue
        items.append(BillItem(unit, quantity, row.price if row else None, None))
    usd = None if missing else sum(item.usd for item in items if item.usd is not None)
    return Bill(usd, tuple(items), tuple(missing))


def _token_quantities(usage: Usage) -> dict[Unit, float]:
    """Millions of tokens per unit."""
    audio_tokens = max(0, usage.audio_tokens - usage.cached_audio_tokens)
    fresh = (usage.input_tokens or 0) - usage.cached_tokens - usage.cache_write_tokens - audio_tokens
    counts: dict[Unit, float] = {
        "input_mtok": max(0, fresh),
        "cached_mtok": max(0, usage.cached_tokens - usage.cached_audio_tokens),
        "cached_audio_mtok": usage.cached_audio_tokens,
        "cache_write_mtok": max(0, usage.cache_write_tokens - usage.cache_write_1h_tokens),
        "cache_write_1h_mtok": usage.cache_write_1h_tokens,
        "audio_input_mtok": audio_tokens,
        "output_mtok": max(0, (usage.output_tokens or 0) - usage.audio_output_tokens),
        "audio_output_mtok": usage.audio_output_tokens,
    }
    return {unit: count / MILLION for unit, count in counts.items()}


def forecast(usage: Usage, copies: int = 1, retry_share: float = 0.0) -> Usage:
    """Usage of `copies` times the same before any was made; retry_share of the requests are paid twice."""
    scale = copies * (1 + retry_share)
    counted = {
        name: value * scale
        for name, value in usage.model_dump().items()
        if value is not None and name not in ("requests", "retries", "billed_retries")
    }
    whole = {name: value if name == "audio_sec" else round(value) for name, value in counted.items()}
    requests = usage.requests * copies
    repeated = round(requests * retry_share)
    return Usage(**{**whole, "requests": requests + repeated, "retries": repeated, "billed_retries": repeated})


def image_tokens(family: str, width: int, height: int) -> int | None:
    """Forecast of one image's input tokens; None for a model family without a formula here.

    gpt-4o (high detail): fit into 2,048 px, shorter side to 768 px, 85 + 170 per 512-px tile.
    gemini: 258 when both sides are at most 384 px, else 258 per 768-px tile.
    """
    if width <= 0 or height <= 0:
        raise ValueError("an image has positive sides")
    if family.startswith("gemini"):
        small = max(width, height) <= 384
        return 258 if small else 258 * math.ceil(width / 768) * math.ceil(height / 768)
    if family == "gpt-4o" or family.startswith("gpt-4o-20"):
        scale = min(1.0, 2048 / max(width, height))
        scale *= min(1.0, 768 / (min(width, height) * scale))
        tiles = math.ceil(round(width * scale, 6) / 512) * math.ceil(round(height * scale, 6) / 512)
        return 85 + 170 * tiles
    return None


def audio_tokens(family: str, seconds: float) -> int | None:
    """Forecast of input tokens of sound: Gemini counts 32 per second; None where no formula is known here."""
    return math.ceil(32 * seconds) if family.startswith("gemini") else None


def own_request(usd_per_hour: float | None, requests_per_s: float | None, utilisation: float) -> float | None:
    """USD per request of a model on an own or rented machine: P / (3600 · X · U)."""
    if usd_per_hour is None or not requests_per_s:
        return None
    return usd_per_hour / (3600 * requests_per_s * utilisation)


def own_audio_hour(usd_per_hour: float | None, rtfx: float | None, utilisation: float) -> float | None:
    """USD per hour of sound: P / (RTFx · U), RTFx = seconds of sound per second."""
    return None if usd_per_hour is None or not rtfx else usd_per_hour / (rtfx * utilisation)


def machine_time(seconds: float | None, usd_per_hour: float | None) -> float | None:
    """USD of some machine time."""
    return None if seconds is None or usd_per_hour is None else seconds / 3600 * usd_per_hour


def break_even(fixed_usd: float | None, large_usd: float | None, small_usd: float | None) -> BreakEven:
    """N* = F / (c_L − c_S); never when the small system is not cheaper per request."""
    if fixed_usd is None or large_usd is None or small_usd is None:
        return BreakEven("unpriced", None, None)
    saved = large_usd - small_usd
    if saved <= 0:
        return BreakEven("never", None, saved)
    return BreakEven("pays_back", math.ceil(fixed_usd / saved), saved)


def break_even_utilisation(
    usd_per_hour: float | None, requests_per_s: float | None, large_usd: float | None
) -> float | None:
    """U* = P / (3600 · X · c_L): busier than this, the own machine is cheaper per request. Above 1: never."""
    if usd_per_hour is None or not requests_per_s or not large_usd:
        return None
    return usd_per_hour / (3600 * requests_per_s * large_usd)


def always_on_volume(
    fixed_usd: float | None, usd_per_hour: float | None, large_usd: float | None, months: int = 12, machines: int = 1
) -> int | None:
    """Requests per month at which a machine kept on all the time pays: (F/months + 730·G·P) / c_L."""
    if fixed_usd is None or usd_per_hour is None or not large_usd:
        return None
    return math.ceil((fixed_usd / months + HOURS_PER_MONTH * machines * usd_per_hour) / large_usd)


def error_price(
    small_usd: float | None, large_usd: float | None, small_score: float | None, large_score: float | None
) -> float | None:
    """L* = (c_L − c_S) / (acc_L − acc_S): the large system pays only where one error costs more than this.

    None where the question does not arise: something is unknown, or the dearer system is not the better one.
    """
    if small_usd is None or large_usd is None or small_score is None or large_score is None:
        return None
    if large_score <= small_score or large_usd <= small_usd:
        return None
    return (large_usd - small_usd) / (large_score - small_score)


def joint_costs(
    small: NDArray[np.float64],
    large: NDArray[np.float64],
    small_usd: NDArray[np.float64] | None,
    large_usd: NDArray[np.float64] | None,
    clusters: Sequence[str] | None,
    margin: float,
    seed: int = 0,
    unsure: tuple[Spread | None, Spread | None] = (None, None),
) -> Joint:
    """Cost per right answer with intervals, resampling the same rows or clusters for both systems at once.

    small, large: (n,) scores; small_usd, large_usd: (n,) cost of each answer, or None when unpriced. `unsure`: cost
    per request of small and large with an interval that rows know nothing of (that of a speed).
    """
    ones = np.ones(len(small))
    zero = np.zeros(len(small))
    columns = np.column_stack(
        [
            zero if small_usd is None else small_usd,
            small,
            zero if large_usd is None else large_usd,
            large,
            ones,
        ]
    )

    drawn = resample_sums(columns, clusters, seed)
    not_worse = (drawn[:, 1] - drawn[:, 3]) / drawn[:, 4] > -margin
    # Draws of rows that never differ would be sure; the chance of not worse is the verdict's own, draws give the rest.
    chance, both = not_worse_confidence(small, large, margin, clusters), None
    if small_usd is not None and large_usd is not None:
        factors = [_factors(one, len(drawn), seed + place) for place, one in enumerate(unsure)]
        cheaper = drawn[:, 0] * factors[0] < drawn[:, 2] * factors[1]
        both = chance * float((cheaper[not_worse] if not_worse.any() else cheaper).mean())
    return Joint(
        None if small_usd is None else right_answer_cost(small_usd, small, clusters, unsure[0]),
        None if large_usd is None else right_answer_cost(large_usd, large, clusters, unsure[1]),
        chance,
        both,
    )


def _factors(cost: Spread | None, draws: int, seed: int) -> NDArray[np.float64]:
    """(draws,) factors by which a cost may be off, log-normal with its interval."""
    if cost is None or cost.low <= 0:
        return np.ones(draws)
    width = math.log(cost.high / cost.low) / (2 * 1.959964)
    return np.exp(np.random.default_rng([seed, 7]).normal(0.0, width, draws))


def right_answer_cost(
    usd: NDArray[np.float64], right: NDArray[np.float64], clusters: Sequence[str] | None, unsure: Spread | None
) -> Interval | None:
    """Cost per right answer over these rows, with the uncertainty of a speed where the cost rests on one."""
    return _widened(cost_per_correct(usd, right, clusters), unsure)


def _widened(interval: Interval | None, cost: Spread | None) -> Interval | None:
    """The interval of cost per right answer with that of the cost put in."""
    if interval is None or cost is None or interval.value <= 0 or cost.low <= 0:
        return interval
    right = spread.product(Spread(interval.value, interval.low, interval.high), cost.times(1 / cost.value))
    return interval._replace(low=right.low, high=right.high)


def cascade(
    confidence: NDArray[np.float64],
    small: NDArray[np.float64],
    large: NDArray[np.float64],
    small_usd: float | None,
    large_usd: float | None,
    threshold: float,
) -> CascadePoint:
    """Measured score and cost c_S + r·c_L when rows with confidence below `threshold` go to the large system."""
    goes_on = confidence < threshold
    score = float(np.where(goes_on, large, small).mean())
    share = float(goes_on.mean())
    known = small_usd is not None and large_usd is not None
    usd = small_usd + share * large_usd if known and small_usd is not None and large_usd is not None else None
    return CascadePoint(threshold, share, score, usd)


def cascade_thresholds(confidence: NDArray[np.float64], steps: int = 21) -> list[float]:
    """Thresholds that send 0 % … 100 % of these rows on, in equal shares; the last sends all."""
    inner = [float(q) for q in np.quantile(confidence, np.linspace(0, 1, steps))[1:-1]]
    return sorted({0.0, *inner, float(np.nextafter(confidence.max(), np.inf))})


def choose_threshold(points: Sequence[CascadePoint], target: float) -> CascadePoint:
    """The point that sends the fewest rows on and still reaches `target`; the best one when none does."""
    reaching = [point for point in points if point.score >= target]
    if reaching:
        return min(reaching, key=lambda point: (point.escalated, -point.score))
    return max(points, key=lambda point: (point.score, -point.escalated))


def threshold_on(
    confidence: NDArray[np.float64], small: NDArray[np.float64], large: NDArray[np.float64], margin: float
) -> float:
    """The threshold that sends the fewest of these rows on and stays within half the margin of their best score."""
    points = [cascade(confidence, small, large, None, None, at) for at in cascade_thresholds(confidence)]
    return choose_threshold(points, max(point.score for point in points) - margin / 2).threshold


def energy_wh(watts: float | None, requests_per_s: float | None) -> float | None:
    """Watt hours of one request on a machine that draws `watts` while it serves."""
    return None if watts is None or not requests_per_s else watts / requests_per_s / 3600
