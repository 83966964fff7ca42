"""Rows of one file of any kind that is known here, found by its content and then its name.

Knows bytes and syntax, not what keys mean; see `synth.importing.layouts`. Folders are for `synth.importing.folders`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from synth.errors import DataError
from synth.importing import delimited, json_rows, sheets, streams, tables
from synth.importing.raw import MAX_LINE, RawRow

Reader = Callable[[IO[bytes], str], Iterator[RawRow]]
DATA_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".feather", ".xlsx", ".txt")
_KINDS = "JSONL, JSON, CSV, TSV, Parquet, Arrow, XLSX or plain text"


def read_rows(path: Path, notes: list[str] | None = None) -> Iterator[RawRow]:
    """Rows of a file; what was done to read it is added to `notes`. Raises DataError for the file."""
    with streams.readable(path), path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise DataError(f"{path.name} is empty.", "Choose a file with rows.", "data.empty")
    if head.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return tables.arrow_rows(path, notes)
    if streams.packed_as(head) == ".zip" and sheets.is_xlsx(path):
        return sheets.xlsx_rows(path, notes)
    if head.startswith((b"%PDF", b"\xd0\xcf\x11\xe0", b"\x89HDF", b"SQLite", b"\x80\x04", b"Rar!", b"7z\xbc\xaf")):
        raise DataError(f"{path.name} is a binary file.", f"Save the rows as {_KINDS}.", "data.format")
    return _text_rows(path, notes)


def _text_rows(path: Path, notes: list[str] | None) -> Iterator[RawRow]:
    text = streams.open_text(path)
    if notes is not None and text.note:
        notes.append(text.note)
    file, head = _with_head(text.file, path)
    reader = _reader(path, text.name, head, [] if notes is None else notes)
    return _closing(reader(file, text.name), file, path)


def _reader(path: Path, name: str, head: bytes, notes: list[str]) -> Reader:
    suffix = Path(name).suffix.lower()
    start = head.lstrip()[:1]
    if suffix == ".csv":
        return delimited.csv_rows
    if suffix == ".tsv":
        return lambda file, name: delimited.tsv_rows(file, name, notes)
    if suffix in (".jsonl", ".ndjson"):
        return lambda file, _: json_rows.jsonl(file)
    if start in (b"{", b"[") or suffix == ".json":
        return _json_shape(head, complete=len(head) < MAX_LINE, named_json=suffix == ".json")
    if suffix in (".parquet", ".arrow", ".feather", ".xlsx"):
        raise DataError(f"{path.name} is no {suffix[1:]} file, whatever its name says.", "Write it again.")
    if suffix in (".txt", ".text"):
        return delimited.text_rows
    raise DataError(f"{path.name} is neither {_KINDS}.", "Save it as one of these.", "data.format")


def _json_shape(head: bytes, complete: bool, named_json: bool) -> Reader:
    """JSONL when the first line is a value by itself and others follow; else an array or one object.

    A value means the same on one line as on many.
    """
    first, _, rest = head.lstrip().partition(b"\n")
    alone = complete and not rest.strip()
    whole_line = json_rows.parse(first.decode("utf-8", "replace").strip())[1] == ""
    if whole_line and not alone:
        return lambda file, _: json_rows.jsonl(file)
    if head.lstrip()[:1] == b"[":
        return json_rows.array
    if head.lstrip()[:1] == b"{" and (named_json or not whole_line):
        return json_rows.whole
    if named_json and whole_line:
        return json_rows.whole  # a number or a text: it says that there are no rows
    return lambda file, _: json_rows.jsonl(file)


def _with_head(file: IO[bytes], path: Path) -> tuple[IO[bytes], bytes]:
    """The file, and its beginning without taking it: the first line, up to MAX_LINE, and a little more."""
    with streams.readable(path):
        first = file.readline(MAX_LINE)
        head = first + file.read(4096)
        file.close()
        again = streams.open_text(path).file
    return again, head


def _closing(rows: Iterator[RawRow], file: IO[bytes], path: Path) -> Iterator[RawRow]:
    with streams.readable(path), file:
        yield from rows


def sample_rows(path: Path, rows: int = 50) -> list[dict[str, Any]]:
    """The first readable rows. Raises DataError when the file cannot be read or no row can."""
    found = [raw.value for raw in islice(read_rows(path), 20 * rows) if raw.value is not None][:rows]
    if not found:
        raise DataError(f"No row of {path.name} can be read.", f"Check that it is {_KINDS}.")
    return found
