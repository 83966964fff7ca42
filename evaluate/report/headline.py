"""The first sentences of a report: who is right on how many of whose rows, what it costs, against whom.

Reads a Report only; computes nothing new. Shared by the HTML, Markdown and terminal views.
"""

from __future__ import annotations

from evaluate.report import basis, decision, prices_said, wording
from evaluate.report.schema import Report, SystemPart
from evaluate.report.wording import params, points
from evaluate.stats.clusters import counted
from evaluate.stats.power import about
from synth.scoring import names
from synth.scoring.scorers import SCORERS, metric

AN = ("F1", "ANLS")  # metrics whose names are said with a vowel first


def headline(report: Report) -> str:
    """Who answers how much of whose rows, and when tuning pays back."""
    return " ".join([accuracy(report), *elsewhere(report), *([pay_back(report)] if report.large else [])])


def accuracy(report: Report) -> str:
    """The first sentence of the headline."""
    small, large, split = report.small_system, report.large_system, report.primary_split
    sentence = f"The {params(small.params)}model “{small.label}” {_does(small, split, rows_of(report, split))}"
    if large is not None:
        sentence += f"; {_asked(large)} {_does(large, split)}"
    return f"{basis.qualified(report.basis.kind, sentence)}."


def _does(system: SystemPart, split: str, rows: str = "") -> str:
    """'gets 90 % [82, 95] of 60 real rows right'; says so where not every row was scored."""
    summary = system.splits.get(split)
    if summary is None or summary.value is None:
        return "could not be scored"
    figure = wording.scored(summary)
    scored = f" ({summary.scored:,} of them scored)" if summary.unscored else ""
    if system.metric == "accuracy":
        return f"gets {figure}{f' of {rows}' if rows else ''} right{scored}"
    name = metric(system.metric).label
    return f"has {'an' if name.startswith(AN) else 'a'} {name} of {figure}{f' on {rows}' if rows else ''}{scored}"


def rows_of(report: Report, split: str) -> str:
    """What the rows of a split are called in a sentence."""
    kind, n = report.basis.kinds[split], report.dataset.splits[split]
    unseen, apart = split.startswith("test_ood"), " (out of fold)" if report.dataset.folds else ""
    if kind in basis.GENERATED:
        return f"{counted(n, n, 'row')} of {'unseen families' if unseen else 'known wording'}{apart}"
    return f"{n:,} {basis.NAMES[kind]} {'row' if n == 1 else 'rows'}{' of unseen families' if unseen else ''}{apart}"


def elsewhere(report: Report) -> list[str]:
    """The same two systems on the other tested splits, known wording before unseen families; and the reality gap."""
    said = []
    for split in report.dataset.splits:
        if split == report.primary_split or split.startswith(("val", "train")):
            continue
        ours, theirs = (
            system.splits.get(split) if system is not None else None
            for system in (report.small_system, report.large_system)
        )
        if ours is None or ours.value is None:
            continue
        against = f" against {wording.scored(theirs)}" if theirs and theirs.value is not None else ""
        said.append(f"On {rows_of(report, split)}: {wording.scored(ours)}{against}.")
    gap = next((one for one in report.reality_gaps if one.system == report.small), None)
    if gap is not None:
        low, high = gap.ci95
        said.append(f"Its reality gap, real minus generated: {points(gap.gap)} [{100 * low:+.0f}, {100 * high:+.0f}].")
    return said


def _asked(large: SystemPart) -> str:
    """The large system, and how it was asked as far as its label does not say that."""
    if large.adapter:
        return f"the {params(large.params)}“{large.label}”"
    examples = f"with {large.shots} examples"
    how = {
        "few_shot": [examples],
        "schema": ["with a schema"],
        "few_shot_schema": [f"{examples} and a schema"],
        "few_shot_constrained": [examples, "held to the schema"],
    }.get(large.prompting, [])
    unsaid = ", ".join(one for one in how if one.removeprefix("with ") not in large.label)
    return f"the prompted {params(large.params)}model “{large.label}”{f' {unsaid}' if unsaid else ''}"


