"""Records as answers: the whole record right (`json`), or F1 over its fields (`fields`)."""

from __future__ import annotations

from synth.example import Example
from synth.scoring import names
from synth.scoring.records import match_records, parse_fields
from synth.scoring.rule import Metric, Score, ScoreRule


def grade_fields(reply: str, row: Example) -> Score:
    """F1 over fields, list items matched optimally. A reply without any record scores 0."""
    answer = reply.strip()
    try:
        match = match_records(answer, row.answer or "")
    except ValueError as error:
        return Score(None, answer, str(error))
    if match is None:
        return Score(0.0, answer, "no JSON object and no key: value lines in the reply", readable=False)
    why = f"{match.right:g} of {match.expected} fields right, {match.given} given"
    return Score(match.f1, answer, why)


def grade_json(reply: str, row: Example) -> Score:
    """The whole record right, or nothing; the order of list items does not matter."""
    part = grade_fields(reply, row)
    return part if part.value is None else part._replace(value=float(part.value == 1.0))


def _fits(gold: str) -> bool:
    return gold.startswith("{") and parse_fields(gold) is not None


JSON_RULE = ScoreRule(names.JSON, grade_json, Metric("accuracy", "accuracy"), shape="record", fits=_fits)
FIELDS_RULE = ScoreRule(names.FIELDS, grade_fields, Metric("f1", "F1 over fields"), shape="record")
