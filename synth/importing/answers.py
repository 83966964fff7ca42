"""Right answers in every shape that data sets have: one, several, SQuAD's, TriviaQA's and VQA's objects, a record.

What else such objects say is reported as unused; answers that are ranked are no accepted ones, and refuse the row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from synth.importing.values import BadRow, json_text, missing, strings, text, written

Unused = Callable[[str, Any], None]

_PLACE = "answer_start"
_RANKS = ("rank", "ranking", "rating", "score", "overall_score", "reward", "votes", "upvotes", "likes", "is_correct")
LONGEST_WORD = 12
_WORDS_FOR_NOTHING = frozenset(("nan", "none", "null", "n/a", "na", "<na>", "#n/a", "\\n", "undefined", "nat"))


def accepted(value: Any, key: str, unused: Unused) -> list[str]:
    """Every answer that counts: one, several in a list, SQuAD's and TriviaQA's objects; a record as its JSON.

    Raises BadRow when there is none.
    """
    value = _marked(value, key, unused)
    if isinstance(value, dict):
        return [json_text(value)]
    if not isinstance(value, list):
        return [text(value, "answer")]
    given = [item for item in value if not missing(item)]
    if not given:
        raise BadRow("no answer")
    if any(isinstance(item, dict | list) for item in given):
        return [json_text(value)]
    return list(dict.fromkeys(text(item, "answer") for item in given))


def listed(value: Any, key: str, unused: Unused) -> Any:
    """Several answers: text of a table as a list or object, VQA's objects as their answers. Raises BadRow if torn."""
    if isinstance(value, str) and re.match(r"\s*(\[\s*[\]\"'{\d]|\{\s*[\"'])", value):
        found = written(value)
        if not isinstance(found, dict) and found == value.split("|"):
            raise BadRow("the answers are a list that is neither JSON nor Python")
        value = found
    if isinstance(value, list) and value and all(isinstance(item, dict) and "answer" in item for item in value):
        _others(value, ("answer",), key, unused)
        return [item["answer"] for item in value]
    return value


def _marked(value: Any, key: str, unused: Unused) -> Any:
    """The answers in objects that also say where they stand (SQuAD) or how else they are written (TriviaQA)."""
    if isinstance(value, dict) and isinstance(value.get("text"), list) and (set(value) == {"text"} or _PLACE in value):
        _others([value], ("text", _PLACE), key, unused)
        return value["text"]
    if isinstance(value, dict) and {"value", "aliases"} <= set(value):
        _others([value], ("value", "aliases"), key, unused)
        return [value["value"], *strings(value["aliases"])]
    if isinstance(value, list) and value:
        spans = [item for item in value if isinstance(item, dict) and "text" in item and _PLACE in item]
        if len(spans) == len(value):
            _others(spans, ("text", _PLACE), key, unused)
            return [item["text"] for item in spans]
    return value


def _others(items: Collection[Mapping[str, Any]], used: Collection[str], key: str, unused: Unused) -> None:
    """Report what the objects say beside the answer, once a row. Raises BadRow where it ranks the answers."""
    beside = {name: item[name] for item in items for name in item if name not in used and not missing(item[name])}
    ranked = next((name for name in _RANKS if len({str(item.get(name)) for item in items}) > 1), "")
    if ranked:
        raise BadRow(f"the answers are told apart by their '{ranked}', so not all of them are right")
    for name, value in beside.items():
        unused(f"{key}[].{name}", value)


def with_target(target: str, short: str, answers: list[str]) -> list[str]:
    """The accepted answers with the one that is learned among them, unless it is worked out and holds one of them."""
    said = target.casefold()
    known = any(a.strip() == short.strip() or _holds(said, a.strip().casefold()) for a in answers)
    return answers if known else [short, *answers]


def _holds(said: str, answer: str) -> bool:
    """Whether a text holds an answer as words of its own."""
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", said) is not None


def stands_for_nothing(value: str) -> bool:
    """Whether a text is a word that programs write where there is no value, and people sometimes as an answer."""
    return len(value) <= LONGEST_WORD and value.strip().casefold() in _WORDS_FOR_NOTHING
