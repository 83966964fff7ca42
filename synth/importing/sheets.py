"""Rows of the first sheet of XLSX files, which openpyxl reads; and what such a file may unpack to.

Shared strings and styles are held in memory whole, and so is a row: their sizes are looked at before that.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path, PurePosixPath
from typing import IO, Any

from synth.errors import DataError
from synth.importing.delimited import NOT_A_NUMBER, no_header
from synth.importing.raw import Digits, RawRow
from synth.importing.tables import plain

_FAULT = re.compile(r"#[A-Z]+(?:/0)?!|#NAME\?")
"""What a cell shows whose formula failed."""
MAX_SHEET = 1 << 30
"""Bytes of an unpacked XLSX file."""
MAX_STRINGS = 128 << 20
"""Of these, bytes of its shared texts."""
MAX_PART = 16 << 20
"""Of these, bytes of each other part, and of each row."""
MAX_ROWS = 1_048_576
"""Rows that a sheet of Excel has."""
_CHUNK = 1 << 20
_BEGINS = re.compile(rb"<(row|si)[\s/>]")


def is_xlsx(path: Path) -> bool:
    """Whether a zip file is a workbook."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def xlsx_rows(path: Path, notes: list[str] | None = None) -> Iterator[RawRow]:
    """Rows of the first sheet, the first row being its header; other sheets go to `notes`. Raises DataError."""
    import openpyxl

    try:
        _refuse_swollen(path)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except DataError:
        raise
    except Exception as error:  # openpyxl lets whatever its XML and zip readers raise pass
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path.name} cannot be read: {reason}.", "Save it again, or as CSV.") from error
    try:
        first, *others = book.worksheets or [None]
        if others and notes is not None:
            unread = ", ".join(f"'{sheet.title}'" for sheet in others[:10])
            notes.append(
                f"of {path.name} only the first sheet was read, not {unread}: save those as files of their own"
            )
        if first is not None:
            first.reset_dimensions()  # what a sheet says of its size may be wrong, and cells beyond it would be lost
            _check_formulas(path, first)
        rows = (tuple(map(_cell, cells)) for cells in first.iter_rows()) if first is not None else iter(())
        header = [str(cell).strip() if cell is not None else "" for cell in next(rows, ())]
        while header and not header[-1]:
            header.pop()
        named = [name for name in header if name]
        if not named or len(set(named)) < len(named) or len(header) - len(named) > 1:
            raise no_header(f"The first row of {path.name}", named, len(header))
        for number, cells in enumerate(rows, start=2):
            if number > MAX_ROWS:
                raise swollen(path, f"has rows beyond number {MAX_ROWS:,}")
            if any(cell is not None for cell in cells):
                yield _sheet_row(number, header, cells)
    finally:
        book.close()


def _check_formulas(path: Path, sheet: Any) -> None:
    """Raises DataError for a sheet with formulas whose results were never computed: their cells would be empty."""
    import openpyxl

    with zipfile.ZipFile(path) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        if not any(_has_formula(archive, name) for name in sheets):
            return
    asked = openpyxl.load_workbook(path, read_only=True)
    try:
        asked[sheet.title].reset_dimensions()
        pairs = islice(zip(asked[sheet.title].iter_rows(), sheet.iter_rows(), strict=False), MAX_ROWS)
        empty = (
            formula.coordinate
            for row, results in pairs
            for formula, cell in zip(row, results, strict=False)
            if formula.data_type == "f" and cell.value is None
        )
        if first := next(empty, ""):
            message = f"{path.name} has formulas without results, the first in cell {first}."
            raise DataError(message, "Open it in a spreadsheet program, and save it there.", "data.unreadable")
    finally:
        asked.close()


def _has_formula(archive: zipfile.ZipFile, name: str) -> bool:
    before = b""
    with archive.open(name) as file:
        while chunk := file.read(1 << 20):
            if b"<f>" in before + chunk or b"<f " in before + chunk:
                return True
            before = chunk[-2:]
    return False


_DECIMALS = re.compile(r"(?:#,##)?0(?:\.(0{1,10}))?(%?)")


def swollen(path: Path, how: str) -> DataError:
    """Refuses a file that unpacks to more than can be held."""
    return DataError(f"{path.name} {how}.", "Save it as CSV.", "data.size")


def _refuse_swollen(path: Path) -> None:
    """Raises DataError for parts that openpyxl would hold whole, and which are too large for that.

    Parts that neither the list of contents nor the workbook names, such as pictures, are not read.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > MAX_SHEET:
            raise swollen(path, f"unpacks to over {MAX_SHEET >> 30} GiB")
        lists = [e for e in entries if e.filename.endswith(("[Content_Types].xml", "workbook.xml.rels"))]
        if any(entry.file_size > MAX_PART for entry in lists):
            raise swollen(path, f"has a list of contents of over {MAX_PART >> 20} MiB")
        named = b"".join(archive.read(entry) for entry in lists)
        for entry in entries:
            if entry.file_size > MAX_PART and PurePosixPath(entry.filename).name.encode() in named:
                with archive.open(entry) as part:
                    _refuse_swollen_part(path, entry, part)


def _refuse_swollen_part(path: Path, entry: zipfile.ZipInfo, part: IO[bytes]) -> None:
    """Reads a large part through once: only many rows, or many shared texts, may make it so large."""
    name, last, place, tail, rows, texts = PurePosixPath(entry.filename).name, 0, 0, b"", 0, 0
    while chunk := part.read(_CHUNK):
        chunk = tail + chunk
        for found in _BEGINS.finditer(chunk):
            rows, texts = rows + (found[1] == b"row"), texts + (found[1] == b"si")
            last = place + found.start()
        if place + len(chunk) - last > MAX_PART:
            raise swollen(path, f"holds more than {MAX_PART >> 20} MiB in one piece of {name}")
        if rows > MAX_ROWS or (texts and entry.file_size > MAX_STRINGS):
            raise swollen(path, f"has more in {name} than {MAX_ROWS:,} rows or {MAX_STRINGS >> 20} MiB of texts")
        tail = chunk[-len(b"<row ") :]  # where a mark may be cut; one that is whole in it counts twice, which is little
        place += len(chunk) - len(tail)


def _cell(cell: Any) -> Any:
    """The value of a cell; numbers as they are shown where that drops nothing: `007`, `1.10`, `25%`."""
    value, shown = cell.value, getattr(cell, "number_format", "")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, int) and shown.strip("0") == "" and len(shown) > 1:
        return str(value).zfill(len(shown))
    value = float(f"{value:.15g}") if isinstance(value, float) and math.isfinite(value) else value  # no more are shown
    found = _DECIMALS.fullmatch(shown)
    if not found or not (found[1] or found[2]) or abs(value) > 1e12:
        return value
    places, number = len(found[1] or ""), value * 100 if found[2] else value
    text = f"{number:.{places}f}"
    same = math.isclose(float(text), number, rel_tol=1e-14, abs_tol=1e-14)
    return Digits(text + found[2]) if same else value


def _sheet_row(number: int, header: list[str], cells: tuple[Any, ...]) -> RawRow:
    if any(cell is not None for cell in cells[len(header) :]):
        return RawRow(number, None, "cells beyond the header's columns", "|".join(map(str, cells))[:2000])
    values = {name: plain(cell) for name, cell in zip_longest(header, cells[: len(header)])}
    faulty = next((v for v in values.values() if isinstance(v, str) and _FAULT.fullmatch(v)), "")
    if faulty:
        return RawRow(number, None, "a formula of the sheet failed", faulty)
    return RawRow(number, {k: None if v in NOT_A_NUMBER else v for k, v in values.items()})
