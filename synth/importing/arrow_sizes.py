"""What the batches of an Arrow file take once they are unpacked, from their heads, before any is.

Batches may be packed (LZ4, Zstandard): each buffer then begins with how large it will be, and pyarrow takes that much
memory before it unpacks. Here these numbers are added; what is in the buffers is for pyarrow. The layout is that of
Arrow's columnar format, "Serialization and Interprocess Communication", in FlatBuffers.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

MAGIC = b"ARROW1"
MAX_HEAD = 16 << 20
"""Bytes of the head of a message: a few for each buffer of each column."""
_EARLY = b"ARROW:experimental_compression"  # the note of a message by which Arrow 0.17 said that it is packed
_GOES_ON = 0xFFFFFFFF
_DICTIONARY, _BATCH = 2, 3
_BLOCK = struct.Struct("<qi4xq")
_BUFFER = struct.Struct("<qq")


class Size(NamedTuple):
    """Bytes of one batch: as it is in the file, and unpacked."""

    packed: int
    unpacked: int


class _Table(NamedTuple):
    """A table of FlatBuffers: its bytes and where it begins."""

    data: bytes
    place: int

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, _number("<I", data, 0))

    def field(self, number: int) -> int:
        """Where a field is; 0 when it is absent."""
        fields = self.place - _number("<i", self.data, self.place)
        slot = 4 + 2 * number
        offset = _number("<H", self.data, fields + slot) if slot < _number("<H", self.data, fields) else 0
        return self.place + offset if offset else 0

    def table(self, number: int) -> _Table | None:
        place = self.field(number)
        return _Table(self.data, place + _number("<I", self.data, place)) if place else None

    def structs(self, number: int, layout: struct.Struct) -> Iterator[tuple[int, ...]]:
        """The structs of a field that is a list of them."""
        if place := self.field(number):
            start = place + _number("<I", self.data, place)
            count = _number("<I", self.data, start)
            yield from layout.iter_unpack(_part(self.data, start + 4, count * layout.size))


def _number(kind: str, data: bytes, place: int) -> int:
    return int(struct.unpack(kind, _part(data, place, struct.calcsize(kind)))[0])


def _part(data: bytes, place: int, size: int) -> bytes:
    part = data[place : place + size] if place >= 0 else b""
    if len(part) != size:
        raise ValueError("the head of a batch leads outside itself")
    return part


def sizes(path: Path) -> Iterator[Size]:
    """Of every batch and dictionary of an Arrow file or stream. Raises ValueError where the file is torn, OSError."""
    with path.open("rb") as file:
        whole = file.seek(0, os.SEEK_END)
        file.seek(0)
        is_file = file.read(len(MAGIC)) == MAGIC
        for place in _blocks(file, whole) if is_file else _stream(file, whole):
            found = _size(file, place, whole)
            if found is not None:
                yield found


def _blocks(file: IO[bytes], whole: int) -> Iterator[int]:
    """Where the messages of a file with a footer begin."""
    tail = _read(file, whole - 10, 10, whole)
    length = _number("<i", tail, 0)
    footer = _Table.root(_read(file, whole - 10 - length, length, whole))
    for vector in (2, 3):
        for place, _, _ in footer.structs(vector, _BLOCK):
            yield place


def _stream(file: IO[bytes], whole: int) -> Iterator[int]:
    """Where the messages of a stream begin."""
    place = 0
    while place + 4 <= whole:
        start, length = _head(file, place, whole)
        if not length:
            return
        yield place
        place = start + length + _body_bytes(_Table.root(_read(file, start, length, whole)))


def _head(file: IO[bytes], place: int, whole: int) -> tuple[int, int]:
    """Where the head of a message begins, and its length; streams before Arrow 0.15 lack the first four bytes."""
    first = _number("<I", _read(file, place, 4, whole), 0)
    if first != _GOES_ON:
        return place + 4, first
    return place + 8, _number("<I", _read(file, place + 4, 4, whole), 0)


def _size(file: IO[bytes], place: int, whole: int) -> Size | None:
    start, length = _head(file, place, whole)
    message = _Table.root(_read(file, start, length, whole))
    kind = message.field(1)
    header = message.table(2)
    which = _number("<B", message.data, kind) if kind else 0
    if header is None or which not in (_DICTIONARY, _BATCH):
        return None
    batch = header.table(1) if which == _DICTIONARY else header
    if batch is None:
        return None
    packed, unpacked = 0, 0
    is_packed = batch.table(3) is not None or _EARLY in message.data
    for offset, size in batch.structs(2, _BUFFER):
        first = _read(file, start + length + offset, 8, whole) if is_packed and size >= 8 else b""
        claimed = struct.unpack("<q", first)[0] if first else -1
        packed, unpacked = packed + size, unpacked + (size if claimed < 0 else claimed)
    return Size(packed, unpacked)


def _body_bytes(message: _Table) -> int:
    place = message.field(3)
    size = _number("<q", message.data, place) if place else 0
    if size < 0:
        raise ValueError("a batch has less than no bytes")
    return size


def _read(file: IO[bytes], place: int, size: int, whole: int) -> bytes:
    if not (place >= 0 and 0 <= size <= MAX_HEAD and place + size <= whole):
        raise ValueError("a batch leads outside the file")
    file.seek(place)
    return file.read(size)
