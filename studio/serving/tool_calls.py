"""Calls of tools in what a model wrote, in the forms that chat templates of open models teach.

`<tool_call>{…}</tool_call>` (Qwen, Hermes, SmolLM2), `[TOOL_CALLS][…]` (Mistral), `<|python_tag|>{…}` and a bare object
or list of them (Llama 3). Only objects that name an offered tool are calls; everything else is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, NamedTuple

_TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.S)
_LEADS = re.compile(r"^\s*(?:\[TOOL_CALLS\]|<\|python_tag\|>|functools)\s*")


class Call(NamedTuple):
    """A call: the function's name, and its arguments as JSON text."""

    name: str
    arguments: str


class ParsedReply(NamedTuple):
    """An answer taken apart: its text, and the calls in it."""

    text: str
    calls: tuple[Call, ...]


def taken_apart(text: str, names: Collection[str]) -> ParsedReply:
    """The text without its calls, and the calls of tools of these names."""
    found: list[Call] = []

    def read(match: re.Match[str]) -> str:
        calls = _calls(match[1], names)
        found.extend(calls)
        return "" if calls else match[0]

    rest = _TAGGED.sub(read, text)
    if found:
        return ParsedReply(rest.strip(), tuple(found))
    if calls := _calls(_LEADS.sub("", text), names):
        return ParsedReply("", tuple(calls))
    return ParsedReply(text, ())


def _calls(text: str, names: Collection[str]) -> list[Call]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    items = value if isinstance(value, list) else [value]
    calls = [call for item in items if (call := _call(item, names))]
    return calls if len(calls) == len(items) else []


def _call(item: Any, names: Collection[str]) -> Call | None:
    if not isinstance(item, dict):
        return None
    inner = item["function"] if isinstance(item.get("function"), dict) else item
    name = inner.get("name")
    arguments = inner.get("arguments", inner.get("parameters", {}))
    if not isinstance(name, str) or name not in names or not isinstance(arguments, dict | str):
        return None
    return Call(name, arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
