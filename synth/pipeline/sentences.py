"""Sentences of a text by number, so that a teacher names the one it means instead of copying it.

A copied quotation has to be right letter by letter, which small models fail; a number is read by everybody, costs one
token, and what stands in the row is the source's own wording.
"""

from __future__ import annotations

import re

FIGURE = re.compile(r"\d+(?:[.,:/]\d+)*%?")
END = re.compile(r"""(?<=[.!?…])["'”’)\]]*\s+|(?<=[。！？])|\n\s*\n|\n""")
WRAPPED = 60
"""A line of so many characters may go on in the next one, as those of a PDF do; shorter ones are lists and tables."""


def sentences(text: str) -> list[tuple[int, int]]:
    """Beginning and end of each sentence, heading or line of a list; white space between them belongs to none."""
    found, start = [], 0
    for end in [*(match.end() for match in END.finditer(text) if not _goes_on(text, match)), len(text)]:
        piece = text[start:end]
        if piece.strip():
            left = start + len(piece) - len(piece.lstrip())
            found.append((left, left + len(piece.strip())))
        start = end
    return found


def _goes_on(text: str, end: re.Match[str]) -> bool:
    """Whether a line's end is one within a sentence."""
    if end.group() != "\n":
        return False
    line, following = text[text.rfind("\n", 0, end.start()) + 1 : end.start()], text[end.end() : end.end() + 2]
    return following[:1].islower() or (len(line) >= WRAPPED and line[-1:] not in ":;|" and following[:1].isalnum())


def numbered(text: object) -> str:
    """A text with `[1]`, `[2]` … before its sentences, one a line."""
    whole = str(text)
    return "\n".join(f"[{n}] {' '.join(whole[a:b].split())}" for n, (a, b) in enumerate(sentences(whole), start=1))


def figures(text: object) -> list[str]:
    """The different numbers that stand in a text, as they are written and in their order."""
    return list(dict.fromkeys(FIGURE.findall(str(text))))
