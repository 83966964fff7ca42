"""When the fixed cost of the small system is earned back, how sure that is, and what it depends on.

Everything follows from `what_if`, which holds copies of figures of the report, so that other prices and the sliders of
the page compute the same. Formulas are `formulas`', intervals `spread`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from evaluate.cost import formulas, spread
from evaluate.cost.spread import Spread

JsonDict = dict[str, Any]
MONTHS_OF_USE = 12  # months over which an always-on machine carries the fixed cost, and hosting is counted
SWING = 2.0  # sensitivity: each assumption halved and doubled
MOST_CROWDED = 1.5  # fixed cost over what it would be on a quiet machine, above which it carries no pay-back
OWN = ("machine", "withheld")  # kinds of cost of a system that runs on the machine
SAME_MACHINE = "both systems run on the same machine, so their prices move together"


def what_if(
    small: JsonDict, large: JsonDict | None, machine: JsonDict, fixed: JsonDict, main: JsonDict | None
) -> JsonDict:
    """The numbers that the sliders of the report start from: nothing but copies of figures found elsewhere."""
    nobody = {"kind": "unpriced", "usd_per_request": None, "usd_per_1k_ci95": None}
    large = large or {"id": None, "label": "", "cost": nobody, "requests_per_s": None, "speed": None}
    return {
        "small": small["id"],
        "large": large["id"],
        "usd_per_hour": machine["usd_per_hour"],
        "utilisation": machine["utilisation"],
        "small_kind": small["cost"]["kind"],
        "large_kind": large["cost"]["kind"],
        "small_requests_per_s": small["requests_per_s"],
        "large_requests_per_s": large["requests_per_s"],
        "small_usd_per_request": small["cost"]["usd_per_request"],
        "large_usd_per_request": large["cost"]["usd_per_request"],
        "fixed_usd": fixed["fixed_usd"],
        "fixed_quiet_usd": fixed["fixed_quiet_usd"],
        "fixed_seconds": fixed["seconds"],
        "fixed_money_usd": sum(line["money_usd"] or 0 for line in fixed["items"]),
        "delta": main["delta"] if main else None,
        "ci95": main["ci95"] if main else None,
        "lower_one_sided95": main["lower_one_sided95"] if main else None,
        "margin": main["margin"] if main else None,
    }


def per_request(system: JsonDict | None) -> Spread | None:
    """Cost of one answer of a system of report.json with its interval; None when it is unpriced."""
    if system is None or system["cost"]["usd_per_request"] is None:
        return None
    value, bounds = system["cost"]["usd_per_request"], system["cost"]["usd_per_1k_ci95"]
    return exact_or(value, bounds)


def exact_or(value: float, bounds_of_1k: Sequence[float | None] | None) -> Spread:
    """A cost per request with the bounds that its cost per 1,000 has."""
    if bounds_of_1k is None or bounds_of_1k[0] is None or bounds_of_1k[1] is None:
        return spread.exact(value)
    return Spread(value, bounds_of_1k[0] / 1000, bounds_of_1k[1] / 1000)


def break_even(
    start: JsonDict,
    systems: tuple[JsonDict, JsonDict | None],
    scores: tuple[float | None, float | None],
    volumes: Sequence[int],
) -> JsonDict:
    """report.json's `break_even`. systems: small and large. scores: higher-is-better values, None for error rates."""
    small, large = per_request(systems[0]), per_request(systems[1])
    costs = start["small_usd_per_request"], start["large_usd_per_request"]
    found = formulas.break_even(start["fixed_usd"], costs[1], costs[0])
    saved = spread.difference(large, small) if small and large else None
    withheld = _withheld(systems)
    reason = withheld or (_no_pay_back(start, saved) if found.status != "unpriced" else "")
    requests = None if reason else found.requests
    bounds = None
    if requests is not None and saved is not None and start["fixed_usd"] is not None:
        bounds = spread.requests_to_pay_back(start["fixed_quiet_usd"] or start["fixed_usd"], start["fixed_usd"], saved)
    return {
        "status": "not_stated" if reason else found.status,
        "fixed_usd": start["fixed_usd"],
        "requests": requests,
        "requests_ci95": bounds,
        "price_holds": not withheld,
        "pay_back_holds": not reason,
        "reason": reason,
        "saved_usd_per_1k": None if saved is None else 1000 * saved.value,
        "saved_usd_per_1k_ci95": None if saved is None else [1000 * saved.low, 1000 * saved.high],
        "months_at": {str(v): None if requests is None else requests / v for v in volumes},
        **_machine_use(start, large, systems[0]),
        "always_on": _always_on(start),
        "error_price_usd": formulas.error_price(*costs, *scores),
    }


def _withheld(systems: tuple[JsonDict, JsonDict | None]) -> str:
    """Which of the two has no price because its speed does not hold, and why; "" when neither."""
    fails = (system for system in systems if system is not None and system["cost"]["kind"] == "withheld")
    return "; ".join(f"{system['label']}: {system['cost']['withheld']}" for system in fails)


