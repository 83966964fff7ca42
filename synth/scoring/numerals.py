"""Numbers and times of day as people write them, read exactly.

Numbers are `Fraction`s, so 0.1 + 0.2 equals 0.3 and 1/3 does not equal 0.33. Nothing here runs model output as code.
"""

from __future__ import annotations

import re
from fractions import Fraction

from synth.scoring.verify import Verdict, quote

MAX_CHARS = 100_000
"""Answers longer than this are cut from the left before they are read: the end is where an answer stands."""
_MAX_DIGITS = 60
_THIN = "\u00a0\u2009\u202f"
_VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8", "⅕": "1/5"}
_SCALE = {"k": 10**3, "K": 10**3, "M": 10**6, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_DIGITS = rf"\d{{1,3}}(?:[,'{_THIN}]\d{{3}})+(?!\d)(?:\.\d+)?|\d{{1,3}}(?:\.\d{{3}})+,\d+|\d+(?:[.,]\d+)?|\.\d+"
NUMBER = re.compile(
    rf"(?<![\w.,])(?P<sign>[-+]\s?)?(?:[$€£¥]\s?)?(?P<sign2>-)?"
    rf"(?:(?P<whole>\d+)\s+(?P<mixed>\d+)/(?P<mixed_den>\d+)|(?P<num>{_DIGITS})(?:\s?/\s?(?P<den>\d+))?)"
    r"(?P<exp>[eE][-+]?\d{1,2}(?!\w))?(?P<scale>[kKM](?!\w)|\s(?:thousand|million|billion)\b)?"
)
CLOCK = re.compile(r"(?<![\d:])(\d{1,2})[:.h](\d{2})(?::\d{2})?(?![\d:])\s*([ap])?\.?m?\.?(?!\w)", re.IGNORECASE)
_LATEX = (
    (re.compile(r"\\d?frac\{(\d+)\}\{(\d+)\}"), r"\1/\2"),
    (re.compile(r"\\(?:boxed|text|mathrm|mathbf)\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\[%$,!;]|[*_`]"), ""),
)


def clean(text: str) -> str:
    text = text[-MAX_CHARS:].replace("−", "-").replace("–", "-").replace("\\$", "$").replace("\\%", "%")
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    for sign, plain in _VULGAR.items():
        if sign in text:
            text = re.sub(rf"(?<=\d)\s*{sign}", f" {plain}", text).replace(sign, plain)
    return text


def _decimal(digits: str) -> Fraction:
    """Read one run of digits with separators: `1,234.5`, `1.234,5`, `12,5`, `1'000`, `.5`."""
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+", digits):
        digits = digits.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"\d+,\d+", digits) and not re.fullmatch(r"[1-9]\d{0,2},\d{3}", digits):
        digits = digits.replace(",", ".")
    return Fraction(re.sub(rf"[,'{_THIN}]", "", digits))


def value_of(match: re.Match[str]) -> Fraction | None:
    if len(match.group(0)) > _MAX_DIGITS:
        return None
    part = match.groupdict()
    denominator = part["mixed_den"] or part["den"]
    if denominator is not None and int(denominator) == 0:
        return None
    if part["whole"]:
        value = int(part["whole"]) + Fraction(int(part["mixed"]), int(part["mixed_den"]))
    else:
        value = _decimal(part["num"])
        if part["den"]:
            value /= int(part["den"])
    if part["exp"]:
        value *= Fraction(10) ** int(part["exp"][1:])
    if part["scale"]:
        value *= _SCALE[part["scale"].strip()]
    negative = "-" in (part["sign"] or "") or bool(part["sign2"])
    return -value if negative else value


def numbers(text: str) -> list[Fraction]:
    """Every number in `text`, in order; currency signs, units and % are dropped, so `12 %` reads as 12."""
    values = (value_of(match) for match in NUMBER.finditer(clean(text)))
    return [value for value in values if value is not None]


def number(text: str) -> Fraction | None:
    """The one number that `text` states, or None when it states none or several different ones.

    `$1,234.50`, `1.234,50 €`, `12%`, `3/4`, `1 1/2`, `2½`, `40 apples.`, `1.2e3`, `12k` are read; units are stripped
    but never converted.
    In `3 * 12 = 36` the number after the last `=` counts. Text in brackets is ignored when there is a number outside.
    """
    text = text[-MAX_CHARS:]
    if "=" in text:
        text = text.rsplit("=", 1)[1]
    found = set(numbers(text))
    if len(found) > 1:
        found = set(numbers(re.sub(r"\([^()]*\)", " ", text))) or found
    return found.pop() if len(found) == 1 else None


def clock(text: str) -> int | None:
    """Minutes after midnight of the one time of day in `text` (`9:45`, `21:05`, `2:05 pm`), or None."""
    found: set[int] = set()
    for hours_text, minutes_text, half in CLOCK.findall(clean(text)):
        hours, minutes = int(hours_text), int(minutes_text)
        if minutes > 59 or hours > 24 or (half and not 1 <= hours <= 12):
            continue
        if half:
            hours = hours % 12 + (12 if half in "pP" else 0)
        found.add(hours * 60 + minutes)
    return found.pop() if len(found) == 1 else None


def _show(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    text = f"{float(value):.6g}"
    return text if Fraction(text) == value else str(value)


def same_number(answer: str, gold: str, tolerance: Fraction | float = 0) -> Verdict:
    """Does `answer` state the number of `gold`? `tolerance` is relative to gold (0.05 = ±5 %); 0 means exactly.

    Times of day are compared as times when gold is one. Raises ValueError when gold itself is not a number.
    """
    gold_time = clock(gold) if ":" in gold else None
    if gold_time is not None:
        time = clock(answer)
        if time is None:
            return Verdict(False, f"no single time of day in {quote(answer)}")
        return Verdict(time == gold_time, "equal" if time == gold_time else f"{quote(answer)} is not {gold}")
    expected = number(gold)
    if expected is None:
        raise ValueError(f"The gold answer {gold!r} is not one number.")
    given = number(answer)
    if given is None:
        several = bool(numbers(answer))
        return Verdict(False, f"{'several different numbers' if several else 'no number'} in {quote(answer)}")
    if given == expected:
        return Verdict(True, "equal")
    if tolerance and expected and abs(given - expected) <= Fraction(tolerance) * abs(expected):
        return Verdict(True, f"{_show(given)} is within {float(tolerance):.0%} of {_show(expected)}")
    return Verdict(False, f"{_show(given)} is not {_show(expected)}")
