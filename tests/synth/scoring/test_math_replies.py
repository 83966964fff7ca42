"""Numbers as large models state them: the final one is read, in whatever notation, and its unit must agree."""

from __future__ import annotations

import pytest

from tests.synth.scoring.replies import misread, row

MINUTES = "How many minutes does the trip take?"
SHOP = "Each pen costs $4. How much do 10 pens cost?"
SHARE = "What percentage of the guests are children?"
PART = "What fraction of the cake is left?"
PLAIN = "How many apples are left?"

RIGHT = [
    ("5 mg", "Which dose?", "5,000 µg"),
    ("250 mcg", "Which dose?", "0.25 mg"),
    ("120 mmHg", "What pressure?", "It was **120 mmHg** systolic."),
    ("1,200 kcal", "How much energy?", "1200 kcal a day"),
    # marked, with all the dress that chat models give it
    ("12", PLAIN, "Answer: 12 apples. That is because 5 + 7 = 12, and 20 - 8 = 12 confirms it."),
    ("12", PLAIN, "**Answer:** 12"),
    ("12", PLAIN, "**Answer: 12 apples**\n\nThere were 20 apples and 8 were eaten."),
    ("12", PLAIN, "### Final Answer\n\n**12** apples"),
    ("12", PLAIN, "Let's compute.\n\n20 - 8 = 12\n\n#### 12"),
    ("12", PLAIN, "The calculation:\n$$20 - 8 = 12$$\nThus the answer is $\\boxed{12}$."),
    ("12", PLAIN, "Therefore, \\(\\boxed{12 \\text{ apples}}\\) are left."),
    ("12", PLAIN, "The final answer is **12**."),
    ("12", PLAIN, "The correct answer is 12, since 8 of the 20 apples were eaten."),
    ("12", PLAIN, "<think>20 - 8... maybe 13? no.</think>\n12"),
    ("12", PLAIN, "20 minus 8, hmm, 11?</think>\n\nAnswer: 12"),
    ("12", PLAIN, "<answer>12</answer>"),
    ("12", PLAIN, "Answer: 11\n\nWait, I miscounted: 20 - 8 = 12.\n\nAnswer: 12"),
    ("12", PLAIN, "Answer:\n\n12"),
    # unmarked
    ("12", PLAIN, "12"),
    ("12", PLAIN, "12 apples are left because 8 of the 20 were eaten."),
    ("12", PLAIN, "There are **12** apples left: she had 20 and ate 8."),
    ("12", PLAIN, "Start with 20 apples.\nSubtract 8.\n\n20 - 8 = 12"),
    ("12", PLAIN, "She had 20 apples and ate 8 of them. So 12 apples are left after 3 days."),
    (
        "12",
        PLAIN,
        "**Step 1:** Start with 20.\n**Step 2:** Subtract 8.\n\nShe has **12 apples** left.\n\n"
        "Let me know if you want 2 more examples!",
    ),
    ("12", PLAIN, "12\n\nExplanation: 20 apples - 8 apples = 12 apples. Over 7 days that is a lot."),
    ("12", PLAIN, "Twelve apples are left."),
    ("42", PLAIN, "forty-two"),
    ("105", PLAIN, "The answer is one hundred and five."),
    ("12", PLAIN, "- 20 apples at first\n- 8 eaten\n- **12 left**"),
    # notations
    ("1234.5", PLAIN, "The total is 1,234.5"),
    ("1234.5", PLAIN, "Das ergibt 1.234,5"),
    ("1234", PLAIN, "Answer: 1 234"),
    ("1234", PLAIN, "Answer: 1\u202f234"),
    ("1234", PLAIN, "Answer: 1'234"),
    ("1234567", PLAIN, "Answer: 12,34,567"),
    ("1234567", PLAIN, "Answer: $1{,}234{,}567$"),
    ("1.5e-7", PLAIN, "Answer: 1.5 × 10^-7"),
    ("150000000", PLAIN, "It is about $1.5 \\times 10^{8}$ km."),
    ("2500000", PLAIN, "Answer: 2.5 million"),
    ("-5", PLAIN, "The temperature is −5 °C."),
    ("1024", PLAIN, "Answer: 2^10"),
    ("40", PLAIN, "Answer: ４０"),
    ("3/4", PART, "Answer: $\\frac{3}{4}$"),
    ("3/4", PART, "Three quarters of the cake are left."),
    ("0.75", PART, "Answer: 3/4"),
    ("3/4", PART, "75% of the cake is left."),
    ("2.5", PLAIN, "2½ cups"),
    # units, money, per cent
    ("90", MINUTES, "The trip takes 1 hour 30 minutes."),
    ("90", MINUTES, "Answer: 1.5 hours"),
    ("90", MINUTES, "Answer: 90 minutes (1 hour and 30 minutes)"),
    ("1 h 30 min", "How long does it take?", "It takes 90 minutes."),
    ("1.5 hours", "How long does it take?", "It takes an hour and a half, that is 1 h 30 min."),
    ("40", SHOP, "The total cost is $40."),
    ("$40", SHOP, "10 pens × $4 = **$40**"),
    ("$40", SHOP, "40 dollars"),
    ("0.50", "One pen costs $0.10. How much are 5 pens?", "5 pens cost 50 cents."),
    ("50", "How many cents are 5 pens at $0.10?", "Answer: $0.50"),
    ("35", SHARE, "35 % of the guests are children (14 of 40)."),
    ("35%", SHARE, "14 / 40 = 0.35"),
    ("35%", SHARE, "Answer: 35"),
    ("1234.50 €", "Wie viel kostet es?", "Es kostet 1.234,50 €."),
    # times of day
    ("14:35", "When does it end?", "It ends at **2:35 pm**."),
    ("9:45", "When does it end?", "Start 8:15, plus 90 minutes.\n\nThe meeting ends at 9:45."),
    ("12:00", "When does it end?", "It ends at noon."),
    # expressions
    ("2\\sqrt{3}", "Simplify.", "The result is $\\boxed{\\sqrt{12}}$."),
    ("\\frac{\\pi}{2}", "Evaluate.", "Answer: π/2"),
    ("x^2 + 2x + 1", "Expand.", "**Answer:** $(x+1)^2$"),
    ("(1, 2)", "Give the point.", "The point is \\boxed{(1,2)}."),
    ("0042", "What is the code?", "The code is **0042**."),
]
WRONG = [
    ("5 mg", "Which dose?", "5 µg"),
    ("5 mg", "Which dose?", "The dose is **5 mcg** a day."),
    ("5 kg", "How heavy?", "5 kW"),
    ("12", PLAIN, ""),
    ("12", PLAIN, "I don't know."),
    ("12", PLAIN, "Answer: 13 apples. That is because 5 + 7 = 12, plus 1."),
    ("12", PLAIN, "**Answer:** 20"),
    ("12", PLAIN, "Either 12 or 13 apples are left."),
    ("12", PLAIN, "Answer: 12 or 13"),
    ("12", PLAIN, "Answer: between 10 and 12"),
    ("12", PLAIN, "She had 12 apples first. Now 4 are left."),
    ("12", PLAIN, "12 - 4 = 8"),
    ("12", PLAIN, "\\boxed{8}\n\nCheck: 8 + 4 = 12"),
    ("12", PLAIN, "**Answer: 8**\n\nExplanation: there were 12 apples and 4 were eaten."),
    ("12", PLAIN, "8\n\nBecause 12 apples minus 4 is 8."),
    ("12", PLAIN, "#### 8"),
    ("12", PLAIN, "<think>It is 12.</think>"),
    ("12", PLAIN, "<think>It must be 12. So the answer is 12"),
    ("12", PLAIN, "<think>12?</think>\nAnswer: 8"),
    ("12", PLAIN, "Answer: 12\n\nWait, that is wrong.\n\nAnswer: 8"),
    ("12", PLAIN, "The answer is 1.2"),
    ("12", PLAIN, "Answer: 120"),
    ("12", PLAIN, "Answer: -12"),
    ("12", PLAIN, "Answer: 12,000"),
    ("12", PLAIN, "Answer: 1/2"),
    ("12", PLAIN, "Step 12: she eats the apples. 3 are left."),
    ("12", PLAIN, "Tom has 12 apples and Ann has 5 apples."),
    ("12", PLAIN, "The answer is not 12."),
    ("12", PLAIN, "eleven"),
    ("12", PLAIN, "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"),
    ("12", PLAIN, "12k"),
    ("12", PLAIN, "Room 12 has 3 apples left"),
    ("1234.5", PLAIN, "1.2345"),
    ("1234", PLAIN, "Answer: 1.234"),
    ("1234567", PLAIN, "Answer: 1,234"),
    ("1.5e-7", PLAIN, "Answer: 1.5 × 10^7"),
    ("3/4", PART, "Answer: 4/3"),
    ("3/4", PART, "0.7"),
    ("1/3", PART, "0.33"),
    ("3/4", PART, "Answer: 0.75%"),
    ("90", MINUTES, "The trip takes 1 hour 20 minutes."),
    ("90", MINUTES, "Answer: 90 hours"),
    ("90", MINUTES, "Answer: 1.5"),
    ("5 km", "How far is it?", "Answer: 5 miles"),
    ("5 km", "How far is it?", "Answer: 5 hours"),
    ("40", SHOP, "The total cost is €40."),
    ("$40", SHOP, "Answer: 40 euros"),
    ("$40", SHOP, "40 cents"),
    ("50", "How many cents are 5 pens at $0.10?", "Answer: $50"),
    ("35", SHARE, "Answer: 0.35%"),
    ("35%", SHARE, "Answer: 65%"),
    ("14:35", "When does it end?", "It ends at 2:35."),
    ("14:35", "When does it end?", "It starts at 14:35 and ends at 15:10."),
    ("9:45", "When does it end?", "945"),
    ("2\\sqrt{3}", "Simplify.", "The result is $\\boxed{3\\sqrt{2}}$."),
    ("\\frac{\\pi}{2}", "Evaluate.", "Answer: π/3"),
    ("x^2 + 2x + 1", "Expand.", "**Answer:** $x^2 + 1$"),
    ("0042", "What is the code?", "The code is 42."),
    ("0042", "What is the code?", "00042"),
]


@pytest.mark.parametrize(("cases", "right"), [(RIGHT, True), (WRONG, False)])
def test_the_final_number_is_read_as_a_person_reads_it(cases: list[tuple[str, str, str]], right: bool) -> None:
    assert len(cases) >= 40
    assert misread([(row("math", gold, question), reply) for gold, question, reply in cases], right) == []
