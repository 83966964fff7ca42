"""Relaxed accuracy of chart questions: numbers within 5 % of gold, everything else equal as text.

Source: ChartQA, arXiv 2203.10244, section 5.1. A gold of 0 has no 5 %, so it must be met exactly.
"""

from __future__ import annotations

from synth.example import Example
from synth.scoring import exact, math_answer, names
from synth.scoring.answers import concluded, final_answer
from synth.scoring.numerals import number, same_number
from synth.scoring.rule import Metric, Score, ScoreRule

TOLERANCE = 0.05


def grade(reply: str, row: Example) -> Score:
    """Numbers within 5 % of gold; what is no number must be equal as text."""
    gold = row.answer or ""
    wanted = number(gold)
    if wanted is None or wanted == 0 or number(concluded(reply)) is None:
        return exact.grade(reply, row)
    answer = final_answer(reply)
    verdict = same_number(answer, gold, TOLERANCE)
    within = math_answer.number_within(reply, answer, gold)
    return Score(float(verdict.ok), answer, verdict.reason, 1.0 if within else float(verdict.ok))


RULE = ScoreRule(names.RELAXED, grade, Metric("relaxed accuracy", "relaxed accuracy"))
