"""The scored rows of one system in little memory: numbers in arrays, texts on disk.

    rows = Rows(); rows.append(row); rows[3].score
    chosen(rows, lambda row: row.split == "test")     # some of them, by their places

What is read of it looks like a `Row` and holds nothing itself, so that a million of them cost some 100 MB and not 5 GB.
Plain sequences of `Row` are taken as well, wherever rows are.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, cast

from evaluate.report.results import Row
from synth.shelf import Lazy, Stack

NUMBERS = ("score", "value_if_format_forgiven", "confidence", "seconds")
COUNTS = ("edits", "ref_units")
FLAGS = ("format_fault", "readable", "truncated", "refused")
REPEATED = ("split", "origin", "family", "scorer", "error", "usage")
STRINGS = ("example_id", "template")
TEXTS = ("why", "answer", "answer_text", "gold", "prompt_text", "media")


class _Column(Protocol):
    def append(self, value: Any) -> None: ...

    def __getitem__(self, place: int) -> Any: ...


class _Numbers:
    """Floats or None."""

    def __init__(self) -> None:
        self._values = array("d")

    def append(self, value: float | None) -> None:
        self._values.append(float("nan") if value is None else value)

    def __getitem__(self, place: int) -> float | None:
        value = self._values[place]
        return None if value != value else value


class _Counts:
    """Whole numbers from 0, or None."""

    def __init__(self) -> None:
        self._values = array("q")

    def append(self, value: int | None) -> None:
        self._values.append(-1 if value is None else value)

    def __getitem__(self, place: int) -> int | None:
        value = self._values[place]
        return None if value < 0 else value


class _Flags:
    def __init__(self) -> None:
        self._values = bytearray()

    def append(self, value: bool) -> None:
        self._values.append(value)

    def __getitem__(self, place: int) -> bool:
        return bool(self._values[place])


class _Repeated:
    """Values of which there are few different ones."""

    def __init__(self) -> None:
        self._codes = array("L")
        self._values: list[Any] = []
        self._known: dict[Any, int] = {}

    def append(self, value: Any) -> None:
        key = value if isinstance(value, str) else value.model_dump_json()
        code = self._known.setdefault(key, len(self._values))
        if code == len(self._values):
            self._values.append(value)
        self._codes.append(code)

    def __getitem__(self, place: int) -> Any:
        return self._values[self._codes[place]]


class _Strings:
    """Texts, most of them different ones, one after another."""

    def __init__(self) -> None:
        self._bytes, self._ends = bytearray(), array("Q")

    def append(self, value: str) -> None:
        self._bytes += value.encode()
        self._ends.append(len(self._bytes))

    def __getitem__(self, place: int) -> str:
        start = self._ends[place - 1] if place else 0
        return self._bytes[start : self._ends[place]].decode()


class _Seen:
    """A row of them, which reads what it is asked for."""

    __slots__ = ("_columns", "_place")

    def __init__(self, columns: _Columns, place: int) -> None:
        self._columns, self._place = columns, place

    def __getattr__(self, name: str) -> Any:
        if name in self._columns.short:
            return self._columns.short[name][self._place]
        if name in TEXTS:
            return self._columns.texts[self._place][TEXTS.index(name)]
        raise AttributeError(name)

    def model_copy(self, *, update: dict[str, Any] | None = None) -> Row:
        """The row with other values, by itself."""
        return self._whole().model_copy(update=update)

    def model_dump(self, **how: Any) -> dict[str, Any]:
        return self._whole().model_dump(**how)

    def _whole(self) -> Row:
        known = {name: column[self._place] for name, column in self._columns.short.items()}
        return Row.model_construct(**known, **dict(zip(TEXTS, self._columns.texts[self._place], strict=True)))


class _Columns(NamedTuple):
    short: dict[str, _Column]
    texts: Stack[tuple[Any, ...]]


def _columns() -> _Columns:
    short: dict[str, _Column] = {}
    kinds = ((NUMBERS, _Numbers), (COUNTS, _Counts), (FLAGS, _Flags), (REPEATED, _Repeated), (STRINGS, _Strings))
    for names, kind in kinds:
        short |= {name: kind() for name in names}
    return _Columns(short, Stack(_as_json, _from_json))


def _as_json(texts: tuple[Any, ...]) -> bytes:
    return json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _from_json(value: bytes) -> tuple[Any, ...]:
    *texts, media = json.loads(value)
    return (*texts, tuple(media))


class Rows(Lazy[Row]):
    """Scored rows, in the order in which they were appended."""

    def __init__(self) -> None:
        self._columns = _columns()
        self._places: Sequence[int] = range(0)

    def append(self, row: Row) -> None:
        """Add a row."""
        for name, column in self._columns.short.items():
            column.append(getattr(row, name))
        self._columns.texts.append(tuple(getattr(row, name) for name in TEXTS))
        self._places = range(len(self._columns.texts))

    def taken(self, places: Sequence[int]) -> Rows:
        """Those at some places."""
        found = Rows.__new__(Rows)
        found._columns = self._columns
        found._places = array("L", (self._places[place] for place in places))
        return found

    def moved(self, place_of: Callable[[str, str], tuple[str, str]]) -> Rows:
        """The rows with another split and origin, which follow from the two that they have."""
        split, origin = _Repeated(), _Repeated()
        for row in self:
            where, kind = place_of(row.split, row.origin)
            split.append(where)
            origin.append(kind)
        found = Rows.__new__(Rows)
        found._columns = self._columns._replace(short={**self._columns.short, "split": split, "origin": origin})
        found._places = self._places
        return found

    def at(self, place: int) -> Row:
        return cast("Row", _Seen(self._columns, self._places[place]))

    def __iter__(self) -> Iterator[Row]:
        return (cast("Row", _Seen(self._columns, place)) for place in self._places)

    def __len__(self) -> int:
        return len(self._places)


def taken(rows: Sequence[Row], places: Sequence[int]) -> Sequence[Row]:
    """The rows at some places."""
    return rows.taken(places) if isinstance(rows, Rows) else [rows[place] for place in places]


def chosen(rows: Sequence[Row], wanted: Callable[[Row], bool]) -> Sequence[Row]:
    """The rows that are wanted, in their order."""
    return taken(rows, array("L", (place for place, row in enumerate(rows) if wanted(row))))
