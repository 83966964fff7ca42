"""How figures are said: percentages, money, counts, and the sentences on assumptions, limits and what is missing.

Reads a Report only, so that everything said can be traced to a figure in it. Shared by the HTML, Markdown
and terminal views; computes nothing new.
"""

from __future__ import annotations

import math

from evaluate.report.parts import FamilyValue, RowsNeeded, SplitSummary
from evaluate.report.schema import Report
from evaluate.stats import power
from evaluate.stats.clusters import FEW_CLUSTERS, FEWEST_CLUSTERS, counted
from evaluate.stats.verdict import MIN_ROWS
from synth.scoring.scorers import metric

MISSING = "not measured"
BASELINE = "baseline"  # method of systems without a neural network: they cost next to nothing


def percent(value: float | None, digits: int = 1) -> str:
    """0.934 -> '93.4 %'; None -> 'not measured'."""
    return MISSING if value is None else f"{100 * value:.{digits}f} %"


def with_interval(value: float | None, ci95: tuple[float, float] | None, digits: int | None = None) -> str:
    """'93 % [90, 95]', with a decimal where the interval can carry it or whole numbers would mislead."""
    if value is None or ci95 is None:
        return MISSING
    fine = ci95[1] - ci95[0] < 0.02 or value < 0.1 or value > 0.985
    places = digits if digits is not None else int(fine)
    low, high = (f"{100 * bound:.{places}f}" for bound in ci95)
    return f"{100 * value:.{places}f} % [{low}, {high}]"


def scored(summary: SplitSummary, digits: int | None = None) -> str:
    """A system's score on a split with its interval, or that so few clusters carry none."""
    if summary.value is not None and not summary.has_interval:
        return f"{percent(summary.value, digits or 0)} ({summary.method})"
    return with_interval(summary.value, summary.ci95, digits)


def points(value: float | None) -> str:
    """0.123 -> '+12.3 points'; what rounds to 0 has no sign."""
    return MISSING if value is None else f"{100 * value:+.1f} points".replace("+0.0 ", "0.0 ").replace("-0.0 ", "0.0 ")


def usd(value: float | None, missing: str = "unpriced") -> str:
    """Money with cents above one dollar and three significant digits below."""
    if value is None:
        return missing
    if value == 0:
        return "$0"
    if abs(value) >= 1:
        return f"${value:,.2f}"
    places = min(12, 2 - math.floor(math.log10(abs(value))))
    return f"${value:.{places}f}"


def count(value: float | None, missing: str = MISSING) -> str:
    """12345 -> '12,345'; very large counts in millions or billions."""
    if value is None:
        return missing
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if value >= 10 * size:
            return f"{value / size:,.0f} {word}"
    return f"{value:,.0f}"


def params(value: int | None) -> str:
    """5_300_000 -> '5.3 M-parameter '."""
    if not value:
        return ""
    for size, letter in ((1e9, "B"), (1e6, "M")):
        if value >= size:
            return f"{value / size:.1f} {letter}-parameter "
    return f"{value:,}-parameter "


def size(value: int | None) -> str:
    """Bytes in megabytes: 105_600_000 -> '106 MB'."""
    if value is None:
        return MISSING
    return f"{value / 1e6:,.0f} MB" if value >= 1e7 else f"{value / 1e6:.1f} MB"


def months(value: float | None) -> str:
    """Pay-back time at some volume."""
    if value is None:
        return "never"
    if value < 1 / 730:
        return "under an hour"
    if value < 1 / 30:
        return _times(round(value * 730), "hour")
    return _times(round(value * 30.4), "day") if value < 2 else f"{value:.1f} months"


