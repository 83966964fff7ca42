"""ANLS: 1 - normalised Levenshtein distance to the nearest accepted answer, 0 below 0.5.

Source: ST-VQA, arXiv 1905.13648, section 5; case and outer punctuation do not count.
"""

from __future__ import annotations

from synth.example import Example
from synth.scoring import exact, names
from synth.scoring.answers import concluded
from synth.scoring.rule import Metric, Score, ScoreRule, golds
from synth.scoring.verify import fold

FLOOR = 0.5


def grade(reply: str, row: Example) -> Score:
    """Similarity to the nearest accepted answer, 0 below FLOOR."""
    from rapidfuzz.distance import Levenshtein

    answer = concluded(reply)
    near = max(Levenshtein.normalized_similarity(fold(answer), fold(gold)) for gold in golds(row))
    value = near if near >= FLOOR else 0.0
    forgiven = max(value, exact.grade(reply, row).value_if_format_forgiven or 0.0)
    return Score(value, answer, f"similarity {near:.2f}", forgiven, bool(answer))


RULE = ScoreRule(names.ANLS, grade, Metric("anls", "ANLS"))