def _no_pay_back(start: JsonDict, saved: Spread | None) -> str:
    """Why no pay-back is stated although everything is priced; "" when one may be."""
    if saved is not None and saved.low < 0 < saved.high:
        return "the two prices differ by less than their uncertainty"
    quiet = start["fixed_quiet_usd"]
    if quiet and start["fixed_usd"] > MOST_CROWDED * quiet and saved is not None and saved.value > 0:
        return (
            f"training or answering ran beside other programs, so its machine time lies anywhere between "
            f"{100 * quiet / start['fixed_usd']:.0f} and 100 % of what was counted"
        )
    return ""


def _machine_use(start: JsonDict, large: Spread | None, small: JsonDict) -> JsonDict:
    """U*: the use above which the own machine is cheaper per request; it means nothing where both run on it."""
    if start["small_kind"] in OWN and start["large_kind"] in OWN:
        return {"utilisation": None, "utilisation_ci95": None, "utilisation_note": SAME_MACHINE}
    hourly = start["usd_per_hour"] if start["small_kind"] == "machine" else None
    use = formulas.break_even_utilisation(hourly, start["small_requests_per_s"], start["large_usd_per_request"])
    bounds, speed = None, small["speed"]
    if use and large is not None:
        x = start["small_requests_per_s"]
        busy = spread.of_speed(use, x, speed["low"], speed["high"]) if speed else spread.exact(use)
        found = spread.quotient(busy.times(large.value), large)
        bounds = [found.low, found.high]
    return {"utilisation": use, "utilisation_ci95": bounds, "utilisation_note": ""}


def _always_on(start: JsonDict) -> JsonDict:
    """Requests a month that pay for machines kept on; as many machines as that many requests need."""
    own = start["small_kind"] == "machine"
    capacity = _capacity(start) if own else None
    part = {"months": MONTHS_OF_USE, "machines": 1, "requests_per_month": None, "capacity_per_month": capacity}
    if start["small_kind"] in OWN and start["large_kind"] in OWN:
        return {**part, "note": SAME_MACHINE}
    hourly, large = start["usd_per_hour"] if own else None, start["large_usd_per_request"]
    fixed = start["fixed_usd"]
    if fixed is None or hourly is None or not large or not capacity:
        return {**part, "note": ""}
    spare = capacity - formulas.HOURS_PER_MONTH * hourly / large  # what one machine answers beyond its own price
    if spare <= 0:
        return {**part, "note": "a machine cannot answer as many requests as would pay for it"}
    machines = max(1, math.ceil(fixed / MONTHS_OF_USE / large / spare))
    volume = formulas.always_on_volume(fixed, hourly, large, MONTHS_OF_USE, machines)
    return {**part, "machines": machines, "requests_per_month": volume, "note": ""}


def _capacity(start: JsonDict) -> int | None:
    """Most requests that one machine answers in a month."""
    speed = start["small_requests_per_s"]
    return int(speed * 3600 * formulas.HOURS_PER_MONTH) if speed else None


def sensitivity(start: JsonDict, volumes: Sequence[int]) -> JsonDict:
    """Tornado (break-even with each assumption halved and doubled) and a use × volume grid of monthly savings."""
    base = _requests(start, {})
    tornado = []
    for name in ("large_price", "machine_price", "utilisation", "speed", "fixed_cost"):
        low, high = _requests(start, {name: 1 / SWING}), _requests(start, {name: SWING})
        if base is not None and (low, high) != (base, base):
            tornado.append({"assumption": name, "halved": low, "doubled": high})
    uses = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    wide = sorted({*volumes, *(10**k for k in range(3, 8))})
    grid = [[_monthly_saving(start, use, volume) for volume in wide] for use in uses]
    return {
        "swing": SWING,
        "requests": base,
        "tornado": tornado,
        "heat": {"utilisation": uses, "requests_per_month": wide, "saving_usd_per_month": grid},
    }


def costs_under(start: JsonDict, change: dict[str, float]) -> tuple[float | None, float | None, float | None]:
    """(small, large, fixed) in USD when assumptions are multiplied by the factors in `change`.

    The machine's price, speed and use move whatever runs on the machine, be it small, large or training; speed means
    the small system's. No machine is used for more than all of its time.
    """
    used = min(change.get("utilisation", 1.0), 1 / start["utilisation"])
    machine = change.get("machine_price", 1.0) / used
    small, large = start["small_usd_per_request"], start["large_usd_per_request"]
    if small is not None and start["small_kind"] == "machine":
        small = small * machine / change.get("speed", 1.0)
    if large is not None:
        large = large * change.get("large_price", 1.0) * (machine if start["large_kind"] == "machine" else 1.0)
    fixed = start["fixed_usd"]
    if fixed is not None:
        hours = fixed - start["fixed_money_usd"]
        fixed = (start["fixed_money_usd"] + hours * change.get("machine_price", 1.0)) * change.get("fixed_cost", 1.0)
    return small, large, fixed


def _requests(start: JsonDict, change: dict[str, float]) -> int | None:
    small, large, fixed = costs_under(start, change)
    return formulas.break_even(fixed, large, small).requests


def _monthly_saving(start: JsonDict, use: float, volume: int) -> float | None:
    small, large, fixed = costs_under(start, {"utilisation": use / start["utilisation"]})
    if small is None or large is None or fixed is None:
        return None
    return volume * (large - small) - fixed / MONTHS_OF_USE
