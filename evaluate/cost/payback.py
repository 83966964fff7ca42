"""When the fixed cost of the small system is earned back, how sure that is, and what it depends on.

Everything follows from `what_if`, which holds copies of figures of the report, so that other prices and the sliders of
the page compute the same. Formulas are `formulas`', intervals `spread`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from evaluate.cost import formulas, spread
from evaluate.cost.spread import Spread
from evaluate.report.money import (
    AlwaysOn,
    BreakEvenPart,
    FixedCosts,
    Heat,
    MachinePart,
    Sensitivity,
    SpeedPart,
    Swing,
    WhatIf,
)
from evaluate.report.parts import Bounds, Comparison
from evaluate.report.schema import SystemPart

MONTHS_OF_USE = 12  # months over which an always-on machine carries the fixed cost, and hosting is counted
SWING = 2.0  # sensitivity: each assumption halved and doubled
MOST_CROWDED = 1.5  # fixed cost over what it would be on a quiet machine, above which it carries no pay-back
OWN = ("machine", "withheld")  # kinds of cost of a system that runs on the machine
SAME_MACHINE = "both systems run on the same machine, so their prices move together"


class MachineUse(NamedTuple):
    """Use above which the own machine is cheaper per request, with its interval; `note`: why it means nothing."""

    utilisation: float | None
    ci95: Bounds | None
    note: str


class Costs(NamedTuple):
    """USD per request of both systems, and the fixed cost; None = unpriced."""

    small: float | None
    large: float | None
    fixed: float | None


def what_if(
    small: SystemPart, large: SystemPart | None, machine: MachinePart, fixed: FixedCosts, main: Comparison | None
) -> WhatIf:
    """The numbers that the sliders of the report start from: nothing but copies of figures found elsewhere."""
    return WhatIf(
        small=small.id,
        large=large.id if large else None,
        usd_per_hour=machine.usd_per_hour,
        utilisation=machine.utilisation,
        small_kind=small.cost.kind,
        large_kind=large.cost.kind if large else "unpriced",
        small_requests_per_s=small.requests_per_s,
        large_requests_per_s=large.requests_per_s if large else None,
        small_usd_per_request=small.cost.usd_per_request,
        large_usd_per_request=large.cost.usd_per_request if large else None,
        fixed_usd=fixed.fixed_usd,
        fixed_quiet_usd=fixed.fixed_quiet_usd,
        fixed_seconds=fixed.seconds,
        fixed_money_usd=sum(line.money_usd or 0 for line in fixed.items),
        delta=main.delta if main else None,
        ci95=main.ci95 if main else None,
        lower_one_sided95=main.lower_one_sided95 if main else None,
        margin=main.margin if main else None,
    )


def per_request(system: SystemPart | None) -> Spread | None:
    """Cost of one answer of a system with its interval; None when it is unpriced."""
    if system is None or system.cost.usd_per_request is None:
        return None
    return exact_or(system.cost.usd_per_request, system.cost.usd_per_1k_ci95)


def exact_or(value: float, bounds_of_1k: Sequence[float | None] | None) -> Spread:
    """A cost per request with the bounds that its cost per 1,000 has."""
    if bounds_of_1k is None or bounds_of_1k[0] is None or bounds_of_1k[1] is None:
        return spread.exact(value)
    return Spread(value, bounds_of_1k[0] / 1000, bounds_of_1k[1] / 1000)


def break_even(
    start: WhatIf,
    small: SystemPart,
    large: SystemPart | None,
    scores: tuple[float | None, float | None],
    volumes: Sequence[int],
) -> BreakEvenPart:
    """When tuning pays back; its chances need rows (`economics.joint`). scores: higher is better, None for rates."""
    ours, theirs = per_request(small), per_request(large)
    costs = start.small_usd_per_request, start.large_usd_per_request
    found = formulas.break_even(start.fixed_usd, costs[1], costs[0])
    saved = spread.difference(theirs, ours) if ours and theirs else None
    withheld = _withheld(small, large)
    reason = withheld or (_no_pay_back(start, saved) if found.status != "unpriced" else "")
    requests = None if reason else found.requests
    bounds = None
    if requests is not None and saved is not None and start.fixed_usd is not None:
        bounds = spread.requests_to_pay_back(start.fixed_quiet_usd or start.fixed_usd, start.fixed_usd, saved)
    use = _machine_use(start, theirs, small.speed)
    return BreakEvenPart(
        status="not_stated" if reason else found.status,
        fixed_usd=start.fixed_usd,
        requests=requests,
        requests_ci95=bounds,
        price_holds=not withheld,
        pay_back_holds=not reason,
        reason=reason,
        saved_usd_per_1k=None if saved is None else 1000 * saved.value,
        saved_usd_per_1k_ci95=None if saved is None else (1000 * saved.low, 1000 * saved.high),
        months_at={str(v): None if requests is None else requests / v for v in volumes},
        utilisation=use.utilisation,
        utilisation_ci95=use.ci95,
        utilisation_note=use.note,
        always_on=_always_on(start),
        error_price_usd=formulas.error_price(*costs, *scores),
        p_not_worse=None,
        p_cheaper_and_not_worse=None,
    )


def _withheld(*systems: SystemPart | None) -> str:
    """Which of the two has no price because its speed does not hold, and why; "" when neither."""
    fails = (system for system in systems if system is not None and system.cost.kind == "withheld")
    return "; ".join(f"{system.label}: {system.cost.withheld}" for system in fails)


def _no_pay_back(start: WhatIf, saved: Spread | None) -> str:
    """Why no pay-back is stated although everything is priced; "" when one may be."""
    if saved is not None and saved.low < 0 < saved.high:
        return "the two prices differ by less than their uncertainty"
    quiet, counted = start.fixed_quiet_usd, start.fixed_usd
    if quiet and counted is not None and counted > MOST_CROWDED * quiet and saved is not None and saved.value > 0:
        return (
            f"training or answering ran beside other programs, so its machine time lies anywhere between "
            f"{100 * quiet / counted:.0f} and 100 % of what was counted"
        )
    return ""


def _machine_use(start: WhatIf, large: Spread | None, speed: SpeedPart | None) -> MachineUse:
    """U*: the use above which the own machine is cheaper per request; it means nothing where both run on it."""
    if start.small_kind in OWN and start.large_kind in OWN:
        return MachineUse(None, None, SAME_MACHINE)
    hourly, x = start.usd_per_hour if start.small_kind == "machine" else None, start.small_requests_per_s
    use = formulas.break_even_utilisation(hourly, x, start.large_usd_per_request)
    if not use or not x or large is None:
        return MachineUse(use, None, "")
    busy = spread.of_speed(use, x, speed.low, speed.high) if speed else spread.exact(use)
    found = spread.quotient(busy.times(large.value), large)
    return MachineUse(use, (found.low, found.high), "")


def _always_on(start: WhatIf) -> AlwaysOn:
    """Requests a month that pay for machines kept on; as many machines as that many requests need."""
    own = start.small_kind == "machine"
    capacity = _capacity(start) if own else None
    part = AlwaysOn(months=MONTHS_OF_USE, machines=1, requests_per_month=None, capacity_per_month=capacity)
    if start.small_kind in OWN and start.large_kind in OWN:
        return part.model_copy(update={"note": SAME_MACHINE})
    hourly, large = start.usd_per_hour if own else None, start.large_usd_per_request
    fixed = start.fixed_usd
    if fixed is None or hourly is None or not large or not capacity:
        return part
    spare = capacity - formulas.HOURS_PER_MONTH * hourly / large  # what one machine answers beyond its own price
    if spare <= 0:
        return part.model_copy(update={"note": "a machine cannot answer as many requests as would pay for it"})
    machines = max(1, math.ceil(fixed / MONTHS_OF_USE / large / spare))
    volume = formulas.always_on_volume(fixed, hourly, large, MONTHS_OF_USE, machines)
    return part.model_copy(update={"machines": machines, "requests_per_month": volume})


def _capacity(start: WhatIf) -> int | None:
    """Most requests that one machine answers in a month."""
    speed = start.small_requests_per_s
    return int(speed * 3600 * formulas.HOURS_PER_MONTH) if speed else None


def sensitivity(start: WhatIf, volumes: Sequence[int]) -> Sensitivity:
    """Tornado (break-even with each assumption halved and doubled) and a use × volume grid of monthly savings."""
    base = _requests(start, {})
    tornado = []
    for name in ("large_price", "machine_price", "utilisation", "speed", "fixed_cost"):
        low, high = _requests(start, {name: 1 / SWING}), _requests(start, {name: SWING})
        if base is not None and (low, high) != (base, base):
            tornado.append(Swing(assumption=name, halved=low, doubled=high))
    uses = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    wide = tuple(sorted({*volumes, *(10**k for k in range(3, 8))}))
    grid = tuple(tuple(_monthly_saving(start, use, volume) for volume in wide) for use in uses)
    heat = Heat(utilisation=uses, requests_per_month=wide, saving_usd_per_month=grid)
    return Sensitivity(swing=SWING, requests=base, tornado=tuple(tornado), heat=heat)


def costs_under(start: WhatIf, change: dict[str, float]) -> Costs:
    """The costs when assumptions are multiplied by the factors in `change`.

    The machine's price, speed and use move whatever runs on the machine, be it small, large or training; speed means
    the small system's. No machine is used for more than all of its time.
    """
    used = min(change.get("utilisation", 1.0), 1 / start.utilisation)
    machine = change.get("machine_price", 1.0) / used
    small, large = start.small_usd_per_request, start.large_usd_per_request
    if small is not None and start.small_kind == "machine":
        small = small * machine / change.get("speed", 1.0)
    if large is not None:
        large = large * change.get("large_price", 1.0) * (machine if start.large_kind == "machine" else 1.0)
    fixed = start.fixed_usd
    if fixed is not None:
        hours = fixed - start.fixed_money_usd
        fixed = (start.fixed_money_usd + hours * change.get("machine_price", 1.0)) * change.get("fixed_cost", 1.0)
    return Costs(small, large, fixed)


def _requests(start: WhatIf, change: dict[str, float]) -> int | None:
    small, large, fixed = costs_under(start, change)
    return formulas.break_even(fixed, large, small).requests


def _monthly_saving(start: WhatIf, use: float, volume: int) -> float | None:
    small, large, fixed = costs_under(start, {"utilisation": use / start.utilisation})
    if small is None or large is None or fixed is None:
        return None
    return volume * (large - small) - fixed / MONTHS_OF_USE
