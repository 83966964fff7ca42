"""The final number of a worked answer: equal exactly, units, currencies and times of day included.

Numbers are read by `synth.scoring.final_number`; expressions (roots, π, intervals, sets) by math-verify, with a numeric
cross-check. A gold answer that is neither is compared as text.
"""

from __future__ import annotations

import re
from fractions import Fraction

from synth.example import Example, text_of
from synth.scoring import exact, names, symbolic
from synth.scoring.final_number import final_clock, final_number
from synth.scoring.numerals import (
    Quantity,
    clean,
    clock,
    is_european,
    may_be_european,
    number,
    numbers,
    quantities,
    show,
)
from synth.scoring.rule import Metric, Score, ScoreRule, best, golds
from synth.scoring.units import PERCENT, Unit, asked, mentioned, speed
from synth.scoring.verify import Verdict, quote

HALF_DAY = 720  # minutes


def grade(reply: str, row: Example) -> Score:
    """The final number against gold, exactly."""
    return best([_grade(reply, gold, row) for gold in golds(row)])


def _grade(reply: str, gold: str, row: Example) -> Score:
    question = text_of(row)
    if ":" in gold and clock(gold) is not None:
        return _grade_clock(reply, gold, question)
    if is_code(gold):
        return exact.grade_against(reply, [gold])
    wanted = gold_quantity(gold)
    if wanted is None:
        return symbolic.grade(reply, gold) if symbolic.is_expression(gold) else exact.grade_against(reply, [gold])
    return grade_number(reply, gold, wanted, question)


def grade_number(reply: str, gold: str, wanted: Quantity, question: str, tolerance: float = 0.0) -> Score:
    """The final quantity of a reply against gold; `tolerance` is relative to gold."""
    european = is_european(reply) or is_european(question)
    scored = _grade_number(reply, gold, wanted, question, tolerance, european)
    if scored.value == 1 or european or not may_be_european(reply):
        return scored
    again = _grade_number(reply, gold, wanted, question, tolerance, european=True)
    return again if again.value == 1 else scored


def _grade_number(reply: str, gold: str, wanted: Quantity, question: str, tolerance: float, european: bool) -> Score:
    found = final_number(reply, european)
    if found.quantity is None:
        if symbolic.is_expression(found.text) and symbolic.same_expression(found.text, gold):
            return Score(1.0, found.text, "equal by math-verify and numerically", 1.0)
        several = len(quantities(clean(found.text))) > 1
        why = f"{'several different numbers' if several else 'no number'} in {quote(found.text or reply)}"
        forgiven = float(wanted.value in numbers(found.text) and not re.search(r"\bor\b", found.text))
        return Score(0.0, found.text, why, forgiven, readable=False)
    verdict = same_quantity(found.quantity, wanted, question, tolerance)
    given, asks = speed(found.text), speed(question) or speed(gold)
    if verdict.ok and given is not None and asks is not None and given != asks:
        verdict = Verdict(False, "another unit of speed")
    return Score(float(verdict.ok), found.text, verdict.reason, float(verdict.ok))


def gold_quantity(gold: str) -> Quantity | None:
    """The one quantity of a gold answer, else None."""
    found = quantities(clean(gold), is_european(gold))
    if len(found) == 1 and "=" not in gold:
        return found[0] if _only_units_around(gold, found[0]) else None
    value = number(gold)
    return None if value is None or symbolic.is_expression(gold) else Quantity(value)


def _only_units_around(gold: str, found: Quantity) -> bool:
    """Whether nothing but words stands around the number: `5 apples`, not `x + 5` or `5\\sqrt{2}`."""
    text = clean(gold)
    return not re.search(r"[\\^+*/=<>{}√π∞∪()\[\]]|\b[a-z]\s*-|-\s*$", text[: found.start] + text[found.end :])


def is_code(gold: str) -> bool:
    """Whether digits are a code rather than a number: a leading zero matters."""
    return re.fullmatch(r"0\d+(?:[- ]?\d+)*", gold.strip()) is not None


def same_quantity(given: Quantity, wanted: Quantity, question: str = "", tolerance: float = 0.0) -> Verdict:
    """Is it the same amount? A unit that is left out is that of gold or of the question; given units must agree."""

    def near(value: Fraction, gold: Fraction) -> bool:
        return value == gold or (tolerance > 0 and abs(value - gold) <= Fraction(tolerance) * abs(gold))

    shown = f"{show(given.value)} is not {show(wanted.value)}"
    if given.unit is None:
        ok = near(given.value, wanted.value)
        as_share = wanted.unit == PERCENT and near(given.value, wanted.in_base)
        return Verdict(ok or as_share, "equal" if ok or as_share else shown)
    if wanted.unit is not None:
        if not _comparable(given.unit, wanted.unit):
            return Verdict(False, f"{_name(given.unit)} instead of {_name(wanted.unit)}")
        ok = near(given.in_base, wanted.in_base)
        return Verdict(ok, "equal" if ok else shown)
    currencies = {unit.currency for unit in mentioned(question) if unit.currency}
    if given.unit.currency and len(currencies) == 1 and given.unit.currency not in currencies:
        return Verdict(False, f"{given.unit.currency} instead of {currencies.pop()}")
    ok = any(near(given.in_base, wanted.value * unit.factor) for unit in _meant(given, wanted, question))
    return Verdict(ok, "equal" if ok else shown)


def _comparable(one: Unit, other: Unit) -> bool:
    return one.kind == other.kind and (not one.currency or not other.currency or one.currency == other.currency)


def _name(unit: Unit) -> str:
    return unit.currency or unit.kind


_BARE = Unit("number", Fraction(1))


def _meant(given: Quantity, wanted: Quantity, question: str) -> list[Unit]:
    """Units that a gold answer without one may be in, seen from the unit that the reply gives."""
    assert given.unit is not None
    if given.unit == PERCENT:
        says_percent = PERCENT in mentioned(question) or "percentage" in question.lower()
        return [PERCENT, _BARE] if says_percent or abs(wanted.value) > 1 else [_BARE]
    wants = asked(question)
    if wants is not None and wants.kind == given.unit.kind:
        return [wants]
    return [given.unit, *(unit for unit in mentioned(question) if unit.kind == given.unit.kind)]


def _grade_clock(reply: str, gold: str, question: str) -> Score:
    wanted = clock(gold)
    assert wanted is not None
    text, given = final_clock(reply)
    if given is None:
        found = final_number(reply).quantity
        if found is not None and found.unit is not None and found.unit.kind == "time":
            ok = found.in_base == wanted * 60
            return Score(float(ok), text, "equal" if ok else f"{quote(text)} is not {gold}", float(ok))
        return Score(0.0, text, f"no single time of day in {quote(text or reply)}", readable=False)
    halves = re.search(r"\b[ap]\.?m\b", question, re.IGNORECASE) and not re.search(r"[ap]\.?m", gold, re.IGNORECASE)
    ok = given == wanted or bool(halves and given % HALF_DAY == wanted % HALF_DAY)
    return Score(float(ok), text, "equal" if ok else f"{quote(text)} is not {gold}", float(ok))


def _fits(gold: str) -> bool:
    """A number with at most a unit or currency, a fraction, or a time of day."""
    if is_code(gold) or len(gold) > 40:
        return False
    if re.fullmatch(r"\d{1,2}:\d{2}", gold):
        return True
    found = gold_quantity(gold)
    text = clean(gold).strip()
    return found is not None and text[: found.start].strip() == "" and text[found.end :].strip() == ""


RULE = ScoreRule(names.MATH, grade, Metric("accuracy", "accuracy"), fits=_fits)
