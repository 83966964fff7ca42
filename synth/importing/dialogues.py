"""Chats written as one text with marks for who speaks: Anthropic's HH (`\\n\\nHuman:`) and Guanaco (`### Human:`)."""

from __future__ import annotations

import re
from typing import Any

from synth.importing.values import BadRow

_MARKS = re.compile(r"(?:^|\n\n?)(?:###[ \t]*)?(Human|Assistant|System|User):[ \t]?|<\|(system|user|assistant)\|>\n?")
_ROLES = {"human": "user", "user": "user", "assistant": "assistant", "system": "system"}


def is_dialogue(value: Any) -> bool:
    """Whether a text begins with a mark of the user or system, and an assistant's mark follows."""
    if not isinstance(value, str):
        return False
    found = [(match[1] or match[2]).lower() for match in _MARKS.finditer(value.lstrip())]
    first = _MARKS.match(value.lstrip())
    return bool(first) and found[0] != "assistant" and "assistant" in found


def turns(value: str) -> list[dict[str, str]]:
    """The turns of a dialogue; an empty last turn of the assistant, which asks for an answer, is left out."""
    value = value.lstrip()
    marks = list(_MARKS.finditer(value))
    if not marks or marks[0].start():
        raise BadRow("a dialogue does not begin with who speaks")
    ends = [mark.start() for mark in marks[1:]] + [len(value)]
    found = [
        {"role": _ROLES[(mark[1] or mark[2]).lower()], "content": value[mark.end() : end].strip()}
        for mark, end in zip(marks, ends, strict=True)
    ]
    if found[-1] == {"role": "assistant", "content": ""}:
        found.pop()
    return found
