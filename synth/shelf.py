"""Records on disk, by place or by name: as many as there are rows, in memory that does not grow with them.

    stack = Stack(encode, decode); stack.append(record); stack[17]
    shelf = Shelf(encode, decode); shelf["a"] = record; shelf.get("b"); shelf.records[0]
    Mapped(records, make)                 # each made when it is asked for

They lie in an unnamed file that goes with its process; few records never leave memory.
"""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, overload

T = TypeVar("T")
S = TypeVar("S")

_CACHE_KIB = 8192
_TABLE = "CREATE TABLE records (place INTEGER PRIMARY KEY, name BLOB UNIQUE, value BLOB)"
_PUT = (
    "INSERT INTO records (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value "
    "RETURNING place"
)


class Lazy(Sequence[T]):
    """A sequence whose slices are lists."""

    @abstractmethod
    def at(self, place: int) -> T:
        """The record at a place, which is within 0 and the length."""

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        if isinstance(place, slice):
            return [self.at(one) for one in range(*place.indices(len(self)))]
        at = place + len(self) if place < 0 else place
        if not 0 <= at < len(self):
            raise IndexError(place)
        return self.at(at)


def _key(name: str | None) -> bytes | None:
    return None if name is None else name.encode("utf-8", "surrogatepass")


class Stack(Lazy[T], Generic[T]):
    """Records in the order in which they came. encode, decode: a record as bytes, and back."""

    def __init__(self, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> None:
        self._encode, self._decode = encode, decode
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for setting in (f"cache_size = -{_CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF"):
            self._file.execute(f"PRAGMA {setting}")
        self._file.execute(_TABLE)
        self._file.execute("BEGIN")
        self._count = 0

    def append(self, record: T, name: str | None = None) -> None:
        """Add a record; one of the same name gives its place to it."""
        ((place,),) = self._file.execute(_PUT, (_key(name), self._encode(record))).fetchall()
        self._count = max(self._count, place)

    def place(self, name: str) -> int | None:
        """Where the record of that name is."""
        found = self._file.execute("SELECT place FROM records WHERE name = ?", (_key(name),)).fetchone()
        return None if found is None else int(found[0]) - 1

    def names(self) -> Iterator[str]:
        """All names in their order."""
        found = self._file.execute("SELECT name FROM records ORDER BY place")
        return (name.decode("utf-8", "surrogatepass") for (name,) in found)

    def at(self, place: int) -> T:
        (value,) = self._file.execute("SELECT value FROM records WHERE place = ?", (place + 1,)).fetchone()
        return self._decode(value)

    def __iter__(self) -> Iterator[T]:
        for (value,) in self._file.execute("SELECT value FROM records ORDER BY place"):
            yield self._decode(value)

    def __len__(self) -> int:
        return self._count


class Shelf(Mapping[str, T], Generic[T]):
    """Records by name, in the order in which the names came."""

    def __init__(self, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> None:
        self.records = Stack(encode, decode)

    def __setitem__(self, name: str, record: T) -> None:
        self.records.append(record, name)

    def __getitem__(self, name: str) -> T:
        place = self.records.place(name)
        if place is None:
            raise KeyError(name)
        return self.records.at(place)

    def with_all(self, others: Mapping[str, T]) -> Shelf[T]:
        """This shelf, after the others were put on it."""
        for name, record in others.items():
            self[name] = record
        return self

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.records.place(name) is not None

    def __iter__(self) -> Iterator[str]:
        return self.records.names()

    def __len__(self) -> int:
        return len(self.records)


class Mapped(Lazy[T], Generic[S, T]):
    """What is made of each record of a sequence, when it is asked for. places: of those that are wanted, or all."""

    def __init__(self, records: Sequence[S], make: Callable[[S], T], places: Sequence[int] | None = None) -> None:
        self._records, self._make, self._places = records, make, places

    def at(self, place: int) -> T:
        return self._make(self._records[place if self._places is None else self._places[place]])

    def __iter__(self) -> Iterator[T]:
        if self._places is None:
            yield from map(self._make, self._records)
        else:
            yield from (self._make(self._records[place]) for place in self._places)

    def __len__(self) -> int:
        return len(self._records if self._places is None else self._places)
