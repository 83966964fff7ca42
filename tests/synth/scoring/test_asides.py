"""Replies that name more than their answer: asides, second thoughts, ticked lists, several figures in bold.

Each pair has a reply that a person reads as the gold and one that looks like it and is not.
"""

from __future__ import annotations

import pytest

from synth.scoring.scorers import score_reply
from tests.synth.scoring.replies import misread, row

PENS = "A shop sells 12 pens a day. How many in 30 days?"
SHARE = "What percentage of 80 is 10?"
CAPITAL = "What is the capital of France?\nA) London\nB) Paris\nC) Rome\nD) Berlin"
DESK = ["billing", "technical support", "shipping", "other"]
MOOD = ["positive", "negative", "neutral"]
SPAM = ["spam", "not spam"]
LEVEL = ["low", "medium", "high"]

RIGHT: list[tuple[str, str, str | list[str], str]] = [
    ("math", "360", PENS, "I get 360, although if Sundays are closed it would be 312."),
    ("math", "360", PENS, "The shop would sell a total of 360 pens over the course of 30 days."),
    ("math", "360", PENS, "Answer:\n\n- First half: 180\n- Second half: 180\n- **Total: 360**"),
    ("math", "360", PENS, "Therefore there are **360** pens in **30** days."),
    ("math", "360", PENS, "You might think 312, but it's actually 360."),
    ("math", "12.5", SHARE, "10/80 = 0.125 → 12.5 %"),
    ("math", "12.5", SHARE, "$0.125 \\rightarrow 12.5\\%$"),
    ("choice", "B", CAPITAL, "I would choose B, since A is London."),
    ("choice", "B", CAPITAL, "- A) London ❌\n- B) Paris ✅\n- C) Rome ❌\n- D) Berlin ❌"),
    ("choice", "B", CAPITAL, "My answer is A. Actually, wait: B is correct."),
    ("choice", "A", CAPITAL, "My answer is B. Actually, wait, no. It's A."),
    ("label", "negative", MOOD, "The sentiment is negative, with a few positive remarks about the staff."),
    ("label", "positive", MOOD, "The sentiment expressed is overwhelmingly positive and not at all negative."),
    ("label", "shipping", DESK, "In other words, this is about shipping."),
    ("label", "shipping", DESK, "The user says, among other things, that the parcel is late.\n\nLabel: shipping"),
    ("label", "high", LEVEL, "Urgency: High – the machine is down, low stock remains."),
    ("label", "not spam", SPAM, "This is not a spam message."),
    ("label", "not spam", SPAM, "This isn't spam."),
    ("label", "medium", LEVEL, "The machine works, but slowly.\n\nUrgency: medium\nConfidence: high"),
    ("label", "medium", LEVEL, '{"urgency": "medium", "confidence": "high", "reason": "low stock"}'),
    ("label", "spam", SPAM, '{"reason": "spam"}'),
    ("math", "360", PENS, "The shop sells 360 pens.\n\nConfidence: 95%"),
    ("json", '{"version":"2.0"}', "", '{"version":"2"}'),
]
WRONG: list[tuple[str, str, str | list[str], str]] = [
    ("math", "312", PENS, "I get 360, although if Sundays are closed it would be 312."),
    ("math", "30", PENS, "Therefore there are **360** pens in **30** days."),
    ("math", "7", "Solve for x.", "x = ±7"),
    ("math", "7", "Solve for x.", "x > 7"),
    ("math", "7", "Solve for x.", "x ≥ 7"),
    ("choice", "A", CAPITAL, "- A) London ❌\n- B) Paris ✅\n- C) Rome ❌\n- D) Berlin ❌"),
    ("choice", "B", CAPITAL, "My answer is B. Actually, wait, no. It's A."),
    ("choice", "B", CAPITAL, "The capital of France is not Paris."),
    ("choice", "A", CAPITAL, "A ❌ B ✅ C ❌"),
    ("label", "positive", MOOD, "Mixed: positive about food, negative about service."),
    ("label", "positive", MOOD, "The sentiment is positive, but the negative remarks weigh more."),
    ("label", "positive", MOOD, "It could be positive, negative or neutral."),
    ("label", "other", DESK, "In other words, this is about shipping."),
    ("label", "spam", SPAM, "This isn't spam."),
    ("label", "medium", LEVEL, "Between low and medium."),
    ("label", "high", LEVEL, "The machine works, but slowly.\n\nUrgency: medium\nConfidence: high"),
    ("json", '{"version":"2.1"}', "", '{"version":"2.10"}'),
]


@pytest.mark.parametrize(("cases", "right"), [(RIGHT, True), (WRONG, False)])
def test_what_stands_beside_the_answer_is_not_read_as_the_answer(
    cases: list[tuple[str, str, str | list[str], str]], right: bool
) -> None:
    made = [
        (row(scorer, gold, labels=asked) if isinstance(asked, list) else row(scorer, gold, asked or "q"), reply)
        for scorer, gold, asked, reply in cases
    ]
    assert misread(made, right) == []


def test_html_tags_and_quotes_before_a_number_are_no_inequality() -> None:
    for reply in ("<b>42</b>", "> 42", "=> 42", "-> 42", "The result => 42"):
        assert score_reply(reply, row("math", "42")).value == 1.0, reply
