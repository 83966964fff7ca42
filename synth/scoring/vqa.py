"""VQA accuracy: agreement with human annotators, after the processing that the benchmark prescribes.

Source: arXiv 1505.00468 and the evaluation of visualqa.org: lower case, number words as digits, no articles, no
punctuation (commas and colons within numbers go, points within numbers stay), apostrophes put back into contractions.
The value is min(1, agreeing / 3), averaged over leaving out each annotator in turn. With three annotators or fewer
there is no such average: agreeing with any of them is enough.
"""

from __future__ import annotations

import re
import unicodedata

from synth.example import Example
from synth.scoring import names
from synth.scoring.exact import forms
from synth.scoring.rule import Metric, Score, ScoreRule, golds
from synth.scoring.verify import fold

AGREEMENT = 3
ANY_ANNOTATOR = 1e-9


def grade(reply: str, row: Example) -> Score:
    """Agreement of what the reply states with the annotators."""
    given = [form(gold) for gold in golds(row)]
    readings = dict.fromkeys(form(one) for one in forms(reply) if one.strip())
    answer = max(readings, key=given.count, default="")
    count = given.count(answer) if readings else 0
    value = agreement(count, len(given))
    why = f"{count} of {len(given)} annotators agree"
    said = f" {form(reply)} "
    forgiven = value or max(
        (agreement(given.count(one), len(given)) for one in given if one and f" {one} " in said), default=0.0
    )
    return Score(value, answer, why, forgiven, bool(answer))


def agreement(agreeing: int, annotators: int) -> float:
    """min(1, agreeing / 3) averaged over leaving out each annotator in turn."""
    if annotators <= AGREEMENT:
        return float(agreeing > 0)
    among_others = agreeing * min(1.0, (agreeing - 1) / AGREEMENT)
    return (among_others + (annotators - agreeing) * min(1.0, agreeing / AGREEMENT)) / annotators


_NUMBER_WORDS = {
    word: str(at)
    for at, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
} | {"none": "0"}
_NEGATED = "are could did does do had has have is might must need should was were would"
_CONTRACTIONS = (
    "can't won't shan't ain't i'm i've you're you've you'll he's she's that's there's they're they've they'll we've "
    "what's where's who's how's let's o'clock y'all"
)
_CONTRACTED = {
    **{f"{verb}nt": f"{verb}n't" for verb in _NEGATED.split()},
    **{word.replace("'", ""): word for word in _CONTRACTIONS.split()},
}


def form(text: str) -> str:
    """A text as the benchmark compares it."""
    text = re.sub(r"(?<=\d)[,:](?=\d)", "", fold(text))
    text = re.sub(r"(?<!\d)\.(?!\d)|(?<=\d)\.(?!\d)|(?<=\w)\.(?=\D)", "", text)
    text = re.sub(r"(?<=\w)-|-(?!\d)|(?<!\w)'|'(?!\w)", " ", text)
    kept = (char if unicodedata.category(char)[0] in "LNM" or char in ".'%$°-" else " " for char in text)
    words = "".join(kept).split()
    words = [_NUMBER_WORDS.get(word, _CONTRACTED.get(word, word)) for word in words]
    return " ".join(word for word in words if word not in ("a", "an", "the")) or fold(text)


RULE = ScoreRule(names.VQA, grade, Metric("vqa", "VQA accuracy"), right_from=ANY_ANNOTATOR)
