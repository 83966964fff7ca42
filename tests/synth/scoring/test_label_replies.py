"""Labels of a closed set as large models name them: in a sentence, in bold, with an explanation, in other case."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth.example import make_example, user
from synth.scoring import label
from synth.scoring.scorers import score_reply, scorer_for
from tests.synth.scoring.replies import misread, row

DESK = ["billing", "shipping", "account_access", "product quality", "other"]
MOOD = ["positive", "negative", "neutral"]
SPAM = ["spam", "not spam"]
STARS = ["very positive", "positive", "negative", "very negative"]
YES = ["yes", "no"]

RIGHT = [
    ("billing", DESK, "billing"),
    ("billing", DESK, "Billing"),
    ("billing", DESK, "BILLING."),
    ("billing", DESK, "**Billing**"),
    ("billing", DESK, "`billing`"),
    ("billing", DESK, '"billing"'),
    ("billing", DESK, "Label: billing"),
    ("billing", DESK, "Category: **Billing**"),
    ("billing", DESK, "Answer: billing"),
    ("billing", DESK, "**Answer:** Billing\n\nThe customer was charged twice, and shipping is not mentioned."),
    ("billing", DESK, "The complaint is about billing."),
    ("billing", DESK, "This belongs to the category **billing**."),
    ("billing", DESK, "The correct label is billing, because the customer was charged twice."),
    ("billing", DESK, "Billing. The shipping was fine."),
    ("billing", DESK, "Billing\n\nExplanation: although shipping is mentioned, the charge is the problem."),
    ("billing", DESK, "Billing - the customer was charged twice although shipping was free"),
    ("billing", DESK, "The customer mentions shipping, but the charge is the problem.\n\nFinal answer: billing"),
    ("billing", DESK, "It is billing, not shipping."),
    ("billing", DESK, "This is a billing issue."),
    ("billing", DESK, '{"label": "billing"}'),
    ("billing", DESK, '```json\n{"category": "Billing", "reason": "shipping was free"}\n```'),
    ("billing", DESK, "<think>shipping? other?</think>billing"),
    ("billing", DESK, "\\boxed{billing}"),
    ("billing", DESK, "- billing"),
    ("billing", DESK, "<answer>billing</answer>"),
    ("account_access", DESK, "account access"),
    ("account_access", DESK, "Account-Access"),
    ("account_access", DESK, "ACCOUNT_ACCESS"),
    ("account_access", DESK, "The category is account access."),
    ("product quality", DESK, "product_quality"),
    ("product quality", DESK, "Product quality (the zip broke)"),
    ("other", DESK, "Other"),
    ("positive", MOOD, "The sentiment of this review is positive."),
    ("negative", MOOD, "Negative. The reviewer expected something positive but was let down."),
    ("negative", MOOD, "Sentiment: negative"),
    ("neutral", MOOD, "It is neither positive nor negative, so neutral."),
    ("neutral", MOOD, "**Neutral**: no feeling is expressed."),
    ("neutral", MOOD, "I'd label this as neutral, rather than positive or negative."),
    ("other", DESK, "This does not fit billing, shipping, or product quality, so: other"),
    ("negative", MOOD, "This is not positive, negative: the buyer is angry."),
    ("not spam", SPAM, "Not spam"),
    ("not spam", SPAM, "This message is not spam."),
    ("spam", SPAM, "This is spam."),
    ("spam", SPAM, "spam\n\nIt asks for a password."),
    ("very positive", STARS, "Very positive"),
    ("very positive", STARS, "The tone is very positive."),
    ("positive", STARS, "positive"),
    ("yes", YES, "Yes, it is."),
    ("no", YES, "No, it is not."),
    ("no", YES, "**No** – the amounts differ."),
]
WRONG = [
    ("billing", DESK, ""),
    ("billing", DESK, "shipping"),
    ("billing", DESK, "Other."),
    ("positive", MOOD, "Not negative, positive or neutral."),
    ("negative", MOOD, "It is not positive or negative."),
    ("billing", DESK, "Answer: shipping"),
    ("billing", DESK, "billing and shipping"),
    ("billing", DESK, "billing/shipping"),
    ("billing", DESK, "billing, shipping"),
    ("billing", DESK, "Billing or shipping"),
    ("billing", DESK, "Either billing or other."),
    ("billing", DESK, "It is about billing and also about product quality."),
    ("billing", DESK, "**Billing** and **Shipping**"),
    ("billing", DESK, "Answer: billing, shipping"),
    ("billing", DESK, "not billing"),
    ("billing", DESK, "This is not a billing issue."),
    ("billing", DESK, "It is shipping, not billing."),
    ("billing", DESK, "shipping rather than billing"),
    ("billing", DESK, "Shipping\n\nThe billing was fine."),
    ("billing", DESK, "**Shipping**\n\nbilling is not the problem here"),
    ("billing", DESK, "<think>billing</think>"),
    ("billing", DESK, "<think>billing"),
    ("billing", DESK, "<think>billing</think>other"),
    ("billing", DESK, '{"label": "shipping"}'),
    ("billing", DESK, "Answer: billing\n\nNo, wait.\n\nAnswer: shipping"),
    ("billing", DESK, "I cannot classify this."),
    ("billing", DESK, "bill"),
    ("billing", DESK, "rebilling"),
    ("billing", DESK, "invoices"),
    ("billing", DESK, "The customer was charged twice."),
    ("account_access", DESK, "account"),
    ("account_access", DESK, "accountaccess"),
    ("product quality", DESK, "quality"),
    ("positive", MOOD, "not positive"),
    ("positive", MOOD, "It isn't positive."),
    ("positive", MOOD, "mixed"),
    ("positive", MOOD, "positive and negative"),
    ("positive", MOOD, "There are positive parts, but overall it is negative."),
    ("positive", MOOD, "non-positive"),
    ("spam", SPAM, "Not spam"),
    ("spam", SPAM, "This is not spam."),
    ("not spam", SPAM, "Spam!"),
    ("not spam", SPAM, "spam"),
    ("positive", STARS, "very positive"),
    ("very positive", STARS, "positive"),
    ("very positive", STARS, "very, very nice"),
    ("yes", YES, "No."),
    ("yes", YES, "yes and no"),
    ("no", YES, "I know nothing of it."),
    ("no", YES, "Yes, no doubt."),
]


@pytest.mark.parametrize(("cases", "right"), [(RIGHT, True), (WRONG, False)])
def test_the_label_is_read_as_a_person_reads_it(cases: list[tuple[str, list[str], str]], right: bool) -> None:
    assert len(cases) >= 40
    assert misread([(row("label", gold, labels=labels), reply) for gold, labels, reply in cases], right) == []


def test_the_answer_is_the_label_as_the_set_writes_it_and_two_labels_are_none() -> None:
    example = row("label", "account_access", labels=DESK)
    assert score_reply("Account access.", example).answer == "account_access"
    two = score_reply("billing or shipping", example)
    assert (two.answer, two.readable, two.value) == ("", False, 0.0)
    assert "billing, shipping" in two.why


def test_rows_of_a_classification_task_are_drawn_with_its_label_set(tmp_path: Path) -> None:
    from synth.dataset import Card, DatasetWriter, open_dataset

    folder = tmp_path / "desk"
    folder.mkdir()
    writer = DatasetWriter(folder)
    for number in range(40):
        gold = DESK[number % len(DESK)]
        made = make_example(
            (user(f"text {number}"),), gold, family="f", template=str(number), answer=gold, split="test"
        )
        writer.keep(made)
    writer.finish(Card(name="desk", generator="import"))
    dataset = open_dataset("desk", tmp_path)
    drawn = dataset.draw("test", None, 0)
    assert {example.scorer for example in drawn} == {"label"}
    billing = next(example for example in drawn if example.answer == "billing")
    assert score_reply("This is a billing issue.", billing).value == 1.0
    assert score_reply("billing and shipping", billing).value == 0.0
    assert {example.scorer for example in dataset.examples("test")} == {"exact"}


def test_the_kind_of_the_task_decides_how_short_texts_are_scored(tmp_path: Path) -> None:
    from synth.curation.amend import set_task
    from synth.dataset import Card, DatasetWriter, open_dataset

    folder = tmp_path / "replies"
    folder.mkdir()
    writer = DatasetWriter(folder)
    for number in range(20):
        reply = "Thank you, we will call." if number % 2 else f"It costs {number}."
        asked = (user(f"message {number}"),)
        writer.keep(make_example(asked, reply, family="f", template=str(number), answer=reply, split="test"))
    writer.finish(Card(name="replies", generator="import"))
    dataset = open_dataset("replies", tmp_path)
    assert {row.scorer for row in dataset.draw("test", None, 0)} == {"exact"}
    set_task(dataset, kind="free_text")
    drawn = open_dataset("replies", tmp_path).draw("test", None, 0)
    assert {row.scorer for row in drawn} == {"free_text"}
    assert score_reply("We will call you, thank you.", drawn[0]).value is None, "not wrong: a judge or a person decides"


def test_a_label_set_is_given_only_to_rows_that_it_fits() -> None:
    assert label.with_label_set(row("exact", "billing"), DESK).scorer == "label"
    assert label.with_label_set(row("exact", "a refund"), DESK).scorer == "exact"
    assert label.with_label_set(row("math", "12"), ["12", "13"]).scorer == "math", "`12 of 13` and `012` are numbers"
    assert label.with_label_set(row("choice", "A"), ["A", "B"]).scorer == "choice"


@pytest.mark.parametrize(
    ("labels", "reply", "gold"),
    [
        (["-1", "0", "1"], "-1", "-1"),
        (["-1", "0", "1"], "1", "1"),
        (["-1", "0", "1"], "The sentiment is −1.", "-1"),
        (["-1", "0", "1"], "**Answer:** 1", "1"),
        (["A+", "A", "A-", "B"], "A-", "A-"),
        (["A+", "A", "A-", "B"], "The grade is A.", "A"),
        (["A+", "A", "A-", "B"], "Grade: A+", "A+"),
        (["<1", "1-5", ">5"], "<1", "<1"),
        (["<1", ">1"], "It took >1 day", ">1"),
        (["A*", "A", "B"], "A*", "A*"),
        (["A*", "A", "B"], "**A**", "A"),
        (["C", "C++", "C#"], "This is C++ code.", "C++"),
        (["+", "-", "0"], "-", "-"),
        (["yes", "yes?", "no"], "yes?", "yes?"),
    ],
)
def test_labels_that_only_signs_tell_apart_stay_apart(labels: list[str], reply: str, gold: str) -> None:
    assert label.read(reply, labels) == [gold]
    for other in labels:
        assert score_reply(reply, row("label", other, labels=labels)).value == float(other == gold)


@pytest.mark.parametrize(
    ("labels", "own"),
    [
        (["A", "A-", "B", "B+"], "choice"),
        (["<1", "1", ">1", "n/a"], "math"),
        (["1", "1+", "2"], "math"),
        (["1/2", "2/4"], "math"),
        (["50", "50%"], "math"),
        (["A", "nicht A"], "choice"),
    ],
)
def test_a_label_is_never_taken_for_another_one_whatever_its_row_is_scored_by(labels: list[str], own: str) -> None:
    for gold in labels:
        scorer = own if scorer_for(gold) == own else "exact"
        drawn = label.with_label_set(row(scorer, gold), labels)
        assert drawn.scorer == "label"
        for reply in labels:
            assert score_reply(reply, drawn).value == float(reply == gold), (reply, gold)
    if "1+" in labels:
        drawn = label.with_label_set(row("math", "1"), labels)
        assert score_reply("01", drawn).value == 1.0 and score_reply("1 or 2", drawn).value == 0.0


@pytest.mark.parametrize("reply", ["4.5", "I would say 4.5 of 5,0.", "Between 3,5 and 4,5"])
def test_digits_of_a_longer_number_are_no_label(reply: str) -> None:
    assert label.read(reply, ["1", "2", "3", "4", "5"]) == []
