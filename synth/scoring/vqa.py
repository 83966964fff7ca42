"""VQA accuracy: min(1, annotators who gave this answer / 3), averaged over all choices of the other annotators.

Source: arXiv 1505.00468 and the evaluation script of visualqa.org, whose processing (punctuation, number words,
articles, contractions) is done here to reply and annotators alike.
"""

from __future__ import annotations

import re

from synth.example import Example
from synth.scoring import names
from synth.scoring.answers import concluded
from synth.scoring.rule import Metric, Score, ScoreRule, golds
from synth.scoring.verify import fold

AGREEMENT = 3


def grade(reply: str, row: Example) -> Score:
    """Agreement with the annotators; with fewer than three, all of them."""
    answer = form(concluded(reply))
    matches = sum(form(gold) == answer for gold in golds(row))
    needed = min(AGREEMENT, len(golds(row)))
    why = f"{matches} of {len(golds(row))} annotators agree"
    return Score(min(1.0, matches / needed), answer, why, readable=bool(answer))


def form(text: str) -> str:
    words = re.sub(r"[^\w\s.%'-]", " ", fold(text)).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


ANY_ANNOTATOR = 1e-9
RULE = ScoreRule(names.VQA, grade, Metric("vqa", "VQA accuracy"), right_from=ANY_ANNOTATOR)
