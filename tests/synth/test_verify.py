"""synth.scoring.verify: numbers, final answers, records, choices."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.scoring import numerals, records
from synth.scoring.answers import final_answer
from synth.scoring.choice import same_choice


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
    records.parse_fields(text)
    same_choice(text, "A")
    numerals.same_number(final_answer(text), "40")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("12 * 3 = 36\n36 + 4 = 40\nAnswer: 40", "40"),
        ("Answer: 3\nNo, wait.\nAnswer: $40.", "$40"),
        ("The answer is **40** dollars.", "40 dollars"),
        ("so we get\n#### 40", "40"),
        (r"Thus \boxed{40}.", "40"),
        ("We add 12 and 28 to get 40", "40"),
        ("the meeting ends at 14:35.", "14:35"),
        ("Answer: 10:05", "10:05"),
        ("It is Paris.\n", "It is Paris"),
        ("Answer:\n40", "40"),
        ("", ""),
    ],
)
def test_final_answer_is_found(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("answer", "gold", "ok"),
    [
        ("40.00", "40", True),
        ("$40", "40", True),
        ("41", "40", False),
        ("0.3", "0.30", True),
        ("0.33", "1/3", False),
        ("14:35", "14:35", True),
        ("2:35 pm", "14:35", True),
        ("2:35", "14:35", False),
        ("09:05", "9:05", True),
        ("905", "9:05", False),
        ("12:15 am", "0:15", True),
        ("3 or 4", "4", False),
        ("nothing", "4", False),
        ("2:35 p.m.", "14:35", True),
    ],
)
def test_same_number(answer: str, gold: str, ok: bool) -> None:
    verdict = numerals.same_number(answer, gold)
    assert verdict.ok is ok
    assert bool(verdict) is ok
    assert verdict.reason


def test_tolerance_is_relative_to_gold() -> None:
    assert numerals.same_number("95", "100", 0.05)
    assert not numerals.same_number("94.9", "100", 0.05)
    assert not numerals.same_number("0.01", "0", 0.05)


def test_gold_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not one number"):
        numerals.same_number("3", "none")


def test_records_compare_field_by_field() -> None:
    gold = '{"title": "Login fails", "hours": 3, "items": [{"price": 2.5}]}'
    reply = 'Here: ```json\n{"hours": 3.0, "title": "login fails.", "items": [{"price": "2.50"}]}\n```'
    assert records.same_fields(reply, gold)
    report = records.compare_fields('{"title": "x", "hours": 3, "more": 1}', gold)
    assert report == records.FieldReport(
        right=("hours",), wrong=("title",), missing=("items.0.price",), extra=("more",)
    )
    assert report is not None
    assert report.f1 == pytest.approx(1 / 3)
    assert records.same_fields("no record", gold).reason.startswith("no JSON object")


def test_key_value_lines_compare_like_json() -> None:
    assert records.same_fields("Total: $40\n- date: 3 May", '{"total": 40, "date": "3 may"}')
    assert not records.same_fields("Total: 41", "Total: 40")


def test_identifiers_are_not_compared_as_numbers() -> None:
    assert not records.same_value("12", "0012")
    assert not records.same_value("INV-7", "7")
    assert records.same_value("1,200", "1200")


def test_deep_and_wide_records_are_not_read() -> None:
    assert records.parse_fields('{"a":' * 20_000 + "1") is None
    assert records.parse_fields('{"a":[' + "1," * 20_000 + "1]}") is None


@pytest.mark.parametrize("answer", ["B", "(b)", "B.", "B) Paris", "Answer: B", "**B**"])
def test_choice_letter_is_read(answer: str) -> None:
    assert same_choice(answer, "B")
    assert not same_choice(answer, "A")


def test_choice_is_not_guessed_from_prose() -> None:
    assert not same_choice("Because it is large", "B")
