"""The money sections of a report: cost of each system, fixed-cost ledger, break-even, sensitivity, cascade, energy.

Applies cost.py's formulas to Results and a price sheet. Everything below `what_if` can be computed again from
report.json alone, with other prices (`report.reprice`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluate.cost import formulas
from evaluate.cost.prices import PriceSheet
from evaluate.plan import Machine
from evaluate.report.results import Results, Row, SystemResult
from evaluate.stats import measures
from evaluate.stats.clusters import Floats
from evaluate.stats.intervals import mean_score
from synth.scoring.scorers import metric as metric_facts
from synth.usage import Usage

JsonDict = dict[str, Any]
MONTHS_OF_USE = 12  # months over which an always-on machine carries the fixed cost
ELECTRICITY = "electricity"  # row of the price sheet
SWING = 2.0  # sensitivity: each assumption halved and doubled


class Rate(NamedTuple):
    """USD per request of one system; usd None = unpriced, and `basis` says why or how."""

    usd: float | None
    basis: str
    kind: str  # "machine" | "usage" | "unpriced"


def machine_price(machine: Machine, sheet: PriceSheet) -> float | None:
    """USD per hour: the plan's figure, else the sheet's row of that name."""
    return machine.usd_per_hour if machine.usd_per_hour is not None else sheet.price(machine.name, "hour")


def machine_is_assumed(machine: Machine, sheet: PriceSheet) -> bool:
    """Whether the hourly price is the project's assumption rather than anybody's quotation."""
    row = sheet.find(machine.name, "hour")
    return machine.usd_per_hour is None and row is not None and row.source == "assumption"


def rate(system: JsonDict, machine: JsonDict, sheet: PriceSheet, priced_as: str | None) -> Rate:
    """Cost of one request from a system's facts in report.json."""
    if priced_as is not None:
        return _rate_from_usage(system, sheet, priced_as)
    if system["kind"] != "local":
        return Rate(None, "unpriced: the usage of imported answers is not known", "unpriced")
    hourly, speed, use = machine["usd_per_hour"], system["requests_per_s"], machine["utilisation"]
    usd = formulas.own_request(hourly, speed, use)
    if usd is None:
        reason = "no hourly price" if hourly is None else "its speed was not measured"
        return Rate(None, f"unpriced: {reason} ({machine['name']})", "unpriced")
    return Rate(usd, f"{hourly:g} USD/h ({machine['name']}) ÷ {speed:.3g} requests/s ÷ {use:.0%} use", "machine")


def _rate_from_usage(system: JsonDict, sheet: PriceSheet, model: str) -> Rate:
    usage = system["usage"]
    answered = usage["answers"]
    billed = bill_of(system, sheet, model)
    if billed.usd is None or not answered:
        why = ", ".join(billed.missing) or "no usage was reported"
        return Rate(None, f"unpriced: {why}", "unpriced")
    row = sheet.find(model, billed.items[0].unit) if billed.items else None
    dated = f", confirmed {row.confirmed.isoformat()}" if row else ""
    return Rate(billed.usd / answered, f"usage of {answered:,} answers × price of {model}{dated}", "usage")


def bill_of(system: JsonDict, sheet: PriceSheet, model: str, batch: bool = False) -> formulas.Bill:
    """The bill for all of a system's answers in this comparison, or what a batch of them would have cost."""
    fields = {key: value for key, value in system["usage"].items() if key in Usage.model_fields}
    usage = Usage.model_validate(fields)
    return formulas.bill(usage, model, sheet, batch, system["usage"]["largest_input_tokens"])


def price_name(system: SystemResult) -> str | None:
    """Row of the price sheet a system is billed by; endpoints fall back to their model's name."""
    return system.price_model or (system.base_model if system.kind == "endpoint" else None)


