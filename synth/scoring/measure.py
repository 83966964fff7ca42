"""A number with a unit that `units` does not know (1,234 mmHg): compared by its value and by the unit's letters.

    by_value("So it is **1,234 mmHg**.", ["1234 mmHg"], []) -> Score(1.0, …)

Converts nothing: a unit is a word here. Codes (007 x) and anything but a number and a unit are no measures.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from synth.scoring.final_number import final_number
from synth.scoring.numerals import clean, is_european, quantities
from synth.scoring.rule import Score
from synth.scoring.verify import fold, quote

_DIGITS = r"[-+−]?(?:[1-9](?:[\d.,'’ \u00a0\u2009\u202f]*\d)?|0(?:[.,]\d+)?)"
_MEASURE = re.compile(rf"({_DIGITS})\s*([^\s\d.,;:=()'’-][^\d,;:=()]{{0,24}})")


class Measure(NamedTuple):
    """A number and the letters of what it counts."""

    value: Fraction
    unit: str


def measure(text: str, european: bool = False) -> Measure | None:
    """What a text that is nothing but a number and a unit says."""
    match = _MEASURE.fullmatch(text.strip().rstrip("."))
    found = quantities(clean(match.group(1)), european) if match else []
    if match is None or len(found) != 1:
        return None
    return Measure(found[0].value, re.sub(r"\s", "", fold(unicodedata.normalize("NFKC", match.group(2)))))


def by_value(reply: str, accepted: Sequence[str], forms: Sequence[str]) -> Score | None:
    """Right where one of the forms of a reply, or the number that it concludes with, is an accepted measure.

    The number alone lacks its unit: wrong, and right if the form were forgiven. None where nothing can be said.
    """
    for gold in accepted:
        european = is_european(reply) or is_european(gold)
        wanted = measure(gold, european)
        if wanted is None:
            continue
        found = final_number(reply, european)
        last = found.text[found.quantity.start :] if found.quantity else ""
        for form in (*forms, last):
            if measure(form, european) == wanted:
                return Score(1.0, form.strip(), "equal", 1.0)
        if found.quantity and found.quantity.value == wanted.value and re.fullmatch(rf"{_DIGITS}\W*", last.strip()):
            return Score(0.0, found.text, f"{quote(found.text)} lacks the unit of {quote(gold)}", 1.0)
    return None
