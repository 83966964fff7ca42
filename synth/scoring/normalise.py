"""Transcripts before they are compared: what two careful writers would write differently becomes the same.

English: Whisper's normaliser (contractions, titles, spelling, number words, currencies), and units, times of day and
signs, which it leaves apart. Other languages: one written form (NFKC, lower case, no punctuation, digits as words where
num2words knows the language); letters, digits and combining marks are always kept. Languages that are written without
spaces are counted by characters.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from importlib.metadata import version

from synth.example import Example
from synth.languages import code

WRITTEN_FORM = 2  # counts up whenever the rules below change a rate
UNSPACED = frozenset({"zh", "yue", "wuu", "ja", "th", "lo", "km", "my", "bo", "dz"})
_UNSPACED_SCRIPTS = {
    "CJK": "zh", "HIRAGANA": "ja", "KATAKANA": "ja", "THAI": "th", "LAO": "lo", "KHMER": "km", "MYANMAR": "my",
    "TIBETAN": "bo",
}  # fmt: skip


def language_of(row: Example) -> str:
    """Two or three letters: the row's `source["language"]` (`en`, `de-AT`, `Japanese`), else as its gold looks."""
    return code(row.source.get("language")) or language_by_script(row.answer or "")


def language_by_script(text: str) -> str:
    """A language of the script that most letters are of; `en` for plain Latin letters, "" for others with spaces."""
    letters = [char for char in text if char.isalpha()]
    if not letters or all(char < "\x80" for char in letters):
        return "en"
    counts: dict[str, int] = {}
    for char in letters:
        language = _UNSPACED_SCRIPTS.get(unicodedata.name(char, "?").split()[0].split("-")[0], "")
        counts[language] = counts.get(language, 0) + 1
    if counts.get("ja"):  # kanji are shared
        return "ja" if counts["ja"] + counts.get("zh", 0) > len(letters) / 2 else ""
    language, most = max(counts.items(), key=lambda pair: pair[1])
    return language if most > len(letters) / 2 else ""


def normalised(text: str, language: str) -> str:
    """The text as it is compared, words separated by single spaces (characters, where the language has no spaces)."""
    text = _english(text) if language == "en" else _written(text, language)
    return re.sub(r"\s+", "", text) if language in UNSPACED else text


def plain(text: str, language: str = "") -> str:
    """The second normaliser, which only takes off case and punctuation: the rate when nothing is forgiven."""
    text = _without_punctuation(unicodedata.normalize("NFKC", text).casefold())
    return re.sub(r"\s+", "", text) if language in UNSPACED else text


def units_of(text: str, language: str) -> list[str]:
    """Words, or characters where the language has no spaces, of a normalised text."""
    return list(text) if language in UNSPACED else text.split()


def normaliser_name() -> str:
    """Names and versions for the report."""
    return (
        f"English: Whisper's normaliser (whisper-normalizer {version('whisper-normalizer')}) with units; other "
        f"languages: written form {WRITTEN_FORM} (num2words {version('num2words')})"
    )


# --- English ------------------------------------------------------------------------------------------------------

