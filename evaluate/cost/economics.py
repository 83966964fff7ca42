"""The money sections of a report: cost of each system, fixed-cost ledger, cascade, energy.

Applies `formulas` to Results and a price sheet. When the fixed cost is earned back is `payback`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from evaluate.cost import formulas, spread
from evaluate.cost.prices import PriceSheet
from evaluate.cost.throughput import CROWDED, LOADED_SLOWDOWN
from evaluate.plan import Machine
from evaluate.report.money import (
    AnswersUsage,
    BillLine,
    Cascade,
    Cost,
    FixedCosts,
    Handover,
    LedgerLine,
    MachinePart,
    PricedLine,
    SpeedPart,
    WhatIf,
)
from evaluate.report.parts import Bounds
from evaluate.report.results import Results, Row, SystemResult
from evaluate.report.rows import flags, numbers, of_split, where
from evaluate.report.schema import MeasuredSystem, SystemPart
from evaluate.stats import clusters, measures
from evaluate.stats.clusters import Floats
from evaluate.stats.intervals import Interval, mean_score
from synth.scoring.scorers import metric as metric_facts

ELECTRICITY = "electricity"  # row of the price sheet


class Rate(NamedTuple):
    """USD per request of one system; usd None = unpriced or withheld, and `basis` says why or how."""

    usd: float | None
    basis: str
    kind: Literal["machine", "usage", "unpriced", "withheld"]


def machine_price(machine: Machine, sheet: PriceSheet) -> float | None:
    """USD per hour: the plan's figure, else the sheet's row of that name."""
    return machine.usd_per_hour if machine.usd_per_hour is not None else sheet.price(machine.name, "hour")


def machine_is_assumed(machine: Machine, sheet: PriceSheet) -> bool:
    """Whether the hourly price is the project's assumption rather than anybody's quotation."""
    row = sheet.find(machine.name, "hour")
    return machine.usd_per_hour is None and row is not None and row.source == "assumption"


def rate(system: MeasuredSystem, machine: MachinePart, sheet: PriceSheet) -> Rate:
    """Cost of one request."""
    if system.priced_as is not None:
        return _rate_from_usage(system, sheet, system.priced_as)
    if system.kind != "local":
        return Rate(None, "unpriced: the usage of imported answers is not known", "unpriced")
    if why := speed_fails(system):
        return Rate(None, f"not stated: {why}", "withheld")
    hourly, speed, use = machine.usd_per_hour, system.requests_per_s, machine.utilisation
    usd = formulas.own_request(hourly, speed, use)
    if usd is None:
        reason = "no hourly price" if hourly is None else "its speed was not measured"
        return Rate(None, f"unpriced: {reason} ({machine.name})", "unpriced")
    basis = f"{hourly:g} USD/h ({machine.name}) ÷ {speed:.3g} requests/s ÷ {100 * use:.0f} % use"
    return Rate(usd, f"{basis}{_measured_how(system.speed)}", "machine")


def speed_fails(system: MeasuredSystem) -> str:
    """Why a measured speed carries no price, in any part of the report; "" when it may, or where there is none."""
    speed = system.speed if system.kind == "local" else None
    return "" if speed is None or speed.holds else speed.reason


def _measured_how(speed: SpeedPart | None) -> str:
    """At which batch size and latency a price of machine time holds, and what it was measured by."""
    if speed is None:
        return ""
    clock = "processor time" if speed.basis == "cpu" else "wall time"
    where = f"; {clock} of {speed.cores} cores, one process each" if speed.basis == "cpu" else f"; {clock}"
    late = speed.latency_p50_sec
    beside = " beside other programs" if speed.others_share > CROWDED else ""
    at = f", {speed.batch_size} requests at once" + (f", each answered in {late:.2g} s{beside}" if late else "")
    return f"{where}{at}"


def _rate_from_usage(system: MeasuredSystem, sheet: PriceSheet, model: str) -> Rate:
    answered, lost = system.usage.answers, system.usage.lost_attempts
    billed = bill_of(system, sheet, model)
    if billed.usd is None or not answered:
        why = ", ".join(billed.missing) or "no usage was reported"
        return Rate(None, f"unpriced: {why}", "unpriced")
    row = sheet.find(model, billed.items[0].unit) if billed.items else None
    dated = f", confirmed {row.confirmed.isoformat()}" if row else ""
    name = sheet.priced_name(model)
    named = model if name == model else f"{name}, for {model} has no price of its own"
    batch = " in a batch" if system.batch else ""
    failed = f", and as much for each of {lost:,} billed attempts without an answer" if lost else ""
    usd = billed.usd * (1 + lost / answered) / answered
    return Rate(usd, f"usage of {answered:,} answers × price of {named}{batch}{dated}{failed}", "usage")


def bill_of(system: MeasuredSystem, sheet: PriceSheet, model: str, batch: bool = False) -> formulas.Bill:
    """The bill for a system's answers on the rows of the verdict, or what a batch of them would have cost."""
    return _bill(system.usage, sheet, model, batch or system.batch)


