"""Documents cut into extracts of about equal length, at paragraphs and sentences, each with page and place.

`start` and `end` count characters of the page's text as `readers` gives it, so that an extract, and a quotation from
it, can be found again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from synth.documents.readers import READERS, read_document
from synth.errors import DataError

BREAKS = (re.compile(r"\n\n"), re.compile(r"(?<=[.!?])\s"), re.compile(r"\s"))
"""Where a text may be cut, the best places first."""


UNREAD = "a document that cannot be read"
IN_PART = "pages without text"
OTHER_KIND = "files of other kinds"


class LeftOut(NamedTuple):
    """What of a folder is not among the extracts: the file (or the folder), why in words to count, and a sentence."""

    document: str
    reason: str
    sentence: str


OnLeftOut = Callable[[LeftOut], None]


class Extract(NamedTuple):
    """A piece of a document; its text is that of the page from `start` to `end`."""

    text: str
    document: str
    page: int
    start: int
    end: int


def extracts(
    path: Path, chars: int = 1000, min_chars: int = 80, on_left_out: OnLeftOut = lambda one: None
) -> Iterator[Extract]:
    """Extracts of a file, or of every readable file below a folder in the order of their names.

    A file of a folder that cannot be read, or only in part, goes to `on_left_out`, and the others go on. Raises
    DataError for a single file that cannot be read, and when there is no extract.
    """
    if not path.exists():
        raise DataError(f"There is no file or folder {path}.", "Check the path.", "documents.missing")
    whole = path.is_dir()
    found, first = False, None
    for file in _files(path, on_left_out) if whole else [path]:
        name = file.relative_to(path).as_posix() if whole else file.name

        def in_part(sentence: str, name: str = name) -> None:
            on_left_out(LeftOut(name, IN_PART, sentence))

        try:
            for page in read_document(file, in_part):
                for start, end in spans(page.text, chars):
                    if end - start >= min_chars:
                        found = True
                        yield Extract(page.text[start:end], name, page.number, start, end)
        except DataError as error:
            if not whole:
                raise
            first = first or error
            on_left_out(LeftOut(name, UNREAD, str(error)))
    if not found:
        message = f"{path} holds no extract of {min_chars} characters."
        remedy = f"Give documents ({', '.join(READERS)})."
        raise DataError(f"{message} {first}" if first else message, remedy, "documents.none")


def _files(folder: Path, on_left_out: OnLeftOut) -> list[Path]:
    """The files that can be read, by name; how many of which kinds cannot is told."""
    files = sorted(file for file in folder.rglob("*") if not file.is_symlink() and file.is_file())
    files = [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    others = Counter(file.suffix.lower() or "without an ending" for file in files if not _readable(file))
    if others:
        listing = ", ".join(f"{kind} {number}" for kind, number in others.most_common(8))
        sentence = (
            f"{others.total()} files are of no kind that can be read: {listing}. Save them as one of these kinds: "
        )
        on_left_out(LeftOut(folder.name, OTHER_KIND, f"{sentence}{', '.join(READERS)}."))
    return [file for file in files if _readable(file)]


def _readable(file: Path) -> bool:
    return file.suffix.lower() in READERS


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
