"""The verdict in one sentence that needs no statistics, for whoever decides; the figures are the report's."""

from __future__ import annotations

from collections.abc import Sequence

from evaluate.report import basis, decision, headline
from evaluate.report.schema import Report, SystemPart
from evaluate.report.wording import percent, would_decide
from synth.scoring.scorers import metric

CONSTANT = "baseline-majority"
USELESS = 0.10
"""Share of right answers up to which nothing is worth deciding."""


def sentence(report: Report) -> str:
    """What to do and why, and what the sentence does not hold for."""
    return " ".join(part for part in (_verdict(report), _but(report)) if part)


def _verdict(report: Report) -> str:
    large, word = report.large_system, basis.bare(report.verdict.word)
    if large is None or word is None:
        return headline.no_verdict(report)
    split = report.primary_split
    ours, theirs = _does(report.small_system, split), _does(large, split)
    model = "tuned model" if _is_tuned(report.small_system) else "model under test"
    rows, name = headline.rows_of(report, split), f"“{large.label}”"
    if _useless(report.small_system, split) and _useless(large, split):
        neither = f"Neither model can do this yet: on {rows} the {model} is {ours}, {name} {theirs}."
        return f"{neither} Decide nothing from it."
    figures = f"On {rows} it is {ours}, {name} is {theirs}"
    points = f"{100 * report.margin:g} point{'' if report.margin == 0.01 else 's'}"
    yours = tells_what_to_use(report)
    use, take, keep = (f"Use the {model}: it", f"The {model} can take over from", f"Keep {name}: the")
    if not yours:
        the = "the" if report.basis.qualifier else "The"
        use, take, keep = f"{the} {model}", f"{the} {model} is not worse than", the
    said = {
        "BETTER": f"{use} is better than {name}. {figures}, a difference that is not chance.",
        "NOT WORSE": f"{take} {name}. {figures}; that it loses more than {points} is ruled out.",
        "WORSE": f"{keep} {model} is worse{'' if yours else f' than {name}'}. {figures}, a difference that is not "
        "chance.",
        "INCONCLUSIVE": f"It is not decided yet. {figures}, and that few rows cannot tell a difference from chance.",
        "WITHHELD": f"No verdict is given. {_sentences(report.verdict.withheld) or 'The report says why.'}",
    }[word]
    main = report.main(split)
    if word == "INCONCLUSIVE" and main is not None and main.rows_to_decide_range is not None:
        more = would_decide(main.rows_to_decide_range, main.unit)
        said += f" {more[0].upper()}{more[1:]}."
    return basis.qualified(report.basis.kind, said) if word in decision.DECIDED else said


def tells_what_to_use(report: Report) -> bool:
    """Whether a tuned model met one that is to be had, on the user's own rows, and nothing untuned does as well."""
    large = report.large_system
    to_be_had = large is not None and not large.stand_in
    is_theirs = not report.basis.qualifier and _is_tuned(report.small_system)
    return is_theirs and to_be_had and _as_good_without(report) is None


def _is_tuned(system: SystemPart) -> bool:
    return bool(system.adapter or system.artefact) or system.method not in (None, "baseline")


def _sentences(reasons: Sequence[str]) -> str:
    """Reasons, which may be sentences already, as sentences."""
    return " ".join(f"{reason[:1].upper()}{reason[1:].rstrip('.')}." for reason in reasons)


def _does(system: SystemPart, split: str) -> str:
    summary = system.splits.get(split)
    if summary is None or summary.value is None:
        return "not scored"
    if not system.higher_is_better:
        name = metric(system.metric).label if metric(system.metric).lower_is_better else system.metric
        return f"at a {name} of {percent(summary.value)}"
    return f"right in {percent(summary.value)}"


def _as_good_without(report: Report) -> SystemPart | None:
    """Another system that needs no tuning and is right as often on the same rows; one without a neural network, which
    costs next to nothing, also where it is worse by no more than the margin.
    """
    split = report.primary_split
    ours = report.small_system.splits.get(split)
    for one in sorted(report.systems, key=lambda one: (one.method != "baseline", one.id == CONSTANT)):
        theirs = one.splits.get(split)
        if one.id in (report.small, report.large) or _is_tuned(one) or _useless(one, split):
            continue
        if ours and theirs and ours.value is not None and theirs.value is not None:
            ahead = (theirs.value - ours.value) * (1 if one.higher_is_better else -1)
            if ahead >= (-report.margin if one.method == "baseline" else 0.0):
                return one
    return None


def _useless(system: SystemPart, split: str) -> bool:
    summary = system.splits.get(split)
    return bool(system.higher_is_better and summary and summary.value is not None and summary.value <= USELESS)


def _but(report: Report) -> str:
    """What a decision must not forget: whose rows these are, and that the rival is a stand-in."""
    said, split = [], report.primary_split
    if report.basis.qualifier:
        said.append("The rows are not from your own work, so this is no promise about it.")
    tested = report.small_system.splits.get(split)
    if tested is not None and 0 < tested.n < basis.FEWEST_REAL and basis.bare(report.verdict.word) in decision.DECIDED:
        said.append(f"Only {tested.n} rows were tested: test more before you decide.")
    if folds := report.dataset.folds:
        home = "The model you take home is trained on all rows"
        said.append(f"{home}; the answers are those of {folds} models that each left out a part of them.")
    if cheap := _as_good_without(report):
        if cheap.method != "baseline":
            said.append(f"“{cheap.label}”, which is not tuned, is {_does(cheap, split)}: compare it with that first.")
        elif cheap.id != CONSTANT:
            figure = _does(cheap, split)
            said.append(f"“{cheap.label}”, which needs no neural network, is {figure}: consider that first.")
        elif not any("same answer" in reason for reason in report.verdict.withheld):
            said.append(f"The same answer to every row is {_does(cheap, split)}.")
    large = report.large_system
    if large is not None and large.stand_in:
        said.append(f"“{large.label}” is a small stand-in made by this project, not a model that you would pay for.")
    return " ".join(said)
