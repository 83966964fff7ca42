"""Numbers, quantities and times of day as people write them, read exactly.

Values are `Fraction`s, so 0.1 + 0.2 equals 0.3 and 1/3 does not equal 0.33. Nothing here runs model output as code.
English number words are read by text2num.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

from synth.scoring.units import AFTER, BEFORE, Unit, unit

MAX_CHARS = 100_000
"""Answers longer than this are cut from the left before they are read: the end is where an answer stands."""
_MAX_DIGITS = 60
_MAX_POWER = 400


class Quantity(NamedTuple):
    """A value, the unit it was given in (None for none), and where it stands in the cleaned text."""

    value: Fraction
    unit: Unit | None = None
    start: int = 0
    end: int = 0

    @property
    def in_base(self) -> Fraction:
        """The value in the base unit of its kind."""
        return self.value * self.unit.factor if self.unit else self.value


# --- plain text ---------------------------------------------------------------------------------------------------

_THIN = "\u00a0\u2009\u202f"
_VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8", "⅜": "3/8", "⅕": "1/5", "⅖": "2/5"}
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_PLAIN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\\$"), "\ue000"),  # an escaped dollar is money, never the mark of a formula
    (re.compile(r"\\[()\[\]]|\$\$"), " "),
    (re.compile(r"\$(?![\s$])([^$\n]*?[^\s$])\$(?!\d)"), r" \1 "),
    (re.compile("\ue000"), "$"),
    (re.compile(r"(?<=\d)\\[dt]?frac"), r" \\frac"),
    (re.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}"), r"\1/\2"),
    (re.compile(r"\\(?:boxed|text|mathrm|mathbf|textbf|operatorname)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\(?:times|cdot)(?![a-z])"), "×"),
    (re.compile(r"\\approx(?![a-z])"), "≈"),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?"), "°"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=\d)\\[,;:!](?=\s*\d)"), ""),
    (re.compile(r"\\[,;:!]|\\quad|~"), " "),
    (re.compile(r"\\([%$&#])"), r"\1"),
    (re.compile(r"\*\*|__|`"), ""),
    (re.compile(r"(?<![\w)*])[*_](?=[^\s*_])|(?<=[^\s*_])[*_](?![\w(*])"), ""),
    (re.compile(r"(?<=\d)_(?=\d{3})"), ""),
    (re.compile(r"(?m)^[ \t]*[-•][ \t]+"), ""),
)


def clean(text: str) -> str:
    """The text with TeX, Markdown, other scripts' digits and typographic signs written plainly."""
    text = text[-MAX_CHARS:].replace("−", "-").replace("–", "-").replace("’", "'")
    if not text.isascii():
        text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda m: "^" + m.group(0).translate(_SUPERSCRIPT), text)
        text = "".join(str(unicodedata.decimal(c)) if c > "\x7f" and c.isdecimal() else c for c in text)
        for sign, plain in _VULGAR.items():
            if sign in text:
                text = re.sub(rf"(?<=\d)\s*{sign}", f" {plain}", text).replace(sign, plain)
    for pattern, replacement in _PLAIN:
        text = pattern.sub(replacement, text)
    return text


# --- numbers ------------------------------------------------------------------------------------------------------

