"""What a server says, fit to be kept: without our key, and as text that every file can hold.

A key that is sent back is taken out before anything is kept or shown. Halves of surrogate pairs, which JSON can carry
and UTF-8 cannot, become question marks: one of them would stop a report after every answer was paid. Short
words that servers on one's own machine take for a key ("none", "EMPTY") are no secrets and stay.
"""

from __future__ import annotations

MIN_SECRET = 8
MARK = "***"


def redacted(text: str, key: str) -> str:
    """`text` without the key and without halves of surrogate pairs."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return whole.replace(key, MARK) if len(key) >= MIN_SECRET else whole


class Redactor:
    """`redacted` for a text that comes in pieces, between which a key may be split."""

    def __init__(self, key: str) -> None:
        self._key = key if len(key) >= MIN_SECRET else ""
        self._held = ""

    def __call__(self, piece: str) -> str:
        """What of the text so far is sure to hold no part of the key."""
        text = redacted(self._held + piece, self._key)
        longest = min(len(text), len(self._key) - 1)
        size = next((n for n in range(longest, 0, -1) if text.endswith(self._key[:n])), 0)
        self._held = text[len(text) - size :] if size else ""
        return text[: len(text) - size]

    def rest(self) -> str:
        """What was held back, when nothing more comes."""
        held, self._held = self._held, ""
        return held