_FRACTIONS = {"1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter", "3/4": "three quarters"}
_BEFORE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b([ap])\.\s?m\b\.?", re.IGNORECASE), r"\1m"),
    (re.compile(r"\b(?:[A-Za-z]\.){2,}(?=\W|$)"), "\ue000"),
    (re.compile(r"\b(\d{1,2}):(\d{2})\b"), r"\1\2"),
    (re.compile(r"(?<!\w)-(?=\d)"), "minus "),
    (re.compile(r"°\s?C\b"), " degrees celsius"),
    (re.compile(r"°\s?F\b"), " degrees fahrenheit"),
    (re.compile(r"°"), " degrees "),
    (re.compile(r"(?<=\s)&(?=\s)|(?<=\w)&(?=\w)"), " and "),
    (re.compile(r"(?<=\w)@(?=\w)"), " at "),
    (re.compile(r"(?i)\bno\.\s?(?=\d)|#(?=\d)"), "number "),
    (re.compile(r"(?i)\bvs\b\.?"), "versus"),
    (re.compile(r"(?i)\bokay\b"), "ok"),
)
_UNITS = {
    "mg": "milligrams", "g": "grams", "kg": "kilograms", "mm": "millimeters", "cm": "centimeters", "m": "meters",
    "km": "kilometers", "ml": "milliliters", "l": "liters", "lb": "pounds", "lbs": "pounds", "oz": "ounces",
    "ft": "feet", "in": "inches", "mi": "miles", "mph": "miles per hour", "kmh": "kilometers per hour",
    "km h": "kilometers per hour", "sec": "seconds", "secs": "seconds", "min": "minutes", "mins": "minutes",
    "hr": "hours", "hrs": "hours", "h": "hours",
    "hz": "hertz", "khz": "kilohertz", "mhz": "megahertz", "ghz": "gigahertz", "kb": "kilobytes", "mb": "megabytes",
    "gb": "gigabytes", "tb": "terabytes", "w": "watts", "kw": "kilowatts", "v": "volts",
}  # fmt: skip
_LONG = {name: name for name in _UNITS.values()} | {name[:-1]: name for name in _UNITS.values() if name.endswith("s")}
_LONG |= {
    "foot": "feet",
    "inch": "inches",
    "mile per hour": "miles per hour",
    "kilometer per hour": "kilometers per hour",
}
_UNIT = re.compile(
    rf"(?<=\d) ?({'|'.join(sorted({**_UNITS, **_LONG}, key=len, reverse=True))})\b(?!')"
    r"(?! (?:the|a|this|my|total|all|fact)\b)"
)


MOST_BRACKETS = 50  # more are no asides, and the library would look for the end of each
_LONG_FIGURE = re.compile(r"(?:\d[.,]?){31,}")


@functools.cache
def _whisper() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()  # type: ignore[no-any-return]


def _english(text: str) -> str:
    text = re.sub(r"(?i)\bcannot\b", "can not", text.replace("’", "'"))
    for written, spoken in _FRACTIONS.items():
        text = re.sub(rf"(?<![\w/]){written}(?![\w/])", spoken, text)
    for pattern, replacement in _BEFORE:
        if replacement == "\ue000":
            text = pattern.sub(lambda match: match.group(0).replace(".", ""), text)
        else:
            text = pattern.sub(replacement, text)
    # A model that loops writes numbers of thousands of digits, on which the library gives up.
    text = _LONG_FIGURE.sub(lambda match: re.sub(r"(.{30})", r"\1 ", re.sub(r"[.,]", "", match.group(0))), text)
    if text.count("(") + text.count("[") > MOST_BRACKETS:
        text = re.sub(r"[()\[\]<>]", " ", text)
    try:
        text = _whisper()(text)
    except (AssertionError, ValueError, ArithmeticError):
        return plain(text)
    text = re.sub(r"£([\d.]+)", r"\1 pounds", text)
    text = _UNIT.sub(lambda match: " " + {**_UNITS, **_LONG}[match.group(1)], text)
    # The digits of a time of day are one number either way: "ten thirty" is 1030 already.
    return re.sub(r"\s+", " ", re.sub(r"\bone\b", "1", text)).strip()


# --- every other language -----------------------------------------------------------------------------------------

_POINT = {"de": "komma", "nl": "komma", "sv": "komma", "da": "komma", "fr": "virgule", "es": "coma", "it": "virgola",
          "pt": "vírgula", "pl": "przecinek"}  # fmt: skip
