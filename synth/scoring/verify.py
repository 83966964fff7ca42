"""Is this answer right? Numbers (exactly), records (field by field), short texts and choices.

Pure functions over strings; every verdict carries a reason that a user can read. Numbers are compared as
`Fraction`, so 0.1 + 0.2 equals 0.3 and 1/3 does not equal 0.33. This module does not score (that is
`synth.scoring.scorers`) and never runs model output as code.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import NamedTuple

MAX_CHARS = 100_000
"""Answers longer than this are cut from the left before they are read: the end is where an answer stands."""
_MAX_DIGITS = 60
_MAX_LEAVES = 10_000


class Verdict(NamedTuple):
    """Right or wrong, and why. Truthy exactly when `ok`."""

    ok: bool
    reason: str

    def __bool__(self) -> bool:
        return self.ok


class FieldReport(NamedTuple):
    """Field paths (`total`, `items.0.price`) of a record compared with the gold record."""

    right: tuple[str, ...]
    wrong: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall over fields; 1.0 when both records are empty."""
        expected = len(self.right) + len(self.wrong) + len(self.missing)
        given = len(self.right) + len(self.wrong) + len(self.extra)
        return 1.0 if expected == given == 0 else 2 * len(self.right) / (expected + given)


# --- numbers -----------------------------------------------------------------------------------------------------

_THIN = "\u00a0\u2009\u202f"
_VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8", "⅕": "1/5"}
_SCALE = {"k": 10**3, "K": 10**3, "M": 10**6, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_DIGITS = rf"\d{{1,3}}(?:[,'{_THIN}]\d{{3}})+(?!\d)(?:\.\d+)?|\d{{1,3}}(?:\.\d{{3}})+,\d+|\d+(?:[.,]\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?<![\w.,])(?P<sign>[-+]\s?)?(?:[$€£¥]\s?)?(?P<sign2>-)?"
    rf"(?:(?P<whole>\d+)\s+(?P<mixed>\d+)/(?P<mixed_den>\d+)|(?P<num>{_DIGITS})(?:\s?/\s?(?P<den>\d+))?)"
    r"(?P<exp>[eE][-+]?\d{1,2}(?!\w))?(?P<scale>[kKM](?!\w)|\s(?:thousand|million|billion)\b)?"
)
_CLOCK = re.compile(r"(?<![\d:])(\d{1,2})[:.h](\d{2})(?::\d{2})?(?![\d:])\s*([ap])?\.?m?\.?(?!\w)", re.IGNORECASE)
_LATEX = (
    (re.compile(r"\\d?frac\{(\d+)\}\{(\d+)\}"), r"\1/\2"),
    (re.compile(r"\\(?:boxed|text|mathrm|mathbf)\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\[%$,!;]|[*_`]"), ""),
)


def _clean(text: str) -> str:
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


def _value(match: re.Match[str]) -> Fraction | None:
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
    values = (_value(match) for match in _NUMBER.finditer(_clean(text)))
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
    for hours_text, minutes_text, half in _CLOCK.findall(_clean(text)):
        hours, minutes = int(hours_text), int(minutes_text)
        if minutes > 59 or hours > 24 or (half and not 1 <= hours <= 12):
            continue
        if half:
            hours = hours % 12 + (12 if half in "pP" else 0)
        found.add(hours * 60 + minutes)
    return found.pop() if len(found) == 1 else None


_ANSWER = re.compile(
    r"(?:\banswer\s*(?:\*\*)?\s*(?::|=|\bis\b:?)|####|\\boxed(?=\{))[*\s]*(?P<text>[^\n]*)", re.IGNORECASE
)


def final_answer(text: str) -> str:
    """What a worked answer concludes: the text after the last `Answer:` (or `answer is`, `####`, `\\boxed`).

    Without such a mark: the last number, and without a number the last line that is not empty. May be "".
    """
    text = text[-MAX_CHARS:].strip()
    marked = [match for match in _ANSWER.finditer(text) if match.group("text").strip(" *.$\\{}")]
    if marked:
        line = marked[-1].group("text")
        if marked[-1].group(0).startswith("\\boxed"):
            line = "\\boxed" + line
        return _tidy(_clean(line))
    clock_marks = list(_CLOCK.finditer(text))
    number_marks = [match for match in _NUMBER.finditer(_clean(text)) if _value(match) is not None]
    if clock_marks and (not number_marks or ":" in clock_marks[-1].group(0)):
        tail = text[clock_marks[-1].start() :]
        if clock(tail) is not None and len(numbers(tail)) <= 2:
            return _tidy(clock_marks[-1].group(0))
    if number_marks:
        return _tidy(number_marks[-1].group(0))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _tidy(lines[-1]) if lines else ""