_SCALES = {
    "k": 10**3, "m": 10**6, "bn": 10**9, "hundred": 100, "thousand": 10**3, "lakh": 10**5, "million": 10**6,
    "crore": 10**7, "billion": 10**9, "trillion": 10**12, "dozen": 12,
}  # fmt: skip
_DIGITS = (
    rf"\d{{1,3}}(?:(?P<gap>[ '{_THIN}])\d{{3}})(?:(?P=gap)\d{{3}})*(?!\d)(?:[.,]\d+)?"  # 1 234 567,5 and 1'234.5
    r"|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)(?:\.\d+)?"  # 12,34,567
    r"|\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?"  # 1,234.5
    r"|\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}(?!\d)"  # 1.234,5 and 1.234.567
    r"|\d+(?:[.,]\d+)?|\.\d+"
)
NUMBER = re.compile(
    rf"(?<![\w.,/:])(?P<sign>[-+]|(?:minus|negative)\s+)?(?P<before>{BEFORE})?\s?(?P<sign2>-)?"
    rf"(?:(?P<whole>\d+)\s+(?P<mixed>\d+)/(?P<mixed_den>\d+)(?![\d/])"
    rf"|(?P<num>{_DIGITS})(?![\d:])(?:\s?/\s?(?P<den>\d+)(?![\d/])|(?!\s?/\s?\d)))"
    r"(?P<exp>[eE][-+]?\d{1,3}(?!\w)|\s?[×x*·]\s?10\s?\^\s?\{?[-+]?\d{1,3}\}?)?"
    r"(?P<power>\^\{?-?\d{1,3}\}?(?!\w))?"
    r"(?P<scale>(?-i:[kKM])(?!\w)|bn(?!\w)|\s(?:hundred|thousand|lakh|million|crore|billion|trillion|dozen)\b)?"
    rf"(?P<after>\s?-?(?:{AFTER})(?![a-z0-9/^²³])(?!\s?(?:/|per\b)))?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(?<![\d:])(\d{1,2})[:.h](\d{2})(?::\d{2})?(?![\d:])\s*([ap])?\.?m?\.?(?!\w)", re.IGNORECASE)
_NAMED_TIMES = {"noon": 720, "midday": 720, "midnight": 0}
_EUROPEAN = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+,\d|(?<![\d.,])\d+,\d{1,2}(?![\d,])\s?(?:€|EUR|kg|km|%)")

_EUROS_AFTER = re.compile(r"(?<![\d.,])[1-9]\d{0,2}\.\d{3}\**\s?(?:€|EUR\b)(?!\s?(?:/|per\b|pro\b|je\b))")


def may_be_european(text: str) -> bool:
    """Whether a text has `1.250 €`: most likely a thousand, as the sign behind is continental; perhaps a fuel price."""
    return _EUROS_AFTER.search(text) is not None


def is_european(text: str) -> bool:
    """Whether a text writes a comma before decimals, so that its `1.234` is a thousand."""
    return "," in text and _EUROPEAN.search(text) is not None


def _decimal(digits: str, european: bool) -> Fraction:
    """Read one run of digits with separators: `1,234.5`, `1.234,5`, `12,5`, `1'000`, `.5`."""
    bare = re.sub(rf"[ '{_THIN}]", "", digits)
    if bare != digits:
        bare = bare.replace(",", ".")
    elif re.fullmatch(r"\d{1,3}(?:\.\d{3})+(?:,\d+)", bare) or re.fullmatch(r"\d{1,3}(?:\.\d{3}){2,}", bare):
        bare = bare.replace(".", "").replace(",", ".")
    elif european and re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", bare):
        bare = bare.replace(".", "")
    elif re.fullmatch(r"\d+,\d+", bare) and (european or not re.fullmatch(r"[1-9]\d{0,2},\d{3}", bare)):
        bare = bare.replace(",", ".")
    return Fraction(bare.replace(",", ""))


def _quantity(match: re.Match[str], european: bool) -> Quantity | None:
    part = match.groupdict()
    denominator = part["mixed_den"] or part["den"]
    if len(match.group(0)) > _MAX_DIGITS or (denominator is not None and int(denominator) == 0):
        return None
    if part["whole"]:
        value = int(part["whole"]) + Fraction(int(part["mixed"]), int(part["mixed_den"]))
    else:
        value = _decimal(part["num"], european)
        if part["den"]:
            value /= int(part["den"])
    if part["exp"]:
        value *= Fraction(10) ** int(re.split(r"[eE^]", part["exp"])[-1].strip(" {}"))
    if part["power"]:
        power = int(part["power"].strip("^{}"))
        if abs(power) * len(match.group(0)) > _MAX_POWER or (value == 0 and power < 0):
            return None
        value = value**power
    if part["scale"]:
        value *= _SCALES[part["scale"].strip().lower()]
    if part["sign2"] or (part["sign"] or "").strip() not in ("", "+"):
        value = -value
    named = part["after"] or part["before"]
    return Quantity(value, unit(named.lstrip(" -")) if named else None, match.start(), match.end())


