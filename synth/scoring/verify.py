"""Right or wrong, and why; and when two short texts say the same.

Pure functions over strings. What a reply concludes is read by `synth.scoring.answers`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple


class Verdict(NamedTuple):
    """Right or wrong, and why: `reason` can be counted, `detail` is a sentence about this row. Truthy when `ok`."""

    ok: bool
    reason: str
    detail: str = ""

    def __bool__(self) -> bool:
        return self.ok


_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "\u00a0": " "})


def fold(text: str) -> str:
    """NFC, case, runs of white space, outer quotes and closing punctuation removed.

    A text of punctuation alone stays, so that it never equals an empty one; so does a leading point (`.5`, `.NET`).
    """
    plain = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text).translate(_QUOTES)).strip().casefold()
    return plain.lstrip(" \"'`*").rstrip(" .,;:!?\"'`*") or plain


def same_text(answer: str, gold: str) -> Verdict:
    """Equal after `fold`."""
    if fold(answer) == fold(gold):
        return Verdict(True, "equal")
    return Verdict(False, f"{quote(answer)} is not {quote(gold)}")


def quote(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return f"“{text[:57]}…”" if len(text) > 58 else f"“{text}”"
