"""Keys of a row as paths: `input.messages` is the key `messages` of the object under `input`. Decides no layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth.importing.values import missing

Paths = tuple[str, ...]


def at(row: Any, path: Paths) -> Any:
    """The value at a path, None where there is none."""
    for key in path:
        row = row.get(key) if isinstance(row, dict) else None
    return row


def signature(row: Mapping[str, Any], depth: int = 3) -> Any:
    """What two rows with the same keys, also inside objects, have in common."""
    return tuple(
        [
            (key, signature(value, depth - 1)) if type(value) is dict and depth else key
            for key, value in row.items()
            if not missing(value)
        ]
    )


def unused(row: Mapping[str, Any], used: list[Paths], before: Paths = ()) -> list[tuple[str, Paths]]:
    """(name, path) of every key that no used path covers; of an object that is used in part, its other keys."""
    names: list[tuple[str, Paths]] = []
    for key, value in row.items():
        path = (*before, key)
        if missing(value) or path in used:
            continue
        if isinstance(value, dict) and any(other[: len(path)] == path for other in used):
            names += unused(value, used, path)
        else:
            names.append((".".join(map(str, path)), path))
    return names