def quantities(text: str, european: bool = False) -> list[Quantity]:
    """Every number in a cleaned text with its unit, in order; `1 hour 30 minutes` and `$3 and 50 cents` are one."""
    found: list[Quantity] = []
    for match in NUMBER.finditer(text):
        one = _quantity(match, european)
        if one is None:
            continue
        last = found[-1] if found else None
        if last is not None and _continues(last, one, text[last.end : one.start]):
            whole = (last.in_base + one.in_base) / one.unit.factor  # type: ignore[union-attr]
            found[-1] = Quantity(whole, one.unit._replace(currency=last.unit.currency), last.start, one.end)  # type: ignore[union-attr]
        else:
            found.append(one)
    return found


def _continues(first: Quantity, second: Quantity, between: str) -> bool:
    """Whether two quantities are parts of one: of one kind, the second in a smaller unit, `and` at most between."""
    if first.unit is None or second.unit is None or first.unit.kind != second.unit.kind:
        return False
    return second.unit.factor < first.unit.factor and re.fullmatch(r",?\s*(?:and\s*)?", between) is not None


def numbers(text: str) -> list[Fraction]:
    """Every number in `text`, in order; currency signs, units and % are dropped, so `12 %` reads as 12."""
    return [one.value for one in quantities(clean(text))]


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


_FRACTION_WORDS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_FRACTION = re.compile(
    r"\b(?:(?P<whole>\w+(?:-\w+)?)\s+and\s+)?(?P<count>an?|one|two|three|four|five|six|seven)[\s-]+"
    rf"(?P<part>{'|'.join(_FRACTION_WORDS)})s?\b(?:\s+of\s+an?(?=\s+(?:hour|minute|day|week|month|year|mile)))?|\b(?P<alone>half)(?:\s+an?)?\b",
    re.IGNORECASE,
)
_UNIT_AND_HALF = re.compile(
    r"\b(an?|\w+)\s+((?:hour|minute|day|week|month|year|mile|metre|meter|kilo|litre|liter)s?)\s+and\s+a\s+half\b", re.I
)
_COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}


def spelled_out(text: str) -> str:
    """A text without digits with its English number words as digits: `forty-two`, `three quarters`, `a dozen`."""
    from text_to_num import alpha2digit

    def as_fraction(match: re.Match[str]) -> str:
        if match["alone"]:
            return "1/2"
        fraction = f"{_COUNTS[match['count'].lower()]}/{_FRACTION_WORDS[match['part'].lower()]}"
        whole = {"a": "one", "an": "one"}.get((match["whole"] or "").lower(), match["whole"])
        return f"{whole} {fraction}" if whole else fraction

    text = re.sub(r"\ban?\s+(?=dozen|hundred|thousand|million|billion)", "one ", text, flags=re.IGNORECASE)
    text = _UNIT_AND_HALF.sub(r"\1 and a half \2", text)
    text = _FRACTION.sub(as_fraction, text)
    return str(alpha2digit(text, "en", threshold=0))


def clock(text: str) -> int | None:
    """Minutes after midnight of the one time of day in `text` (`9:45`, `21:05`, `2:05 pm`, `noon`), or None."""
    text = clean(text)
    found: set[int] = {minutes for name, minutes in _NAMED_TIMES.items() if re.search(rf"\b{name}\b", text.lower())}
    for hours_text, minutes_text, half in _CLOCK.findall(text):
        hours, minutes = int(hours_text), int(minutes_text)
        if minutes > 59 or hours > 24 or (half and not 1 <= hours <= 12):
            continue
        if half:
            hours = hours % 12 + (12 if half in "pP" else 0)
        found.add(hours * 60 + minutes)
    return found.pop() if len(found) == 1 else None


def clock_spans(text: str) -> list[tuple[int, int]]:
    """Where times of day with a colon stand in a cleaned text."""
    return [match.span() for match in _CLOCK.finditer(text) if ":" in match.group(0) and clock(match.group(0))]


def show(value: Fraction) -> str:
    """Digits where they are exact, else a fraction."""
    if value.denominator == 1:
        return str(value.numerator) if abs(value) < 10**15 else f"{float(value):.6g}"
    try:
        text = f"{float(value):.6g}"
    except OverflowError:
        return "a very large number"
    return text if Fraction(text) == value else f"{value.numerator}/{value.denominator}"
