"""What the command line prints, fit for a terminal: data, answers and names cannot move the cursor, ring or recolour.

Control characters, characters that turn the direction of writing, and halves of surrogate pairs are shown as `\\u…`,
which is also what JSON calls them, so that `--json` stays the same value. Line ends and tabs pass.
"""

from __future__ import annotations

import re
import sys
from typing import Any, TextIO

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` with every unsafe character written out."""
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))


class CleanStream:
    """A text stream that writes `clean` text; `raw` writes as it is, for our own progress line."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(clean(text))
        return len(text)

    def raw(self, text: str) -> None:
        self.stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def install() -> None:
    """Let everything that this process prints be clean, and encodable wherever it goes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, CleanStream):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, CleanStream(stream))
