"""How a number, date, code or unit is said and how it is written.

Each function takes a random source and returns a `Piece`: the two forms side by side, so that the transcript never
has to be guessed
back from speech. Spoken forms are lower-case words that any English voice reads the same way; written forms are what
a careful typist
puts down. Nothing here knows a domain's words (see `domains`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple


class Piece(NamedTuple):
    """One slot's filling. `kind` names the entity it is (number, dose, code, name …), or is empty for a plain word."""

    spoken: str
    written: str
    kind: str = ""


Slot = Callable[[Random], Piece]

LETTER_NAMES: dict[str, str] = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        [
            "ay",
            "bee",
            "see",
            "dee",
            "ee",
            "eff",
            "jee",
            "aitch",
            "eye",
            "jay",
            "kay",
            "el",
            "em",
            "en",
            "oh",
            "pee",
            "cue",
            "ar",
            "ess",
            "tee",
            "you",
            "vee",
            "double-you",
            "ex",
            "why",
            "zee",
        ],
        strict=True,
    )
)
DIGIT_NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
# Letters that sound unlike each other over a telephone; codes are made of these.
CODE_LETTERS = "ABCDFHJKLNQRTWXZ"
UNITS: dict[str, str] = {
    "mg": "milligrams", "mcg": "micrograms", "ml": "milliliters", "kg": "kilograms", "cm": "centimeters", "m": "meters",
    "mm": "millimeters", "kV": "kilovolts", "bar": "bar", "°C": "degrees", "%": "percent", "L": "liters",
}  # fmt: skip


@lru_cache(maxsize=4096)
def cardinal(number: int) -> str:
    """132 → "one hundred thirty two"."""
    from num2words import num2words

    return re.sub(r"[-,]| and ", " ", num2words(number)).replace("  ", " ")


@lru_cache(maxsize=256)
def ordinal(number: int) -> str:
    """21 → "twenty first"."""
    from num2words import num2words

    return str(num2words(number, to="ordinal")).replace("-", " ")


def digits(text: str) -> str:
    """ "4071" → "four zero seven one"."""
    return " ".join(DIGIT_NAMES[int(d)] for d in text)


def in_pairs(number: int) -> str:
    """A three- or four-digit number as people read house numbers: 132 → "one thirty two"; 1907 → "nineteen zero
    seven"."""
    high, low = divmod(number, 100)
    if low == 0:
        return f"{cardinal(high)} hundred"
    return f"{cardinal(high)} {'zero ' if low < 10 else ''}{cardinal(low)}"


def spell(text: str) -> str:
    """Letters by name and digits one by one; hyphens are silent: "KT-48" → "kay tee four eight"."""
    return " ".join(LETTER_NAMES[c] if c.isalpha() else DIGIT_NAMES[int(c)] for c in text if c.isalnum())


def integer(low: int, high: int, kind: str = "number") -> Slot:
    """A whole number from low to high."""

    def slot(rng: Random) -> Piece:
        number = rng.randint(low, high)
        return Piece(cardinal(number), str(number), kind)

    return slot


def decimal(low: int, high: int, unit: str, kind: str) -> Slot:
    """A number with one decimal and a unit of `UNITS`; no space before % and °C."""

    def slot(rng: Random) -> Piece:
        whole, tenth = rng.randint(low, high), rng.randint(1, 9)
        gap = "" if unit in ("%", "°C") else " "
        return Piece(f"{cardinal(whole)} point {DIGIT_NAMES[tenth]} {UNITS[unit]}", f"{whole}.{tenth}{gap}{unit}", kind)

    return slot


def amount(numbers: Sequence[int], units: Sequence[str], kind: str) -> Slot:
    """One of the numbers with one of the units of `UNITS`."""

    def slot(rng: Random) -> Piece:
        number, unit = rng.choice(numbers), rng.choice(units)
        gap = "" if unit in ("%", "°C") else " "
        return Piece(f"{cardinal(number)} {UNITS[unit]}", f"{number}{gap}{unit}", kind)

    return slot


def word(options: Sequence[str], kind: str = "") -> Slot:
    """One of the words; "spoken=written" where the two differ."""

    def slot(rng: Random) -> Piece:
        spoken, _, written = rng.choice(options).partition("=")
        return Piece(spoken.lower(), written or spoken, kind)

    return slot


def code(pattern: str, kind: str = "code") -> Slot:
    """A code such as "@@-###" (@ a letter, # a digit), spelled out when said."""

    def slot(rng: Random) -> Piece:
        swap = {"@": lambda: rng.choice(CODE_LETTERS), "#": lambda: str(rng.randrange(10))}
        written = "".join(swap[c]() if c in swap else c for c in pattern)
        return Piece(spell(written), written, kind)

    return slot


def blood_pressure(rng: Random) -> Piece:
    """132/85, said "one thirty two over eighty five"."""
    high, low = rng.randint(101, 189), rng.randint(55, 99)
    return Piece(f"{in_pairs(high)} over {cardinal(low)}", f"{high}/{low}", "reading")


def date(rng: Random) -> Piece:
    """March 14, said "march fourteenth"."""
    month, day = rng.choice(MONTHS), rng.randint(1, 28)
    return Piece(f"{month.lower()} {ordinal(day)}", f"{month} {day}", "date")


def clock(rng: Random) -> Piece:
    """4:30 pm, said "four thirty pee em"."""
    hour, minute = rng.randint(1, 12), rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50))
    half, said_half = rng.choice((("am", "ay em"), ("pm", "pee em")))
    if minute == 0:
        return Piece(f"{cardinal(hour)} {said_half}", f"{hour} {half}", "time")
    said_minute = f"oh {cardinal(minute)}" if minute < 10 else cardinal(minute)
    return Piece(f"{cardinal(hour)} {said_minute} {said_half}", f"{hour}:{minute:02d} {half}", "time")


def price(rng: Random) -> Piece:
    """$12.50, said "twelve dollars and fifty cents"."""
    dollars, cents = rng.randint(2, 250), rng.choice((0, 0, 5, 20, 25, 50, 75, 95, 99))
    tail = f" and {cardinal(cents)} cents" if cents else ""
    return Piece(f"{cardinal(dollars)} dollars{tail}", f"${dollars}" + (f".{cents:02d}" if cents else ""), "price")
