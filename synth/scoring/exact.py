"""A short answer that must be the gold, apart from case, outer punctuation and white space."""

from __future__ import annotations

import re

from synth.example import Example
from synth.scoring import names
from synth.scoring.answers import concluded
from synth.scoring.rule import Metric, Score, ScoreRule, golds
from synth.scoring.verify import fold, same_text

MAX_WORDS = 10
MAX_CHARS = 80


def grade(reply: str, row: Example) -> Score:
    """Equal to any accepted answer after folding."""
    answer = concluded(reply)
    verdicts = [same_text(answer, gold) for gold in golds(row)]
    if any(verdicts):
        return Score(1.0, answer, "equal")
    # Not in the whole reply: the working before a marked answer names whatever was looked at.
    said = " " + fold(re.sub(r"[^\w.%-]+", " ", answer)) + " "
    inside = any(f" {fold(gold)} " in said for gold in golds(row) if fold(gold))
    return Score(0.0, answer, verdicts[0].reason, float(inside), bool(answer))


def fits(gold: str) -> bool:
    """Short enough to be repeated word for word: one line of at most MAX_WORDS words."""
    return "\n" not in gold and len(gold) <= MAX_CHARS and len(gold.split()) <= MAX_WORDS


RULE = ScoreRule(names.EXACT, grade, Metric("accuracy", "accuracy"), fits=fits)
