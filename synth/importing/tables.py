"""Rows of Parquet, Arrow and Feather files, of folders that `datasets` saved, and of the first sheet of XLSX files.

pyarrow and openpyxl read them, in batches; here their values become those of JSON: numbers and dates keep their digits.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synth.errors import DataError, StorageError
from synth.importing.delimited import NOT_A_NUMBER
from synth.importing.raw import Digits, RawRow
from synth.media import resolve_inside
from synth.storage import read_json

BATCH_ROWS = 256
_FAULT = re.compile(r"#[A-Z]+(?:/0)?!|#NAME\?")
"""What a cell shows whose formula failed."""
MAX_SHEET = 1 << 30
"""Bytes of an unpacked XLSX file."""


def arrow_rows(path: Path, notes: list[str] | None = None) -> Iterator[RawRow]:
    """Rows of a Parquet, Arrow or Feather file, batch by batch. Raises DataError.

    A column that `datasets` wrote as numbers of named classes has the names; `notes` says so.
    """
    import pyarrow as pa

    number, classes = 0, None
    try:
        for batch in _batches(path):
            columns = {name: _column(batch.column(place)) for place, name in enumerate(batch.schema.names)}
            if len(columns) < len(batch.schema.names):
                message = f"{path.name} has two columns of one name."
                raise DataError(message, "Give every column a name of its own.", "data.header")
            if classes is None:
                classes = _classes(batch.schema)
                if notes is not None:
                    notes += [
                        f"the numbers in '{column}' are written as the names of their classes: {', '.join(names[:10])}"
                        for column, feature in classes.items()
                        for names in _names_in(feature)
                    ]
            for column, feature in classes.items():
                columns[column] = [_named(value, feature) for value in columns[column]]
            for values in zip(*columns.values(), strict=True):
                number += 1
                yield RawRow(number, dict(zip(columns, values, strict=True)))
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path.name} cannot be read: {reason}.", "Write it again.", "data.unreadable") from error


def _classes(schema: Any) -> dict[str, Any]:
    """Column → its feature, of those with named classes inside, from what `datasets` keeps beside the columns."""
    try:
        kept = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = kept.get("info", {}).get("features", {}).items()
        return {name: feature for name, feature in features if name in schema.names and any(_names_in(feature))}
    except (ValueError, AttributeError, RecursionError):
        return {}


def _names_in(feature: Any) -> Iterator[list[str]]:
    """The names of every class label in a feature of `datasets`; those that are called by their numbers say nothing."""
    if isinstance(feature, list):
        yield from (names for item in feature for names in _names_in(item))
    elif isinstance(feature, dict) and isinstance(feature.get("names"), list):
        names = [str(item) for item in feature["names"]]
        if any(name != str(place) for place, name in enumerate(names)):
            yield names
    elif isinstance(feature, dict):
        yield from (names for item in feature.values() for names in _names_in(item))


def _named(value: Any, feature: Any) -> Any:
    """A value with the names of its classes. -1 is what `datasets` writes for a class that nobody knows."""
    if isinstance(feature, dict) and "feature" in feature:  # of a list
        feature = [feature["feature"]]
    if isinstance(value, list) and isinstance(feature, list) and feature:
        return [_named(item, feature[0]) for item in value]
    if isinstance(value, dict) and isinstance(feature, list) and feature and isinstance(feature[0], dict):
        return {key: _named(item, [feature[0].get(key)]) for key, item in value.items()}  # a list of objects, by column
    if isinstance(value, dict) and isinstance(feature, dict):
        return {key: _named(item, feature.get(key)) for key, item in value.items()}
    names = next(_names_in(feature), None)
    if names is None or not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None if value == -1 else value


def saved_tables(folder: Path) -> list[tuple[Path, str]]:
    """(file, split) of a folder that `save_to_disk` wrote; none when it is no such folder. Raises DataError."""
    splits = folder / "dataset_dict.json"
    if splits.is_file():
        named = [part for part in _listed(splits, "splits") if isinstance(part, str) and part.isprintable()]
        inside = {part.name: part for part in folder.iterdir() if part.is_dir()}  # no path, and not the folder itself
        return [(file, name) for name in named if name in inside for file, _ in saved_tables(inside[name])]
    state = folder / "state.json"
    if not state.is_file() or not (folder / "dataset_info.json").is_file():
        return []
    entries = [entry for entry in _listed(state, "_data_files") if isinstance(entry, dict)]
    try:
        files = [resolve_inside(folder, str(entry.get("filename", "")), "table") for entry in entries]
    except DataError as error:
        raise DataError(error.message, "Save the data set again.", "data.missing") from error
    return [(file, "") for file in files]


def _listed(file: Path, key: str) -> list[Any]:
    """The list under a key of a JSON file of `datasets`; empty where there is none. Raises DataError."""
    try:
        found = read_json(file)
    except StorageError as error:
        raise DataError(f"{file.name} cannot be read as JSON.", "Save the data set again.", "data.json") from error
    listed = found.get(key) if isinstance(found, dict) else None
    return listed if isinstance(listed, list) else []


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        head = file.read(6)
    if head[:4] == b"PAR1":
        yield from pq.ParquetFile(path).iter_batches(BATCH_ROWS)
        return
    with pa.OSFile(str(path)) as source:  # a map would end the process where the file is cut meanwhile
        if head == b"ARROW1":
            reader = pa.ipc.open_file(source)
            batches = (reader.get_batch(place) for place in range(reader.num_record_batches))
        else:
            batches = iter(pa.ipc.open_stream(source))
        for batch in batches:
            batch.validate(full=True)  # offsets that lead outside their buffers would end the process
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)


def _column(column: Any) -> list[Any]:
    """The values of a column as JSON would hold them."""
    import pyarrow as pa

    if pa.types.is_floating(column.type):  # of a 32-bit number its own digits, not those of the 64-bit one nearest
        return [
            None if text is None or text in ("nan", "inf", "-inf") else Digits(text)
            for text in (str(value) if valid else None for value, valid in _numbers(column))
        ]
    if pa.types.is_nested(column.type):
        return [plain(_own_digits(value, column.type)) for value in column.to_pylist(maps_as_pydicts="strict")]
    values = column.to_pylist()
    simple = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean)
    return values if any(test(column.type) for test in simple) else [plain(value) for value in values]


def _own_digits(value: Any, kind: Any) -> Any:
    """A nested value in which numbers of 32 and 16 bits have their own digits, not those of the 64-bit one nearest."""
    import numpy as np
    import pyarrow as pa

    if isinstance(value, float) and (pa.types.is_float32(kind) or pa.types.is_float16(kind)):
        return Digits(str(np.float32(value) if pa.types.is_float32(kind) else np.float16(value)))
    if isinstance(value, list) and not pa.types.is_map(kind):
        return [_own_digits(item, kind.value_type) for item in value]
    if isinstance(value, dict):
        is_map = pa.types.is_map(kind)
        return {k: _own_digits(item, kind.item_type if is_map else kind.field(k).type) for k, item in value.items()}
    return value


def _numbers(column: Any) -> Iterator[tuple[Any, bool]]:
    valid = column.is_valid().to_pylist()
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    return zip(values, valid, strict=True)


def plain(value: Any) -> Any:
    """A value of pyarrow or a sheet as JSON has it: dates as ISO text, decimals by their digits, NaN as None.

    Bytes stay: they are of pictures and recordings.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return Digits(repr(value)) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bytes):
        return value
    if isinstance(value, datetime.datetime) and value.time() == datetime.time() and value.tzinfo is None:
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)


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

    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_SHEET:
            raise DataError(f"{path.name} unpacks to over {MAX_SHEET >> 30} GiB.", "Save it as CSV.", "data.size")
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
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
        _check_formulas(path, first)
        rows = (tuple(map(_cell, cells)) for cells in first.iter_rows()) if first is not None else iter(())
        header = [str(cell).strip() if cell is not None else "" for cell in next(rows, ())]
        while header and not header[-1]:
            header.pop()
        if not header or len(set(header)) < len(header):
            message = f"The first row of {path.name} is no header of different column names."
            raise DataError(message, "Add one.", "data.header")
        for number, cells in enumerate(rows, start=2):
            if any(cell is not None for cell in cells):
                yield _sheet_row(number, header, cells)
    finally:
        book.close()


def _check_formulas(path: Path, sheet: Any) -> None:
    """Raises DataError for a sheet with formulas whose results were never computed: their cells would be empty."""
    import openpyxl

    with zipfile.ZipFile(path) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        if sheet is None or not any(_has_formula(archive, name) for name in sheets):
            return
    asked = openpyxl.load_workbook(path, read_only=True)
    try:
        pairs = zip(asked[sheet.title].iter_rows(), sheet.iter_rows(), strict=False)
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
    values = {name: plain(cell) for name, cell in zip(header, cells, strict=False)}
    faulty = next((v for v in values.values() if isinstance(v, str) and _FAULT.fullmatch(v)), "")
    if faulty:
        return RawRow(number, None, "a formula of the sheet failed", faulty)
    return RawRow(number, {k: None if v in NOT_A_NUMBER else v for k, v in values.items()})