def system_cost(system: JsonDict, machine: JsonDict, sheet: PriceSheet, split: str) -> JsonDict:
    """report.json's `systems[].cost`; its interval is added by report.py."""
    found = rate(system, machine, sheet, system["priced_as"])
    summary = system["splits"].get(split) or {}
    value = summary.get("value") if system["higher_is_better"] else None
    per_right = found.usd / value if found.usd is not None and value else None
    watts = sheet.price(machine["name"], "watts") if found.kind == "machine" else None
    energy = formulas.energy_wh(watts, system["requests_per_s"])
    per_kwh = machine["usd_per_kwh"]
    audio = None
    if found.kind == "machine":
        audio = formulas.own_audio_hour(machine["usd_per_hour"], system["audio_sec_per_s"], machine["utilisation"])
    elif found.usd is not None and system["usage"]["audio_sec"]:
        audio = found.usd * system["usage"]["answers"] / (system["usage"]["audio_sec"] / 3600)
    items: tuple[formulas.BillItem, ...] = ()
    in_batch = None
    if found.kind == "usage":
        items = bill_of(system, sheet, system["priced_as"]).items
        in_batch = bill_of(system, sheet, system["priced_as"], batch=True).usd
    return {
        "usd_per_request": found.usd,
        "usd_per_1k": None if found.usd is None else found.usd * 1000,
        "usd_per_1k_batch": None if in_batch is None else 1000 * in_batch / system["usage"]["answers"],
        "usd_per_correct": per_right,
        "usd_per_correct_ci95": None,
        "usd_per_audio_hour": audio,
        "basis": found.basis,
        "kind": found.kind,
        "bill": [item._asdict() for item in items],
        "wh_per_1k": None if energy is None else energy * 1000,
        "energy_usd_per_1k": None if energy is None or per_kwh is None else energy * per_kwh,
    }


def row_costs(rows: Sequence[Row], facts: JsonDict, sheet: PriceSheet) -> Floats | None:
    """(n,) USD of each answer, for resampling; rows without usage carry the mean. None = unpriced."""
    mean = facts["cost"]["usd_per_request"]
    if mean is None:
        return None
    if facts["cost"]["kind"] == "machine":
        return np.full(len(rows), mean)
    bills = [formulas.bill(row.usage, facts["priced_as"], sheet).usd for row in rows]
    return np.array([mean if usd is None else usd for usd in bills], dtype=np.float64)


def joint(results: Results, facts: dict[str, JsonDict], sheet: PriceSheet, split: str) -> formulas.Joint | None:
    """Cost per right answer of small and large with joint intervals, and the chance of cheaper and not worse."""
    small_id, large_id = results.plan.roles()
    if large_id is None or metric_facts(results.system(small_id).metric).pools_edits:
        return None
    unit = measures.units(results, [split])[split]
    both = measures.pair(results.system(small_id), results.system(large_id), split, unit)
    if len(both.small) < 2:
        return None
    return formulas.joint_costs(
        measures.scores(both.small),
        measures.scores(both.large),
        row_costs(both.small, facts[small_id], sheet),
        row_costs(both.large, facts[large_id], sheet),
        both.clusters,
        results.plan.margin,
        results.plan.seed,
    )


def answers_bill(system: JsonDict, sheet: PriceSheet) -> float | None:
    """What an endpoint's answers of this comparison cost; None when unpriced, or when some reported no usage."""
    return None if system["usage"]["unreported"] else bill_of(system, sheet, system["priced_as"]).usd


def ledger(items: Sequence[JsonDict], usd_per_hour: float | None, bills: dict[str, float | None]) -> JsonDict:
    """The fixed cost, item by item. Failed runs count; one unpriced item makes the sum unknown, not smaller.

    bills: what the answers of each endpoint cost, by system id.
    """
    lines = []
    for item in items:
        answered_by = item["system_id"] if item["kind"] == "evaluation" else None
        money = bills[answered_by] if answered_by in bills else item["usd"]
        time_usd = formulas.machine_time(item["seconds"], usd_per_hour)
        parts = [part for part in (money, time_usd) if part is not None]
        unpriced = not parts or (item["seconds"] is not None and time_usd is None)
        lines.append({**item, "money_usd": money, "usd": None if unpriced else sum(parts)})
    known = [line["usd"] for line in lines if line["usd"] is not None]
    complete = bool(lines) and len(known) == len(lines)
    return {
        "items": lines,
        "fixed_usd": sum(known) if complete else None,
        "priced_usd": sum(known),
        "seconds": sum(line["seconds"] or 0 for line in lines),
    }


