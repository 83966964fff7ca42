"""Random access to the lines of a JSONL file: offsets and ids once (cached by the file's state), then pages of rows."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from studio.read.scored import row_of

_ID = re.compile(rb'"id": ?"([^"\\]*)"')
_ANSWER = re.compile(rb'"answer": ?("(?:[^"\\]|\\.)*")')  # quotes within a text are escaped, so this is the field


class Rows(NamedTuple):
    """Where rows begin (byte offsets), and their ids ("" for a line without one). Shared between sessions."""

    offsets: tuple[int, ...]
    ids: tuple[str, ...]

    def only(self, wanted: Callable[[str], bool]) -> Rows:
        """The rows whose id is wanted."""
        pairs = [pair for pair in zip(self.offsets, self.ids, strict=True) if wanted(pair[1])]
        return Rows(tuple(offset for offset, _ in pairs), tuple(row_id for _, row_id in pairs))


@st.cache_resource(max_entries=16, show_spinner=False)
def _rows(path: str, size: int, changed_ns: int, query: str, answer: str) -> Rows:
    needle = json.dumps(query, ensure_ascii=False)[1:-1].lower().encode()
    wanted = {json.dumps(answer, ensure_ascii=plain).encode() for plain in (True, False)} if answer else set()
    offsets, ids, position = [], [], 0
    with Path(path).open("rb") as file:
        for line in file:
            given = _ANSWER.search(line) if wanted else None
            if (not needle or needle in line.lower()) and (not wanted or (given and given.group(1) in wanted)):
                offsets.append(position)
                found = _ID.search(line)
                ids.append(found.group(1).decode("utf-8", "replace") if found else "")
            position += len(line)
    return Rows(tuple(offsets), tuple(ids))


def rows_of(path: Path, query: str = "", answer: str = "") -> Rows:
    """The rows whose line holds `query` (case does not matter) and whose answer is `answer`; "" means any."""
    if not path.is_file():
        return Rows((), ())
    state = path.stat()
    return _rows(str(path), state.st_size, state.st_mtime_ns, query, answer)


@st.cache_data(max_entries=32, show_spinner=False)
def _answers(path: str, size: int, changed_ns: int) -> dict[str, int]:
    with Path(path).open("rb") as file:
        found = Counter(given.group(1) for line in file if (given := _ANSWER.search(line)))
    return {str(json.loads(answer)): count for answer, count in found.items()}


def answers_of(path: Path) -> dict[str, int]:
    """How many rows have each answer."""
    if not path.is_file():
        return {}
    state = path.stat()
    return dict(_answers(str(path), state.st_size, state.st_mtime_ns))


def read_at(path: Path, offsets: Sequence[int]) -> list[dict[str, Any]]:
    """The rows that begin at these offsets, read from disk. Raises StorageError for one that cannot be read."""
    rows = []
    with path.open("rb") as file:
        for offset in offsets:
            file.seek(offset)
            rows.append(row_of(file.readline(), path, offset))
    return rows
