"""Texts that no rule can grade: summaries, replies, stories. Rows stay unscored until a judge compares them.

The gold answer is kept as the judge's reference.
"""

from __future__ import annotations

from synth.example import Example
from synth.scoring import names
from synth.scoring.rule import Metric, Score, ScoreRule


def grade(reply: str, row: Example) -> Score:
    """Always unscored."""
    return Score(None, reply.strip(), "a free text, which only a judge model or a person can grade")


def without_rule(row: Example) -> Example:
    """The row of a task whose answers are free text: a short one, too, is not right only word for word."""
    return row.model_copy(update={"scorer": names.FREE_TEXT}) if row.scorer == names.EXACT else row


RULE = ScoreRule(names.FREE_TEXT, grade, Metric("free text", "free text, which only a judge can grade"), shape="text")
