"""Random access to the lines of a JSONL file: byte offsets once (cached by the file's state), then pages of rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st


@st.cache_data(max_entries=64, show_spinner=False)
def _offsets(path: str, size: int, changed_ns: int, query: str) -> list[int]:
    needle = json.dumps(query, ensure_ascii=False)[1:-1].lower().encode()
    offsets, position = [], 0
    with Path(path).open("rb") as file:
        for line in file:
            if not needle or needle in line.lower():
                offsets.append(position)
            position += len(line)
    return offsets


def row_offsets(path: Path, query: str = "") -> list[int]:
    """Byte offsets of the rows whose line holds `query` (case does not matter); all rows when it is empty."""
    if not path.is_file():
        return []
    state = path.stat()
    return _offsets(str(path), state.st_size, state.st_mtime_ns, query)


def page_of(path: Path, offsets: Sequence[int], page: int, size: int) -> list[dict[str, Any]]:
    """The rows of one page (from 0), read from disk."""
    rows = []
    with path.open("rb") as file:
        for offset in offsets[page * size : (page + 1) * size]:
            file.seek(offset)
            rows.append(json.loads(file.readline()))
    return rows
