"""60 replies of each kind, half right and half wrong, written and labelled before any scorer had read them.

In the manner of large chat models and of speech models: markdown, an explanation after the answer, several numbers, a
corrected first try, a hedge. At first sight the scorers read 57 of 60 numbers, 57 letters, 60 records and 57 transcripts
as labelled; the nine others are the kinds that were fixed then.
"""

# ruff: noqa: E501
from __future__ import annotations

import json

import pytest

from synth.scoring.scorers import score_reply
from tests.synth.scoring.replies import row

# gold, question, right replies, wrong replies
NUMBERS: list[tuple[str, str, list[str], list[str]]] = [
    (
        "48",
        "A crate holds 12 bottles. How many bottles are in 4 crates?",
        [
            "4 crates × 12 bottles per crate = **48 bottles**",
            "There are 48 bottles in 4 crates.",
            "**Solution**\n\nEach crate: 12 bottles.\n\nFor 4 crates:\n\\[\n12 \\times 4 = 48\n\\]\n\n**48** bottles in total.",
            "I first thought it was 44, but recounting gives 12 + 12 + 12 + 12 = 48. So the answer is 48.",
            "48.0",
        ],
        [
            "4 crates × 12 bottles per crate = **46 bottles**",
            "There are 12 bottles in 4 crates.",
            "It is 48 or 52, depending on the crates.",
            "I'm sorry, but I need to know how large a crate is.",
            "480",
        ],
    ),
    (
        "1350",
        "Rent is $450 a month. What do three months cost, in dollars?",
        [
            "Three months cost 3 × $450 = $1,350.",
            "The total rent for 3 months is **$1,350.00**.\n\nLet me know if you'd like the yearly figure!",
            "\\boxed{1350}",
            "$450 + $450 + $450 = $1350 💰",
            "One thousand three hundred fifty dollars",
        ],
        [
            "Three months cost 3 × $450 = $1,530.",
            "€1,350",
            "The rent for one month is $450.",
            "\\boxed{135}",
            "About $1,400.",
        ],
    ),
    (
        "2.4",
        "How many litres are 8 glasses of 300 ml?",
        [
            "8 × 300 ml = 2400 ml = **2.4 litres**",
            "2400 ml",
            "That's 2.4 L in total (8 × 0.3 L).",
            "Answer: 2,4 Liter",
            "\\[ 8 \\times 0.3 = 2.4 \\]\n\nSo there are $2.4$ litres.",
        ],
        [
            "8 × 300 ml = 2400 ml = **24 litres**",
            "2400",
            "That's 2.6 L in total.",
            "0.3 L per glass.",
            "Between 2 and 3 litres.",
        ],
    ),
    (
        "75",
        "A train covers 300 km in 4 hours. What is its speed in km/h?",
        [
            "Speed = distance / time = 300 km / 4 h = 75 km/h",
            "The train's average speed is **75 km/h**.",
            "$$v = \\frac{300}{4} = 75\\ \\text{km/h}$$",
            "75 kilometres per hour",
            "**Answer:** 75 km/h\n\n**Check:** 75 km/h × 4 h = 300 km ✓",
        ],
        [
            "Speed = distance / time = 300 km / 4 h = 70 km/h",
            "The train covers 300 km in 4 hours.",
            "75 m/s",
            "$$v = \\frac{4}{300}$$",
            "**Answer:** 1200 km/h",
        ],
    ),
    (
        "0.15",
        "15 of 100 parts are faulty. What share is that?",
        [
            "15/100 = 0.15",
            "The share of faulty parts is 15 %.",
            "**0.15** (that is, 15 of every 100 parts)",
            "3/20",
            "P(faulty) = 15 ÷ 100 = 0.15, so 15% of the parts are faulty and 85% are fine.",
        ],
        [
            "15/100 = 1.5",
            "The share of faulty parts is 85 %.",
            "**0.85**",
            "3/25",
            "15 parts are faulty.",
        ],
    ),
    (
        "6",
        "Lena had 20 stickers, gave away 9 and lost 5. How many are left?",
        [
            "20 − 9 − 5 = 6, so Lena has 6 stickers left.",
            "Lena has six stickers left.",
            "1. Start: 20\n2. After giving away: 20 − 9 = 11\n3. After losing: 11 − 5 = 6\n\n**Lena has 6 stickers left.**",
            "<think>20-9=11, 11-5=6</think>\n6",
            "#### 6",
        ],
        [
            "20 − 9 − 5 = 7, so Lena has 7 stickers left.",
            "Lena has sixteen stickers left.",
            "1. Start: 20\n2. After giving away: 20 − 9 = 11\n3. After losing: 11 − 5 = 6\n\n**Lena has 11 stickers left.**",
            "<think>20-9=11, 11-5=6</think>\nShe gave 9 away.",
            "-6",
        ],
    ),
]
CHOICES: list[tuple[str, str, list[str], list[str]]] = [
    (
        "B",
        "Which planet is closest to the sun?\nA. Venus\nB. Mercury\nC. Mars\nD. Earth",
        [
            "B. Mercury",
            "The closest planet to the sun is **Mercury**, so the answer is **B**.",
            "**B**\n\nVenus (A) is the second, Earth (D) the third and Mars (C) the fourth.",
            "Mercury",
            "The answer is (B).",
            "b",
            "My final answer: B) Mercury ☀️",
        ],
        [
            "A. Venus",
            "It is either A or B.",
            "**C**\n\nMercury (B) is too hot.",
            "Earth",
            "I cannot answer this question.",
            "D",
            "Not B, but A.",
        ],
    ),
    (
        "A",
        "What is 7 × 8?\nA) 56\nB) 54\nC) 63\nD) 48",
        [
            "7 × 8 = 56, which corresponds to option A.",
            "A",
            "**A) 56**",
            "A is correct: 7 × 8 = 56.",
            "Let's compute: 7 × 8 = 56.\n\nAnswer: A",
            "\\boxed{A}",
            "I would choose A here, as B, C and D are not multiples of both 7 and 8.",
            "56",
        ],
        [
            "7 × 8 = 54, which corresponds to option B.",
            "C",
            "**D) 48**",
            "A common mistake is to say 54. B",
            "Let's compute: 7 × 8 = 63.\n\nAnswer: C",
            "\\boxed{B}",
            "A and B are both possible.",
            "A number between 50 and 60.",
        ],
    ),
    (
        "D",
        "Which of these is a mammal?\nA: Trout\nB: Eagle\nC: Frog\nD: Bat",
        [
            "D: Bat",
            "Only the bat is a mammal. **D**",
            "A is a fish, B is a bird, C is an amphibian. So it's D.",
            "Option D",
            "The bat (D) is the only mammal in the list.",
            "Correct choice: D – Bat",
            "D.\n\nExplanation: bats give birth to live young and nurse them.",
        ],
        [
            "B: Eagle",
            "Only the frog is a mammal. **C**",
            "A is a fish, B is a bird, D is a mammal? No, I go with C.",
            "Option A",
            "None of the above.",
            "Correct choice: B – Eagle",
            "All but D.",
        ],
    ),
    (
        "C",
        "Pick the past tense of 'go'.\nA. goed\nB. gone\nC. went\nD. goes",
        [
            "went",
            "The past tense of “go” is **went** (C).",
            "C. went\n\n- A is not a word\n- B is the past participle\n- D is the present",
            "Answer: (C) went",
            "**C** ✅",
            "I think the right one is C.",
            "The answer should be C, not B: “gone” is the past participle.",
            "c) went",
        ],
        [
            "gone",
            "The past tense of “go” is **goed** (A).",
            "B. gone\n\n- C is not the participle",
            "Answer: (D) goes",
            "**B** ✅",
            "I think it is not C.",
            "The answer should be B, not C.",
            "A",
        ],
    ),
]
RECORD = '{"name": "Ana Ruiz", "date": "2025-04-02", "amount": 37.5, "paid": true, "tags": ["late", "repeat"]}'
SMALL = '{"city": "Graz", "zip": "08010", "rooms": 3, "garden": null}'
R, S = json.loads(RECORD), json.loads(SMALL)


