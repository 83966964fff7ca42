"""The text of a document, page by page where it has pages.

    for page in read_document(Path("manual.pdf")): page.number, page.text

HTML is reduced to its main content. Tables give one "page" for each row. Nothing is run, fetched or followed. PDF, DOCX
and HTML need the extra `documents`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from synth.errors import DataError, first_line
from synth.pipeline.records import TEXTS, plain_rows

MAX_BYTES = 64 << 20
"""Larger files are no documents to be read whole."""
BLANK = r"[ \t\f\v\u00a0]"
MAX_UNPACKED = 256 << 20
"""Most that the parts of a DOCX may unpack to."""


class Page(NamedTuple):
    """A page (from 1), or the whole of a document that has none (0), or the row of a table (from 1)."""

    number: int
    text: str


def read_document(path: Path, on_remark: Callable[[str], None] = lambda sentence: None) -> Iterator[Page]:
    """Pages with text. Raises DataError for a file that cannot be read, or holds no text.

    Where a third of a PDF's pages or more hold none, `on_remark` is given that in a sentence.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        message = f"{path.name} is of no kind that can be read."
        raise DataError(message, f"Use one of {', '.join(READERS)}.", "documents.kind")
    if not path.is_file():  # a pipe would be waited for
        raise DataError(f"{path.name} is no plain file.", "Copy it into one.", "documents.kind")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path.name} is larger than {MAX_BYTES >> 20} MB.", "Split it.", "documents.size")
    pages = empty = 0
    for page in read(path):
        text = tidy(page.text, indented=read is _plain)
        pages, empty = pages + 1, empty + (not text)
        if text:
            yield Page(page.number, text)
    if pages == empty:
        message = f"{path.name} holds no text; it may be a scan."
        remedy = "Run text recognition (OCR) on it first, or take it out of the folder."
        raise DataError(message, remedy, "documents.empty")
    if read is _pdf and 3 * empty >= pages:
        on_remark(f"{empty} of {pages} pages of {path.name} hold no text; they may be scans. Run OCR on it first.")


def tidy(text: str, indented: bool = False) -> str:
    """Line ends, soft hyphens and runs of white space as one writes them; words split at a line's end are joined.

    `indented`: what a line begins with has a meaning, as in code and lists, and stays.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00ad", "").replace("\0", "")
    plain = re.sub(r"(?<=[a-zäöüß])-\n(?=[a-zäöüß])", "", plain)
    plain = re.sub(rf"(?<=\S){BLANK}+" if indented else rf"{BLANK}+", " ", plain)
    plain = re.sub(rf"{BLANK}*\n" if indented else r" ?\n ?", "\n", plain)
    return re.sub(r"\n{3,}", "\n\n", plain).strip()


def _plain(path: Path) -> Iterator[Page]:
    from synth.importing import streams

    with streams.open_text(path).file as file:
        text = file.read().decode("utf-8", "replace")
    if text.count("\ufffd") * 1000 > len(text):  # a torn character or two are no other encoding
        raise DataError(f"{path.name} is in no encoding that is known here.", "Save it as UTF-8.", "data.encoding")
    yield Page(0, text)


def _html(path: Path) -> Iterator[Page]:
    import trafilatura

    html = path.read_bytes()
    yield Page(0, trafilatura.extract(html, include_comments=False, favor_recall=True) or "")


def _pdf(path: Path) -> Iterator[Page]:
    import logging

    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.ERROR)  # what it repairs on the way it says without the file's name
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError(f"{path.name} needs a password.", "Save it without one.", "documents.locked")
        for number, page in enumerate(reader.pages, start=1):
            yield Page(number, page.extract_text())
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        message = f"{path.name} cannot be read as PDF: {first_line(error)}."
        raise DataError(message, "Save it again.", "documents.torn") from error


def _docx(path: Path) -> Iterator[Page]:
    """Paragraphs and tables in their order; the parts' sizes are looked at before they are unpacked."""
    import zipfile

    import docx
    from docx.table import Table

    try:
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > MAX_UNPACKED:
                raise DataError(f"{path.name} unpacks to too much.", "Split it.", "documents.size")
        document = docx.Document(str(path))
        lines = []
        for part in document.iter_inner_content():
            if isinstance(part, Table):
                lines += [" | ".join(cell.text for cell in row.cells) for row in part.rows]
            else:
                lines.append(part.text)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        message = f"{path.name} cannot be read as DOCX: {first_line(error)}."
        raise DataError(message, "Save it again.", "documents.torn") from error
    yield Page(0, "\n\n".join(line for line in lines if line.strip()))


def _table(path: Path) -> Iterator[Page]:
    for number, row in enumerate(plain_rows(path), start=1):
        own = next((row[name] for name in TEXTS if isinstance(row.get(name), str)), None)
        others = [f"{name}: {value}" for name, value in row.items() if isinstance(value, str | int | float)]
        yield Page(number, str(own) if own else "\n".join(others))


READERS: dict[str, Callable[[Path], Iterator[Page]]] = {
    ".txt": _plain,
    ".md": _plain,
    ".markdown": _plain,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
    ".csv": _table,
    ".tsv": _table,
    ".jsonl": _table,
}
