"""The head of a GGUF file, read with bounds: what the file says of itself, and which tensors lie where in it.

Counts, lengths and offsets in a file are claims. Here none is followed past the end of the file, no key or tensor comes
twice, and no two tensors share bytes. What is off is a ValueError in words; the weights themselves are not read.
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import Any, NamedTuple

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32  # bytes, where the file names no other
MAX_ITEMS = 4_000_000  # of one list: vocabularies and their merges have some hundred thousand
MAX_DIMENSIONS = 4
STRING, LIST = 8, 9
# Kinds of numbers, by their number in the format, in struct's words.
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Tensor(NamedTuple):
    """A tensor's name, shape (rows first), type of ggml, and how many numbers it holds."""

    name: str
    shape: tuple[int, ...]
    kind: str
    numbers: int


class Contents(NamedTuple):
    """The file's keys and values, and its tensors in order."""

    fields: dict[str, Any]
    tensors: tuple[Tensor, ...]


def read(file: Path) -> Contents:
    """What the head of `file` says. Raises ValueError for a file that is cut, contradicts itself, or is no GGUF."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        head = _Head(data)
        if head.bytes(4) != MAGIC:
            raise ValueError("it does not begin as one")
        if (version := head.number("I")) not in VERSIONS:
            raise ValueError(f"version {version} of the format is not read")
        count, keys = head.number("Q"), head.number("Q")
        fields: dict[str, Any] = {}
        for _ in range(keys):
            key = head.text()
            if key in fields:
                raise ValueError(f"it says {key[:60]} twice")
            fields[key] = head.value(head.number("I"))
        placed: dict[str, _Placed] = {}
        for _ in range(count):
            tensor = head.tensor()
            if tensor.about.name in placed:
                raise ValueError(f"it holds {tensor.about.name[:60]} twice")
            placed[tensor.about.name] = tensor
        _refuse_misplaced(list(placed.values()), head.place, len(data), fields.get("general.alignment", ALIGNMENT))
    return Contents(fields, tuple(tensor.about for tensor in placed.values()))


class _Placed(NamedTuple):
    about: Tensor
    begin: int  # bytes behind the head
    size: int


class _Head:
    """A place in the bytes of a file, and what is read from there on."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.place = 0

    def bytes(self, count: int) -> bytes:
        if count > len(self._data) - self.place:
            raise ValueError("it is cut off")
        self.place += count
        return self._data[self.place - count : self.place]

    def number(self, form: str) -> Any:
        return struct.unpack(f"<{form}", self.bytes(struct.calcsize(f"<{form}")))[0]

    def text(self) -> str:
        return self.bytes(self.number("Q")).decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == STRING:
            return self.text()
        if kind != LIST:
            raise ValueError(f"it holds a value of the unknown kind {kind}")
        inner, count = self.number("I"), self.number("Q")
        if count > MAX_ITEMS:
            raise ValueError(f"it holds a list of {count:,} things")
        if inner in NUMBERS:
            form = f"<{count}{NUMBERS[inner]}"
            return list(struct.unpack(form, self.bytes(struct.calcsize(form))))
        if inner == STRING:
            return [self.text() for _ in range(count)]
        raise ValueError("it holds lists of lists")

    def tensor(self) -> _Placed:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        name, dimensions = self.text(), self.number("I")
        if dimensions > MAX_DIMENSIONS:
            raise ValueError(f"{name[:60]} has {dimensions:,} dimensions")
        sizes = [self.number("Q") for _ in range(dimensions)]
        kind, begin = GGMLQuantizationType(self.number("I")), self.number("Q")
        block, block_bytes = GGML_QUANT_SIZES[kind]
        numbers = math.prod(sizes)
        if not sizes or not numbers or sizes[0] % block:
            raise ValueError(f"{name[:60]} has no shape of its kind")
        about = Tensor(name, tuple(reversed(sizes)), kind.name, numbers)
        return _Placed(about, begin, numbers // block * block_bytes)


def _refuse_misplaced(tensors: list[_Placed], head_end: int, total: int, alignment: Any) -> None:
    """Raise ValueError unless the tensors lie behind the head, apart from each other and within the file."""
    if not isinstance(alignment, int) or alignment <= 0 or alignment % 8:
        raise ValueError("its alignment is none")
    room, end = total - -(-head_end // alignment) * alignment, 0
    for tensor in sorted(tensors, key=lambda one: one.begin):
        if tensor.begin < end or tensor.begin % alignment:
            raise ValueError(f"{tensor.about.name[:60]} lies where another tensor is")
        end = tensor.begin + tensor.size
    if end > room:
        raise ValueError("it is cut off")
