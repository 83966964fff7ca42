"""Records as answers: the whole record right (`json`), or F1 over its fields (`fields`)."""

from __future__ import annotations

from synth.example import Example
from synth.scoring import exact, names
from synth.scoring.records import gold_record, match_records, read_record, repaired_record
from synth.scoring.rule import Metric, Score, ScoreRule, best, golds


def grade_fields(reply: str, row: Example) -> Score:
    """F1 over fields, list items matched optimally. A reply without any record scores 0."""
    return best([_grade(reply, gold) for gold in golds(row)])


def grade_json(reply: str, row: Example) -> Score:
    """The whole record right, or nothing; the order of list items does not matter."""
    part = grade_fields(reply, row)
    value, forgiven = float(part.value == 1.0), float((part.value_if_format_forgiven or 0.0) == 1.0)
    return part._replace(value=value, value_if_format_forgiven=forgiven)


def _grade(reply: str, gold: str) -> Score:
    answer = reply.strip()
    expected = gold_record(gold)
    if expected is None:  # a gold that is no record can only be repeated
        return exact.grade_against(reply, [gold])
    kind = type(expected)
    given = read_record(answer, kind)
    if given is not None:
        match = match_records(given, expected)
        why = f"{match.right:g} of {match.expected} fields right, {match.given} given"
        return Score(match.f1, answer, why, match.f1)
    repaired = repaired_record(answer, kind)
    forgiven = 0.0 if repaired is None else match_records(repaired, expected).f1
    return Score(0.0, answer, "no complete JSON record and no key: value lines in the reply", forgiven, readable=False)


def _fits(gold: str) -> bool:
    return gold.startswith(("{", "[{")) and gold_record(gold) is not None


JSON_RULE = ScoreRule(names.JSON, grade_json, Metric("accuracy", "accuracy"), shape="record", fits=_fits)
FIELDS_RULE = ScoreRule(names.FIELDS, grade_fields, Metric("f1", "F1 over fields"), shape="record")
