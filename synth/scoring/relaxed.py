"""Relaxed accuracy of chart questions: numbers within 5 % of gold, everything else equal as text.

Source: ChartQA, arXiv 2203.10244, section 5.1. Of a gold 0, 5 % are nothing, so only 0 is right.
"""

from __future__ import annotations

from synth.example import Example, text_of
from synth.scoring import exact, names
from synth.scoring.math_answer import gold_quantity, grade_number
from synth.scoring.rule import Metric, Score, ScoreRule, best, golds

TOLERANCE = 0.05


def grade(reply: str, row: Example) -> Score:
    """Numbers within TOLERANCE of gold; what is no number must be equal as text."""
    return best([_grade(reply, gold, text_of(row)) for gold in golds(row)])


def _grade(reply: str, gold: str, question: str) -> Score:
    wanted = gold_quantity(gold)
    if wanted is None:
        return exact.grade_against(reply, [gold])
    return grade_number(reply, gold, wanted, question, TOLERANCE)


RULE = ScoreRule(names.RELAXED, grade, Metric("relaxed accuracy", "relaxed accuracy"))
