"""Letters as large models choose them: in brackets, in bold, with the option's text, in the middle of a sentence."""

from __future__ import annotations

import pytest

from tests.synth.scoring.replies import misread, row

CAPITAL = "What is the capital of France?\nA) London\nB) Paris\nC) Rome\nD) Berlin"
ANIMAL = "Which of these barks?\n(A) A cat\n(B) A fish\n(C) A dog\n(D) I am not sure"
INLINE = "Pick one. A. red B. green C. blue D. none of these"
NINE = "Which?\n" + "\n".join(f"{letter}. option number {at}" for at, letter in enumerate("ABCDEFGHI"))
BARE = "Is it A, B, C or D?"

RIGHT = [
    ("B", CAPITAL, "B"),
    ("B", CAPITAL, "b"),
    ("B", CAPITAL, "(B)"),
    ("B", CAPITAL, "B)"),
    ("B", CAPITAL, "B."),
    ("B", CAPITAL, "[B]"),
    ("B", CAPITAL, "**B**"),
    ("B", CAPITAL, "**B) Paris**"),
    ("B", CAPITAL, "B) Paris"),
    ("B", CAPITAL, "(b) Paris"),
    ("B", CAPITAL, "B: Paris"),
    ("B", CAPITAL, "B – Paris"),
    ("B", CAPITAL, "Option B"),
    ("B", CAPITAL, "Option B: Paris"),
    ("B", CAPITAL, "Choice (B)"),
    ("B", CAPITAL, "Answer: B"),
    ("B", CAPITAL, "**Answer:** B) Paris\n\nParis has been the capital since 987; London (A) is England's."),
    ("B", CAPITAL, "The correct answer is **B**."),
    ("B", CAPITAL, "The correct answer is B) Paris."),
    ("B", CAPITAL, "The correct option is B, because A is the capital of the UK."),
    ("B", CAPITAL, "\\boxed{B}"),
    ("B", CAPITAL, "$\\boxed{\\text{B}}$"),
    ("B", CAPITAL, "I would choose B."),
    ("B", CAPITAL, "I think the answer is B."),
    ("B", CAPITAL, "I'd go with B here."),
    ("B", CAPITAL, "Paris"),
    ("B", CAPITAL, "Paris."),
    ("B", CAPITAL, "The capital of France is Paris."),
    ("B", CAPITAL, "A is in England, so A is wrong. C is in Italy.\n\nAnswer: B"),
    (
        "B",
        CAPITAL,
        "Let's look at each option:\n- A) London: capital of the UK\n- C) Rome: capital of Italy\n\n**B) Paris**",
    ),
    ("B", CAPITAL, "A good way to decide is to recall the map. The answer is (B)."),
    ("B", CAPITAL, "<think>A? C? no</think>B"),
    ("B", CAPITAL, "A, C or D?</think>\n\nThe answer is B."),
    ("B", CAPITAL, "B\n\nExplanation: A, C and D are capitals of other countries."),
    ("B", CAPITAL, "It is B, not A."),
    ("B", CAPITAL, "<answer>B</answer>"),
    ("B", CAPITAL, "Answer - B"),
    ("B", CAPITAL, "答案：B"),
    ("B", CAPITAL, "Die Antwort ist B."),
    ("(B)", CAPITAL, "B"),
    ("A", ANIMAL, "A"),
    ("A", ANIMAL, "A is correct."),
    ("A", ANIMAL, "The answer is A."),
    ("C", ANIMAL, "A dog barks, so the answer is C."),
    ("C", ANIMAL, "A dog"),
    ("C", ANIMAL, "(C) A dog"),
    ("D", ANIMAL, "I am not sure"),
    ("C", INLINE, "C. blue"),
    ("C", INLINE, "blue"),
    ("I", NINE, "I"),
    ("I", NINE, "The answer is (I)."),
    ("I", NINE, "Answer: I"),
    ("C", BARE, "It must be C, I think."),
    ("C", BARE, "I believe option C fits best."),
]
WRONG = [
    ("B", CAPITAL, ""),
    ("B", CAPITAL, "A"),
    ("B", CAPITAL, "(C)"),
    ("B", CAPITAL, "C) Rome"),
    ("B", CAPITAL, "London"),
    ("B", CAPITAL, "Answer: C"),
    ("B", CAPITAL, "A and B"),
    ("B", CAPITAL, "B or C"),
    ("B", CAPITAL, "B, D"),
    ("B", CAPITAL, "Answer: A or B"),
    ("B", CAPITAL, "The answer is either (A) or (B)."),
    ("B", CAPITAL, "Both B and C are correct."),
    ("B", CAPITAL, "Because it is large"),
    ("B", CAPITAL, "Berlin is the right one."),
    ("B", CAPITAL, "Big cities are hard to tell apart."),
    ("B", CAPITAL, "I don't know."),
    ("B", CAPITAL, "B is wrong, so it must be C."),
    ("B", CAPITAL, "It is not B."),
    ("B", CAPITAL, "Not B"),
    ("B", CAPITAL, "The answer is C. B is the capital of nothing."),
    ("B", CAPITAL, "**C**\n\nB would be wrong."),
    ("B", CAPITAL, "<think>B</think>"),
    ("B", CAPITAL, "<think>It is B. But wait"),
    ("B", CAPITAL, "<think>B?</think>\nC"),
    ("B", CAPITAL, "Answer: B\n\nOn reflection, no.\n\nAnswer: C"),
    ("B", CAPITAL, "E"),
    ("B", CAPITAL, "Paris or Rome"),
    ("B", CAPITAL, "All of them: A, B, C, D"),
    ("B", CAPITAL, "AB"),
    ("B", CAPITAL, "8"),
    ("B", CAPITAL, "Option 2"),
    ("B", CAPITAL, "\\boxed{C}"),
    ("B", CAPITAL, "The options are:\nA) London\nB) Paris\nC) Rome\nD) Berlin"),
    ("A", ANIMAL, "A dog barks."),
    ("A", ANIMAL, "A fish cannot bark. It has no voice."),
    ("A", CAPITAL, "A city on the Seine."),
    ("A", CAPITAL, "A good question!"),
    ("I", NINE, "I think it is number three."),
    ("I", NINE, "I am not certain."),
    ("D", ANIMAL, "I do not know which"),
    ("A", BARE, "A lot speaks for it, and a lot against."),
    ("C", INLINE, "red"),
    ("C", BARE, "C++ is a language"),
    ("C", BARE, "It's B, I'd say."),
]


@pytest.mark.parametrize(("cases", "right"), [(RIGHT, True), (WRONG, False)])
def test_the_chosen_letter_is_read_as_a_person_reads_it(cases: list[tuple[str, str, str]], right: bool) -> None:
    assert len(cases) >= 40
    assert misread([(row("choice", gold, question), reply) for gold, question, reply in cases], right) == []
