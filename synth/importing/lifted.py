"""Rows of logs whose parts lie where no key path leads: JSON in a text, scores in a list, feedback inside a turn.

    {"response": "{\"choices\": […]}"}                       the object itself
    {"scores": [{"name": "user-feedback", "value": 1}]}      {"scores": {"user-feedback": 1}}
    {"messages": […, {"role": "assistant", "content": "…", "feedback": "down"}]}
                                                             {"messages[].feedback": "down", "messages": […]}

Only moves values; what they mean is for `layouts` and `judgements`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth.importing.json_rows import parse
from synth.importing.judgements import is_feedback
from synth.importing.values import missing

_PACKED = frozenset(
    (
        *("request", "response", "body", "request_body", "response_body", "input", "output"),
        *("proxy_server_request", "messages"),
    )
)
_ASKED = ("request", "body", "request_body", "proxy_server_request")
_EITHER = ("input", "output")  # of a log, or of an instruction, whose text may be JSON
_QUESTIONS = frozenset(("instruction", "question", "prompt"))
_CHATS = ("messages", "conversations", "conversation", "input", "request")
LAST_TURN = "messages[]."
"""What the names of keys begin with that were inside the last turn."""


def lifted(row: dict[str, Any], packed: bool = True) -> dict[str, Any]:
    """The row with these parts under paths of their own; the row itself where there are none.

    `packed` is False where columns were mapped: a text is then what it is.
    """
    for key, value in row.items():  # of the row that came: what is put in its place below is not looked at again
        kind = type(value)
        if kind is list and value and type(value[-1]) is dict:
            last = value[-1]
            if len(last) > 2 and packed and key in _CHATS:
                row = _with_feedback(row, key, value)
            if key == "scores" and all(isinstance(score, dict) and "name" in score for score in value):
                row = {**row, "scores": _by_name(value)}
        elif kind is str and value[:1] == "{" and packed and key in _PACKED:
            plain = key in _EITHER and not _QUESTIONS.isdisjoint(row)
            if not plain and (found := _of_log(key, value)) is not None:
                row = {**row, key: found}
    return row


def _of_log(key: str, value: str) -> dict[str, Any] | None:
    """The object in a text, where it is a request, an answer or a message; other records in JSON are texts."""
    found, fault = parse(value)
    if fault or not isinstance(found, dict):
        return None
    if (key in _ASKED and {"messages", "input"} & found.keys()) or {"role", "content"} <= found.keys():
        return found
    return found if any(isinstance(found.get(name), list) for name in ("choices", "messages", "output")) else None


def _by_name(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """Each score under its name; of a name that comes twice, a list."""
    named: dict[str, Any] = {}
    for score in scores:
        name = str(score["name"])[:100]
        value = score["stringValue"] if not missing(score.get("stringValue")) else score.get("value")
        named[name] = value if name not in named else [named[name], value]
    return named


def _with_feedback(row: dict[str, Any], key: str, chat: list[Any]) -> dict[str, Any]:
    last: Mapping[str, Any] = chat[-1]
    found = {name: value for name, value in last.items() if _judges(name, value)}
    if not found:
        return row
    left = {name: value for name, value in last.items() if name not in found}
    return {**row, **{LAST_TURN + name: value for name, value in found.items()}, key: [*chat[:-1], left]}


def _judges(name: Any, value: Any) -> bool:
    return is_feedback(name) or (isinstance(value, dict) and any(map(is_feedback, value)))
