"""Intervals of money: from the interval of a speed or of a mean bill to those of a price, a saving and a pay-back.

Closed forms over (value, low, high), so that a report can be priced again from its own figures. Two independent
intervals are put together by MOVER (Zou and Donner 2008, doi:10.1002/sim.3095) on the scale where they add:
differences as they are, products and quotients by their logarithms. None = unknown, or without bound.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Spread(NamedTuple):
    """A positive figure with its 95 % interval; low = high = value where nothing was measured."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Spread:
        """In another unit."""
        return Spread(self.value * factor, self.low * factor, self.high * factor)


def exact(value: float) -> Spread:
    """A figure that carries no uncertainty of its own."""
    return Spread(value, value, value)


def of_speed(usd: float, requests_per_s: float, low: float, high: float) -> Spread:
    """A price of machine time per request: the faster, the cheaper."""
    return Spread(usd, usd * requests_per_s / high, usd * requests_per_s / low)


def total(a: Spread, b: Spread) -> Spread:
    """a + b."""
    value = a.value + b.value
    return Spread(
        value,
        value - math.hypot(a.value - a.low, b.value - b.low),
        value + math.hypot(a.high - a.value, b.high - b.value),
    )


def difference(a: Spread, b: Spread) -> Spread:
    """a − b."""
    value = a.value - b.value
    down = math.hypot(a.value - a.low, b.high - b.value)
    up = math.hypot(a.high - a.value, b.value - b.low)
    return Spread(value, value - down, value + up)


def quotient(a: Spread, b: Spread) -> Spread:
    """a ÷ b, both positive."""
    value = a.value / b.value
    down = math.hypot(math.log(a.value / a.low), math.log(b.high / b.value))
    up = math.hypot(math.log(a.high / a.value), math.log(b.value / b.low))
    return Spread(value, value * math.exp(-down), value * math.exp(up))


def product(a: Spread, b: Spread) -> Spread:
    """a × b, both positive; bounds at zero or infinity stay there."""
    value = a.value * b.value
    down = math.hypot(*(math.log(one.value / one.low) if one.low > 0 else math.inf for one in (a, b)))
    up = math.hypot(*(math.log(one.high / one.value) for one in (a, b)))
    return Spread(value, value * math.exp(-down), value * math.exp(up))


def chance_below(a: Spread, b: Spread) -> float:
    """The chance that a < b, taking the interval of their difference as that of a normal distribution."""
    saved = difference(b, a)
    half = (saved.value - saved.low if saved.value > 0 else saved.high - saved.value) / 1.959964
    if half <= 0:
        return float(saved.value > 0)
    return 0.5 * math.erfc(-saved.value / half / math.sqrt(2))


def requests_to_pay_back(fixed_low: float, fixed: float, saved: Spread) -> tuple[int, int | None] | None:
    """Interval of N* = F / saving; upper bound None: it may never pay back. None without a saving at all."""
    if saved.high <= 0:
        return None
    fewest = math.ceil(fixed_low / saved.high)
    return fewest, math.ceil(fixed / saved.low) if saved.low > 0 else None
