"""Read users' files row by row: JSONL, JSON, CSV, TSV. A faulty row comes with its line number and reason.

Knows bytes and syntax, not what columns mean; see `import_rows`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from synth.errors import DataError

MAX_LINE = 16 * 2**20
"""Bytes of one line; what is longer is set aside without being held in memory."""
MAX_JSON = 256 * 2**20
"""Bytes of a .json file, which has to be read as a whole."""
MAX_DEPTH = 32
"""Levels of nesting of one row."""
SHOWN = 2000
_BOM = b"\xef\xbb\xbf"


class RawRow(NamedTuple):
    """A row of a file. `value` is None when it cannot be read: then `fault` says why and `text` shows its beginning."""

    line: int
    value: dict[str, Any] | None
    fault: str = ""
    text: str = ""


def read_rows(path: Path) -> Iterator[RawRow]:
    """Rows of a file by its suffix (.jsonl, .json, .csv, .tsv; others by content). Raises DataError for the file."""
    head = _head(path)
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _csv_rows(path)
    if suffix == ".json" and _is_one_value(path, head):
        return _json_rows(path)
    if suffix in (".jsonl", ".ndjson", ".json") or head.lstrip(_BOM).lstrip()[:1] in (b"{", b"["):
        return _jsonl_rows(path)
    raise DataError(f"{path.name} is neither JSONL, JSON, CSV nor TSV.", "Save it as one of these.", "data.format")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.", "Check the path.", "data.missing") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Check the path.", "data.unreadable") from error
    if not head.lstrip(_BOM).strip():
        raise DataError(f"{path.name} is empty.", "Choose a file with rows.", "data.empty")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path.name} is UTF-16.", "Save it as UTF-8.", "data.encoding")
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"PAR1", b"%PDF")):
        raise DataError(f"{path.name} is an archive or a binary file.", "Save the rows as JSONL or CSV.", "data.format")
    return head


# --- JSON --------------------------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[tuple[int, bytes | None, bytes]]:
    """(number, line, beginning) of each line; a line longer than MAX_LINE is None, and skipped in pieces."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if len(raw) <= MAX_LINE:
                yield number, raw, raw
                continue
            beginning = raw[:SHOWN]
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(MAX_LINE)
            yield number, None, beginning


def _jsonl_rows(path: Path) -> Iterator[RawRow]:
    for number, raw, beginning in _lines(path):
        shown = beginning[:SHOWN].decode("utf-8", "replace")
        if raw is None:
            yield RawRow(number, None, f"longer than {MAX_LINE // 2**20} MiB", shown)
        elif raw.strip(b"\r\n \t" + _BOM):
            value, fault = _parse(raw)
            yield RawRow(number, value, fault, "" if value is not None else shown)


def _parse(raw: bytes) -> tuple[dict[str, Any] | None, str]:
    if b"\0" in raw:
        return None, "contains NUL bytes"
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None, "not UTF-8"
    except RecursionError:
        return None, "nested too deeply"
    except ValueError:
        return None, "not JSON (torn or malformed)"
    return _object(value)


def _object(value: object) -> tuple[dict[str, Any] | None, str]:
    """A row's value, or why it is none: not an object, or deeper than any format needs."""
    if not isinstance(value, dict):
        return None, "not a JSON object"
    layer: list[object] = [value]
    for _ in range(MAX_DEPTH):
        layer = [
            child
            for item in layer
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not layer:
            return value, ""
    return None, "nested too deeply"


def _is_one_value(path: Path, head: bytes) -> bool:
    """Is a .json file one value, rather than JSONL under that name?"""
    if head.lstrip(_BOM).lstrip()[:1] == b"[":
        return True
    first = next(_lines(path))[1]
    return first is None or _parse(first)[0] is None


def _json_rows(path: Path) -> Iterator[RawRow]:
    if path.stat().st_size > MAX_JSON:
        raise DataError(
            f"{path.name} is over {MAX_JSON // 2**20} MiB.", "Save it as JSONL, one row a line.", "data.size"
        )
    try:
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise DataError(f"{path.name} cannot be read as JSON: {reason}.", "Fix it, or save it as JSONL.") from error
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        value = lists[0] if len(lists) == 1 else [value]
    if not isinstance(value, list):
        raise DataError(
            f"{path.name} holds no list of rows.", "Save the rows as a JSON array of objects.", "data.format"
        )
    for number, item in enumerate(value, start=1):
        row, fault = _object(item)
        yield RawRow(number, row, fault, "" if row is not None else json.dumps(item, ensure_ascii=False)[:SHOWN])


# --- CSV ---------------------------------------------------------------------------------------------------------


def _delimiter(path: Path) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open("rb") as file:
        header = file.readline(MAX_LINE).decode("utf-8-sig", "replace")
    return max(",;\t|", key=header.count)


def _csv_rows(path: Path) -> Iterator[RawRow]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=_delimiter(path))
        header = [name.strip() for name in _next(reader, path)]
        if len(set(header)) < len(header) or not any(header):
            raise DataError(f"The first line of {path.name} is no header of different column names.", "Add one.")
        while True:
            start = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield RawRow(start, None, "not CSV", str(error))
                continue
            if any(field.strip() for field in fields):
                yield _csv_row(start, header, fields)


def _next(reader: Any, path: Path) -> list[str]:
    try:
        return list(next(reader))
    except (StopIteration, csv.Error) as error:
        raise DataError(f"{path.name} has no header line.", "Name the columns in the first line.") from error


def _csv_row(line: int, header: list[str], fields: list[str]) -> RawRow:
    text = "|".join(fields)[:SHOWN].encode("utf-8", "replace").decode()
    if any("\0" in field for field in fields):
        return RawRow(line, None, "contains NUL bytes", text)
    if any("\udc80" <= char <= "\udcff" for field in fields for char in field):
        return RawRow(line, None, "not UTF-8", text)
    if len(fields) != len(header):
        return RawRow(line, None, "another number of fields than the header", text)
    return RawRow(line, dict(zip(header, fields, strict=True)))


def sample_rows(path: Path, rows: int = 50) -> list[dict[str, Any]]:
    """The first readable rows. Raises DataError when the file cannot be read or no row can."""
    found = [raw.value for raw in islice(read_rows(path), 20 * rows) if raw.value is not None][:rows]
    if not found:
        raise DataError(f"No row of {path.name} can be read.", "Check that it is JSONL, JSON or CSV in UTF-8.")
    return found
