"""From measured results and prices to a `Report`, the content of report.json.

`build` makes it from scored rows; `reprice` makes it again from an old report and other prices, running nothing.
Equal results and prices give equal bytes (`dumps`). What the figures mean is said in `schema`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

import numpy as np

from evaluate.cost import economics, payback, population, spread, throughput
from evaluate.cost.prices import PriceSheet, load
from evaluate.report import basis, by_class, by_field, decision, exports, gallery, overlap
from evaluate.report.money import Cascade, Cost, Handover, LedgerLine, Price, WhatIf
from evaluate.report.parts import Baseline, Comparison, ForgettingPart, Latency, OpenBounds, Seeds, Share, SplitSummary
from evaluate.report.results import Forgetting, Remembered, Results, Row, SystemResult
from evaluate.report.rows import flags, of_split
from evaluate.report.schema import VERSION, DatasetPart, MeasuredSystem, ProvenancePart, Report, SystemPart
from evaluate.report.sentences import Draft, with_sentences
from evaluate.stats import intervals, measures, paired, verdict
from synth.scoring.scorers import metric as metric_facts


def build(results: Results, sheet: PriceSheet | None = None) -> Report:
    """The report of a comparison. `sheet`: prices to use, the shipped ones when None."""
    prices = sheet or load()
    plan = results.plan
    results, kinds = basis.sliced(results)
    splits = list(kinds)
    small_id, large_id = plan.roles()
    small = results.system(small_id)
    large = results.system(large_id) if large_id else None
    primary = basis.primary(kinds)
    units = measures.units(results, splits)
    report: Draft = {
        "version": VERSION,
        "title": plan.name,
        "headline": "",
        "small": small_id,
        "large": large_id,
        "primary_split": primary,
        "margin": plan.margin,
        "margin_fixed": results.margin_fixed,
        "prompt_choice": results.prompt_choice,
        "dataset": _dataset(results, small),
        "systems": [_facts(system, units, primary, prices) for system in results.systems],
        "kinds": kinds,
        "comparisons": _comparisons(results, small, large, units),
        "baselines": _baselines(results, small, large, primary, units[primary]),
        "families": measures.families(results.systems, small, large, splits),
        "families_in_all": measures.families_in_all(small, splits),
        "seeds": _seeds(results, splits),
        "format_check": gallery.format_check(results.systems, splits),
        "gallery": gallery.disagreements(small, large, splits) if large else None,
        "judge": None,
        "speech": results.speech,
        "normalisers_disagree": results.normalisers_disagree,
        "by_class": by_class.build(results.systems, small, large, primary, units[primary]),
        "by_field": by_field.build(results.systems, small_id, units, results.answer_schema),
        "exports": exports.build(results.systems, units),
        "forgetting": [_forgetting(item) for item in results.forgetting],
        "human_usd_per_answer": plan.human_usd_per_answer,
        "machine": economics.machine_facts(results, prices),
        "ledger": [LedgerLine(**dict(item)) for item in results.ledger],
        "monthly_volumes": list(plan.monthly_volumes),
        "notes": list(results.notes),
        "overlap_note": overlap.note(results.dataset.card, splits),
        "provenance": _provenance(results),
    }
    report["family_counts"] = measures.family_counts(report["families"])
    _price(report, prices)
    _add_joint(report, results, prices, units[primary])
    report["cascade"] = economics.cascade(results, small, large, report["what_if"], primary) if large else None
    return with_sentences(report)


def reprice(old: Report, sheet: PriceSheet) -> Report:
    """The same comparison at other prices, from the report alone. Accuracy figures stay as they are."""
    name = old.machine.name
    prices = {"watts": sheet.price(name, "watts"), "usd_per_kwh": sheet.price(economics.ELECTRICITY, "kwh")}
    if old.machine.from_sheet:
        row = sheet.find(name, "hour")
        prices["usd_per_hour"] = row.price if row else None
        prices["assumed"] = row is not None and row.source == "assumption"
    new: Draft = {**dict(old), "repriced": True, "kinds": old.basis.kinds}
    new["machine"] = old.machine.model_copy(update=prices)
    _price(new, sheet)
    new["systems"] = [_rescaled(one, was.cost) for one, was in zip(new["systems"], old.systems, strict=True)]
    by_id = {one.id: one for one in new["systems"]}
    small, large = (payback.per_request(by_id.get(role)) for role in (old.small, old.large))
    chance, cheaper = old.break_even.p_not_worse, None
    if chance is not None and small is not None and large is not None:
        cheaper = chance * spread.chance_below(small, large)
    chances = {"p_not_worse": chance, "p_cheaper_and_not_worse": cheaper}
    new["break_even"] = new["break_even"].model_copy(update=chances)
    new["cascade"] = old.cascade and _recosted_cascade(old.cascade, new["what_if"])
    return with_sentences(new)


def dumps(report: Report) -> str:
    """report.json's text."""
    return json.dumps(report.model_dump(mode="json"), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _dataset(results: Results, small: SystemResult) -> DatasetPart:
    facts = results.dataset
    chance = {split: decision.chance(_of_split(small, split)) for split in facts.splits}
    return DatasetPart(
        name=facts.name,
        path=facts.path,
        splits=facts.splits,
        available=facts.available,
        folds=results.plan.folds,
        generator=facts.generator,
        sha256=facts.sha256,
        chance=chance,
    )


def _facts(system: SystemResult, units: measures.Units, primary: str, sheet: PriceSheet) -> MeasuredSystem:
    speed, rows = system.speed, _of_split(system, primary)
    spread = economics.cost_spread(system, primary, units[primary], sheet)
    return MeasuredSystem(
        id=system.id,
        label=system.label,
        kind=system.kind,
        base_model=system.base_model,
        revision=system.revision,
        adapter=system.adapter,
        artefact=system.artefact,
        stored_bytes=system.stored_bytes,
        memory_bytes=system.memory_bytes,
        tokens_per_s=population.tokens_per_s(rows, speed.requests_per_s),
        method=system.method,
        prompting=system.prompting,
        shots=system.shots,
        max_new_tokens=system.max_new_tokens,
        params=system.params,
        stand_in=system.stand_in,
        train_seed=system.train_seed,
        hardware=system.hardware,
        metric=system.metric,
        higher_is_better=not metric_facts(system.metric).lower_is_better,
        normaliser=system.normaliser,
        splits={split: _on_split(system, split, unit) for split, unit in units.items()},
        usage=population.consumption(rows).model_copy(update={"cost_spread": spread}),
        usage_all=population.consumption(system.rows),
        batch=system.batch,
        speed=throughput.facts(speed.probe) if speed.probe else None,
        latency_s=Latency(p50=speed.latency_p50, p95=speed.latency_p95, basis=speed.latency_basis),
        requests_per_s=speed.requests_per_s,
        audio_sec_per_s=speed.audio_sec_per_s,
        batch_size=speed.batch_size,
        wall_seconds=speed.wall_seconds,
        load_seconds=speed.load_seconds,
        error_reasons=decision.error_reasons(system.rows),
        priced_as=economics.price_name(system),
    )


def _on_split(system: SystemResult, split: str, unit: str) -> SplitSummary:
    quality = decision.quality(_of_split(system, split))
    return measures.split_summary(system, split, unit).model_copy(update=quality)


def _comparisons(
    results: Results, small: SystemResult, large: SystemResult | None, units: measures.Units
) -> list[Comparison]:
    """The main pair first, then the small system against every other one; p_holm over all pairs of one split."""
    found: list[Comparison] = []
    others = [system for system in results.systems if system.id not in {small.id, large.id if large else ""}]
    for split, unit in units.items():
        rows = [
            _comparison(small, other, split, unit, results.plan.margin, other is large)
            for other in ([large] if large else []) + others
            if other is not None and other.metric == small.metric
        ]
        kept = [row for row in rows if row is not None]
        adjusted = paired.holm([row.p for row in kept])
        found += [row.model_copy(update={"p_holm": p}) for row, p in zip(kept, adjusted, strict=True)]
    return found


def _comparison(
    small: SystemResult, other: SystemResult, split: str, unit: str, margin: float, main: bool
) -> Comparison | None:
    """One comparison, and its outcome if right answers in an unreadable form counted, and if rows without an answer
    went against it, where that is another."""
    row = measures.comparison(small, other, split, unit, margin, main)
    if row is None:
        return None
    word = row.verdict

    def if_(ours: Sequence[Row], theirs: Sequence[Row]) -> str | None:
        a, b = (one.model_copy(update={"rows": rows}) for one, rows in ((small, ours), (other, theirs)))
        again = measures.comparison(a, b, split, unit, margin, main)
        return again.verdict if again is not None and again.verdict != word else None

    both = (_of_split(small, split), _of_split(other, split))
    found = {}
    if any(flags(rows, "format_fault").any() for rows in both):
        found["verdict_if_format_forgiven"] = if_(decision.forgiven(small.rows), decision.forgiven(other.rows))
    if any(flags(rows, "error").any() for rows in both) and word != verdict.INCONCLUSIVE:
        behind = word == verdict.WORSE
        ours, theirs = decision.completed(small.rows, behind), decision.completed(other.rows, not behind)
        found["verdict_if_unanswered"] = if_(ours, theirs)
    return row.model_copy(update=found)


def _of_split(system: SystemResult, split: str) -> Sequence[Row]:
    return of_split(system.rows, split)


def _model_of(system: SystemResult) -> tuple[str | None, ...]:
    """What tells models apart; answers from a file that name no model are a model of their own."""
    return system.base_model or system.price_model or system.id, system.adapter, system.artefact


def _baselines(
    results: Results, small: SystemResult, large: SystemResult | None, split: str, unit: str
) -> list[Baseline]:
    """The large model under every prompt it was given, and the small system's gain against each."""
    if large is None:
        return []
    same = [one for one in results.systems if _model_of(one) == _model_of(large) and one is not small]
    against = [measures.difference(measures.pair(small, one, split, unit), small.metric) for one in same]
    least = min((gain.delta for gain in against if gain), default=None)
    rows = []
    for system, gain in zip(same, against, strict=True):
        summary = measures.split_summary(system, split, unit)
        rows.append(
            Baseline(
                system=system.id,
                prompting=system.prompting,
                shots=system.shots,
                value=summary.value,
                ci95=summary.ci95,
                format_faults=summary.format_faults,
                gain=gain.delta if gain else None,
                gain_ci95=(gain.low, gain.high) if gain else None,
                strongest=gain is not None and gain.delta == least,
            )
        )
    return rows


def _seeds(results: Results, splits: list[str]) -> list[Seeds]:
    """Spread of the metric over systems that differ only in training seed."""
    groups: dict[str, list[SystemResult]] = {}
    for system in results.systems:
        if system.seed_group:
            groups.setdefault(system.seed_group, []).append(system)
    found = []
    for group, members in groups.items():
        for split in splits:
            summaries = [measures.split_summary(member, split) for member in members]
            values = [summary.value for summary in summaries if summary.value is not None]
            if len(values) > 1:
                spread = intervals.seed_spread(values)._asdict()
                ids = tuple(member.id for member in members)
                found.append(Seeds(group=group, split=split, systems=ids, values=tuple(values), **spread))
    return found


def _forgetting(item: Forgetting) -> ForgettingPart:
    """Accuracy on the base's own families before and after, and the loss; rows of one template are one cluster."""
    rows, templates = item.rows, [row.template for row in item.rows]
    before, after = (np.array(one, dtype=float) for one in ([r.base for r in rows], [r.tuned for r in rows]))
    families: dict[str, list[Remembered]] = {}
    for row in rows:
        families.setdefault(row.family, []).append(row)
    base, tuned = (_share(intervals.mean_score(one, templates)) if rows else None for one in (before, after))
    lost = paired.paired_difference(before, after, templates) if len(rows) > 1 else None
    return ForgettingPart(
        system_id=item.system_id,
        n=len(rows),
        base_right=int(before.sum()),
        tuned_right=int(after.sum()),
        families={
            name: (len(found), sum(row.base for row in found), sum(row.tuned for row in found))
            for name, found in sorted(families.items())
        },
        base=base,
        tuned=tuned,
        lost=lost.delta if lost else None,
        lost_ci95=(lost.low, lost.high) if lost else None,
    )


def _share(found: intervals.Interval) -> Share:
    return Share(value=found.value, ci95=(found.low, found.high))


def _provenance(results: Results) -> ProvenancePart:
    facts = results.provenance
    return ProvenancePart(
        created=facts.created,
        comparison_id=facts.comparison_id,
        recipe=facts.recipes,
        hashes=facts.hashes,
        versions=facts.versions,
        machine=facts.machine,
        plan=results.plan.model_dump(mode="json", exclude_defaults=True),
        prices_checked={},
        prices_stale=(),
    )


def _price(report: Draft, sheet: PriceSheet) -> None:
    """Fill in every figure that depends on prices, from figures already in the report."""
    machine, primary, volumes = report["machine"], report["primary_split"], report["monthly_volumes"]
    systems = [
        SystemPart(**{**dict(one), "cost": economics.system_cost(one, machine, sheet, primary)})
        for one in report["systems"]
    ]
    bills = {one.id: economics.answers_bill(one, sheet) for one in systems if one.kind != "local" and one.priced_as}
    unsaid = economics.not_stated(report["provenance"].plan.get("costs", {}))
    fixed = economics.ledger(report["ledger"], machine.usd_per_hour, bills, unsaid)
    by_id = {one.id: one for one in systems}
    small, large = by_id[report["small"]], by_id.get(report["large"])
    main = next((row for row in report["comparisons"] if row.main and row.split == primary), None)
    start = payback.what_if(small, large, machine, fixed, main)
    scores = _score(small, primary), _score(large, primary)
    report.update(
        systems=systems,
        fixed_costs=fixed,
        what_if=start,
        break_even=payback.break_even(start, small, large, scores, volumes),
        sensitivity=payback.sensitivity(start, volumes),
    )
    _stamp_prices(report, sheet)


def _score(system: SystemPart | None, split: str) -> float | None:
    """The value on a split where higher is better."""
    return system.splits[split].value if system and system.higher_is_better else None


def _stamp_prices(report: Draft, sheet: PriceSheet) -> None:
    """Record the prices used, when they were last confirmed, and which of them are stale."""
    names = {system.priced_as for system in report["systems"] if system.priced_as}
    names |= {report["machine"].name, *([economics.ELECTRICITY] if report["machine"].watts is not None else [])}
    used = [row for name in sorted(names) for row in sheet.rows_of(name)]
    today = dt.date.fromisoformat(report["provenance"].created[:10])
    report["prices"] = [Price(**row.model_dump(mode="json") | {"source": sheet.source_of(row)}) for row in used]
    stamps = {
        "prices_checked": {f"{row.model} {row.unit}": row.confirmed.isoformat() for row in used},
        "prices_stale": tuple(f"{row.model} {row.unit}" for row in used if row.stale(today)),
    }
    report["provenance"] = report["provenance"].model_copy(update=stamps)


def _add_joint(report: Draft, results: Results, sheet: PriceSheet, unit: str) -> None:
    """Cost per right answer of every system over its own rows, and the chance of cheaper and not worse."""
    primary, systems = report["primary_split"], []
    for part, system in zip(report["systems"], results.systems, strict=True):
        found = economics.per_right_answer(system, part, sheet, primary, unit)
        systems.append(_recosted(part, found.value, (found.low, found.high)) if found is not None else part)
    report["systems"] = systems
    joint = economics.joint(results, {part.id: part for part in systems}, sheet, primary)
    if joint is not None:
        chances = {"p_not_worse": joint.p_not_worse, "p_cheaper_and_not_worse": joint.p_cheaper_and_not_worse}
        report["break_even"] = report["break_even"].model_copy(update=chances)


def _recosted(system: SystemPart, usd_per_correct: float, ci95: OpenBounds) -> SystemPart:
    """The system with another cost per right answer."""
    found = {"usd_per_correct": usd_per_correct, "usd_per_correct_ci95": ci95}
    return system.model_copy(update={"cost": system.cost.model_copy(update=found)})


def _rescaled(system: SystemPart, before: Cost) -> SystemPart:
    """Carry the interval of cost per right answer over to new prices (its width comes mostly from accuracy)."""
    old, new = before.usd_per_request, system.cost.usd_per_request
    right, bounds = before.usd_per_correct, before.usd_per_correct_ci95
    if not old or new is None or right is None or bounds is None:
        return system
    low, high = (None if bound is None else bound * new / old for bound in bounds)
    return _recosted(system, right * new / old, (low, high))


def _recosted_cascade(old: Cascade, start: WhatIf) -> Cascade:
    """The cascade at the prices of the two systems now."""
    small, large = start.small_usd_per_request, start.large_usd_per_request

    def at(point: Handover) -> Handover:
        usd = None if small is None or large is None else small + point.escalated * large
        return point.model_copy(update={"usd_per_request": usd})

    return old.model_copy(update={"curve": tuple(map(at, old.curve)), "chosen": old.chosen and at(old.chosen)})
