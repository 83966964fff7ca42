"""Short texts as large models state them: what `exact`, `anls` and `vqa` take for the same answer, and what not."""

from __future__ import annotations

import pytest

from synth.scoring.scorers import score_reply
from tests.synth.scoring.replies import misread, row

COLOUR = "What colour is the ball?"
NAME = "Who wrote it?"
RIGHT = [
    ("blue", COLOUR, "blue"),
    ("blue", COLOUR, "Blue."),
    ("blue", COLOUR, "**Blue**"),
    ("blue", COLOUR, "*blue*"),
    ("blue", COLOUR, "`blue`"),
    ("blue", COLOUR, "“Blue”"),
    ("blue", COLOUR, "'blue'"),
    ("blue", COLOUR, "BLUE"),
    ("blue", COLOUR, "Answer: blue"),
    ("blue", COLOUR, "**Answer:** Blue."),
    ("blue", COLOUR, "**Answer: blue**"),
    ("blue", COLOUR, "### Answer\n\nblue"),
    ("blue", COLOUR, "Final answer: blue"),
    ("blue", COLOUR, "The answer is blue."),
    ("blue", COLOUR, "The answer is **blue**."),
    ("blue", COLOUR, "The ball is blue."),
    ("blue", COLOUR, "It's blue."),
    ("blue", COLOUR, "The ball in the picture is **blue**."),
    ("blue", COLOUR, "Blue. The ball reflects light of short wavelengths."),
    ("blue", COLOUR, "Blue\n\nExplanation: the ball is drawn in the colour of the sky, not red or green."),
    ("blue", COLOUR, "The ball reflects short wavelengths and no others.\n\nAnswer: blue"),
    ("blue", COLOUR, "Looking at the picture, I see a red cube, a green cone and one ball.\n\n**Blue**"),
    ("blue", COLOUR, "I looked at it closely. The ball is blue."),
    ("blue", COLOUR, "\\boxed{\\text{blue}}"),
    ("blue", COLOUR, "$\\boxed{blue}$"),
    ("blue", COLOUR, "<answer>blue</answer>"),
    ("blue", COLOUR, "```\nblue\n```"),
    ("blue", COLOUR, "<think>red? no.</think>blue"),
    ("blue", COLOUR, "red or green? no</think>\nblue"),
    ("blue", COLOUR, "Answer: red\n\nNo, that is the cube.\n\nAnswer: blue"),
    ("blue", COLOUR, "Answer: Blue (a light shade)"),
    ("blue", COLOUR, "Answer: blue – the cube is red"),
    ("blue", COLOUR, "Answer: blue, because the ball is lit by a lamp."),
    ("blue", COLOUR, "- blue"),
    ("blue", COLOUR, "> Blue"),
    ("J. R. R. Tolkien", NAME, "J. R. R. Tolkien"),
    ("J. R. R. Tolkien", NAME, "Answer: J. R. R. Tolkien."),
    ("St. Louis", "Where?", "The city is St. Louis."),
    ("don't", "Which word?", "Answer: don’t"),
    ("café", "Where?", "cafe\u0301"),
    ("Straße", "What?", "STRASSE"),
    ("42 Main Street", "Which address?", "**Address:** 42 Main Street\n\nAnswer: 42 Main Street"),
    ("yes", "Is it?", "Yes."),
    ("yes", "Is it?", "Yes, because the sky is clear."),
    ("C++", "Which language?", "Answer: C++"),
    (".NET", "Which platform?", ".net"),
    ("-5", "Which?", "-5"),
    ("!", "Which sign?", "!"),
    ("東京", "首都は？", "答え：東京"),
    ("नमस्ते", "क्या?", "उत्तर: नमस्ते"),
]
WRONG = [
    ("blue", COLOUR, ""),
    ("blue", COLOUR, "."),
    ("blue", COLOUR, "red"),
    ("blue", COLOUR, "Answer: red"),
    ("blue", COLOUR, "bluish"),
    ("blue", COLOUR, "light blue"),
    ("blue", COLOUR, "not blue"),
    ("blue", COLOUR, "The ball is not blue."),
    ("blue", COLOUR, "The ball isn't blue."),
    ("blue", COLOUR, "red or blue"),
    ("blue", COLOUR, "It is either red or blue."),
    ("blue", COLOUR, "Answer: red or blue"),
    ("blue", COLOUR, "blue and green"),
    ("blue", COLOUR, "I see blue things everywhere."),
    ("blue", COLOUR, "The sky is blue, and the ball is red."),
    ("blue", COLOUR, "The cube is blue.\n\nAnswer: red"),
    ("blue", COLOUR, "**red**\n\nThe cube is blue."),
    ("blue", COLOUR, "Red. The cube is blue, though."),
    ("blue", COLOUR, "<think>blue</think>"),
    ("blue", COLOUR, "<think>it is blue"),
    ("blue", COLOUR, "<think>blue?</think>red"),
    ("blue", COLOUR, "Answer: blue\n\nWait, no.\n\nAnswer: red"),
    ("blue", COLOUR, "The ball is blue. No, wait, it is red."),
    ("blue", COLOUR, "I cannot tell."),
    ("blue", COLOUR, "I'm sorry, but I can't help with that."),
    ("blue", COLOUR, "Which ball do you mean: the blue one?"),
    ("blue", COLOUR, "\\boxed{\\text{green}}"),
    ("blue", COLOUR, "blue ball company"),
    ("blue", COLOUR, "blues"),
    ("blue", COLOUR, "turquoise"),
    ("Tolkien", NAME, "C. S. Lewis"),
    ("J. R. R. Tolkien", NAME, "C. S. Lewis, a friend of J. R. R. Tolkien"),
    ("yes", "Is it?", "No."),
    ("yes", "Is it?", "Yes and no."),
    ("no", "Is it?", "I know."),
    ("C++", "Which language?", "C"),
    (".NET", "Which platform?", "NET"),
    ("-5", "Which?", "5"),
    (".5", "Which?", "5"),
    ("!", "Which sign?", ""),
    ("!", "Which sign?", "?"),
    ("...", "Which sign?", ""),
    ("0042", "Which code?", "42"),
    ("INV-7", "Which invoice?", "INV-17"),
    ("東京", "首都は？", "京都"),
    ("कि", "क्या?", "क"),
]


