"""Where pictures and recordings stand among the words: `<image>`, `<audio>` and MMMU's `<image 2>`.

Places what was read already; reads no files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from synth.example import AudioPart, ImagePart, Message, Part, TextPart
from synth.importing.values import BadRow

_MARK = re.compile(r"\n?<(image|audio|video)>\n?")
_FOREIGN = re.compile(
    r"<img>[^<>\n]{1,300}</img>|<ImageHere>|<\|image(?:_\d{1,2}|_pad)?\|>|<image_placeholder>|\[IMG\]|\A<(?:image|audio|video)>"
)
"""Marks of other programs, which are read as words; in text, also ours where a turn begins with it."""
_NUMBERED = re.compile(r"<image[ _]?(\d{1,2})>")


def in_order(prompt: Sequence[Message], pictures: list[ImagePart]) -> tuple[list[Message], list[ImagePart]]:
    """Turns whose numbered marks are plain ones, and the pictures in the order of these marks. Raises BadRow."""
    numbers = [
        int(number)
        for message in prompt
        for part in message.content
        if isinstance(part, TextPart)
        for number in _NUMBERED.findall(part.text)
    ]
    if not numbers or not pictures:
        return list(prompt), pictures
    first = min(numbers)
    if first > 1 or sorted(numbers) != list(range(first, first + len(pictures))):
        raise BadRow("the numbered marks and the pictures are not one for one")
    return [_plain(message) for message in prompt], [pictures[number - first] for number in numbers]


def _plain(message: Message) -> Message:
    parts = tuple(
        TextPart(text=_NUMBERED.sub("<image>", part.text)) if isinstance(part, TextPart) else part
        for part in message.content
    )
    return message.model_copy(update={"content": parts})


def foreign(prompt: Sequence[Message]) -> str:
    """The first mark of a picture, recording or video that is read as words; "" where there is none."""
    for message in prompt:
        for part in message.content:
            text = part.text if isinstance(part, TextPart) else ""
            if ("<" in text or "[IMG]" in text) and (found := _FOREIGN.search(text)):
                return found[0]
    return ""


def check_none(prompt: Sequence[Message]) -> None:
    """Raises BadRow for a mark in a row whose turns hold no medium and which names none."""
    if all(isinstance(part, TextPart) for message in prompt for part in message.content):
        found = next((match for message in prompt if (match := _MARK.search(message.text))), None)
        if found:
            raise BadRow(f"an <{found[1]}> mark, and nothing that stands there")
        if other := foreign(prompt):
            raise BadRow(f"a mark {other[:40]}, and no picture in `images`")


def place_media(messages: list[Message], pictures: list[ImagePart], recordings: list[AudioPart]) -> list[Message]:
    """Pictures and recordings where their `<image>` and `<audio>` marks stand, else before the first user's text."""
    if not pictures and not recordings:
        return messages
    left: dict[str, list[Any]] = {"image": list(pictures), "audio": list(recordings)}
    marks = [
        m[1] for message in messages for p in message.content if isinstance(p, TextPart) for m in _MARK.finditer(p.text)
    ]
    for kind, found in left.items():
        if marks.count(kind) not in (0, len(found)):
            name = "pictures" if kind == "image" else "recordings"
            raise BadRow(f"the <{kind}> marks and the {name} are not equally many")
    if "video" in marks:
        raise BadRow("has a video")
    placed = [message.model_copy(update={"content": _with_media(message, left, marks)}) for message in messages]
    rest = [*left["image"], *left["audio"]]
    if not rest:
        return placed
    first = next((place for place, message in enumerate(placed) if message.role == "user"), None)
    if first is None:
        raise BadRow("a picture or recording, but no user's turn")
    placed[first] = placed[first].model_copy(update={"content": (*rest, *placed[first].content)})
    return placed


def _with_media(message: Message, left: dict[str, list[Any]], marks: list[str]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for part in message.content:
        if not isinstance(part, TextPart):
            parts.append(part)
            continue
        start = 0
        for mark in _MARK.finditer(part.text):
            if not left[mark[1]]:
                continue
            if part.text[start : mark.start()].strip():
                parts.append(TextPart(text=part.text[start : mark.start()]))
            parts.append(left[mark[1]].pop(0))
            start = mark.end()
        if part.text[start:].strip() or (start == 0 and part.text):
            parts.append(TextPart(text=part.text[start:]))
    return tuple(parts)
