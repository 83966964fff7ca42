"""Replies that were written apart from the scorers' tables and before the readers had seen them; all scorers together."""

# ruff: noqa: E501
from __future__ import annotations

import json

from synth.example import Example
from synth.scoring.scorers import score_reply
from tests.synth.scoring.replies import row

DESK = ["refund", "delivery delay", "technical issue", "cancellation", "praise"]
YES = ["yes", "no"]
MOOD = ["positive", "negative", "neutral"]
INVOICE = '{"invoice": "INV-204", "date": "2024-03-05", "total": 119.9, "lines": [{"item": "Cable", "qty": 2}]}'
READ = json.loads(INVOICE)
# scorer, gold, question or label set, reply, whether a person calls it right
REPLIES: list[tuple[str, str, str | list[str], str, bool]] = [
    (
        "math",
        "18",
        "Janet's ducks lay 16 eggs per day. She eats 3 and bakes with 4. She sells the rest at $2 each. How much does she make every day?",
        "To find out how much Janet makes every day, we need to follow these steps:\n\n1. **Total eggs laid per day:** 16\n2. **Eggs eaten for breakfast:** 3\n3. **Eggs used for baking:** 4\n\nRemaining eggs: \\( 16 - 3 - 4 = 9 \\)\n\nMoney made: \\( 9 \\times 2 = 18 \\)\n\nTherefore, Janet makes **$18** every day at the farmers' market.",
        True,
    ),
    (
        "math",
        "18",
        "How much does she make?",
        "Janet sells 16 - 3 - 4 = 9 duck eggs a day. She makes 9 * 2 = $18 every day at the farmer’s market.\n#### 18",
        True,
    ),
    (
        "math",
        "3",
        "A robe takes 2 bolts of blue fiber and half that much white. How many bolts in total?",
        "It takes 2/2=1 bolt of white fiber. So the total amount of fabric is 2+1=3 bolts.",
        True,
    ),
    (
        "math",
        "70000",
        "How much profit did he make?",
        "**Step 1: Total cost**\nPurchase price: $80,000\nRepairs: $50,000\nTotal cost: $130,000\n\n**Step 2: New value**\n150% increase on $80,000 = $120,000\nNew value = $200,000\n\n**Step 3: Profit**\n$200,000 − $130,000 = **$70,000**\n\nJosh made a profit of **$70,000**.",
        True,
    ),
    (
        "math",
        "540",
        "How many total meters does he run a week?",
        "James runs 3 sprints × 3 times/week × 60 m = **540 meters** per week.",
        True,
    ),
    (
        "math",
        "20",
        "How many cups of feed?",
        "Each chicken gets 3 cups, so 20 chickens need 60 cups. He gives 15 in the morning and 25 in the afternoon. That means the final meal is 60 - 15 - 25 = 20 cups.\n\nSo, Wendi needs to give her chickens **20 cups of feed** in the final meal of the day. 🐔",
        True,
    ),
    ("math", "64", "How much does he need to pay?", "The answer is $64.00.", True),
    (
        "math",
        "260",
        "How many sheep?",
        "Seattle: 20\nCharleston: 4 × 20 = 80\nToulouse: 2 × 80 = 160\n\nTotal: 20 + 80 + 160 = 260 sheep",
        True,
    ),
    (
        "math",
        "160",
        "How long in minutes?",
        "The total time is 40 + 20 + 100 = 160 minutes, or 2 hours and 40 minutes.",
        True,
    ),
    ("math", "160", "How long does it take in minutes?", "It takes **2 hours and 40 minutes**.", True),
    ("math", "45", "How far is he from home?", "He is 45 miles away from home at the end of those 4 hours.", True),
    ("math", "460", "How much are her earnings?", "Eliza's total earnings for this week are $460.", True),
    (
        "math",
        "366",
        "How many downloads total over three months?",
        "$$60 + 180 + 126 = 366$$\n\nThe program had a total of $\\boxed{366}$ downloads over the three months.",
        True,
    ),
    ("math", "694", "How much in total?", "Total = $20 × 3 + $... = $694\n\n**Total: $694**", True),
    (
        "math",
        "13",
        "What's the number of years before he starts earning money?",
        "It'll take him **13 years** before he starts earning money on the lemon tree, since in year 12 he only breaks even (12 × $7.50 = $90).",
        True,
    ),
    (
        "math",
        "18",
        "How much?",
        "Let x be the price. Then 2x + 4 = 40, so 2x = 36 and x = 18. ✅ The price is 18.",
        True,
    ),
    ("math", "18", "How old is she?", "She is 18 years old now; in 5 years she will be 23.", True),
    ("math", "23", "How old will she be in 5 years?", "She is 18 years old now, and in 5 years she will be 23.", True),
    (
        "math",
        "5",
        "How many are left?",
        "There were originally 12 cookies. After eating 7, there are now 5 cookies left in the jar.",
        True,
    ),
    ("math", "0.25", "What is the probability?", "The probability is \\(\\frac{1}{4}\\) or 25%.", True),
    ("math", "1/4", "What is the probability?", "P = 0.25", True),
    (
        "math",
        "9:30",
        "When does the train arrive?",
        "The train leaves at 7:15 and takes 2 h 15 min.\n\n7:15 + 2:15 = 9:30\n\n**The train arrives at 9:30 a.m.**",
        True,
    ),
    ("math", "21:30", "When?", "9:30 PM", True),
    (
        "math",
        "1250",
        "Total cost in dollars?",
        "The total comes to $1,250 (that's $1,000 for the equipment plus $250 for shipping).",
        True,
    ),
    (
        "math",
        "12",
        "How many?",
        "Sure! Here's the solution:\n\n- Apples bought: 5\n- Apples given: 7\n- **Total: 12**\n\nI hope this helps! Let me know if you have any other questions about the 2 numbers.",
        True,
    ),
    ("math", "12", "How many?", "```\n5 + 7 = 12\n```", True),
    ("math", "12", "How many?", "**12**", True),
    ("math", "12", "How many?", "There are 12 of them.", True),
    ("math", "12", "How many?", "Final Answer: $12$", True),
    ("math", "12", "How many?", "$12$", True),
    ("math", "-3", "Temperature?", "The temperature drops to **-3°C**.", True),
    ("math", "0.333", "x?", "Answer: 1/3", False),
    ("math", "7", "How many more?", "Tom has 7 more apples than Ann: 12 − 5 = 7.", True),
    ("math", "84", "Average?", "The average is (80 + 84 + 88) / 3 = 252 / 3 = 84.", True),
    ("math", "15", "What percent?", "So the discount is 15%.", True),
    (
        "math",
        "15",
        "How many?",
        "Each of the 3 boxes holds 5 pens, so there are 3 × 5 = **15 pens** in all 3 boxes.",
        True,
    ),
    ("math", "15", "How many?", "Each of the 3 boxes holds 5 pens, so there are **15 pens** in the 3 boxes.", True),
    ("math", "40", "Cost?", "It would cost $40 to buy 10 pens.", True),
    ("math", "40", "Cost?", "Ten pens cost $40.", True),
    ("math", "10", "How many pens can she buy with $40?", "With $40, she can buy 10 pens.", True),
    ("math", "10", "How many pens can she buy with $40?", "She can buy 10 pens with $40.", True),
    ("math", "6", "How many days?", "It will take 6 days for 4 workers to finish the 3 walls.", True),
    ("math", "2", "Remainder?", "17 divided by 5 is 3 with a remainder of 2.", True),
    ("math", "2 1/2", "How many cups?", "You need 2 1/2 cups of flour.", True),
    ("math", "2.5", "How many cups?", "You need 2 ½ cups of flour (2.5 cups).", True),
    ("math", "1000000", "?", "One million", True),
    ("math", "30", "Speed?", "The average speed is 60 km ÷ 2 h = 30 km/h.", True),
    ("math", "30", "How many minutes?", "Half an hour", True),
    ("math", "12", "How many apples?", "I think there might be around 12, but it could be 13.", False),
    ("math", "12", "How many apples?", "Answer: 12 apples, 5 oranges", False),
    ("math", "8", "How many?", "The final count is 12 − 4, which equals 8.", True),
    ("math", "8", "How many?", "So, the answer: eight.", True),
    ("math", "8", "How many?", "**Answer:** 8 (eight)", True),
    ("math", "8", "How many?", "Respuesta: 8", True),
    ("math", "1500", "¿Cuánto?", "El total es 1.500 €.", True),
    ("math", "1500", "Wie viel kostet es? Ein Stück kostet 12,50 €.", "Insgesamt kostet es 1.500 €.", True),
    (
        "exact",
        "Paris",
        "Capital of France?",
        "The capital of France is **Paris**. It has been the seat of government since the Middle Ages.",
        True,
    ),
    ("exact", "Paris", "Capital of France?", "Paris, France", False),
    ("exact", "Paris", "Capital of France?", "**Paris** is the capital of France.", True),
    ("exact", "Paris", "Capital of France?", "Paris is the capital of France.", False),
    ("exact", "Monday", "Which day?", "The meeting is on Monday.", False),
    ("exact", "true", "True or false?", "True. The statement holds because 2 is even.", True),
    ("exact", "true", "True or false?", "The statement is **true**.", True),
    ("exact", "true", "True or false?", "The statement is not true.", False),
    (
        "choice",
        "C",
        "Q?\nA. one\nB. two\nC. three",
        "The correct answer is **C. three**.\n\nHere's why the other options are incorrect:\n- **A. one** – too small\n- **B. two** – too small",
        True,
    ),
    ("choice", "C", "Q?\nA. one\nB. two\nC. three", "**Answer: C**", True),
    (
        "choice",
        "C",
        "Q?\nA. one\nB. two\nC. three",
        "Let me think step by step.\n\nA is too small. B is also too small. That leaves C.",
        True,
    ),
    (
        "choice",
        "C",
        "Q?\nA. one\nB. two\nC. three",
        "C) three is the right answer, since A) one and B) two are too small.",
        True,
    ),
    ("choice", "A", "Q?\nA. one\nB. two\nC. three", "A. one", True),
    ("choice", "A", "Q?\nA. one\nB. two\nC. three", "I'd say A.", True),
    ("choice", "A", "Q?\nA. one\nB. two\nC. three", "A, because the others are too large.", True),
    ("choice", "B", "Q?\nA. one\nB. two\nC. three", "The best choice here is option (B), two.", True),
    ("choice", "B", "Q?\nA. one\nB. two\nC. three", "two", True),
    ("choice", "D", "Which?\n\n(A) a\n(B) b\n(C) c\n(D) all of the above", "(D) all of the above", True),
    ("choice", "D", "Which?\n\n(A) a\n(B) b\n(C) c\n(D) all of the above", "All of the above.", True),
    (
        "label",
        "refund",
        DESK,
        "Based on the message, the most appropriate category is **refund**.\n\n**Reasoning:** The customer wants the money back because of a delivery delay.",
        True,
    ),
    ("label", "refund", DESK, "Category: refund\nConfidence: high", True),
    ("label", "refund", DESK, "refund request", True),
    ("label", "refund", DESK, "The customer is asking for a refund due to a technical issue.", False),
    ("label", "delivery delay", DESK, "Delivery Delay", True),
    (
        "label",
        "delivery delay",
        DESK,
        'This message falls under "delivery delay" since the parcel is late; no refund is asked for.',
        True,
    ),
    ("label", "delivery delay", DESK, "I would classify this as **Delivery delay** (the parcel never arrived).", True),
    ("label", "praise", DESK, "Praise!", True),
    ("label", "praise", DESK, "None of these", False),
    ("label", "cancellation", DESK, '{"intent": "cancellation", "confidence": 0.93}', True),
    ("label", "yes", YES, "Yes.", True),
    ("label", "no", YES, "The answer is no.", True),
    ("label", "no", YES, "Yes, there is no error.", False),
    ("label", "positive", MOOD, "Sentiment: Positive 😊", True),
    ("label", "negative", MOOD, "Overall, the review is negative, despite a few positive remarks.", True),
    ("label", "negative", MOOD, "**Negative** — despite a few positive remarks.", True),
    (
        "json",
        INVOICE,
        "",
        "Here's the extracted information:\n\n```json\n"
        + json.dumps(READ, indent=4)
        + "\n```\n\n**Notes:**\n- The date was converted to ISO format.\n- `total` includes {tax}.",
        True,
    ),
    ("json", INVOICE, "", json.dumps({**READ, "total": "119.90"}), True),
    ("json", INVOICE, "", json.dumps({**READ, "date": "March 5, 2024"}), False),
    ("json", INVOICE, "", json.dumps({**READ, "total": 119.0}), False),
    (
        "json",
        INVOICE,
        "",
        '{\n  "invoice": "INV-204",\n  "date": "2024-03-05",\n  "total": 119.9,\n  "lines": [\n    {"item": "cable", "qty": 2}\n  ]\n}',
        True,
    ),
    ("exact", "Ludwig van Beethoven", "Who?", "The composer is **Ludwig van Beethoven** (1770–1827).", True),
    ("exact", "Ludwig van Beethoven", "Who?", "Beethoven", False),
    ("exact", "1969", "When?", "It was in 1969.", False),
    ("exact", "March 5", "When?", "Answer: March 5th", False),
    ("exact", "red", "Colour?", "Red 🔴", False),
    ("exact", "red", "Colour?", "The color shown is red.", True),
    ("exact", "Lisbon", "City?", "Lisbon\n", True),
    ("exact", "Lisbon", "City?", "**City:** Lisbon", False),
    ("exact", "Lisbon", "City?", "Sure! The city is Lisbon.", True),
    ("anls", "Lisbon", "City?", "Lisboa", False),
    ("math", "250", "How many grams?", "You need 0.25 kg of flour, i.e. 250 g.", True),
    ("math", "250", "How many grams?", "You need 0.25 kg.", True),
    ("math", "3.5", "Hours?", "Three and a half hours", True),
    ("math", "1/8", "p?", "The probability is 1 in 8, or 12.5%.", True),
    ("math", "1/8", "p?", "12.5%", True),
    ("math", "5000", "Total in $?", "$5K", True),
    ("math", "12", "n?", "n = 12", True),
    ("math", "12", "n?", "We get n=12. ✔️", True),
    ("math", "12", "n?", "Answer: n = 12 (since n > 0, we discard n = -12).", True),
    ("math", "12", "n?", "The solutions are n = 12 and n = -12.", False),
    ("math", "2024-03-05", "Date?", "2024-03-05", True),
    ("math", "20", "Age?", "Mia is 20 years old and Tom is 24.", False),
    ("math", "6", "How many are red?", "Out of 10 balls, 6 are red.", True),
    ("math", "6", "How many are red?", "6 out of 10 balls are red.", True),
    ("math", "6", "How many are red?", "6/10", False),
    ("math", "0", "How many are left?", "None are left.", False),
    ("math", "0", "How many are left?", "There are zero apples left.", True),
    ("relaxed", "42", "Value?", "The value for 2019 is 42.", True),
    ("relaxed", "42", "Value?", "In 2019 the value was about 41.5 million.", False),
    ("relaxed", "42", "Value (in millions)?", "41.5 million", False),
    ("choice", "B", "Q?\nA. x1\nB. y2\nC. z3", "The answer is option **B**: y2.", True),
    ("choice", "B", "Q?\nA. x1\nB. y2\nC. z3", "**B.** y2\n\n**Explanation**: A and C are wrong.", True),
    ("choice", "B", "Q?\nA. x1\nB. y2\nC. z3", "Correct answer: (B)", True),
    ("choice", "B", "Q?\nA. x1\nB. y2\nC. z3", "A ❌ B ✅ C ❌", False),
    (
        "choice",
        "B",
        "Q?\nA. x1\nB. y2\nC. z3",
        "Let's eliminate: A is incorrect. C is incorrect. So the answer must be B.",
        True,
    ),
]
MISREAD = (
    "She is 18 years old now; in 5 years she will be 23.",  # gold 18: the question alone tells which
    "The probability is 1 in 8, or 12.5%.",  # "1 in 8" may as well be boxes
)


def _row(scorer: str, gold: str, asked: str | list[str]) -> Example:
    return row(scorer, gold, labels=asked) if isinstance(asked, list) else row(scorer, gold, asked or "q")


def test_all_but_two_of_the_replies_set_apart_are_read_as_a_person_reads_them() -> None:
    assert len(REPLIES) == 131
    wrong = [
        reply
        for scorer, gold, asked, reply, right in REPLIES
        if (score_reply(reply, _row(scorer, gold, asked)).value == 1.0) is not right
    ]
    assert wrong == list(MISREAD)
