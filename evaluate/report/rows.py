"""The scored rows of one system on disk, in memory that does not grow with them.

    rows = Rows(); rows.append(row); rows[3].score
    where(of_split(rows, "test"), flags(rows, "error"))   # some of them, by their places
    numbers(rows, "score"), marks(rows, "template")       # a column, as an array

What is read of it looks like a `Row` and holds nothing itself; `BLOCK` values of each column are in memory.
Plain sequences of `Row` are taken as well, wherever rows are.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from evaluate.report.columns import (
    Column,
    Counts,
    Flags,
    Given,
    Growing,
    Moved,
    Names,
    OfNumbers,
    OfStrings,
    Repeated,
    Usages,
)
from evaluate.report.results import Row
from synth.marks import mark_of
from synth.shelf import Lazy, Numbers, Spool, Stack
from synth.usage import Usage

NUMBERS = ("score", "value_if_format_forgiven", "confidence", "seconds")
COUNTS = ("edits", "ref_units")
FLAGS = ("format_fault", "readable", "truncated", "refused")
REPEATED = ("split", "origin", "scorer")
NAMES = ("example_id", "family", "template")
STRINGS = ("error",)
TEXTS = ("why", "answer", "answer_text", "gold", "prompt_text", "media")
_texts_of = attrgetter(*TEXTS)


class _Seen:
    """A row of them, which reads what it is asked for."""

    __slots__ = ("_columns", "_place", "_texts")

    def __init__(self, columns: _Columns, place: int) -> None:
        self._columns, self._place = columns, place
        self._texts: tuple[Any, ...] | None = None

    def __getattr__(self, name: str) -> Any:
        column = self._columns.short.get(name)
        if column is not None:
            return column[self._place]
        if name in TEXTS:
            return self._read()[TEXTS.index(name)]
        raise AttributeError(name)

    def model_copy(self, *, update: dict[str, Any] | None = None) -> Row:
        """The row with other values, by itself."""
        return self._whole().model_copy(update=update)

    def model_dump(self, **how: Any) -> dict[str, Any]:
        return self._whole().model_dump(**how)

    def _whole(self) -> Row:
        known = {name: column[self._place] for name, column in self._columns.short.items()}
        return Row.model_construct(**known, **dict(zip(TEXTS, self._read(), strict=True)))

    def _read(self) -> tuple[Any, ...]:
        if self._texts is None:
            self._texts = self._columns.texts[self._place]
        return self._texts


class _Columns(NamedTuple):
    """`marks`: hashes of texts, by which equal ones are counted."""

    short: dict[str, Column]
    marks: dict[str, Numbers]
    texts: Stack[tuple[Any, ...]]


def _columns() -> _Columns:
    spool, short = Spool(), cast("dict[str, Column]", {})
    kinds: tuple[tuple[tuple[str, ...], Callable[[Spool], Growing]], ...] = (
        (NUMBERS, OfNumbers),
        (COUNTS, Counts),
        (FLAGS, Flags),
        (REPEATED, Repeated),
        (NAMES, Names),
        (STRINGS, OfStrings),
        (("usage",), Usages),
    )
    for names, kind in kinds:
        short |= {name: kind(spool) for name in names}
    return _Columns(short, {"gold": Numbers("Q", spool)}, Stack(_as_json, _from_json))


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
        """Add a row, to rows whose columns are all on disk: neither `moved` nor `with_numbers`."""
        for name, column in self._columns.short.items():
            cast("Growing", column).append(getattr(row, name))
        self._columns.marks["gold"].append(mark_of(row.gold))
        self._columns.texts.append(_texts_of(row))
        self._places = range(len(self._columns.texts))

    def taken(self, places: NDArray[np.intp]) -> Rows:
        """Those at some places."""
        here = places.astype(np.uint32)
        return self._with(_as_places(here if isinstance(self._places, range) else _as_array(self._places)[here]))

    def _with(self, places: Sequence[int]) -> Rows:
        found = Rows.__new__(Rows)
        found._columns, found._places = self._columns, places
        return found

    def moved(self, place_of: Callable[[str, str], tuple[str, str]]) -> Rows:
        """The rows with another split and origin, which follow from the two that they have."""
        both = cast("Repeated", self._columns.short["split"]), cast("Repeated", self._columns.short["origin"])
        return self._replaced({name: Moved(both, place_of, which) for which, name in enumerate(("split", "origin"))})

    def with_numbers(self, at: NDArray[np.bool_], columns: Mapping[str, NDArray[np.float64]]) -> Rows:
        """All rows, those at some places with other scores, edits or reference units; nan is None."""
        assert isinstance(self._places, range), "of all rows"
        changed = {name: np.where(at, values, self.column(name)) for name, values in columns.items()}
        return self._replaced({name: Given(values, name in COUNTS) for name, values in changed.items()})

    def _replaced(self, columns: Mapping[str, Column]) -> Rows:
        found = self._with(self._places)
        found._columns = self._columns._replace(short={**self._columns.short, **columns})
        return found

    def column(self, name: str) -> NDArray[Any]:
        """(n,) all but texts: floats with nan for None, flags, marks of names, or whether anything is there."""
        found = self._columns.marks[name] if name in self._columns.marks else self._columns.short[name]
        every = found.array()
        return every if isinstance(self._places, range) else every[_as_array(self._places)]

    def equal(self, name: str, value: str) -> NDArray[np.bool_]:
        """(n,) where one of REPEATED or NAMES is that text."""
        code = mark_of(value) if name in NAMES else cast("Repeated", self._columns.short[name]).values.get(value, -1)
        return cast("NDArray[np.bool_]", self.column(name) == code)

    def where(self, wanted: NDArray[np.bool_]) -> Rows:
        """Those that are wanted; (n,)."""
        if wanted.all():
            return self
        return self.taken(np.flatnonzero(wanted))

    def at(self, place: int) -> Row:
        return cast("Row", _Seen(self._columns, self._places[place]))

    def __iter__(self) -> Iterator[Row]:
        return (cast("Row", _Seen(self._columns, place)) for place in self._places)

    def __len__(self) -> int:
        return len(self._places)


def _as_array(places: Sequence[int]) -> NDArray[np.uint32]:
    return np.frombuffer(cast("Any", places), np.uint32) if len(places) else np.empty(0, np.uint32)


def _as_places(places: NDArray[np.uint32]) -> Sequence[int]:
    return array("I", places.tobytes())


def taken(rows: Sequence[Row], places: NDArray[np.intp]) -> Sequence[Row]:
    """The rows at some places (m,)."""
    return rows.taken(places) if isinstance(rows, Rows) else [rows[place] for place in places.tolist()]


def where(rows: Sequence[Row], wanted: NDArray[np.bool_]) -> Sequence[Row]:
    """The rows that are wanted, in their order; (n,)."""
    return rows.where(wanted) if isinstance(rows, Rows) else [rows[place] for place in np.flatnonzero(wanted).tolist()]


class Matched(NamedTuple):
    """(m,) places of the rows of one system, and of the other's with the same ids; of equal ids there the last."""

    ours: NDArray[np.intp]
    theirs: NDArray[np.intp]


