"""Documents cut into extracts of about equal length, at paragraphs and sentences, each with page and place.

`start` and `end` count characters of the page's text as `readers` gives it, so that an extract, and a quotation from
it, can be found again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from synth.documents.readers import READERS, read_document
from synth.errors import DataError

BREAKS = (re.compile(r"\n\n"), re.compile(r"(?<=[.!?])\s"), re.compile(r"\s"))
"""Where a text may be cut, the best places first."""


class Extract(NamedTuple):
    """A piece of a document; its text is that of the page from `start` to `end`."""

    text: str
    document: str
    page: int
    start: int
    end: int


def extracts(path: Path, chars: int = 1000, min_chars: int = 80) -> Iterator[Extract]:
    """Extracts of a file, or of every readable file below a folder in the order of their names.

    Raises DataError when there is none.
    """
    if not path.exists():
        raise DataError(f"There is no file or folder {path}.", "Check the path.", "documents.missing")
    files = [path]
    if path.is_dir():
        readable = (file for file in path.rglob("*") if file.suffix.lower() in READERS and file.is_file())
        files = sorted(file for file in readable if not file.is_symlink())
    found = False
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        for page in read_document(file):
            for start, end in spans(page.text, chars):
                if end - start >= min_chars:
                    found = True
                    yield Extract(page.text[start:end], name, page.number, start, end)
    if not found:
        message = f"{path} holds no extract of {min_chars} characters."
        raise DataError(message, f"Give documents ({', '.join(READERS)}).", "documents.none")


def spans(text: str, chars: int) -> Iterator[tuple[int, int]]:
    """Beginnings and ends that cover the text, none longer than 1.5 times `chars`; white space between is left out."""
    start = 0
    while start < len(text):
        end = len(text) if len(text) - start <= 1.5 * chars else _cut(text, start, chars)
        piece = text[start:end]
        left = start + len(piece) - len(piece.lstrip())
        if piece.strip():
            yield left, left + len(piece.strip())
        start = end


def _cut(text: str, start: int, chars: int) -> int:
    """The best place to end a piece, between 0.6 and 1.2 times `chars` from its start."""
    low, high = start + int(0.6 * chars), start + int(1.2 * chars)
    for pattern in BREAKS:
        places = [match.end() for match in pattern.finditer(text, low, high)]
        if places:
            return min(places, key=lambda place: abs(place - start - chars))
    return start + chars