def _bill(usage: AnswersUsage, sheet: PriceSheet, model: str, batch: bool) -> formulas.Bill:
    return formulas.bill(usage, model, sheet, batch, usage.largest_input_tokens)


def price_name(system: SystemResult) -> str | None:
    """Row of the price sheet a system is billed by; endpoints fall back to their model's name.

    Answers from a file are billed where the file names the model and what was used, or the plan names the price.
    """
    if system.kind == "predictions" and not flags(system.rows, "usage").any():
        return None
    return system.price_model or (system.base_model if system.kind == "endpoint" else None)


def system_cost(system: MeasuredSystem, machine: MachinePart, sheet: PriceSheet, split: str) -> Cost:
    """What its answers cost; the interval of the cost per right answer needs rows (`per_right_answer`)."""
    found = rate(system, machine, sheet)
    value = system.splits[split].value if split in system.splits and system.higher_is_better else None
    watts = sheet.price(machine.name, "watts") if found.kind == "machine" else None
    energy = formulas.energy_wh(watts, system.requests_per_s)
    hourly, use = machine.usd_per_hour, machine.utilisation
    audio = None
    if found.kind == "machine":
        audio = formulas.own_audio_hour(hourly, system.audio_sec_per_s, use)
    elif found.usd is not None and system.usage.audio_sec:
        audio = found.usd * system.usage.answers / (system.usage.audio_sec / 3600)
    items: tuple[formulas.BillItem, ...] = ()
    in_batch = None
    if found.kind == "usage" and system.priced_as is not None:
        items = bill_of(system, sheet, system.priced_as).items
        in_batch = bill_of(system, sheet, system.priced_as, batch=True).usd
    interval = _interval(found, system)
    speed = system.speed if found.kind == "machine" else None
    single = formulas.own_request(hourly, speed.single_stream_per_s if speed else None, use)
    slow, fast = (speed and speed.single_stream_range) or (None, None)
    dear, cheap = (formulas.own_request(hourly, one, use) for one in (slow, fast))
    return Cost(
        usd_per_request=found.usd,
        usd_per_1k=None if found.usd is None else found.usd * 1000,
        usd_per_1k_ci95=None if interval is None else (1000 * interval.low, 1000 * interval.high),
        usd_per_1k_single=None if single is None else 1000 * single,
        usd_per_1k_single_range=(1000 * cheap, 1000 * dear) if cheap is not None and dear is not None else None,
        usd_per_1k_batch=None if in_batch is None else 1000 * in_batch / system.usage.answers,
        usd_per_correct=found.usd / value if found.usd is not None and value else None,
        usd_per_correct_ci95=None,
        usd_per_audio_hour=audio,
        basis=found.basis,
        kind=found.kind,
        withheld=speed_fails(system) if found.kind == "withheld" else "",
        bill=tuple(BillLine(**item._asdict()) for item in items),
        wh_per_1k=None if energy is None else energy * 1000,
        energy_usd_per_1k=None if energy is None or machine.usd_per_kwh is None else energy * machine.usd_per_kwh,
    )


def _interval(found: Rate, system: MeasuredSystem) -> spread.Spread | None:
    """Of the cost of one answer: from the rounds of the speed measurement, or from how much bills differ by row."""
    if found.usd is None:
        return None
    if found.kind == "machine":
        speed, x = system.speed, system.requests_per_s
        return spread.of_speed(found.usd, x, speed.low, speed.high) if speed and x else None
    factors = system.usage.cost_spread
    return spread.Spread(found.usd, found.usd * factors[0], found.usd * factors[1]) if factors else None


