"""Units of measure, percent and money, as far as an answer's value depends on them.

Of one kind, units convert exactly; between kinds nothing converts. Words that are no unit here (apples, people) are
simply left out, and so are `m` (metres or minutes), `in` (mostly a preposition) and `pounds` (weight or money).
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit of some kind; `factor` to the kind's base. `currency` of money, "" where it is not said (cents)."""

    kind: str
    factor: Fraction
    currency: str = ""


def _units(kind: str, factor: Fraction | int | str, words: str, currency: str = "") -> dict[str, Unit]:
    return dict.fromkeys(words.split(), Unit(kind, Fraction(factor), currency))


PERCENT = Unit("percent", Fraction(1, 100))
_WORDS: dict[str, Unit] = {
    **dict.fromkeys(("%", "percent", "pct", "％"), PERCENT),
    **_units("time", 1, "s sec secs second seconds"),
    **_units("time", 60, "min mins minute minutes"),
    **_units("time", 3600, "h hr hrs hour hours"),
    **_units("time", 86400, "d day days"),
    **_units("time", 604800, "week weeks wk wks"),
    **_units("months", 1, "month months"),
    **_units("months", 12, "year years yr yrs"),
    **_units("length", "1/1000", "mm millimetre millimetres millimeter millimeters"),
    **_units("length", "1/100", "cm centimetre centimetres centimeter centimeters"),
    **_units("length", 1, "metre metres meter meters"),
    **_units("length", 1000, "km kilometre kilometres kilometer kilometers"),
    **_units("length", "0.0254", "inch inches"),
    **_units("length", "0.3048", "ft foot feet"),
    **_units("length", "0.9144", "yd yard yards"),
    **_units("length", "1609.344", "mile miles mi"),
    **_units("mass", "1/1000000000", "ng nanogram nanograms"),
    **_units("mass", "1/1000000", "µg μg mcg ug microgram micrograms"),
    **_units("mass", "1/1000", "mg milligram milligrams"),
    **_units("mass", 1, "g gram grams gramme grammes"),
    **_units("mass", 1000, "kg kilogram kilograms kilogramme kilogrammes kilo kilos"),
    **_units("mass", 1000000, "tonne tonnes"),
    **_units("volume", "1/1000000", "µl μl ul microlitre microlitres microliter microliters"),
    **_units("volume", "1/10", "dl decilitre decilitres deciliter deciliters"),
    **_units("volume", "1/1000", "ml millilitre millilitres milliliter milliliters"),
    **_units("volume", "1/100", "cl"),
    **_units("volume", 1, "l litre litres liter liters"),
    **_units("amount of substance", 1, "mmol"),
    **_units("units of activity", 1, "iu"),
    **_units("pressure", 1, "mmhg"),
    **_units("power", 1, "kw kilowatt kilowatts"),
    **_units("energy", 1, "kwh"),
    **_units("food energy", 1, "kcal"),
    **_units("data", "1/1000000", "kb"),
    **_units("data", "1/1000", "mb"),
    **_units("data", 1, "gb"),
    **_units("data", 1000, "tb"),
    **_units("money", 1, "$ dollar dollars usd us$ a$ c$", "dollar"),
    **_units("money", 1, "€ euro euros eur", "euro"),
    **_units("money", 1, "£ gbp sterling quid", "pound"),
    **_units("money", 1, "¥ yen jpy yuan rmb cny", "yen or yuan"),
    **_units("money", 1, "₹ rs rupee rupees inr", "rupee"),
    **_units("money", 1, "chf franc francs", "franc"),
    **_units("money", 1, "₩ won krw", "won"),
    **_units("money", "1/100", "¢ cent cents ct"),
    **_units("money", "1/100", "pence penny", "pound"),
}
AFTER = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))
BEFORE = r"US\$|A\$|C\$|[$€£¥₹₩]|(?:USD|EUR|GBP|JPY|CNY|INR|CHF|Rs)\.?(?=\s?\d)"


def unit(word: str) -> Unit | None:
    """The unit that a word or sign names, whatever its case; None when it names none."""
    return _WORDS.get(word.strip().rstrip(".").lower())


_SPEED = re.compile(
    r"(?<![a-z])(?:(km|kilomet(?:re|er)s?|m|met(?:re|er)s?|mi|miles?)\s?(?:/|per )\s?(hour|hr|h|second|sec|s)"
    r"|(kmh|kph)|(mph))(?![a-z])",
    re.IGNORECASE,
)
_METRES = {"k": Fraction(1000), "me": Fraction(1), "m": Fraction(1), "mi": Fraction("1609.344")}


def speed(text: str) -> Fraction | None:
    """The metres per second of the one unit of speed that a text names; None without one, or of several."""
    found = set()
    for match in _SPEED.finditer(text):
        length, time = (match[1] or ("km" if match[3] else "mi")).lower(), (match[2] or "h").lower()
        metres = _METRES["k" if length[0] == "k" else length[:2]]
        found.add(metres / (3600 if time[0] == "h" else 1))
    return found.pop() if len(found) == 1 else None


_MENTION = re.compile(rf"(?<![a-z])(?:{AFTER})(?![a-z$])", re.IGNORECASE)
_ASKED = re.compile(
    rf"\bhow many\s+({AFTER})(?![a-z])|\bin\s+({AFTER})(?![a-z])|\b(?:number of)\s+({AFTER})(?![a-z])"
    r"|\b(?:what|which|by what)\s+(percent)(?:age)?\b",
    re.IGNORECASE,
)


def mentioned(text: str) -> set[Unit]:
    """The units that a question speaks of."""
    found = {unit(match.group(0)) for match in _MENTION.finditer(text)}
    return {one for one in found if one is not None}


def asked(text: str) -> Unit | None:
    """The unit that a question wants (`how many minutes`, `in cents`, `what percentage`); None when it names none."""
    found = [next(filter(None, match.groups())) for match in _ASKED.finditer(text)]
    return unit(found[-1]) if found else None
