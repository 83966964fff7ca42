"""How much of a record is right, when list items may come in any order.

A record is a JSON object, or `key: value` lines. Items of a list are matched to the gold items so that the most fields
agree (optimal assignment), at every depth.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from synth.scoring.numerals import MAX_CHARS, number
from synth.scoring.verify import Verdict, fold, quote

_MAX_LEAVES = 10_000


class FieldReport(NamedTuple):
    """Field paths (`total`, `items.0.price`) of a record compared with the gold record."""

    right: tuple[str, ...]
    wrong: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall over fields; 1.0 when both records are empty."""
        expected = len(self.right) + len(self.wrong) + len(self.missing)
        given = len(self.right) + len(self.wrong) + len(self.extra)
        return 1.0 if expected == given == 0 else 2 * len(self.right) / (expected + given)


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
        report = compare_fields(answer, gold)
        if report is None:
            return None
        right, wrong = len(report.right), len(report.wrong)
        return Match(right, right + wrong + len(report.extra), right + wrong + len(report.missing))
    given = _json_object(answer)
    if given is None:
        pairs = parse_fields(answer)
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
        by_key = {fold(str(key)): item for key, item in given.items()}
        gold = {fold(str(key)): item for key, item in expected.items()}
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
    return Match(same_value(_text(given), _text(expected)), 1, 1)


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


def parse_fields(text: str) -> dict[str, str] | None:
    """Read a record as flat `path → value` pairs: the first JSON object in `text`, else its `key: value` lines.

    Code fences and prose around the object are allowed. Returns None when there is neither, or when the object is
    nested too deeply or has more than 10,000 values.
    """
    text = text[-MAX_CHARS:]
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start != -1:
        try:
            loaded, _ = decoder.raw_decode(text, start)
        except RecursionError:
            return None
        except ValueError:
            start = text.find("{", start + 1)
            continue
        return _flatten(loaded)
    pairs = [line.split(":", 1) for line in text.splitlines() if re.match(r"\s*[-*]?\s*[\w][\w /.-]{0,60}:", line)]
    fields = {fold(key.strip(" -*")): value.strip() for key, value in pairs}
    return fields or None


def _flatten(loaded: object) -> dict[str, str] | None:
    leaves: dict[str, str] = {}
    stack: list[tuple[str, object]] = [("", loaded)]
    while stack:
        path, value = stack.pop()
        children: list[tuple[str, object]] = []
        if isinstance(value, dict):
            children = [(fold(str(key)), item) for key, item in value.items()]
        elif isinstance(value, list):
            children = [(str(index), item) for index, item in enumerate(value)]
        if children:
            stack.extend((f"{path}.{key}" if path else key, item) for key, item in children)
        elif path:
            leaves[path] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(leaves) + len(stack) > _MAX_LEAVES:
            return None
    return leaves


_PLAIN_NUMBER = re.compile(r"[-+]?\s?[$€£]?\s?(?:0|[1-9][\d,]*)?(?:\.\d+)?\s?[%$€£]?")


def same_value(answer: str, gold: str) -> bool:
    """One field: numbers by value when both are plainly numbers (`0012` and `INV-7` are not), texts after `fold`."""
    if fold(answer) == fold(gold):
        return True
    if not (_PLAIN_NUMBER.fullmatch(answer.strip()) and _PLAIN_NUMBER.fullmatch(gold.strip())):
        return False
    given, expected = number(answer), number(gold)
    return given is not None and given == expected


def compare_fields(answer: str, gold: str) -> FieldReport | None:
    """Field-by-field comparison, or None when `answer` holds no record. Raises ValueError when gold holds none."""
    expected = parse_fields(gold)
    if expected is None:
        raise ValueError(f"The gold answer {quote(gold)} holds no fields.")
    given = parse_fields(answer)
    if given is None:
        return None
    shared = [path for path in expected if path in given]
    right = tuple(path for path in shared if same_value(given[path], expected[path]))
    wrong = tuple(path for path in shared if path not in right)
    missing = tuple(path for path in expected if path not in given)
    extra = tuple(path for path in given if path not in expected)
    return FieldReport(right, wrong, missing, extra)


def same_fields(answer: str, gold: str) -> Verdict:
    """True when every field of gold is there with its value, and no other field is."""
    report = compare_fields(answer, gold)
    if report is None:
        return Verdict(False, f"no JSON object and no key: value lines in {quote(answer)}")
    faults = [f"{name} {', '.join(paths[:5])}" for name, paths in report._asdict().items() if name != "right" and paths]
    return Verdict(not faults, "; ".join(faults) or "equal")