def fence(value: object, language: str = "json", indent: int | None = 2) -> str:
    return f"```{language}\n{json.dumps(value, indent=indent)}\n```"


RECORDS: list[tuple[str, str, list[str], list[str]]] = [
    (
        RECORD,
        "Extract the order.",
        [
            RECORD,
            fence(R),
            "Here is the JSON you asked for:\n\n" + fence(R) + "\n\nLet me know if you need anything else.",
            json.dumps(dict(reversed(R.items()))),
            json.dumps({**R, "amount": 37.50}, separators=(",", ":")),
            json.dumps({**R, "tags": ["repeat", "late"]}),
            json.dumps({**R, "name": "ANA RUIZ"}),
            "Sure!\n" + json.dumps(R),
            fence(R, "") + "\n\n**Explanation:** `paid` is true because the invoice says so.",
            "<think>The amount could be {37} but it is 37.5.</think>" + json.dumps(R),
            "First draft:\n" + fence({**R, "amount": 30}) + "\n\nAfter checking the text again:\n" + fence(R),
            json.dumps({**R, "note": None}),
            json.dumps({**R, "amount": "37.50"}),
            json.dumps(R, indent="\t") + "\n",
            "The order, as requested:\n\n" + json.dumps(R, indent=4) + "\n\n(Amounts are in euros.)",
        ],
        [
            json.dumps({**R, "amount": 37.05}),
            fence({**R, "paid": False}),
            fence({**R, "date": "2025-02-04"}),
            json.dumps({**R, "tags": ["late"]}),
            json.dumps({**R, "tags": ["late", "repeat", "urgent"]}),
            json.dumps({k: v for k, v in R.items() if k != "paid"}),
            "Here is the JSON you asked for:\n\n" + fence({**R, "name": "Anna Ruiz"}),
            json.dumps({**R, "paid": "yes"}),
            json.dumps({**R, "discount": 5}),
            fence(R)[:-20],
            "I could not find an order in this text.",
            json.dumps([R, {**R, "name": "Bo Li"}]),
            fence(R) + "\n\nOn second thought, the amount is wrong:\n\n" + fence({**R, "amount": 3.75}),
            json.dumps({**R, "date": "02.04.25"}),
            "{}",
        ],
    ),
    (
        SMALL,
        "Extract the flat.",
        [
            SMALL,
            fence(S),
            json.dumps({k: v for k, v in S.items() if v is not None}),
            "```json\n" + SMALL + "\n```\nThe garden is not mentioned, so it is null.",
            json.dumps({**S, "rooms": 3.0}),
            json.dumps({**S, "city": "graz"}),
            "**Result**\n\n" + SMALL,
            json.dumps({**S, "rooms": "3"}),
            "Output:\n" + fence(S, "JSON"),
            '{"city":"Graz","zip":"08010","rooms":3,"garden":null}',
            '{\n  "zip": "08010",\n  "city": "Graz",\n  "rooms": 3\n}',
            "Let me extract the fields.\n\n- city: Graz\n- rooms: 3\n\n" + SMALL,
            "city: Graz\nzip: 08010\nrooms: 3",
            SMALL + "\n\nNote: the ZIP code keeps its leading zero {as in the text}.",
            SMALL.replace(", ", ",\n"),
        ],
        [
            json.dumps({**S, "zip": "8010"}),
            json.dumps({**S, "zip": 8010}),
            fence({**S, "rooms": 4}),
            json.dumps({**S, "garden": True}),
            json.dumps({**S, "city": "Linz"}),
            json.dumps({"flat": S}),
            "The flat is in Graz and has three rooms.",
            json.dumps({**S, "rooms": [3]}),
            '{"city": "Graz", "zip": "08010", "rooms": ',
            "city: Graz\nzip: 08010\nrooms: 2",
            json.dumps({"City": "Wien", "zip": "08010", "rooms": 3}),
            json.dumps({**S, "rooms": 33}),
            json.dumps({**S, "city": "Graz, Austria"}),
            "```json\n{}\n```",
            json.dumps({**S, "garden": "none mentioned", "balcony": True}),
        ],
    ),
]
# language, what was said, transcripts with no error, transcripts with one
SPEECH: list[tuple[str, str, list[str], list[str]]] = [
    (
        "en",
        "Doctor Lee's appointment is at three thirty on the fourth of July and costs 25 dollars.",
        [
            "Dr. Lee's appointment is at 3:30 on the 4th of July and costs $25.",
            "Doctor Lee's appointment is at 3:30 on the fourth of July and costs twenty-five dollars.",
            "doctor lee's appointment is at three thirty on the fourth of july and costs 25 dollars",
            "Dr Lee's appointment is at three-thirty, on the 4th of July, and costs $25.00.",
            "Um, Dr. Lee's appointment is at 3:30 on the 4th of July, and costs 25 dollars.",
        ],
        [
            "Dr. Lee's appointment is at 3:13 on the 4th of July and costs $25.",
            "Doctor Lee's appointment is at 3:30 on the 5th of July and costs $25.",
            "Dr. Lee's appointment is at 3:30 on the 4th of July and costs $250.",
            "Dr. Leigh's appointment is at 3:30 on the 4th of July and costs $25.",
            "Dr. Lee's appointment is at 3:30 on the 4th of July.",
        ],
    ),
    (
        "en",
        "We don't have 1,200 mg tablets; take two 600 mg ones, it's the same.",
        [
            "we do not have 1200 mg tablets take two 600 mg ones it is the same",
            "We don't have 1,200 milligram tablets. Take two 600 milligram ones. It's the same.",
            "We don't have twelve hundred milligram tablets, take 2 600 mg ones, it's the same.",
            "WE DON'T HAVE 1200 MG TABLETS. TAKE TWO 600 MG ONES. IT'S THE SAME.",
            "We don’t have 1200mg tablets – take two 600mg ones – it’s the same.",
        ],
        [
            "We don't have 1,200 microgram tablets; take two 600 mg ones, it's the same.",
            "We do have 1,200 mg tablets; take two 600 mg ones, it's the same.",
            "We don't have 1,200 mg tablets; take two 60 mg ones, it's the same.",
            "We don't have 1,200 mg tablets; take two 600 mg ones, it's not the same.",
            "We don't have 1,200 mg tablets; take two 600 mg ones, it's the same. Thank you for watching!",
        ],
    ),
    (
        "en",
        "Mrs. Okafor paid half of the ninety percent at the theatre, okay?",
        [
            "Missus Okafor paid half of the 90% at the theater, okay?",
            "Mrs Okafor paid half of the 90 percent at the theatre. OK?",
            "mrs okafor paid half of the ninety percent at the theatre okay",
            "Mrs. Okafor paid half of the 90 per cent at the theatre, okay?",
            "Mrs. Okafor paid half of the ninety percent at the theatre, okay.",
        ],
        [
            "Mrs. Okafor paid half of the nineteen percent at the theatre, okay?",
            "Mr. Okafor paid half of the 90% at the theatre, okay?",
            "Mrs. Okafor paid the ninety percent at the theatre, okay?",
            "Mrs. Oka for paid half of the 90% at the theatre, okay?",
            "Mrs. Okafor paid half of the 90 at the theatre, okay?",
        ],
    ),
    (
        "de",
        "Die 3 Pakete kosten 12,50 Euro und wiegen zwei Kilogramm.",
        [
            "Die drei Pakete kosten 12,50 € und wiegen 2 kg.",
            "die drei pakete kosten 12,50 euro und wiegen zwei kilogramm",
            "Die 3 Pakete kosten 12,50 Euro, und wiegen 2 Kilogramm.",
            "Die drei Pakete kosten zwölf Euro fünfzig und wiegen zwei Kilogramm.",
            "DIE DREI PAKETE KOSTEN 12,50 EURO UND WIEGEN ZWEI KILOGRAMM.",
        ],
        [
            "Die drei Pakete kosten 12,15 Euro und wiegen zwei Kilogramm.",
            "Die zwei Pakete kosten 12,50 Euro und wiegen zwei Kilogramm.",
            "Die drei Pakete kosten 12,50 Dollar und wiegen zwei Kilogramm.",
            "Das Paket kostet 12,50 Euro und wiegt zwei Kilogramm.",
            "Die drei Pakete kosten 12,50 Euro und wiegen zwei Kilo Gramm mehr.",
        ],
    ),
    (
        "es",
        "¿Cuántos años tiene el señor Núñez? Tiene 45 años.",
        [
            "cuántos años tiene el señor núñez tiene 45 años",
            "¿Cuántos años tiene el señor Núñez? Tiene cuarenta y cinco años.",
            "¿Cuántos años tiene el Señor Núñez? ¡Tiene 45 años!",
            "Cuántos años tiene el señor Núñez. Tiene 45 años.",
            "¿Cuántos años tiene el señor Núñez?\nTiene 45 años.",
        ],
        [
            "¿Cuántos años tiene el señor Núñez? Tiene 54 años.",
            "¿Cuántos anos tiene el señor Núñez? Tiene 45 anos.",
            "¿Cuántos años tiene la señora Núñez? Tiene 45 años.",
            "¿Cuántos años tiene el señor? Tiene 45 años.",
            "How old is Mr. Núñez? He is 45.",
        ],
    ),
    (
        "fr",
        "L'hôtel n'est pas loin, à 2 km d'ici, environ vingt minutes.",
        [
            "l'hôtel n'est pas loin à deux kilomètres d'ici environ vingt minutes",
            "L’hôtel n’est pas loin, à deux km d’ici, environ 20 minutes.",
            "L'hôtel n'est pas loin : à 2 kilomètres d'ici, environ 20 minutes !",
            "L'HÔTEL N'EST PAS LOIN, À 2 KM D'ICI, ENVIRON VINGT MINUTES.",
            "L'hôtel n'est pas loin... à 2 km d'ici. Environ vingt minutes.",
        ],
        [
            "L'hôtel est loin, à 2 km d'ici, environ vingt minutes.",
            "L'hôtel n'est pas loin, à 12 km d'ici, environ vingt minutes.",
            "L'hôtel n'est pas loin, à 2 km d'ici, environ quatre-vingts minutes.",
            "L'autel n'est pas loin, à 2 km d'ici, environ vingt minutes.",
            "L'hôtel n'est pas loin, à 2 m d'ici, environ vingt minutes.",
        ],
    ),
]
KINDS = {"math": NUMBERS, "choice": CHOICES, "json": RECORDS}


@pytest.mark.parametrize("scorer", KINDS)
def test_replies_of_a_kind_are_read_as_a_person_reads_them(scorer: str) -> None:
    right = [(gold, asked, reply, True) for gold, asked, good, _ in KINDS[scorer] for reply in good]
    wrong = [(gold, asked, reply, False) for gold, asked, _, bad in KINDS[scorer] for reply in bad]
    assert len(right) == len(wrong) == 30
    missed = [
        reply
        for gold, asked, reply, good in right + wrong
        if (score_reply(reply, row(scorer, gold, asked)).value == 1.0) is not good
    ]
    assert missed == []


def test_transcripts_are_read_as_a_person_reads_them() -> None:
    right = [(language, gold, said, True) for language, gold, good, _ in SPEECH for said in good]
    wrong = [(language, gold, said, False) for language, gold, _, bad in SPEECH for said in bad]
    assert len(right) == len(wrong) == 30
    missed = [
        said
        for language, gold, said, good in right + wrong
        if (score_reply(said, row("wer", gold, language=language)).edits == 0) is not good
    ]
    assert missed == []
