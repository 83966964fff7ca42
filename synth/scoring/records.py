"""How much of a record is right, when list items may come in any order.

Items of a list are matched to the gold items so that the most fields agree (optimal assignment), at every depth.
Records that are no JSON (`key: value` lines) are compared by `synth.scoring.verify`.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from synth.scoring import verify


class Match(NamedTuple):
    """Fields that agree, fields given, fields expected."""

    right: float
    given: int
    expected: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1.0 when nothing is expected and nothing given."""
        total = self.given + self.expected
        return 2 * self.right / total if total else 1.0


def match_records(answer: str, gold: str) -> Match | None:
    """Fields of `answer` against `gold`; None when `answer` holds no record. Raises ValueError when gold holds none."""
    expected = _json_object(gold)
    if expected is None:
        report = verify.compare_fields(answer, gold)
        if report is None:
            return None
        right, wrong = len(report.right), len(report.wrong)
        return Match(right, right + wrong + len(report.extra), right + wrong + len(report.missing))
    given = _json_object(answer)
    if given is None:
        pairs = verify.parse_fields(answer)
        if pairs is None:
            return None
        given = pairs
    try:
        return _match(given, expected)
    except RecursionError:
        return Match(0, 1, _leaves(expected))


def _json_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text, fences and prose around it allowed."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start != -1:
        try:
            value, _ = decoder.raw_decode(text, start)
        except RecursionError:
            return None
        except ValueError:
            start = text.find("{", start + 1)
            continue
        return value if isinstance(value, dict) else None
    return None


def _leaves(value: Any) -> int:
    if isinstance(value, dict):
        return sum(_leaves(item) for item in value.values()) if value else 1
    if isinstance(value, list):
        return sum(_leaves(item) for item in value) if value else 1
    return 1


def _match(given: Any, expected: Any) -> Match:
    if isinstance(given, dict) and isinstance(expected, dict) and given and expected:
        by_key = {verify.fold(str(key)): item for key, item in given.items()}
        gold = {verify.fold(str(key)): item for key, item in expected.items()}
        parts = [_match(by_key[key], gold[key]) for key in gold.keys() & by_key.keys()]
        lost = [Match(0, 0, _leaves(gold[key])) for key in gold.keys() - by_key.keys()]
        # A null where gold has no such key says the same; replies under a schema hold every key.
        more = [by_key[key] for key in by_key.keys() - gold.keys() if by_key[key] is not None]
        extra = [Match(0, _leaves(item), 0) for item in more]
        return _sum([*parts, *lost, *extra])
    if isinstance(given, list) and isinstance(expected, list) and given and expected:
        return _match_lists(given, expected)
    if isinstance(given, dict | list) or isinstance(expected, dict | list):
        return Match(given == expected, _leaves(given), _leaves(expected))
    return Match(verify.same_value(_text(given), _text(expected)), 1, 1)


def _match_lists(given: list[Any], expected: list[Any]) -> Match:
    from scipy.optimize import linear_sum_assignment

    table = [[_match(have, want) for want in expected] for have in given[:1000]]
    rows, columns = linear_sum_assignment([[-cell.right for cell in row] for row in table])
    pairs = list(zip(rows.tolist(), columns.tolist(), strict=True))
    matched = [table[row][column] for row, column in pairs]
    extra = [Match(0, _leaves(item), 0) for row, item in enumerate(given) if row not in rows]
    lost = [Match(0, 0, _leaves(item)) for column, item in enumerate(expected) if column not in columns]
    return _sum([*matched, *extra, *lost])


def _sum(parts: list[Match]) -> Match:
    return Match(sum(p.right for p in parts), sum(p.given for p in parts), sum(p.expected for p in parts))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
