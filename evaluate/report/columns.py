"""Columns of scored rows on disk, one class for each kind of value; `evaluate.report.rows` puts them together.

Each is read by place, and as an array: floats with nan for None, flags, hashes of names, places in `values`, or whether
anything is there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from synth.marks import mark_of
from synth.shelf import Numbers, Spool, Strings
from synth.usage import Usage


class Column(Protocol):
    """Values that are there: read by place, or all at once."""

    def __getitem__(self, place: int) -> Any: ...

    def array(self) -> NDArray[Any]: ...


class Growing(Column, Protocol):
    """A column on disk to which values are added."""

    def append(self, value: Any) -> None: ...


class OfNumbers:
    """Floats or None, which is nan in an array."""

    def __init__(self, spool: Spool) -> None:
        self._values = Numbers("d", spool)

    def append(self, value: float | None) -> None:
        self._values.append(float("nan") if value is None else value)

    def __getitem__(self, place: int) -> float | None:
        value: float = self._values.at(place)
        return None if value != value else value

    def array(self) -> NDArray[Any]:
        return cast("NDArray[Any]", self._values.array())


class Counts:
    """Whole numbers from 0, or None, which is nan in an array."""

    def __init__(self, spool: Spool) -> None:
        self._values = Numbers("q", spool)

    def append(self, value: int | None) -> None:
        self._values.append(-1 if value is None else value)

    def __getitem__(self, place: int) -> int | None:
        value: int = self._values.at(place)
        return None if value < 0 else value

    def array(self) -> NDArray[Any]:
        found = self._values.array()
        return np.where(found < 0, np.nan, found.astype(np.float64))


class Flags:
    def __init__(self, spool: Spool) -> None:
        self._values = Numbers("B", spool)

    def append(self, value: bool) -> None:
        self._values.append(value)

    def __getitem__(self, place: int) -> bool:
        return bool(self._values.at(place))

    def array(self) -> NDArray[Any]:
        return cast("NDArray[Any]", self._values.array().astype(np.bool_))


class Repeated:
    """Texts of which there are few different ones; the array has their places in `values`."""

    def __init__(self, spool: Spool) -> None:
        self._codes = Numbers("I", spool)
        self.values: dict[str, int] = {}
        self._texts: list[str] = []

    def append(self, value: str) -> None:
        code = self.values.setdefault(value, len(self._texts))
        if code == len(self._texts):
            self._texts.append(value)
        self._codes.append(code)

    def __getitem__(self, place: int) -> str:
        code: int = self._codes.at(place)
        return self._texts[code]

    def array(self) -> NDArray[Any]:
        return cast("NDArray[Any]", self._codes.array())


class Names:
    """Texts that are compared; the array has their hashes (64 bits), the same in every process."""

    def __init__(self, spool: Spool) -> None:
        self._texts, self._marks = Strings(spool), Numbers("Q", spool)

    def append(self, value: str) -> None:
        self._texts.append(value)
        self._marks.append(mark_of(value))

    def __getitem__(self, place: int) -> str:
        return self._texts.at(place)

    def array(self) -> NDArray[Any]:
        return cast("NDArray[Any]", self._marks.array())


class OfStrings:
    """Texts that are seldom there; the array says where they are."""

    def __init__(self, spool: Spool) -> None:
        self._texts, self._there = Strings(spool), Numbers("B", spool)

    def append(self, value: str) -> None:
        self._texts.append(value)
        self._there.append(bool(value))

    def __getitem__(self, place: int) -> str:
        return self._texts.at(place)

    def array(self) -> NDArray[Any]:
        return cast("NDArray[Any]", self._there.array().astype(np.bool_))


class Usages:
    """What answers consumed; the array says where both token totals are known."""

    def __init__(self, spool: Spool) -> None:
        self._texts, self._reported = Strings(spool), Numbers("B", spool)

    def append(self, value: Usage) -> None:
        self._texts.append("" if value == _NOTHING else value.model_dump_json(exclude_defaults=True))
        self._reported.append(value.reported)

    def __getitem__(self, place: int) -> Usage:
        return _usage(self._texts.at(place))

    def array(self) -> NDArray[Any]:
        return cast("NDArray[Any]", self._reported.array().astype(np.bool_))


_NOTHING = Usage()


@lru_cache(maxsize=4096)
def _usage(text: str) -> Usage:
    return Usage.model_validate_json(text) if text else _NOTHING


class Moved:
    """Splits (`which` 0) or origins (1) that follow from those that rows have."""

    def __init__(
        self, both: tuple[Repeated, Repeated], place_of: Callable[[str, str], tuple[str, str]], which: int
    ) -> None:
        self._both = both
        self._texts = {(a, b): place_of(a, b)[which] for a in both[0].values for b in both[1].values}
        self.values = {text: code for code, text in enumerate(dict.fromkeys(self._texts.values()))}

    def __getitem__(self, place: int) -> str:
        return self._texts[self._both[0][place], self._both[1][place]]

    def array(self) -> NDArray[Any]:
        split, origin = (one.array() for one in self._both)
        codes = [[self.values[self._texts[a, b]] for b in self._both[1].values] for a in self._both[0].values]
        return cast("NDArray[Any]", np.array(codes, np.uint32)[split, origin])


class Given:
    """Numbers in an array; nan is None."""

    def __init__(self, values: NDArray[np.float64], whole: bool) -> None:
        self._values, self._whole = values, whole

    def __getitem__(self, place: int) -> float | None:
        value = float(self._values[place])
        return None if value != value else int(value) if self._whole else value

    def array(self) -> NDArray[Any]:
        return self._values
