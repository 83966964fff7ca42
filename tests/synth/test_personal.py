"""Personal data with a form are found, redacted or dropped; numbers that are none of them stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth.curation import personal
from synth.curation.curate import Dropped, Rules, curate
from synth.errors import DataError
from synth.example import Example, make_example, system, text_of, user

HOLD = {
    "Write to anna.k+x@mail.example.org, please.": "e-mail address",
    "Transfer it to DE89 3704 0044 0532 0130 00 today": "account number",
    "GB29NWBK60161331926819": "account number",
    "The card is 4111 1111 1111 1111.": "card number",
    "SSN 219-09-9999": "social security number",
    "It came from 8.8.8.8 at night": "IP address",
    "Call +49 30 901820 or": "telephone number",
    "Call (415) 555-0199.": "telephone number",
    "415-555-0199": "telephone number",
    "Ruf an: 0176 / 5550 123": "telephone number",
    "Ring (0161) 496 0376 or": "telephone number",
    "Ring 020 7946 0018.": "telephone number",
    "Mon numéro : 04 15 39 15 00.": "telephone number",
    "Call 797-386-9073 x66425": "telephone number",
    "JCB 3530 1113 3330 0000": "card number",
    "Diners 3056 930902 5904": "card number",
    "The card is 4111 1111 1111 1111 123": "card number",
}
NONE = [
    "On 2024-10-15 at 0900-0130 it cost 350,000 - 450,000 or 12.345.678 euros.",
    "Order 4111 1111 1111 1112 has version 10.2.3.4 and 1,234,567,890 parts; call 112.",
    "DE89 3704 0044 0532 0130 01 is mistyped, 192.168.0.1 is at home, 3/4 and 5-6-7.",
    "Mention @anna or see user@host; page 123-45-678.",
    "Rows 10 07 08 09 10 of 1 0800 1300 1400, article 4006381333931 and 20240 0531 1200.",
]


@pytest.mark.parametrize(("text", "kind"), HOLD.items())
def test_what_has_the_form_is_found_and_can_be_taken_out(text: str, kind: str) -> None:
    assert [one.kind for one in personal.find(text)] == [kind]
    without = personal.redacted(text)
    assert f"[{kind}]" in without and personal.find(without) == []


@pytest.mark.parametrize("text", NONE)
def test_numbers_of_another_kind_are_left_alone(text: str) -> None:
    assert personal.find(text) == [] and personal.redacted(text) == text


def row(question: str, answer: str = "yes", **more: str) -> Example:
    source = {"lineage": [{"step": "seed", "row": {"text": question}}]}
    prompt = [system("Be kind to anna@mail.example.org."), user(question)] if more else [user(question)]
    return make_example(prompt, answer, answer=answer, family="a", template=question, source=source)


def test_rows_are_redacted_everywhere_or_dropped() -> None:
    rows = [
        row("Is anna@mail.example.org right?", "Ask +49 30 901820 1", system="yes"),
        row("Is bert@mail.example.org right about it?"),
        row("Is carl@mail.example.org right about it?"),
        row("Nothing here?"),
    ]
    kept = list(curate(rows, Rules(personal="redact")))
    first, second, third, last = kept
    assert isinstance(first, Example) and "@" not in first.model_dump_json() and "901820" not in first.model_dump_json()
    assert first.source["redacted"] == ["e-mail address", "telephone number"]
    assert isinstance(second, Example) and text_of(second) == "Is [e-mail address] right about it?"
    assert second.id == make_example(second.prompt, "", family="a", template="b").id
    assert isinstance(third, Dropped) and third.reason == "exact duplicate once it is redacted" and last == rows[3]
    dropped = [one.reason for one in curate(rows, Rules(personal="drop")) if isinstance(one, Dropped)]
    assert dropped == [
        "holds personal data (e-mail address, telephone number)",
        *["holds personal data (e-mail address)"] * 2,
    ]
    assert not any(isinstance(one, Dropped) for one in curate(rows, Rules()))


def test_rows_in_another_language_are_dropped_where_that_can_be_told() -> None:
    rows = [
        row("Wo kann ich meine neue Karte im Laden abholen?"),
        row("Where can I collect my new card?"),
        row("Hallo?"),
    ]
    results = list(curate(rows, Rules(language="English")))
    assert [one.reason for one in results if isinstance(one, Dropped)] == ["the question is in another language"]
    assert results[1:] == rows[1:]


def test_training_rows_that_stand_in_a_file_that_was_named_are_dropped(tmp_path: Path) -> None:
    asked = "How many litres of water does the tank of the old farm hold when it is full to the brim?"
    rows = [row(asked), row("How far is it from the farm to the village, by the road along the river and back?")]
    (tmp_path / "bench.jsonl").write_text(json.dumps({"question": asked.replace("brim", "rim"), "answer": "7"}) + "\n")
    results = list(curate(rows, Rules(against=str(tmp_path / "bench.jsonl"))))
    assert [isinstance(one, Dropped) for one in results] == [True, False]
    assert isinstance(results[0], Dropped) and results[0].reason == "stands in a test split or a file, or nearly"
    with pytest.raises(DataError):
        list(curate(rows, Rules(against=str(tmp_path / "gone.jsonl"))))
    with pytest.raises(ValueError, match="decontaminate"):
        Rules(against="a.jsonl", decontaminate=False)
