"""The readers of synth.scoring: numbers, quantities, times of day, marked answers, records."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.scoring import choice, label, numerals, records
from synth.scoring.answers import final_answer
from synth.scoring.final_number import final_clock, final_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("40", "40"),
        ("40.", "40"),
        ("$1,234.50", "1234.5"),
        ("1.234,50 €", "1234.5"),
        ("€ 12", "12"),
        ("12%", "12"),
        ("12 %", "12"),
        ("3/4", "3/4"),
        ("1 1/2 cups", "3/2"),
        ("2½", "5/2"),
        ("½", "1/2"),
        ("-5", "-5"),
        ("−5", "-5"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("40 apples", "40"),
        ("1.2e3", "1200"),
        ("12k", "12000"),
        ("12kg", "12"),
        ("5 m", "5"),
        ("2.5 million", "2500000"),
        ("12,5", "12.5"),
        ("1,234,567", "1234567"),
        ("1'000", "1000"),
        ("1\u202f000", "1000"),
        (".5", "0.5"),
        ("**40**", "40"),
        (r"\boxed{40}", "40"),
        (r"\frac{3}{4}", "3/4"),
        (r"\$40", "40"),
        ("3 * 12 = 36", "36"),
        ("40 (rounded to 2 places)", "40"),
        ("40 = 40", "40"),
        ("The total is $40, that is 40 dollars.", "40"),
        ("30 km/h", "30"),
    ],
)
def test_number_is_read_exactly(text: str, value: str) -> None:
    assert numerals.number(text) == Fraction(value)


@pytest.mark.parametrize("text", ["", "none", "between 3 and 5", "1/0", "INV2024", "m2", "2026-01-02"])
def test_no_single_number_is_none(text: str) -> None:
    assert numerals.number(text) is None


@given(st.integers(-(10**9), 10**9), st.integers(0, 2))
def test_every_formatted_number_reads_back(value: int, decimals: int) -> None:
    exact = Fraction(value, 10**decimals)
    text = f"{value / 10**decimals:,.{decimals}f}"
    assert numerals.number(text) == exact
    assert numerals.number(f"${text} total.") == exact if value >= 0 else True


@given(st.text(max_size=300))
def test_no_text_breaks_the_readers(text: str) -> None:
    numerals.number(text)
    numerals.clock(text)
    records.read_record(text)
    records.repaired_record(text)
    final_number(text)
    final_clock(text)
    final_answer(text)
    choice.read(text, {"A": "one", "B": "two"})
    label.read(text, ["one", "two"])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("12 * 3 = 36\n36 + 4 = 40\nAnswer: 40", "40"),
        ("Answer: 3\nNo, wait.\nAnswer: $40.", "$40"),
        ("The answer is **40** dollars.", "40 dollars"),
        ("so we get\n#### 40", "40"),
        (r"Thus \boxed{40}.", "40"),
        ("Answer: 10:05", "10:05"),
        ("It is Paris.\n", "It is Paris"),
        ("Answer:\n40", "40"),
        ("", ""),
    ],
)
def test_the_marked_answer_is_found(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("1 hour 30 minutes", "90", "time"),
        ("2 h 15 min", "135", "time"),
        ("3 weeks and 2 days", "23", "time"),
        ("$3 and 50 cents", "350", "money"),
        ("US$ 40", "40", "money"),
        ("40 EUR", "40", "money"),
        ("12 %", "12", "percent"),
        ("30 km/h", "30", None),
        ("5 apples", "5", None),
        ("5 in total", "5", None),
        ("30-minute", "30", "time"),
    ],
)
def test_a_quantity_keeps_its_unit(text: str, value: str, unit: str | None) -> None:
    (found,) = numerals.quantities(numerals.clean(text))
    assert (found.value, found.unit.kind if found.unit else None) == (Fraction(value), unit)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("14:35", 875), ("2:35 pm", 875), ("12:15 am", 15), ("noon", 720), ("2:35 p.m.", 875), ("905", None)],
)
def test_times_of_day_are_minutes_after_midnight(text: str, minutes: int | None) -> None:
    assert numerals.clock(text) == minutes


def test_identifiers_are_not_compared_as_numbers() -> None:
    assert not records.same_value("12", "0012")
    assert not records.same_value("INV-7", "7")
    assert records.same_value("1,200", "1200")


def test_deep_and_wide_records_are_not_read() -> None:
    assert records.read_record('{"a":' * 20_000 + "1") is None
    assert records.read_record('{"a":[' + "1," * 20_000 + "1]}") is None
