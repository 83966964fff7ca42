"""Field by field: is each value of a record right, wrong, invented (the gold value is empty) or missed (it is not)?

The top-level keys of one reply against one gold object. Grades no reply as a whole (`fields`), adds up nothing
(`evaluate.report.by_field`).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal, NamedTuple

from synth.scoring.records import match_field, read_record
from synth.scoring.verify import fold

Outcome = Literal["right", "wrong", "invented", "missed", "unread"]


class FieldOutcome(NamedTuple):
    """One field of one reply.

    Attributes:
        outcome: "right" also where both are empty; "unread" where the reply holds no record at all.
        filled: the gold value is not empty.
        overlap: 0..1, how much of the value agrees: F1 over items of a list or fields of an object, over words of a
            text; 1 where it is right.
    """

    field: str
    outcome: Outcome
    filled: bool
    overlap: float


def outcomes(reply: str, gold: str) -> list[FieldOutcome]:
    """The fields of the gold object in its order; [] where gold is no JSON object. null, "", [] and {} are empty."""
    try:
        expected = json.loads(gold)
    except (ValueError, RecursionError):
        return []
    if not isinstance(expected, dict):
        return []
    given = read_record(reply)
    values = None if given is None else {fold(str(key)): value for key, value in given.items()}
    return [_outcome(str(key), values, value) for key, value in expected.items()]


def _outcome(key: str, values: dict[str, Any] | None, want: Any) -> FieldOutcome:
    filled = not _empty(want)
    if values is None:
        return FieldOutcome(key, "unread", filled, 0.0)
    have = values.get(fold(key))
    if _empty(have):
        return FieldOutcome(key, "missed" if filled else "right", filled, 0.0 if filled else 1.0)
    if not filled:
        return FieldOutcome(key, "invented", filled, 0.0)
    agree = match_field(fold(key), have, want).f1
    if agree == 1.0:
        return FieldOutcome(key, "right", filled, 1.0)
    return FieldOutcome(key, "wrong", filled, max(agree, _common_words(have, want)))


def _empty(value: Any) -> bool:
    return value is None or value == [] or value == {} or (isinstance(value, str) and not value.strip())


def _common_words(have: Any, want: Any) -> float:
    """F1 over the words of two texts, as often as they occur; 0.0 for other kinds."""
    if not (isinstance(have, str) and isinstance(want, str)):
        return 0.0
    ours, theirs = Counter(fold(have).split()), Counter(fold(want).split())
    return 2 * (ours & theirs).total() / max(1, ours.total() + theirs.total())