def cost_spread(system: SystemResult, split: str, unit: str, sheet: PriceSheet) -> Bounds | None:
    """Interval of the mean bill per answer on one split, as factors of the mean; None without two bills."""
    model = price_name(system)
    if model is None:
        return None
    rows = of_split(system.rows, split)
    rows = where(rows, ~flags(rows, "error"))
    bills = _bills(rows, model, sheet, system.batch)
    known, money = where(rows, ~np.isnan(bills)), bills[~np.isnan(bills)]
    if len(known) < 2 or money.mean() <= 0:
        return None
    codes = clusters.cluster_codes(len(known), measures.cluster_ids(known, unit))
    found = clusters.spread(money - money.mean(), money != np.median(money), codes, 0.0)
    if found.clusters < 2 or found.se < 1e-12 * money.mean():  # equal bills, but for the last bit
        return None
    step = clusters.t_quantile(0.975, found.dof) * found.se / float(money.mean())
    return round(math.exp(-step), 6), round(math.exp(step), 6)


def row_costs(rows: Sequence[Row], system: SystemPart, sheet: PriceSheet) -> Floats | None:
    """(n,) USD of each answer, for resampling; rows without usage carry the mean. None = unpriced.

    Scaled so that their mean is the cost of an answer, which failed attempts are a part of.
    """
    mean = system.cost.usd_per_request
    if mean is None:
        return None
    if system.cost.kind == "machine" or system.priced_as is None:
        return np.full(len(rows), mean)
    bills = _bills(rows, system.priced_as, sheet, system.batch)
    known = bills[~np.isnan(bills)]
    scale = mean * len(known) / float(sum(known)) if known.any() else 1.0
    return np.where(np.isnan(bills), mean, bills * scale)


def _bills(rows: Sequence[Row], model: str, sheet: PriceSheet, batch: bool) -> Floats:
    """(n,) USD of each answer; nan where something in it is unpriced."""
    found = (formulas.bill(row.usage, model, sheet, batch).usd for row in rows)
    return np.fromiter((np.nan if usd is None else usd for usd in found), np.float64, len(rows))


def joint(results: Results, facts: Mapping[str, SystemPart], sheet: PriceSheet, split: str) -> formulas.Joint | None:
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
        (_of_speed(facts[small_id]), _of_speed(facts[large_id])),
    )


def per_right_answer(
    system: SystemResult, facts: SystemPart, sheet: PriceSheet, split: str, unit: str
) -> Interval | None:
    """Cost per right answer over all rows that the system is scored on: its price over its score, both of one split."""
    rows = measures.scored_rows(system, split)
    if len(rows) < 2 or metric_facts(system.metric).pools_edits:
        return None
    usd = row_costs(rows, facts, sheet)
    if usd is None:
        return None
    return formulas.right_answer_cost(usd, measures.scores(rows), measures.cluster_ids(rows, unit), _of_speed(facts))


def _of_speed(system: SystemPart) -> spread.Spread | None:
    """The cost of one answer with the interval that the speed measurement gives it; None where bills give it."""
    usd, (low, high) = system.cost.usd_per_request, system.cost.usd_per_1k_ci95 or (None, None)
    if system.cost.kind != "machine" or usd is None or not low or high is None:
        return None
    return spread.Spread(usd, low / 1000, high / 1000)


def answers_bill(system: MeasuredSystem, sheet: PriceSheet) -> float | None:
    """What a provider's answers of this comparison cost, all splits; None when unpriced, or when some had no usage."""
    usage = system.usage_all or system.usage
    if system.priced_as is None or usage.unreported or not usage.answers:
        return None
    billed = _bill(usage, sheet, system.priced_as, system.batch).usd
    return None if billed is None else billed * (1 + usage.lost_attempts / usage.answers)