_SIGNS = {
    "de": {"%": "prozent", "€": "euro", "$": "dollar", "£": "pfund", "kg": "kilogramm", "mg": "milligramm",
           "km": "kilometer", "cm": "zentimeter", "g": "gramm", "ml": "milliliter"},
    "fr": {"%": "pour cent", "€": "euros", "$": "dollars", "£": "livres", "kg": "kilogrammes", "mg": "milligrammes",
           "km": "kilomètres", "cm": "centimètres", "g": "grammes", "ml": "millilitres"},
    "es": {"%": "por ciento", "€": "euros", "$": "dólares", "£": "libras", "kg": "kilogramos", "mg": "miligramos",
           "km": "kilómetros", "cm": "centímetros", "g": "gramos", "ml": "mililitros"},
    "it": {"%": "per cento", "€": "euro", "$": "dollari", "£": "sterline", "kg": "chilogrammi", "mg": "milligrammi",
           "km": "chilometri", "cm": "centimetri", "g": "grammi", "ml": "millilitri"},
    "pt": {"%": "por cento", "€": "euros", "$": "dólares", "£": "libras", "kg": "quilogramas", "mg": "miligramas",
           "km": "quilômetros", "cm": "centímetros", "g": "gramas", "ml": "mililitros"},
    "nl": {"%": "procent", "€": "euro", "$": "dollar", "£": "pond", "kg": "kilogram", "mg": "milligram",
           "km": "kilometer", "cm": "centimeter", "g": "gram", "ml": "milliliter"},
}  # fmt: skip
_FIGURE = re.compile(r"\d+(?:[.,\u00a0\u202f ]\d{3})+(?!\d)|\d+[.,]\d+|\d+")


def _written(text: str, language: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u0640", "")  # Arabic's stretching mark
    text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    for sign, word in _SIGNS.get(language, {}).items():
        if sign in text:
            text = re.sub(rf"{re.escape(sign)}\s?(\d[\d.,]*)", rf"\1 {word} ", text)
            before = r"(?<!\w)" if len(sign) > 1 else r"(?!)"  # an abbreviation of two letters needs no figure before
            text = re.sub(rf"(?:(?<=\d)\s?|{before}){re.escape(sign)}(?!\w)", f" {word} ", text)
    money = "|".join(word for sign, word in _SIGNS.get(language, {}).items() if sign in "€$£")
    if money:  # 12,50 euro is said, and often written, as 12 euro 50
        text = re.sub(rf"(\d)[.,](\d\d)\s+({money})(?!\w)", _price, text)
    return _without_punctuation(_FIGURE.sub(lambda match: f" {_in_words(match.group(0), language)} ", text))


def _price(match: re.Match[str]) -> str:
    """'12 euro 50' of '12,50 euro'; no hundredths, none said."""
    return f"{match[1]} {match[3]} {match[2].lstrip('0')}"


def _in_words(figure: str, language: str) -> str:
    """Digits as words; decimals only where the language's word for the point is known."""
    whole, point, rest = figure, "", ""
    if re.fullmatch(r"\d+[.,]\d+", figure) and not re.fullmatch(r"\d{1,3}[.,]\d{3}", figure):
        whole, point, rest = re.split(r"([.,])", figure)
    digits = re.sub(r"\D", "", whole)
    spoken = _number_words(digits, language)
    if spoken is None or (point and language not in _POINT):
        return figure
    tail = [_number_words(digit, language) or digit for digit in rest]
    return " ".join([spoken, _POINT[language], *tail]) if point else spoken


@functools.lru_cache(maxsize=4096)
def _number_words(digits: str, language: str) -> str | None:
    """Words for a whole number; None for a code (leading zero, many digits) or a language nobody here counts in."""
    from num2words import CONVERTER_CLASSES, num2words

    if len(digits) > 9 or (digits.startswith("0") and digits != "0"):
        return None
    if language in CONVERTER_CLASSES and language != "am":  # whose converter fails at 9,999 and never ends at 9,999,999
        return str(num2words(int(digits), lang=language))
    if language in ("hi", "bn", "ta", "te", "kn", "ml", "mr", "gu", "pa", "or"):
        from indic_numtowords import num2words as indic

        found = indic(int(digits), lang=language)
        return str(found[0] if isinstance(found, list | tuple) else found)
    return None


def _without_punctuation(text: str) -> str:
    """Letters, digits and combining marks; everything else is a space, apostrophes within a word included."""
    kept = "".join(
        char if unicodedata.category(char)[0] in "LNM" else " " for char in text if char not in "\u200b\u200c\u200d"
    )
    return re.sub(r"\s+", " ", kept).strip()