def what_if(
    small: JsonDict, large: JsonDict | None, machine: JsonDict, fixed: JsonDict, main: JsonDict | None
) -> JsonDict:
    """The numbers that the sliders of the report start from: nothing but copies of figures found elsewhere."""
    large = large or {"id": None, "cost": {"kind": "unpriced", "usd_per_request": None}, "requests_per_s": None}
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
        "fixed_seconds": fixed["seconds"],
        "fixed_money_usd": sum(line["money_usd"] or 0 for line in fixed["items"]),
        "delta": main["delta"] if main else None,
        "ci95": main["ci95"] if main else None,
        "lower_one_sided95": main["lower_one_sided95"] if main else None,
        "margin": main["margin"] if main else None,
    }


def break_even(start: JsonDict, scores: tuple[float | None, float | None], volumes: Sequence[int]) -> JsonDict:
    """report.json's `break_even`. scores: higher-is-better values of small and large, None for error rates."""
    small, large = start["small_usd_per_request"], start["large_usd_per_request"]
    found = formulas.break_even(start["fixed_usd"], large, small)
    own = start["small_kind"] == "machine"
    hourly = start["usd_per_hour"] if own else None
    months = {str(v): None if found.requests is None else found.requests / v for v in volumes}
    return {
        "status": found.status,
        "fixed_usd": start["fixed_usd"],
        "requests": found.requests,
        "saved_usd_per_1k": None if found.saved_per_request is None else found.saved_per_request * 1000,
        "months_at": months,
        "utilisation": formulas.break_even_utilisation(hourly, start["small_requests_per_s"], large),
        "always_on": {
            "months": MONTHS_OF_USE,
            "machines": 1,
            "requests_per_month": formulas.always_on_volume(start["fixed_usd"], hourly, large, MONTHS_OF_USE),
            "capacity_per_month": _capacity(start) if own else None,
        },
        "error_price_usd": formulas.error_price(small, large, *scores),
    }


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
    the small system's.
    """
    machine = change.get("machine_price", 1.0) / change.get("utilisation", 1.0)
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


def cascade(results: Results, small: SystemResult, large: SystemResult, start: JsonDict, split: str) -> JsonDict | None:
    """Small first, large on low confidence: the threshold is chosen on val, then measured on `split`.

    None when the small system gave no confidences or the metric is a ratio. Without val rows the curve is shown and
    nothing is chosen.
    """
    if metric_facts(small.metric).pools_edits:
        return None
    costs = (start["small_usd_per_request"], start["large_usd_per_request"])
    here, val = (_confident(measures.pair(small, large, name)) for name in (split, "val"))
    if here is None:
        return None
    chosen = None
    if val is not None and split != "val":
        on_val = [formulas.cascade(*val[:3], *costs, at) for at in formulas.cascade_thresholds(val.confidence)]
        best = formulas.choose_threshold(on_val, max(point.score for point in on_val) - results.plan.margin / 2)
        measured = formulas.cascade(*here[:3], *costs, best.threshold)
        outcomes = np.where(here.confidence < best.threshold, here.large, here.small)
        interval = mean_score(outcomes, here.templates)
        chosen = {**measured._asdict(), "ci95": [interval.low, interval.high]}
    curve = [formulas.cascade(*here[:3], *costs, at) for at in formulas.cascade_thresholds(here.confidence)]
    return {
        "split": split,
        "n": len(here.small),
        "curve": [point._asdict() for point in curve],
        "chosen_on": "val" if chosen else None,
        "chosen": chosen,
    }


class Confident(NamedTuple):
    """Scores of both systems on the rows for which the small one gave a confidence."""

    confidence: Floats
    small: Floats
    large: Floats
    templates: list[str]


def _confident(both: measures.Pair) -> Confident | None:
    kept = [(s, g) for s, g in zip(both.small, both.large, strict=True) if s.confidence is not None]
    if len(kept) < 2:
        return None
    confidence = np.array([s.confidence for s, _ in kept], dtype=np.float64)
    small, large = measures.scores([s for s, _ in kept]), measures.scores([g for _, g in kept])
    return Confident(confidence, small, large, [s.template for s, _ in kept])


def machine_facts(results: Results, sheet: PriceSheet) -> JsonDict:
    """The machine all local systems and runs are priced on."""
    machine = results.plan.machine
    return {
        "name": machine.name,
        "usd_per_hour": machine_price(machine, sheet),
        "from_sheet": machine.usd_per_hour is None,
        "assumed": machine_is_assumed(machine, sheet),
        "utilisation": machine.utilisation,
        "watts": sheet.price(machine.name, "watts"),
        "usd_per_kwh": sheet.price(ELECTRICITY, "kwh"),
    }
