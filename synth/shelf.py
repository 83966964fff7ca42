"""Records on disk, by place or by name: as many as there are rows, in memory that does not grow with them.

    stack = Stack(encode, decode); stack.append(record); stack[17]
    shelf = Shelf(encode, decode); shelf["a"] = record; shelf.get("b"); shelf.records[0]
    Mapped(records, make)                 # each made when it is asked for
    column = Numbers("d"); column.append(0.5); column.array()

They lie in an unnamed file that goes with its process; few records never leave memory.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")
S = TypeVar("S")

BLOCK = 1 << 12
"""Values of a column that are read, written and held at once."""
_CACHE_KIB = 2048
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

    def named(self, name: str) -> T | None:
        """The record of that name."""
        found = self._file.execute("SELECT value FROM records WHERE name = ?", (_key(name),)).fetchone()
        return None if found is None else self._decode(found[0])

    def __contains__(self, name: object) -> bool:
        """Whether there is a record of that name."""
        asked = "SELECT 1 FROM records WHERE name = ?"
        return isinstance(name, str) and self._file.execute(asked, (_key(name),)).fetchone() is not None

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
        found = self.records.named(name)
        if found is None:
            raise KeyError(name)
        return found

    def with_all(self, others: Mapping[str, T]) -> Shelf[T]:
        """This shelf, after the others were put on it."""
        for name, record in others.items():
            self[name] = record
        return self

    def __contains__(self, name: object) -> bool:
        return name in self.records

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


class Spool:
    """Bytes on disk, each piece known by where it begins."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._end = 0

    def put(self, data: bytes) -> int:
        """Add a piece; where it begins."""
        start = self._end
        self._file.write(data)
        self._file.flush()
        self._end += len(data)
        return start

    def get(self, start: int, size: int) -> bytes:
        """A piece, or a part of one."""
        return os.pread(self._file.fileno(), size, start)


class Column(Lazy[T]):
    """Values in the order in which they came: the last ones and those that were read last are in memory.

    Args:
        spool: where the others are put, shared with other columns or its own.
    """

    def __init__(self, spool: Spool | None = None) -> None:
        self._spool = spool
        self._pieces: list[tuple[int, int]] = []
        self._tail = self._empty()
        self._read: tuple[int, Sequence[T]] = (0, self._tail)  # which block, and its values

    @abstractmethod
    def _empty(self) -> MutableSequence[T]:
        """No values."""

    @abstractmethod
    def _pack(self, values: Any) -> bytes:
        """A block as bytes."""

    @abstractmethod
    def _unpack(self, data: bytes) -> Sequence[T]:
        """And back."""

    def append(self, value: T) -> None:
        """Add a value."""
        self._tail.append(value)
        if len(self._tail) == BLOCK:
            self._spool = self._spool or Spool()
            data = self._pack(self._tail)
            self._pieces.append((self._spool.put(data), len(data)))
            self._tail = self._empty()
            self._read = (len(self._pieces), self._tail)

    def at(self, place: int) -> T:
        number, inside = divmod(place, BLOCK)
        read = self._read
        if number != read[0]:
            read = self._read = (number, self._block(number))
        return read[1][inside]

    def _block(self, number: int) -> Sequence[T]:
        if number == len(self._pieces):
            return self._tail
        assert self._spool is not None
        return self._unpack(self._spool.get(*self._pieces[number]))

    def blocks(self) -> Iterator[Sequence[T]]:
        """All values, block after block."""
        return (self._block(number) for number in range(len(self._pieces) + 1))

    def __iter__(self) -> Iterator[T]:
        return (value for block in self.blocks() for value in block)

    def __len__(self) -> int:
        return len(self._pieces) * BLOCK + len(self._tail)


class Numbers(Column[Any]):
    """Numbers of one kind. code: of `array`."""

    def __init__(self, code: str, spool: Spool | None = None) -> None:
        self._code = code
        super().__init__(spool)

    def _empty(self) -> MutableSequence[Any]:
        return array(self._code)

    def _pack(self, values: Any) -> bytes:
        return bytes(values.tobytes())

    def _unpack(self, data: bytes) -> Sequence[Any]:
        return array(self._code, data)

    def array(self) -> Any:
        """(n,) all of them."""
        import numpy as np

        found = np.empty(len(self), self._code)
        for number, block in enumerate(self.blocks()):
            found[number * BLOCK : number * BLOCK + len(block)] = block
        return found


class Strings(Column[str]):
    """Texts."""

    def _empty(self) -> MutableSequence[str]:
        return []

    def _pack(self, values: Any) -> bytes:
        return json.dumps(values).encode()

    def _unpack(self, data: bytes) -> Sequence[str]:
        found: list[str] = json.loads(data)
        return found
