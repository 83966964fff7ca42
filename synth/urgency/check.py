"""How urgent is a message? Read sentence by sentence with signs and numbers of its own; it does not know the phrases.

What a sentence denies, or tells of long ago, is passed over. A message in which no sign is found is not understood,
and is not right.
"""

from __future__ import annotations

import re

from synth.example import Example
from synth.scoring.verify import Verdict

_PASSED_OVER = re.compile(r"(^|, |: )(no|there is no)\b|years ago\b|last year\b", re.IGNORECASE)
_SENTENCES = re.compile(r"(?<=[.?!])\s+|\n+")
_PAIN = re.compile(r"\b(\d+) (?:out )?of 10\b")
_FEVER = re.compile(r"\b(3[89]|4[01])\.\d\b")
_SIGNS = {
    "high": r"breath|no air|gasping|chest|breastbone|bleed|blood(?! pressure)|soaked|passed out|faint|collapsed"
    r"|conscious|blacked|woken|face (hangs|swells)|\bnumb\b|slurred|cannot lift|crooked|tongue|swallowed"
    r"|throat (is swelling|feels tight|closing)|drain cleaner|heart pills|poison|insulin|one eye|left eye|sight"
    r"|sees double",
    "medium": r"rash|spots|skin|patches|eczema|stitches|wound|scar|pus\b|infected|yellow|swollen|thick since|lump|puffs"
    r"|bump|vomiting|diarrhoea|throws up|cramps|dinner down|stomach|cough|dizzy|room turns|light-headed|spins|wobbly"
    r"|\bear\b|earache|passing water|pee\b|urine|bladder|on the toilet",
    "low": r"visit|check-up|routine check|appointment|invoice|\bbill\b|prescription|certificate|school wants|fill in"
    r"|travel letter|sick note|open on|desk open|holidays|practice open|your hours|evening hours|parking|lift working"
    r"|wheelchair|bus stops|floor|pram|lab results|my file|x-ray|letter from|records|results of|insur|web page"
    r"|a review for|good care|waiting room|how kind",
}
_ORDER = ("high", "medium", "low")


def check(row: Example) -> Verdict:
    """Whether the answer is what the signs in the message come to."""
    found = urgency_of(row.prompt[-1].text)
    if not found:
        return Verdict(False, "the checker finds no sign of urgency in the message")
    if row.answer != row.target or row.answer != found:
        return Verdict(False, "the message is of another urgency", f"{found}, not {row.answer}")
    return Verdict(True, "the signs in the message say so")


def urgency_of(text: str) -> str:
    """The highest level that a sentence gives; "" when none gives any."""
    levels = {level for sentence in _SENTENCES.split(text) for level in _levels(sentence.strip())}
    return next((level for level in _ORDER if level in levels), "")


def _levels(sentence: str) -> set[str]:
    if _PASSED_OVER.search(sentence):
        return set()
    found = {level for level, signs in _SIGNS.items() if re.search(signs, sentence, re.IGNORECASE)}
    found |= {"high" if int(pain) >= 8 else "medium" if int(pain) >= 4 else "low" for pain in _PAIN.findall(sentence)}
    found |= {"high" if int(degrees) >= 40 else "medium" for degrees in _FEVER.findall(sentence)}
    return found
