"""Rows of CSV (quoted as RFC 4180 says), of TSV (no quoting, a cell is what stands between two tabs) and of plain text.

A fault of quoting ends the reading with its line, because nobody can say which of the following rows it swallowed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any

from synth.errors import DataError
from synth.importing.raw import MAX_CELL, MAX_LINE, SHOWN, RawRow

NOT_A_NUMBER = frozenset(("nan", "NaN", "NAN", "<NA>", "#N/A"))
"""Cells that programs write for a missing value; a table cannot tell them from text, JSON can."""
_BEYOND = re.compile("[\udc80-\udcff]")


def csv_rows(file: IO[bytes], name: str) -> Iterator[RawRow]:
    """Rows of CSV; the delimiter is the most frequent of , ; tab | in the header. Raises DataError for bad quoting."""
    lines = _Lines(file, name)
    first = lines.peek()
    while first and not first.strip():
        first = lines.skip()
    if said := re.fullmatch(r"sep=([,;\t|])\r?\n", first, re.IGNORECASE):  # what Excel writes for itself
        lines.skip()
    delimiter = said[1] if said else max(",;\t|", key=first.count)
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL + 1))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        start = lines.skipped + reader.line_num + 1
        lines.start_record()
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise _bad_quoting(name, start, lines.skipped + reader.line_num, str(error)) from error
        if header is None:
            header = _header(fields, name)
        elif any(field.strip() for field in fields):
            end = lines.skipped + reader.line_num
            if len(fields) != len(header) and end > start:
                fault = f"the quoted cell holds {end - start} line breaks, and then the columns do not fit"
                raise _bad_quoting(name, start, end, fault)
            yield _row(start, header, fields)


def tsv_rows(file: IO[bytes], name: str, notes: list[str]) -> Iterator[RawRow]:
    """Rows of TSV, one a line; quotation marks are ordinary characters, and `notes` counts cells that stand in them, or
    begin with one and break off.
    """
    header: list[str] | None = None
    quoted = broken = 0
    for number, line in enumerate(_Lines(file, name), start=1):
        fields = line.rstrip("\r\n").split("\t")
        if header is None:
            header = _header(fields, name)
        elif any(field.strip() for field in fields):
            quoted += sum(len(field) > 1 and field[0] == field[-1] == '"' for field in fields)
            broken += fields[-1].startswith('"') and (fields[-1] == '"' or not fields[-1].endswith('"'))
            yield _row(number, header, fields)
    if quoted:
        notes.append(
            f"{quoted:,} cells of {name} stand in quotation marks, which were kept: TSV has no quoting. Where a "
            "program put them there, save the table as CSV"
        )
    if broken:
        notes.append(
            f"{broken:,} lines of {name} break off in a cell that begins with a quotation mark: TSV has no cells of "
            "several lines, and the rest of these was read as rows. Save the table as CSV"
        )


def text_rows(file: IO[bytes], name: str) -> Iterator[RawRow]:
    """Lines of plain text that are not blank, each a row with the key `text`."""
    for number, line in enumerate(_Lines(file, name), start=1):
        if line.strip():
            yield _row(number, ["text"], [line.rstrip("\r\n")])


class _Lines:
    """Lines of UTF-8 text with their breaks. A record longer than MAX_CELL raises DataError."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        # As surrogates, bytes that are not UTF-8 reach the row that they belong to.
        self._file = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
        self._name, self._number, self._size, self.skipped = name, 0, 0, 0
        self._ahead: str | None = None

    def start_record(self) -> None:
        self._size = 0

    def peek(self) -> str:
        self._ahead = self._file.readline(MAX_LINE + 1)
        return self._ahead

    def skip(self) -> str:
        """Leave the line that was peeked at out, and peek at the next one."""
        self.skipped += 1
        self._number += 1
        return self.peek()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._ahead if self._ahead is not None else self._file.readline(MAX_LINE + 1)
        self._ahead = None
        if not line:
            raise StopIteration
        self._number += 1
        self._size += len(line)
        if len(line) > MAX_LINE or self._size > MAX_CELL:
            message = f"{self._name} line {self._number}: a cell is longer than {MAX_CELL >> 20} Mi characters."
            remedy = "Close the open quotation mark before it, or cut the cell."
            raise DataError(message, remedy, "data.quoting")
        return line


def _bad_quoting(name: str, start: int, end: int, reason: str) -> DataError:
    place = f"line {start}" if end <= start else f"the row that begins in line {start} (read up to line {end})"
    message = f"{name}, {place}: the quotation marks do not match ({reason})."
    remedy = 'Write a quotation mark inside a quoted cell twice (""), and close every quoted cell; nothing was kept.'
    return DataError(message, remedy, "data.quoting")


def no_header(what: str, named: Sequence[str], columns: int) -> DataError:
    """Refuses a first line, `what`, that is no header: names that occur twice, or fewer names than columns."""
    if twice := next((name for name in named if named.count(name) > 1), ""):
        message = f"{what} names two columns '{twice[:100]}'."
        return DataError(message, "Give each column a name of its own, or delete one of them.", "data.header")
    message = f"{what} is no header: it names {len(named)} of {columns} columns."
    return DataError(
        message, "Delete what stands above the names of the columns, or write a name over each.", "data.header"
    )


def _header(fields: list[str], name: str) -> list[str]:
    header = [field.strip() for field in fields]
    named = [column for column in header if column]  # pandas leaves its index without a name
    if not named or len(set(named)) < len(named) or len(header) - len(named) > 1:
        raise no_header(f"The first line of {name}", named, len(header))
    return [column or "(no name)" for column in header]


def _row(line: int, header: list[str], fields: list[str]) -> RawRow:
    text = "|".join(fields)[:SHOWN]
    if len(fields) != len(header):
        return RawRow(line, None, "another number of fields than the header", _printable(text))
    if any("\0" in field for field in fields):
        return RawRow(line, None, "contains NUL bytes", text)
    if not text.isascii() and any(_BEYOND.search(field) for field in fields):
        return RawRow(line, None, "not UTF-8", _printable(text))
    values: dict[str, Any] = {
        name: None if field in NOT_A_NUMBER else field for name, field in zip(header, fields, strict=True)
    }
    return RawRow(line, values)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
