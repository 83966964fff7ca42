"""How much of a record is right, when list items may come in any order.

A record is a JSON object or array, or `key: value` lines. Of several objects in a reply the last complete one counts.
Items of a list are matched to the gold items so that the most fields agree (optimal assignment), at every depth.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any, NamedTuple

from synth.scoring.numerals import MAX_CHARS, clean, quantities
from synth.scoring.verify import fold

_MAX_LEAVES = 10_000
_MAX_ITEMS = 1_000
_DECODER = json.JSONDecoder(strict=False)


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


def gold_record(gold: str) -> Any | None:
    """The record that a gold answer is; None when it is none."""
    try:
        value = json.loads(gold)
    except (ValueError, RecursionError):
        return read_record(gold)
    return value if isinstance(value, dict | list) else None


def read_record(text: str, kind: type = dict) -> Any | None:
    """The last complete JSON value of that kind in a text, else its `key: value` lines; None when there is neither,
    or when the value is nested too deeply or has more than 10,000 values."""
    values, _ = _scan(text[-MAX_CHARS:])
    held = [value for value in values if isinstance(value, kind)]
    if held:
        found = next((value for value in reversed(held) if value), held[-1])
        return found if _is_small(found) else None
    return _read_lines(text[-MAX_CHARS:]) if kind is dict and not values else None


def repaired_record(text: str, kind: type = dict) -> Any | None:
    """The last object that is not quite JSON: trailing commas, single quotes, Python's words; else None."""
    _, broken = _scan(text[-MAX_CHARS:])
    for part in reversed(broken):
        for read, text in ((_DECODER.decode, _without_commas(part)), (ast.literal_eval, _in_python(part))):
            try:
                value = read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
            if isinstance(value, kind) and _is_small(value):
                return value
    return None


def _without_commas(text: str) -> str:
    return re.sub(r",\s*([}\]])", r"\1", text)


def _in_python(text: str) -> str:
    words = {"true": "True", "false": "False", "null": "None"}
    return re.sub(r"\b(?:true|false|null)\b", lambda match: words[match.group(0)], text)


def _scan(text: str) -> tuple[list[Any], list[str]]:
    """Complete JSON values at the top level, and the bracketed parts that should have been some.

    Objects within a broken one are not values of their own: a record that was cut off is none.
    """
    values: list[Any] = []
    broken: list[str] = []
    at = 0
    while (match := re.compile(r"[{\[]").search(text, at)) is not None:
        start = match.start()
        try:
            value, at = _DECODER.raw_decode(text, start)
            values.append(value)
        except RecursionError:
            return [], []
        except ValueError:
            at = start + 1
            if re.match(r"\{\s*[\"']|\[\s*\{", text[start:]):
                end = _closing(text, start)
                if end is None:
                    return values, broken
                broken.append(text[start:end])
                at = end
    return values, broken


def _closing(text: str, start: int) -> int | None:
    """Behind the bracket that closes the one at `start`, strings left out; None when the text ends before."""
    depth, quoted, at = 0, "", start
    while at < len(text):
        sign = text[at]
        if sign == "\\":
            at += 1
        elif quoted:
            quoted = "" if sign == quoted else quoted
        elif sign == '"':
            quoted = sign
        else:
            depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(sign, 0)
            if not depth:
                return at + 1
        at += 1
    return None


def _read_lines(text: str) -> dict[str, str | None] | None:
    """`key: value` lines, Markdown's marks left out. A line that only announces something (`Here it is:`) is none."""
    found: dict[str, str | None] = {}
    for line in text.splitlines():
        match = re.match(
            r"\s*(?:[-*•]\s+)?([^\s:{}\[\]\"'][^:\n{}\[\]\"]{0,60})[:：](?!//)(.*)", re.sub(r"\*\*|__|`", "", line)
        )
        if match and (match.group(2).strip() or len(match.group(1).split()) <= 2):
            value = match.group(2).strip()
            found[fold(match.group(1))] = None if value == "null" else value
    return found or None


def _is_small(value: Any) -> bool:
    stack, seen = [value], 0
    while stack and seen <= _MAX_LEAVES:
        item = stack.pop()
        seen += 1
        stack.extend(item.values() if isinstance(item, dict) else item if isinstance(item, list | tuple) else ())
    return seen <= _MAX_LEAVES


