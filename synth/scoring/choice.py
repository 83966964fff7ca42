"""A chosen letter, as multiple-choice questions want it."""

from __future__ import annotations

import re

from synth.example import Example
from synth.scoring import names
from synth.scoring.answers import final_answer
from synth.scoring.rule import Metric, Score, ScoreRule
from synth.scoring.verify import Verdict, quote


def same_choice(answer: str, gold: str) -> Verdict:
    """Is the chosen letter the gold letter? Reads `B`, `(b)`, `B.`, `B) Paris`, `Answer: B`."""
    match = re.match(r"[\s(\[*]*([A-Za-z])(?![A-Za-z'])", final_answer(answer))
    if match is None:
        return Verdict(False, f"no choice letter at the start of {quote(answer)}")
    given, expected = match.group(1).upper(), gold.strip(" ().").upper()
    return Verdict(given == expected, "equal" if given == expected else f"{given} is not {expected}")


def grade(reply: str, row: Example) -> Score:
    """The chosen letter against gold."""
    gold = row.answer or ""
    verdict = same_choice(reply, gold)
    named = re.search(rf"\b{re.escape(gold.strip(' ().'))}\b", reply)
    unread = not verdict.ok and verdict.reason.startswith("no choice")
    value = float(verdict.ok)
    forgiven = 1.0 if unread and named is not None else value
    return Score(value, final_answer(reply), verdict.reason, forgiven, not unread)


def _fits(gold: str) -> bool:
    return re.fullmatch(r"[A-H]", gold) is not None


RULE = ScoreRule(names.CHOICE, grade, Metric("accuracy", "accuracy"), fits=_fits)
