"""A row as it stands in a file, before anyone asks what its keys mean; and the limits of what is read."""

from __future__ import annotations

from typing import Any, NamedTuple

MAX_LINE = 16 * 2**20
"""Bytes of one line or item; what is longer is set aside without being held in memory."""
MAX_CELL = 16 * 2**20
"""Characters of one cell of a CSV file. A longer one is taken for an open quote."""
MAX_JSON = 256 * 2**20
"""Bytes of a JSON file that is one object, which has to be read as a whole."""
MAX_DEPTH = 32
"""Levels of nesting of one row."""
SHOWN = 2000
SPLIT_NAMES = {
    **{name: name for name in ("train", "val", "test", "test_ood", "test_real")},
    **dict.fromkeys(("training", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "dev", "eval"), "val"),
    **dict.fromkeys(("testing",), "test"),
}
"""How files and rows name splits → our names."""


class Digits(str):
    """A number with its digits as the file writes them: 1.10 stays 1.10."""

    __slots__ = ()


class RawRow(NamedTuple):
    """A row of a file. `value` is None when it cannot be read: then `fault` says why and `text` shows its beginning.

    `split` is what the file or folder says that the row belongs to, "" when it says nothing. `beside`, on the first row
    only, are what the file holds beside its rows.
    """

    line: int
    value: dict[str, Any] | None
    fault: str = ""
    text: str = ""
    split: str = ""
    beside: dict[str, Any] | None = None
