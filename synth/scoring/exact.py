"""A short answer that must be the gold, apart from case, outer punctuation and white space."""

from __future__ import annotations

import re
from collections.abc import Sequence

from synth.example import Example
from synth.scoring import names
from synth.scoring.answers import SENTENCE_END, marked, plain, said_last, stated
from synth.scoring.measure import by_value
from synth.scoring.rule import Metric, Score, ScoreRule, golds
from synth.scoring.verify import fold, quote, same_text

MAX_WORDS = 10
MAX_CHARS = 80
_SENTENCE_END = re.compile(rf"{SENTENCE_END.pattern}|\s+(?=\()|\s[—–-]\s|,?\s+(?:because|since|as)\s|\n")
_CORRECTED = re.compile(r"(?i)\b(?:wait|actually|correction|no)\b")
_HEDGED = re.compile(r"(?i)\b(?:or|not|neither|nor|isn't|n't)\b")


def grade(reply: str, row: Example) -> Score:
    """Equal to any accepted answer after folding."""
    return grade_against(reply, golds(row))


def grade_against(reply: str, accepted: Sequence[str]) -> Score:
    """Equal to one of `accepted`: the reply, what it states, the sentence that states it, or what that says last."""
    candidates = forms(reply)
    for form in candidates:
        if any(same_text(form, gold) for gold in accepted):
            return Score(1.0, form.strip(), "equal", 1.0)
    if (measured := by_value(reply, accepted, candidates)) is not None:
        return measured
    answer = candidates[1]
    # Not in the whole reply: the working before a marked answer names whatever was looked at.
    said = " " + fold(re.sub(r"[^\w.%-]+", " ", answer)) + " "
    inside = not _HEDGED.search(said) and any(f" {fold(gold)} " in said for gold in accepted if fold(gold))
    why = f"{quote(answer)} is not {quote(accepted[0])}"
    return Score(0.0, answer, why, float(inside), bool(answer.strip()))


def forms(reply: str) -> list[str]:
    """How the answer may be meant, from the whole reply to its last words; the second is what the reply states."""
    answer = stated(reply)
    sentences = [plain(part) for part in _SENTENCE_END.split(answer) if part and part.strip()] or [""]
    found = [reply, answer, sentences[0]]
    if yes_or_no := re.match(r"(?i)(?:yes|no)(?=[,.;:!])", answer):
        found.append(yes_or_no.group(0))
    if marked(reply) or not _CORRECTED.search(reply):
        found.append(said_last(sentences[0]))
    if not marked(reply):
        found.append(said_last(sentences[-1]))
    return found


def fits(gold: str) -> bool:
    """Short enough to be repeated word for word: one line of at most MAX_WORDS words."""
    return "\n" not in gold and len(gold) <= MAX_CHARS and len(gold.split()) <= MAX_WORDS


RULE = ScoreRule(names.EXACT, grade, Metric("accuracy", "accuracy"), fits=fits)
