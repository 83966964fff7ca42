"""Whether a measured difference is a verdict: what is withheld and why, and what may be promised on it.

A verdict is withheld where the figures cannot carry one: neither system is above chance, a system's answers were cut
off, or the outcome hangs on the form of the answers. The statistics are `evaluate.stats`'; the words of origin are
`basis`'. Thresholds and their reasons: docs/evaluation.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from evaluate.report import basis
from evaluate.report.parts import Comparison, JudgePart, SplitSummary
from evaluate.report.results import Row
from evaluate.report.rows import flags, marks, numbers, where, with_numbers
from evaluate.report.schema import Report, SystemPart
from evaluate.stats.intervals import Interval
from evaluate.stats.verdict import (
    ASK_AGAIN,
    ComparisonVerdict,
    constant_answer,
    cut_off,
    format_decides,
    near_nothing,
    normaliser_decides,
    unanswered_decide,
)

WITHHELD = "WITHHELD"
ADD_TO_FILE = "add the missing answers to the file of predictions and compare again"
DECIDED = ("BETTER", "NOT WORSE", "WORSE")
_LOOP = re.compile(r"(.{1,60}?)\1{4,}.{0,60}$", re.DOTALL)
_TAIL = 600  # characters in which a loop is looked for


def is_loop(text: str) -> bool:
    """Whether a text ends in saying the same five times or more: it would be cut off at any limit."""
    found = _LOOP.search(text[-_TAIL:])
    return found is not None and len(found.group(0)) >= 40


def quality(rows: Sequence[Row]) -> dict[str, int]:
    """How many answers were cut off, looped, were refused or could not be read; for `splits[]`."""
    cut = [is_loop(row.answer_text) for row in where(rows, flags(rows, "truncated"))]
    return {
        "truncated": len(cut) - sum(cut),
        "looped": sum(cut),
        "refused": int(flags(rows, "refused").sum()),
        "unreadable": int((~flags(rows, "readable") & ~flags(rows, "error")).sum()),
    }


def error_reasons(rows: Sequence[Row]) -> dict[str, int]:
    """The commonest three reasons why rows have no answer."""
    return dict(Counter(row.error for row in where(rows, flags(rows, "error"))).most_common(3))


def chance(rows: Sequence[Row]) -> float:
    """What always giving the commonest right answer would score: about 0 where right answers are many."""
    return constant_answer(marks(rows, "gold"))


def forgiven(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows as they would be scored if right answers in an unreadable form counted."""
    score, if_forgiven = numbers(rows, "score"), numbers(rows, "value_if_format_forgiven")
    at = flags(rows, "format_fault") & ~np.isnan(score)
    return with_numbers(rows, at, {"score": np.where(np.isnan(if_forgiven), 1.0, if_forgiven)})


def completed(rows: Sequence[Row], right: bool) -> Sequence[Row]:
    """The rows with those that have no answer counted as right, or as wrong; a transcript has a typical length then."""
    units = numbers(rows, "ref_units")
    units = units[units > 0]
    typical = float(round(units.sum() / len(units))) if len(units) else np.nan
    at = flags(rows, "error") & np.isnan(numbers(rows, "score"))
    filled = {"score": float(right), "ref_units": typical, "edits": typical * (not right)}
    return with_numbers(rows, at, {name: np.full(len(rows), value) for name, value in filled.items()})


def settled(report: Report, row: Comparison) -> Comparison:
    """The comparison with its final word and sentence: withheld where it must be, and qualified by its rows."""
    small, large, kind = report.system(row.small), report.system(row.large), report.basis.kinds[row.split]
    assert small is not None
    assert large is not None
    why = [*reasons(row, small, large, report.dataset.chance.get(row.split, 0.0)), *_normalisers_disagree(report, row)]
    word, sentence = basis.bare(row.verdict) or "", row.sentence
    if why:
        word, sentence = WITHHELD, f"No verdict is given. {' '.join(why)}"
    moved = margin_moved(report)
    return row.model_copy(
        update={
            "verdict": basis.qualified(kind, word),
            "sentence": basis.qualified(kind, f"{sentence} {moved}" if moved and moved not in sentence else sentence),
            "withheld": tuple(why),
            "rows_to_decide": None if why else row.rows_to_decide,
            "rows_to_decide_range": None if why else row.rows_to_decide_range,
        }
    )