def _tidy(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().strip("{}").rstrip(".!,; ").strip()


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
            return Verdict(False, f"no single time of day in {_quote(answer)}")
        return Verdict(time == gold_time, "equal" if time == gold_time else f"{_quote(answer)} is not {gold}")
    expected = number(gold)
    if expected is None:
        raise ValueError(f"The gold answer {gold!r} is not one number.")
    given = number(answer)
    if given is None:
        several = bool(numbers(answer))
        return Verdict(False, f"{'several different numbers' if several else 'no number'} in {_quote(answer)}")
    if given == expected:
        return Verdict(True, "equal")
    if tolerance and expected and abs(given - expected) <= Fraction(tolerance) * abs(expected):
        return Verdict(True, f"{_show(given)} is within {float(tolerance):.0%} of {_show(expected)}")
    return Verdict(False, f"{_show(given)} is not {_show(expected)}")


# --- texts and choices -------------------------------------------------------------------------------------------


def fold(text: str) -> str:
    """Case, outer punctuation and runs of white space removed."""
    return re.sub(r"\s+", " ", text).strip().strip(" .,;:!?\"'`*").casefold()


def same_text(answer: str, gold: str) -> Verdict:
    """Equal after `fold`."""
    if fold(answer) == fold(gold):
        return Verdict(True, "equal")
    return Verdict(False, f"{_quote(answer)} is not {_quote(gold)}")


def same_words(answer: str, gold: str) -> Verdict:
    """The same words in the same order, case and punctuation aside, as error rates count them."""
    given, expected = (re.sub(r"[^\w\s]", " ", text.casefold()).split() for text in (answer, gold))
    return Verdict(given == expected, "equal" if given == expected else f"{_quote(answer)} is not {_quote(gold)}")


def same_choice(answer: str, gold: str) -> Verdict:
    """Is the chosen letter the gold letter? Reads `B`, `(b)`, `B.`, `B) Paris`, `Answer: B`."""
    match = re.match(r"[\s(\[*]*([A-Za-z])(?![A-Za-z'])", final_answer(answer))
    if match is None:
        return Verdict(False, f"no choice letter at the start of {_quote(answer)}")
    given, expected = match.group(1).upper(), gold.strip(" ().").upper()
    return Verdict(given == expected, "equal" if given == expected else f"{given} is not {expected}")


def _quote(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return f"“{text[:57]}…”" if len(text) > 58 else f"“{text}”"


# --- records -----------------------------------------------------------------------------------------------------


def parse_fields(text: str) -> dict[str, str] | None:
    """Read a record as flat `path → value` pairs: the first JSON object in `text`, else its `key: value` lines.

    Code fences and prose around the object are allowed. Returns None when there is neither, or when the object is
    nested too deeply or has more than 10,000 values.
    """
    text = text[-MAX_CHARS:]
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start != -1:
        try:
            loaded, _ = decoder.raw_decode(text, start)
        except RecursionError:
            return None
        except ValueError:
            start = text.find("{", start + 1)
            continue
        return _flatten(loaded)
    pairs = [line.split(":", 1) for line in text.splitlines() if re.match(r"\s*[-*]?\s*[\w][\w /.-]{0,60}:", line)]
    fields = {fold(key.strip(" -*")): value.strip() for key, value in pairs}
    return fields or None


def _flatten(loaded: object) -> dict[str, str] | None:
    leaves: dict[str, str] = {}
    stack: list[tuple[str, object]] = [("", loaded)]
    while stack:
        path, value = stack.pop()
        children: list[tuple[str, object]] = []
        if isinstance(value, dict):
            children = [(fold(str(key)), item) for key, item in value.items()]
        elif isinstance(value, list):
            children = [(str(index), item) for index, item in enumerate(value)]
        if children:
            stack.extend((f"{path}.{key}" if path else key, item) for key, item in children)
        elif path:
            leaves[path] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(leaves) + len(stack) > _MAX_LEAVES:
            return None
    return leaves


_PLAIN_NUMBER = re.compile(r"[-+]?\s?[$€£]?\s?(?:0|[1-9][\d,]*)?(?:\.\d+)?\s?[%$€£]?")


def same_value(answer: str, gold: str) -> bool:
    """One field: numbers by value when both are plainly numbers (`0012` and `INV-7` are not), texts after `fold`."""
    if fold(answer) == fold(gold):
        return True
    if not (_PLAIN_NUMBER.fullmatch(answer.strip()) and _PLAIN_NUMBER.fullmatch(gold.strip())):
        return False
    given, expected = number(answer), number(gold)
    return given is not None and given == expected


def compare_fields(answer: str, gold: str) -> FieldReport | None:
    """Field-by-field comparison, or None when `answer` holds no record. Raises ValueError when gold holds none."""
    expected = parse_fields(gold)
    if expected is None:
        raise ValueError(f"The gold answer {_quote(gold)} holds no fields.")
    given = parse_fields(answer)
    if given is None:
        return None
    shared = [path for path in expected if path in given]
    right = tuple(path for path in shared if same_value(given[path], expected[path]))
    wrong = tuple(path for path in shared if path not in right)
    missing = tuple(path for path in expected if path not in given)
    extra = tuple(path for path in given if path not in expected)
    return FieldReport(right, wrong, missing, extra)


def same_fields(answer: str, gold: str) -> Verdict:
    """True when every field of gold is there with its value, and no other field is."""
    report = compare_fields(answer, gold)
    if report is None:
        return Verdict(False, f"no JSON object and no key: value lines in {_quote(answer)}")
    faults = [f"{name} {', '.join(paths[:5])}" for name, paths in report._asdict().items() if name != "right" and paths]
    return Verdict(not faults, "; ".join(faults) or "equal")
