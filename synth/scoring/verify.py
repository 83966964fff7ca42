"""Right or wrong, and why; and when two short texts say the same.

Pure functions over strings. What a reply concludes is read by `synth.scoring.answers`.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Verdict(NamedTuple):
    """Right or wrong, and why: `reason` can be counted, `detail` is a sentence about this row. Truthy when `ok`."""

    ok: bool
    reason: str
    detail: str = ""

    def __bool__(self) -> bool:
        return self.ok


def fold(text: str) -> str:
    """Case, outer punctuation and runs of white space removed."""
    return re.sub(r"\s+", " ", text).strip().strip(" .,;:!?\"'`*").casefold()


def same_text(answer: str, gold: str) -> Verdict:
    """Equal after `fold`."""
    if fold(answer) == fold(gold):
        return Verdict(True, "equal")
    return Verdict(False, f"{quote(answer)} is not {quote(gold)}")


def quote(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return f"“{text[:57]}…”" if len(text) > 58 else f"“{text}”"
