"""ANLS: 1 - normalised Levenshtein distance to the nearest accepted answer, 0 below 0.5.

Source: ST-VQA, arXiv 1905.13648, section 5; case and outer punctuation do not count.
"""

from __future__ import annotations

from synth.example import Example
from synth.scoring import names
from synth.scoring.exact import forms
from synth.scoring.rule import Metric, Score, ScoreRule, golds
from synth.scoring.verify import fold

FLOOR = 0.5


def grade(reply: str, row: Example) -> Score:
    """Similarity of what the reply states to the nearest accepted answer, 0 below FLOOR."""
    from rapidfuzz.distance import Levenshtein

    accepted = [fold(gold) for gold in golds(row)]
    near, answer = max(
        (
            (max(Levenshtein.normalized_similarity(fold(form), gold) for gold in accepted), form)
            for form in forms(reply)
        ),
        key=lambda pair: pair[0],
    )
    value = near if near >= FLOOR else 0.0
    said = f" {fold(reply)} "
    forgiven = 1.0 if value == 0.0 and any(gold and f" {gold} " in said for gold in accepted) else value
    return Score(value, answer.strip(), f"similarity {near:.2f}", forgiven, bool(reply.strip()))


RULE = ScoreRule(names.ANLS, grade, Metric("anls", "ANLS"))