MEASURES_RIGHT = [
    ("1234 km/h", "How fast?", "**1,234 km/h**\n\n(That is 2 × 617.)"),
    ("1234 km/h", "How fast?", "617 × 2 = 1234. So it is 1,234 km/h.\n\nLet me know if you need 2 more!"),
    ("39.5 °C", "What temperature?", "The patient has 39.50°C."),
    ("1234 km/h", "How fast?", "Die Antwort ist 1.234,0 km/h"),
    ("250 kg/m²", "How dense?", "<think>249? no</think>250 kg/m²"),
]
MEASURES_WRONG = [
    ("1234 km/h", "How fast?", "1,234 m/h"),
    ("1234 km/h", "How fast?", "1,235 km/h"),
    ("1234 km/h", "How fast?", "The answer is **1,234**."),
    ("007 agents", "Who?", "7 agents"),
]


@pytest.mark.parametrize(("cases", "right"), [(MEASURES_RIGHT, True), (MEASURES_WRONG, False)])
def test_a_number_with_an_unknown_unit_is_compared_by_its_value(cases: list[tuple[str, str, str]], right: bool) -> None:
    assert misread([(row("exact", gold, question), reply) for gold, question, reply in cases], right) == []


def test_a_number_that_lacks_its_unit_would_be_right_if_the_form_were_forgiven() -> None:
    found = score_reply("The answer is **1,234**.", row("exact", "1234 km/h", "How fast?"))
    assert (found.value, found.format_fault) == (0.0, True)


@pytest.mark.parametrize(("cases", "right"), [(RIGHT, True), (WRONG, False)])
@pytest.mark.parametrize("scorer", ["exact", "anls", "vqa"])
def test_a_short_text_is_read_as_a_person_reads_it(scorer: str, cases: list[tuple[str, str, str]], right: bool) -> None:
    assert len(cases) >= 40
    asked = [case for case in cases if case[0] not in SIGNS_ONLY or scorer != "vqa"]
    assert misread([(row(scorer, gold, question), reply) for gold, question, reply in asked], right) == []


SIGNS_ONLY = (
    "!",
    "...",
    "C++",
    ".NET",
    ".5",
)  # VQA's processing takes punctuation off, so that these say nothing there