def matched(one: Sequence[Row], other: Sequence[Row]) -> Matched:
    """The rows that both have, in the order of the first."""
    ours, theirs = marks(one, "example_id"), marks(other, "example_id")
    if np.array_equal(ours, theirs):
        every = np.arange(len(ours))
        return Matched(every, every)
    by_id = np.argsort(theirs, kind="stable")
    last = np.searchsorted(theirs, ours, "right", sorter=by_id) - 1
    places = by_id[np.maximum(last, 0)] if len(theirs) else np.zeros(len(ours), np.intp)
    met = last >= 0
    met[met] = theirs[places[met]] == ours[met]
    return Matched(np.flatnonzero(met), places[met])


def of_split(rows: Sequence[Row], split: str) -> Sequence[Row]:
    """The rows of a split."""
    return where(rows, equal(rows, "split", split))


def equal(rows: Sequence[Row], name: str, value: str) -> NDArray[np.bool_]:
    """(n,) where a split, origin, scorer, family, template or id is that one."""
    if isinstance(rows, Rows):
        return rows.equal(name, value)
    return np.fromiter((getattr(row, name) == value for row in rows), np.bool_, len(rows))


def origins(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    """How many rows there are of each split and origin."""
    if not isinstance(rows, Rows):
        return dict(Counter((row.split, row.origin) for row in rows))
    both = rows.column("split").astype(np.uint64) << np.uint64(32) | rows.column("origin")
    _, first, counts = np.unique(both, return_index=True, return_counts=True)
    return {
        (rows[int(first[at])].split, rows[int(first[at])].origin): int(counts[at]) for at in np.argsort(first).tolist()
    }


def numbers(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    """(n,) scores, confidences, seconds, edits or reference units; nan where there are none."""
    if isinstance(rows, Rows):
        return rows.column(name)
    values = (getattr(row, name) for row in rows)
    return np.fromiter((np.nan if value is None else value for value in values), np.float64, len(rows))


def flags(rows: Sequence[Row], name: str) -> NDArray[np.bool_]:
    """(n,) where a flag is set, there is an error, or a usage is reported."""
    if isinstance(rows, Rows):
        return rows.column(name)
    found = (getattr(row, name) for row in rows)
    return np.fromiter((one.reported if isinstance(one, Usage) else bool(one) for one in found), np.bool_, len(rows))


def marks(rows: Sequence[Row], name: str) -> NDArray[np.uint64]:
    """(n,) hashes of NAMES or gold answers: equal where these are."""
    if isinstance(rows, Rows):
        return rows.column(name)
    return np.fromiter((mark_of(getattr(row, name)) for row in rows), np.uint64, len(rows))


def with_numbers(
    rows: Sequence[Row], at: NDArray[np.bool_], columns: Mapping[str, NDArray[np.float64]]
) -> Sequence[Row]:
    """All rows, those at some places (n,) with other scores, edits or reference units; nan is None."""
    if isinstance(rows, Rows):
        return rows.with_numbers(at, columns)
    found = list(rows)
    for place in np.flatnonzero(at).tolist():
        values = {name: Given(column, name in COUNTS)[place] for name, column in columns.items()}
        found[place] = rows[place].model_copy(update=values)
    return found
