"""Rows of JSONL and of JSON in any of the shapes that programs write, with line or row numbers.

JSON: an array of objects or of chats; `{"data": [...]}`; columns (`{"q": [...], "a": [...]}`); the orients of pandas
(columns, index, split, table). An array is read item by item, so its file may be larger than memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from synth.errors import DataError
from synth.importing.raw import MAX_DEPTH, MAX_JSON, MAX_LINE, SHOWN, SPLIT_NAMES, Digits, RawRow

_SPACE = b" \t\r\n"


class _Twice(ValueError):
    """An object that names a key twice."""


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [key for key, _ in pairs]
        raise _Twice(next(key for key in names if names.count(key) > 1))
    return value


def _constant(_: str) -> None:
    """NaN and the infinities, which are no JSON, are how programs write a missing number."""


DECODER = json.JSONDecoder(object_pairs_hook=_object_of, parse_float=Digits, parse_constant=_constant)
"""Keeps the digits of numbers as they are written; NaN is None; a key that comes twice is an error."""


def parse(text: str) -> tuple[Any, str]:
    """A JSON value, or why there is none."""
    try:
        return DECODER.decode(text), ""
    except RecursionError:
        return None, "nested too deeply"
    except _Twice as error:
        return None, f"the key '{str(error)[:80]}' comes twice"
    except ValueError:
        return None, "not JSON (torn or malformed)"


def jsonl(file: IO[bytes]) -> Iterator[RawRow]:
    """Rows of JSONL; a line longer than MAX_LINE is skipped in pieces."""
    number = 0
    while raw := file.readline(MAX_LINE + 1):
        number += 1
        if len(raw) > MAX_LINE:
            shown = raw[:SHOWN].decode("utf-8", "replace")
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(MAX_LINE)
            yield RawRow(number, None, f"longer than {MAX_LINE // 2**20} MiB", shown)
            continue
        stripped = raw.strip(_SPACE)
        if stripped:
            value, fault = _line(stripped)
            yield RawRow(number, value, fault, "" if value is not None else raw[:SHOWN].decode("utf-8", "replace"))


def _line(raw: bytes) -> tuple[dict[str, Any] | None, str]:
    if b"\0" in raw:
        return None, "contains NUL bytes"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None, "not UTF-8"
    value, fault = parse(text.removeprefix("\ufeff"))
    if isinstance(value, dict) and raw.count(b"{") + raw.count(b"[") < MAX_DEPTH:
        return value, ""  # each level has a bracket of its own
    return (None, fault) if fault else as_row(value, len(raw))


def as_row(value: Any, size: int = 0) -> tuple[dict[str, Any] | None, str]:
    """A row's object, or why it is none: not an object or chat, or deeper than any format needs.

    `size` is the length of its text when known: short ones cannot be deep.
    """
    if isinstance(value, list) and value and all(isinstance(turn, dict) for turn in value):
        value = {"messages": value}  # an array of chats
    if not isinstance(value, dict):
        return None, "not a JSON object"
    if 0 < size < 2 * MAX_DEPTH:
        return value, ""
    layer: list[Any] = [item for item in value.values() if isinstance(item, dict | list)]
    for _ in range(MAX_DEPTH):
        if not layer:
            return value, ""
        layer = [
            child
            for item in layer
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
    return None, "nested too deeply"


def array(file: IO[bytes], name: str) -> Iterator[RawRow]:
    """Items of a JSON array, one at a time. Raises DataError where the array is torn or followed by anything."""
    buffer, number = _Buffer(file, name), 0
    buffer.expect("[")
    if buffer.peek() == "]":
        buffer.expect("]")
    else:
        while True:
            number += 1
            value, size = buffer.value()
            row, fault = as_row(value, size)
            yield RawRow(number, row, fault, "" if row is not None else json.dumps(value, ensure_ascii=False)[:SHOWN])
            if buffer.peek() != ",":
                break
            buffer.expect(",")
        buffer.expect("]")
    if buffer.peek():
        raise buffer.broken("there is text after the array")


class _Buffer:
    """The unread part of a JSON file, filled from it as values are taken."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        import codecs

        self._file, self._name, self._text, self._place, self._ended = file, name, "", 0, False
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def broken(self, reason: str) -> DataError:
        message = f"{self._name} cannot be read as JSON: {reason}."
        return DataError(message, "Fix it, or save it as JSONL.", "data.json")

    def _fill(self, more: int = 1 << 20) -> bool:
        if self._ended:
            return False
        data = self._file.read(more)
        self._ended = not data
        try:
            added = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise self.broken("it is not UTF-8") from error
        self._text, self._place = self._text[self._place :] + added, 0
        return True

    def peek(self) -> str:
        """The next character that is not white space; "" at the end."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in " \t\r\n\ufeff":
                    return self._text[self._place]
                self._place += 1
            if not self._fill():
                return ""

    def expect(self, char: str) -> None:
        found = self.peek()
        if found != char:
            raise self.broken(f"'{char}' expected where {found!r} stands" if found else "it ends in the middle")
        self._place += 1

    def value(self) -> tuple[Any, int]:
        """The next value and the length of its text."""
        self.peek()
        more = 1 << 20
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._place)
                if end < len(self._text) or not self._fill(more):  # a number may go on in what is not read yet
                    size, self._place = end - self._place, end
                    return value, size
            except RecursionError as error:
                raise self.broken("nested too deeply") from error
            except _Twice as error:
                raise self.broken(f"the key '{str(error)[:80]}' comes twice in an object") from error
            except ValueError as error:
                if len(self._text) - self._place > MAX_LINE:
                    raise self.broken(f"an item is torn, or longer than {MAX_LINE >> 20} MiB") from error
                if not self._fill(more):
                    raise self.broken(" ".join(str(error).split())) from error
            more *= 2  # so that a long item is parsed few times


def whole(file: IO[bytes], name: str) -> Iterator[RawRow]:
    """Rows of a JSON file that is one object. Raises DataError when it is too large, torn, or holds no rows."""
    data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise DataError(f"{name} is over {MAX_JSON >> 20} MiB.", "Save it as JSONL, one row a line.", "data.size")
    try:
        value = DECODER.decode(data.decode("utf-8").removeprefix("\ufeff"))
    except RecursionError as error:
        raise DataError(f"{name} cannot be read as JSON: nested too deeply.", "Fix it.", "data.json") from error
    except ValueError as error:
        reason = f"the key '{error}' comes twice" if isinstance(error, _Twice) else " ".join(str(error).split())
        raise DataError(f"{name} cannot be read as JSON: {reason}.", "Fix it, or save it as JSONL.") from error
    if not isinstance(value, dict):
        message = f"{name} holds no list of rows."
        raise DataError(message, "Save the rows as a JSON array of objects.", "data.format")
    held = _held(value, name)
    items = [(split, item) for split, part in held.parts for item in part]
    for number, (split, item) in enumerate(items, start=1):
        row, fault = as_row(item)
        shown = "" if row is not None else json.dumps(item, ensure_ascii=False)[:SHOWN]
        yield RawRow(number, row, fault, shown, split, held.beside if number == 1 else None)


class _Held(NamedTuple):
    """The rows in an object, by the split that a key names ("" for none), and the keys that hold none of them."""

    parts: list[tuple[str, list[Any]]]
    beside: dict[str, Any]


def _held(value: dict[str, Any], name: str) -> _Held:
    """A list for each split, pandas' split and table, a list under one key, columns, an index; else one row.

    Raises DataError for columns that are not equally long.
    """
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list) and _all(value["data"], list):
        names = value["columns"]  # orient="split"
        rows = [dict(zip(names, row, strict=True)) if len(row) == len(names) else row for row in value["data"]]
        return _Held([("", rows)], _without(value, "columns", "index", "data"))
    if "schema" in value and isinstance(value.get("data"), list):
        return _Held([("", list(value["data"]))], _without(value, "schema", "data"))  # orient="table"
    lists = {key: item for key, item in value.items() if isinstance(item, list) and item}
    records = [key for key, item in lists.items() if _all(item, dict) or (_all(item, list) and _all(item[0], dict))]
    if len(records) > 1 and set(records) <= set(SPLIT_NAMES) and not _is_row(value):
        return _Held([(SPLIT_NAMES[key], _squad(lists[key])) for key in records], _without(value, *records))
    if len(records) == 1 and not _is_row(value):
        split = SPLIT_NAMES.get(records[0], "").replace("train", "")  # a file of test rows is not for learning
        return _Held([(split, _squad(lists[records[0]]))], _without(value, *records))
    if any(value[key] == [] for key in value if key in _HOLDERS) and not lists:
        return _Held([("", [])], {})
    if value and set(value) <= set(SPLIT_NAMES) and all(isinstance(item, dict) for item in value.values()):
        apart = {key: _held(item, name) for key, item in value.items()}  # columns of each split
        if all(held.parts != [("", [value[key]])] for key, held in apart.items()):
            parts = [(SPLIT_NAMES[key], rows) for key, held in apart.items() for _, rows in held.parts]
            return _Held(parts, {f"{key}.{k}": v for key, held in apart.items() for k, v in held.beside.items()})
    inside = next((key for key in value if key in _HOLDERS and isinstance(value[key], dict)), None)
    if inside is not None and not _is_row(value):  # columns or an index, one level down
        held = _held(value[inside], name)
        if held.parts[0][1] != [value[inside]]:
            return _Held(held.parts, {**_without(value, inside), **held.beside})
    single = {key: item for key, item in value.items() if not isinstance(item, list | dict)}
    if len(lists) > 1 and len(lists) + len(single) == len(value) and _ASKED & set(lists):
        return _Held([("", _columns(lists, lists, name))], single)
    return _Held([("", _columns(value, lists, name))], {})


_ASKED = {"question", "prompt", "instruction", "query", "text"}
"""Keys under which no row has a list of texts, but an object of columns may."""
_HOLDERS = ("data", "rows", "items", "records", "examples")
"""Keys under which an object of rows may stand."""


def _without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in keys}


def _columns(value: dict[str, Any], lists: dict[str, list[Any]], name: str) -> list[Any]:
    """The rows of an object of columns or of an index; an object that is neither is a row."""
    if len(lists) == len(value) > 1 and not _is_row(value):
        lengths = {key: len(item) for key, item in lists.items()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{key}: {length}" for key, length in list(lengths.items())[:8])
            message = f"The columns of {name} are not equally long ({shown})."
            raise DataError(message, "Give every column a value for each row, null where there is none.", "data.json")
        return [dict(zip(value, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    objects = [item for item in value.values() if isinstance(item, dict) and item]
    if len(objects) == len(value) > 0 and not _is_row(value):
        if _all_digits(value) or (len(value) > 1 and not _all_digits(objects[0])):
            return objects  # orient="index"
        if len({tuple(item) for item in objects}) == 1:  # orient="columns"
            return [{name: column[index] for name, column in value.items()} for index in objects[0]]
    return [value]


def _is_row(value: dict[str, Any]) -> bool:
    """Whether an object is one row itself: it has turns, a request or an answer at its top, and no column of them."""
    keys = {"messages", "conversations", "input", "request", "body", "chosen"} & set(value)
    return any(not _all(value[key], list) and not _all(value[key], str) for key in keys)


def _all(items: Any, kind: type) -> bool:
    return isinstance(items, list) and bool(items) and all(isinstance(item, kind) for item in items)


def _all_digits(value: dict[str, Any]) -> bool:
    return all(key.isdigit() for key in value)


def _squad(rows: list[Any]) -> list[Any]:
    """SQuAD's own file nests questions in paragraphs in articles; others are left as they are."""
    if not all(isinstance(row, dict) and _all(row.get("paragraphs"), dict) for row in rows):
        return rows
    return [
        {**_without(article, "paragraphs"), **_without(paragraph, "qas"), **question}
        for article in rows
        for paragraph in article["paragraphs"]
        for question in paragraph.get("qas", [])
    ]