def of_judge(report: Report, judged: JudgePart) -> JudgePart:
    """What a judge model preferred, qualified by the rows that it saw: those of the verdict."""
    kind = report.basis.kind
    said = {"verdict": basis.qualified(kind, judged.verdict), "sentence": basis.qualified(kind, judged.sentence)}
    return judged.model_copy(update=said)


def reasons(row: Comparison, small: SystemPart, large: SystemPart, guessing: float) -> list[str]:
    """Why the difference of two systems on one split is no verdict; [] when it may be one."""
    ours, theirs = small.splits[row.split], large.splits[row.split]
    found = [
        cut
        for system, here in ((small, ours), (large, theirs))
        if (cut := cut_off(system.label, here.truncated, here.n - here.errors))
    ]
    if row.split.partition(".")[0] == "train":
        found.append("These rows may have been learned from; name `test` or `test_real` in `splits` of the plan.")
    a, b = _scored(small, ours), _scored(large, theirs)
    if a and b and (nothing := near_nothing(a, b, guessing, not small.higher_is_better)):
        found.append(nothing)
    if row.verdict_if_format_forgiven is not None:
        words = (basis.bare(row.verdict) or "", basis.bare(row.verdict_if_format_forgiven) or "")
        hangs = format_decides(*(ComparisonVerdict(word, "", None) for word in words))
        counted = ", ".join(
            f"{here.format_faults:,} of {here.n:,} answers of {system.label}"
            for system, here in ((small, ours), (large, theirs))
            if here.format_faults
        )
        found += [f"{hangs} Such are {counted}."] if hangs else []
    if row.verdict_if_unanswered is not None:
        now, then = (
            ComparisonVerdict(basis.bare(word) or "", "", None) for word in (row.verdict, row.verdict_if_unanswered)
        )
        lacking = [(system, here) for system, here in ((small, ours), (large, theirs)) if here.errors]
        missing = ", ".join(f"{here.errors:,} of {here.n:,} of {system.label}" for system, here in lacking)
        from_files = all(system.kind == "predictions" for system, _ in lacking)
        turns = unanswered_decide(now, then, missing, ADD_TO_FILE if from_files else ASK_AGAIN)
        found += [turns] if turns else []
    return found


def _normalisers_disagree(report: Report, row: Comparison) -> list[str]:
    """Why the difference is no verdict where the normaliser of transcripts decides who is ahead."""
    if not row.main:
        return []
    rates = [
        (one.split, (one.small, one.large), (one.small_plain, one.large_plain)) for one in report.normalisers_disagree
    ]
    found = (normaliser_decides(report.small_system.label, *both) for split, *both in rates if split == row.split)
    return [why for why in found if why]


def _scored(system: SystemPart, here: SplitSummary) -> Interval | None:
    """The score with its interval, higher being better for error rates too."""
    if here.value is None or here.ci95 is None or not here.has_interval:
        return None
    low, high = here.ci95
    if system.higher_is_better:
        return Interval(here.value, low, high, here.scored, here.method, here.scored)
    return Interval(1 - here.value, 1 - high, 1 - low, here.scored, here.method, here.scored)


def may_promise(report: Report) -> bool:
    """Whether a pay-back may be stated: the verdict says something, and the small system gets something right."""
    value = report.small_system.splits[report.primary_split].value
    return (
        basis.bare(report.verdict.word) in DECIDED
        and value is not None
        and (value > 0 or not report.small_system.higher_is_better)
    )


def margin_moved(report: Report) -> str:
    """What must be said of a margin that was moved after answers existed; "" when it was not."""
    if report.margin_fixed is None or report.margin_fixed == report.margin:
        return ""
    return (
        f"The margin was moved from {100 * report.margin_fixed:g} to {100 * report.margin:g} points after answers "
        "existed."
    )