def pay_back(report: Report) -> str:
    """One sentence on money; no promise of a pay-back where the verdict carries none."""
    start, even = report.what_if, report.break_even
    small, large = start.small_usd_per_request, start.large_usd_per_request
    if not even.price_holds:
        return prices_said.no_price(report)
    if small is None or large is None:
        unknown = "small" if small is None else "large"
        return f"What it costs cannot be compared: the {unknown} system is unpriced."
    each = prices_said.each_costs(report)
    if even.status == "not_stated":
        return f"{each}; no pay-back is stated, because {even.reason or _no_promise(report)}."
    if even.status == "never":
        return (
            f"{each}, so {'tuning' if report.small_system.adapter else 'it'} never pays back in money at these prices."
        )
    if even.status == "unpriced":
        return f"{each}; the fixed cost is not fully priced, so no break-even is given."
    worse = ", with answers that are worse" if basis.bare(report.verdict.word) == "WORSE" else ""
    return f"{each}; {prices_said.earned_back(report)}{worse}."


def _no_promise(report: Report) -> str:
    word = basis.bare(report.verdict.word)
    if word is None:
        return "there is no verdict"
    return (
        f"the verdict is {word}"
        if word not in decision.DECIDED
        else f"“{report.small_system.label}” gets nothing right"
    )


def no_verdict(report: Report) -> str:
    """Why there is no comparison."""
    if not report.large:
        return "There is no second system to compare with."
    silent = [system for system in (report.small_system, report.large_system) if system and dead(system)]
    if silent:
        return " ".join(map(dead_sentence, silent))
    if report.small_system.metric == SCORERS[names.FREE_TEXT].metric.name:
        judging = f"smolstudio judge {report.provenance.comparison_id} --model MODEL"
        return f"No rule can grade free text, so the two are not compared. Let a judge model do it: “{judging}”."
    return "Both systems have a score on fewer than two rows in common, so they are not compared."


def dead(system: SystemPart) -> bool:
    """Whether a system gave no answer to any row."""
    return all(here.errors == here.n for here in system.splits.values()) and any(h.n for h in system.splits.values())


def dead_sentence(system: SystemPart) -> str:
    """That a system never answered, why, and what to do."""
    why = next(iter(system.error_reasons), "").rstrip(".")
    asked = sum(here.n for here in system.splits.values())
    remedy = (
        "Check its address and key in Settings, and that the server runs; then start the comparison again."
        if system.kind == "endpoint"
        else "Look into its answers in the folder of the comparison; then start it again."
    )
    return f"“{system.label}” answered none of {asked:,} rows{f' ({why})' if why else ''}. {remedy}"


def stand_in_note(report: Report) -> str | None:
    """In plain words: the large system is our own small stand-in."""
    large = report.large_system
    if large is None or not large.stand_in:
        return None
    size = params(large.params).removesuffix("-parameter ") or "an unknown number of"
    endpoints = [system for system in report.systems if system.kind == "endpoint"]
    if endpoints:
        named = ", ".join(f"“{system.label}”" for system in endpoints)
        begin = f"The verdict is about “{large.label}”, although {named} was asked too"
        end = "Make the endpoint the system to replace (`large` in the plan) to have the verdict about it."
    else:
        begin = f"No endpoint took part, so “{large.label}” stands in for the large model"
        end = "Add an endpoint to compare with the model you would replace."
    return (
        f"{begin}. It is a small stand-in ({size} parameters) made by this project, not a frontier model: beating it "
        f"says nothing about beating one. {end}"
    )


def real_rows_note(report: Report) -> str | None:
    """How many real rows would decide and how to add them; None where the verdict stands on real rows."""
    found = report.basis
    low, high, kind = found.real_rows_low, found.real_rows_high, basis.KINDS[found.kind]
    if not found.qualifier or low is None:
        return None
    main = report.main(report.primary_split)
    if main is not None and main.rows_to_decide_range is not None:  # one figure, here and in the verdict
        more = wording.would_decide(main.rows_to_decide_range, main.unit)
        needed = f"On real rows, too, {more}, if they come out as these did."
    elif (low, high) == basis.USUAL or high is None or report.verdict.withheld:  # no number decides what is withheld
        needed = "Between {} and {} real rows are usual.".format(*basis.USUAL)
    else:
        many = f"about {about(low)}" if low == high else f"about {about(low)} to {about(high)}"
        needed = (
            f"{many.capitalize()} real rows would decide, if the difference on them is between all and half of the one "
            "measured here, or of the margin where that is larger."
        )
    return (
        f"No real row was tested: the rows are {kind}, and a verdict on them can be the reverse of that on the rows "
        f"you will get. {needed} Add them with “{found.remedy}”, or paste them on the Data page; then compare again."
    )
