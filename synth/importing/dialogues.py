"""Chats in one text with marks for who speaks: Anthropic's HH (`\\n\\nHuman:`), Guanaco (`### Human:`), ChatML."""

from __future__ import annotations

import re
from typing import Any

from synth.importing.values import BadRow

_MARKS = re.compile(
    r"(?:(?:^|\n\n?)(?:###[ \t]*)?|###[ \t]*)(Human|Assistant|System|User):[ \t]?"
    r"|<\|(system|user|assistant)\|>\n?|<\|im_start\|>(system|user|assistant)\n"
)
_END = "<|im_end|>"
_ROLES = {"human": "user", "user": "user", "assistant": "assistant", "system": "system"}


def is_dialogue(value: Any) -> bool:
    """Whether a text begins with a mark of the user or system, and an assistant's mark follows."""
    if not isinstance(value, str):
        return False
    found = [_speaker(match).lower() for match in _MARKS.finditer(value.lstrip())]
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
        {"role": _ROLES[_speaker(mark).lower()], "content": _content(value[mark.end() : end], ended=bool(mark[3]))}
        for mark, end in zip(marks, ends, strict=True)
    ]
    if found[-1] == {"role": "assistant", "content": ""}:
        found.pop()
    return found


def _speaker(mark: re.Match[str]) -> str:
    return mark[1] or mark[2] or mark[3]


def _content(content: str, ended: bool) -> str:
    return content.strip().removesuffix(_END).strip() if ended else content.strip()