def ledger(
    items: Sequence[LedgerLine],
    usd_per_hour: float | None,
    bills: Mapping[str, float | None],
    not_stated: Sequence[str],
) -> FixedCosts:
    """The fixed cost, item by item. Failed runs count; one unpriced item makes the sum unknown, not smaller.

    bills: what the answers of each provider cost, by system id. `fixed_quiet_usd`: what it would have been at least,
    had no other program been waiting for the processors meanwhile.
    """
    lines, quiet = [], 0.0
    for item in items:
        money = bills.get(item.system_id, item.usd) if item.kind == "evaluation" and item.system_id else item.usd
        time_usd = formulas.machine_time(item.seconds, usd_per_hour)
        parts = [part for part in (money, time_usd) if part is not None]
        unpriced = not parts or (item.seconds is not None and time_usd is None)
        lines.append(PricedLine(**{**dict(item), "money_usd": money, "usd": None if unpriced else sum(parts)}))
        quiet += (money or 0.0) + (time_usd or 0.0) / _slowdown(item.load)
    known = [line.usd for line in lines if line.usd is not None]
    complete = bool(lines) and len(known) == len(lines)
    return FixedCosts(
        items=tuple(lines),
        fixed_usd=sum(known) if complete else None,
        fixed_quiet_usd=quiet if complete else None,
        priced_usd=sum(known),
        seconds=sum(line.seconds or 0 for line in lines),
        not_stated=tuple(not_stated),
    )


def _slowdown(load: float | None) -> float:
    """How much longer work took at most than on a quiet machine, where so many threads wanted each core."""
    if load is None or load <= 1:
        return 1.0
    return load * (LOADED_SLOWDOWN if load > 1 + CROWDED else 1.0)


def not_stated(costs: Mapping[str, float | None]) -> list[str]:
    """What the plan does not say of costs that no machine sees (`plan.costs`)."""
    names = {
        "labelling": costs.get("labelling_usd"),
        "engineering": None if costs.get("engineering_usd_per_hour") is None else costs.get("engineering_hours"),
        "hosting": costs.get("hosting_usd_per_month"),
        "licences": costs.get("licence_usd"),
    }
    if costs.get("engineering_hours") == 0:
        names["engineering"] = 0
    return [name for name, value in names.items() if value is None]


def cascade(results: Results, small: SystemResult, large: SystemResult, start: WhatIf, split: str) -> Cascade | None:
    """Small first, large on low confidence: the threshold is chosen on val, then measured on `split`.

    None when the small system gave no confidences or the metric is a ratio. Without val rows the curve is shown and
    nothing is chosen.
    """
    if metric_facts(small.metric).pools_edits:
        return None
    costs = (start.small_usd_per_request, start.large_usd_per_request)
    here, val = (_confident(measures.pair(small, large, name)) for name in (split, "val"))
    if here is None:
        return None
    chosen = None
    if val is not None and split != "val":
        threshold = formulas.threshold_on(*val[:3], results.plan.margin)
        measured = formulas.cascade(*here[:3], *costs, threshold)
        outcomes = np.where(here.confidence < threshold, here.large, here.small)
        interval = mean_score(outcomes, here.templates)
        chosen = Handover(**measured._asdict(), ci95=(interval.low, interval.high))
    curve = [formulas.cascade(*here[:3], *costs, at) for at in formulas.cascade_thresholds(here.confidence)]
    return Cascade(
        split=split,
        n=len(here.small),
        curve=tuple(Handover(**point._asdict()) for point in curve),
        chosen_on="val" if chosen else None,
        chosen=chosen,
    )


class Confident(NamedTuple):
    """Scores of both systems on the rows for which the small one gave a confidence."""

    confidence: Floats
    small: Floats
    large: Floats
    templates: Sequence[str]


def _confident(both: measures.PairedRows) -> Confident | None:
    confidence = numbers(both.small, "confidence")
    given = ~np.isnan(confidence)
    if given.sum() < 2:
        return None
    small, large = measures.scores(both.small)[given], measures.scores(both.large)[given]
    templates = measures.cluster_ids(where(both.small, given), "template")
    return Confident(confidence[given], small, large, templates)


def machine_facts(results: Results, sheet: PriceSheet) -> MachinePart:
    """The machine all local systems and runs are priced on."""
    machine = results.plan.machine
    return MachinePart(
        name=machine.name,
        usd_per_hour=machine_price(machine, sheet),
        from_sheet=machine.usd_per_hour is None,
        assumed=machine_is_assumed(machine, sheet),
        utilisation=machine.utilisation,
        watts=sheet.price(machine.name, "watts"),
        usd_per_kwh=sheet.price(ELECTRICITY, "kwh"),
    )
