"""The final number of a worked answer, compared exactly."""

from __future__ import annotations

import re

from synth.example import Example
from synth.scoring import exact, names
from synth.scoring.answers import MARK, final_answer
from synth.scoring.numerals import clock, number, numbers, same_number
from synth.scoring.rule import Metric, Score, ScoreRule


def grade(reply: str, row: Example) -> Score:
    """The final number against gold, exactly; a plain float reading is the cross-check, named when it disagrees."""
    gold = row.answer or ""
    if number(gold) is None and clock(gold) is None:
        return exact.grade(reply, row)
    answer = final_answer(reply)
    verdict = same_number(answer, gold)
    readable = (clock(answer) if ":" in gold else number(answer)) is not None
    why = verdict.reason
    plain, plain_gold = _plain_number(answer), _plain_number(gold)
    if plain is not None and plain_gold is not None:
        agrees = abs(plain - plain_gold) <= 1e-9 * max(1.0, abs(plain_gold))
        if agrees != verdict.ok:
            why += f" (cross-check differs: read plainly, {plain:g} against {plain_gold:g})"
    forgiven = 1.0 if number_within(reply, answer, gold) else float(verdict.ok)
    return Score(float(verdict.ok), answer, why, forgiven, readable)


def _plain_number(text: str) -> float | None:
    """The only number in a text by the simplest reading (digits, commas dropped), else None."""
    found = re.findall(r"-?\d+(?:\.\d+)?", text.replace(",", ""))
    return float(found[0]) if len(found) == 1 else None


def number_within(reply: str, answer: str, gold: str) -> bool:
    """Whether gold is one of several numbers of the answer, or of an unmarked last line."""
    wanted = number(gold)
    lines = [line for line in reply.splitlines() if line.strip()]
    searched = answer if MARK.search(reply) or not lines else lines[-1]
    return wanted is not None and wanted in numbers(searched)


def _fits(gold: str) -> bool:
    """A number or a time of day."""
    return re.fullmatch(r"[-+]?[$€£]?[-+]?\d[\d,]*(?:\.\d+)?\s?%?|\d+/\d+|\d{1,2}:\d{2}", gold) is not None


RULE = ScoreRule(names.MATH, grade, Metric("accuracy", "accuracy"), fits=_fits)