def match_records(given: Any, expected: Any) -> Match:
    """Fields of one record against another."""
    return match_field("", given, expected)


def match_field(key: str, given: Any, expected: Any) -> Match:
    """One field, by the name that it has in its record, against another.

    A version is no decimal number: 2.10 is not 2.1, and 2.0 is 2.
    """
    try:
        return _match_field(key, given, expected)
    except RecursionError:
        return Match(0, 1, 1)


def _leaves(value: Any) -> int:
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    if items is None:
        return 1
    return sum(_leaves(item) for item in items) if items else 1


def _match(given: Any, expected: Any) -> Match:
    if isinstance(given, dict) and isinstance(expected, dict) and (given or expected):
        return _match_objects(given, expected)
    if isinstance(given, list) and isinstance(expected, list) and given and expected:
        return _match_lists(given, expected)
    if isinstance(given, dict | list) or isinstance(expected, dict | list):
        return Match(given == expected, _leaves(given), _leaves(expected))
    if given is None or expected is None:  # the text "null" is a value
        return Match(given is expected, 1, 1)
    return Match(same_value(_text(given), _text(expected)), 1, 1)


def _match_objects(given: dict[Any, Any], expected: dict[Any, Any]) -> Match:
    """By key. A null on one side and no such key on the other say the same."""
    by_key = {fold(str(key)): item for key, item in given.items()}
    gold = {fold(str(key)): item for key, item in expected.items()}
    parts = [_match_field(key, by_key[key], gold[key]) for key in gold.keys() & by_key.keys()]
    lost = [Match(0, 0, _leaves(gold[key])) for key in gold.keys() - by_key.keys() if gold[key] is not None]
    extra = [Match(0, _leaves(by_key[key]), 0) for key in by_key.keys() - gold.keys() if by_key[key] is not None]
    return _sum([*parts, *lost, *extra])


def _match_field(key: str, given: Any, expected: Any) -> Match:
    texts = _text(given), _text(expected)
    if re.search("(?<!con)version", key) and all(re.fullmatch(r"\d+(?:\.\d+)+|\d+", text) for text in texts):
        first, second = (re.sub(r"(?:\.0+)+$", "", text) for text in texts)
        return Match(first == second, 1, 1)
    return _match(given, expected)


def _match_lists(given: list[Any], expected: list[Any]) -> Match:
    from scipy.optimize import linear_sum_assignment

    table = [[_match(have, want) for want in expected] for have in given[:_MAX_ITEMS]]
    rows, columns = linear_sum_assignment([[-cell.right for cell in row] for row in table])
    pairs = list(zip(rows.tolist(), columns.tolist(), strict=True))
    matched = [table[row][column] for row, column in pairs]
    paired_rows, paired_columns = set(rows.tolist()), set(columns.tolist())
    extra = [Match(0, _leaves(item), 0) for row, item in enumerate(given) if row not in paired_rows]
    lost = [Match(0, 0, _leaves(item)) for column, item in enumerate(expected) if column not in paired_columns]
    return _sum([*matched, *extra, *lost])


def _sum(parts: list[Match]) -> Match:
    return Match(sum(p.right for p in parts), sum(p.given for p in parts), sum(p.expected for p in parts))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_PLAIN_NUMBER = re.compile(r"[-+]?\s?[$€£]?\s?(?:0|[1-9][\d,]*)?(?:\.\d+)?(?:[eE][-+]?\d+)?\s?[%$€£]?")


def same_value(answer: str, gold: str) -> bool:
    """One field: numbers by value when both are plainly numbers (`0012` and `INV-7` are not), texts after `fold`.

    Two different currencies, or a currency and per cent, are not the same.
    """
    if fold(answer) == fold(gold):
        return True
    if not (_PLAIN_NUMBER.fullmatch(answer.strip()) and _PLAIN_NUMBER.fullmatch(gold.strip())):
        return False
    given, expected = quantities(clean(answer)), quantities(clean(gold))
    if len(given) != 1 or len(expected) != 1 or given[0].value != expected[0].value:
        return False
    return given[0].unit is None or expected[0].unit is None or given[0].unit == expected[0].unit