def _times(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def would_decide(rows: RowsNeeded, unit: str) -> str:
    """'between about 870 and 12,000 rows (44 to 600 templates) would decide'."""
    return power.in_words(power.RowsNeeded(**rows.model_dump()), unit)


def of_family(found: FamilyValue) -> str:
    """One system's value on a family of rows; recordings in which nothing is said have no error rate."""
    return "nothing is said" if found.value is None and found.n else percent(found.value, 0)


def assumptions(report: Report) -> list[str]:
    """Everything that was assumed rather than measured."""
    machine, said = report.machine, []
    if machine.usd_per_hour is not None:
        origin = "this project's assumption, not a quotation" if machine.assumed else "from the plan or price sheet"
        said.append(f"An hour of {machine.name} costs {usd(machine.usd_per_hour)} ({origin}).")
    said.append(f"A machine serves requests during {percent(machine.utilisation, 0)} of the time that is paid for.")
    if machine.watts is not None:
        price = "" if machine.usd_per_kwh is None else f" at ${machine.usd_per_kwh:g} per kWh"
        said.append(f"Energy: {machine.watts:g} W while serving{price}; assumed, no meter was read.")
    said.append(f"Not worse means: loses at most {100 * report.margin:g} points (the plan's margin).")
    said.append("The whole ledger of fixed costs, failed runs included, is charged to the small system.")
    said.append(f"An always-on machine carries the fixed cost over {report.break_even.always_on.months} months.")
    said.append(
        "Rows of one template (or image, or text) count as one cluster in rates, differences and McNemar's test; of "
        "unseen families, rows of one family do."
    )
    if report.cascade and report.cascade.chosen:
        said.append(
            "The cascade escalates the fewest rows that keep val within half the margin of the best val score; every "
            "row costs the small system's price, rows escalated the large system's too."
        )
    if any(_is_partial(system.metric) for system in report.systems):
        said.append("Where scores are fractions, cost per right answer is cost per full point.")
    if report.repriced:
        said.append(
            "Re-priced: intervals of cost per right answer were scaled from the original prices, and the chance of "
            "cheaper-and-not-worse takes each system's cost per request as fixed."
        )
    return said


def limits(report: Report) -> list[str]:
    """What a careful reader should hold against the figures."""
    said = [report.stand_in_note] if report.stand_in_note else []
    said.extend(report.notes)
    for system in report.systems:
        for split, summary in system.splits.items():
            if summary.unscored:
                said.append(
                    f"{system.label}: {summary.unscored:,} of {summary.n:,} rows of {split} are unscored "
                    f"({summary.errors:,} without an answer); they count neither as right nor as wrong."
                )
            if summary.carried:
                said.append(carried(system.label, split, summary))
    main = [row for row in report.comparisons if row.main]
    for row in main:
        few = counted(row.clusters, row.n, row.unit)
        if row.clusters < FEWEST_CLUSTERS:
            alone = row.clusters == row.n
            carry = f"{few} {'carries' if row.clusters == 1 else 'carry'} no interval"
            said.append(f"{row.split}: {carry}{'' if alone else ', whatever the number of rows'}.")
        elif row.n < MIN_ROWS:
            said.append(f"{row.split}: only {row.n:,} rows; intervals are wide.")
        if FEWEST_CLUSTERS <= row.clusters < FEW_CLUSTERS and row.clusters < row.n:
            said.append(f"{row.split}: only {few}; intervals rest on few clusters and are less reliable.")
        if row.split == "test_ood" and report.families_in_all.get("test_ood") == 1:
            said.append("test_ood: one family; its interval speaks of that family only, not of other unseen ones.")
    said.extend(normalisers(report))
    said.extend(_baseline_limits(report))
    said.extend(_missing_rivals(report))
    stale = report.provenance.prices_stale
    if stale:
        said.append(f"Prices not confirmed for more than 90 days: {', '.join(stale)}.")
    said.append("Recipes should be chosen on val; every look at test makes its figures a little too good.")
    return said


def normalisers(report: Report) -> list[str]:
    """Where who is ahead depends on the normaliser: both pairs of rates."""
    small, large = report.small_system, report.large_system
    return [
        f"{one.split}: who is ahead depends on how transcripts are normalised. As scored, {small.label} has an error "
        f"rate of {percent(one.small)} and {large.label} of {percent(one.large)}; with only case and punctuation taken "
        f"off, {percent(one.small_plain)} and {percent(one.large_plain)} (the same {one.rows:,} rows)."
        for one in report.normalisers_disagree
        if large is not None
    ]


def carried(label: str, split: str, here: SplitSummary) -> str:
    """Where few rows carry an error rate: how many, and the rate without them."""
    few = here.carried
    assert few is not None and here.value is not None
    one = few.rows == 1
    return (
        f"{label}: {few.rows:,} of {here.scored:,} rows of {split} {'holds' if one else 'hold'} "
        f"{percent(few.share, 0)} of its errors; without {'it' if one else 'them'} its error rate is "
        f"{with_interval(few.value_without, few.ci95_without, 1)} instead of {percent(here.value)}."
    )


def _baseline_limits(report: Report) -> list[str]:
    strongest = [row for row in report.baselines if row.strongest]
    if strongest and strongest[0].system != report.large:
        named = report.system(strongest[0].system)
        assert named is not None
        return [f"The strongest prompt of the large model is “{named.label}”, not the one the verdict is about."]
    return []


def _missing_rivals(report: Report) -> list[str]:
    """What a fair contest would have had beside the two systems."""
    small, large, said = report.small_system, report.large_system, []
    untuned = [one for one in report.systems if one.base_model == small.base_model and not one.adapter]
    if small.adapter and not untuned:
        said.append(f"The untuned {small.base_model} was not asked, so what tuning itself gained is not known.")
    better = [
        one
        for one in report.systems
        if one.method == BASELINE
        and (ours := small.splits[report.primary_split].value) is not None
        and (theirs := one.splits[report.primary_split].value) is not None
        and (theirs >= ours if small.higher_is_better else theirs <= ours)
    ]
    said += [f"{one.label}, which needs no neural network, is as good as {small.label}." for one in better]
    if large is not None and large.kind != "predictions" and report.prompt_choice is None:
        said.append(
            f"The prompt of {large.label} was not chosen on val: it was asked in one way, or there are no val rows."
        )
    return said


def not_measured(report: Report) -> list[str]:
    """What is missing, said as missing."""
    said = []
    if "test_ood" not in report.dataset.splits:
        said.append("Held-out families (test_ood) were not tested.")
    tuned = report.small_system.adapter is not None
    if tuned and not report.forgetting:
        said.append("What the base model forgot through tuning was not measured.")
    if tuned and not report.seeds:
        said.append("The spread over training seeds was not measured: only one training run was evaluated.")
    if report.cascade is None:
        said.append("No cascade is shown: the small system gave no confidences, or there is nothing to hand over to.")
    elif report.cascade.chosen is None:
        said.append("No cascade threshold was chosen: that needs val rows in the comparison.")
    for system in (one for one in report.systems if one.method != BASELINE):
        if system.cost.kind == "withheld":
            said.append(f"What an answer of {system.label} costs is not stated: {system.cost.withheld}.")
        elif system.cost.usd_per_request is None:
            said.append(f"{system.label} is {system.cost.basis}.")
        if system.requests_per_s is None:
            said.append(f"The speed of {system.label} was not measured.")
    if any(system.kind == "endpoint" for system in report.systems):
        said.append(
            "Requests interrupted by a kill of the comparison are not counted in the cost; a provider that ignores "
            "idempotency keys charges for them, at most as many as were open at once."
        )
    return said


def _is_partial(metric_name: str) -> bool:
    """Whether rows score between right and wrong."""
    return metric_name != "accuracy" and not metric(metric_name).pools_edits
