"""How many of the personal data that Faker makes for twelve countries are found, and how many where there are none.

PYTHONPATH=. python tests/bench/bench_personal.py [FILE.jsonl …]      # texts without any, to see false finds
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from faker import Faker

from synth.curation import personal

LOCALES = ["de_DE", "en_US", "en_GB", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "pt_BR", "sv_SE", "ja_JP", "en_IN"]
EACH = 200
MAKES = {
    "telephone number": "phone_number",
    "account number": "iban",
    "card number": "credit_card_number",
    "e-mail address": "email",
    "IP address": "ipv4_public",
}


def found(kind: str, locale: str) -> int:
    """How many of EACH in a sentence are found whole, as what they are."""
    made = Faker(locale)
    made.seed_instance(1)
    pieces = [getattr(made, MAKES[kind])() for _ in range(EACH)]
    texts = [f"Please note {piece} for later." for piece in pieces]
    return sum(personal.redacted(text) == f"Please note [{kind}] for later." for text in texts)


def main() -> None:
    """A line for each kind, and one for each file."""
    for kind in MAKES:
        by_locale = {locale: found(kind, locale) for locale in LOCALES}
        share = sum(by_locale.values()) / EACH / len(LOCALES)
        print(f"{kind}: {share:.1%} of {EACH * len(LOCALES)}; of {EACH} each:", by_locale)
    for file in map(Path, sys.argv[1:]):
        texts = [" ".join(map(str, json.loads(line).values())) for line in file.read_text("utf-8").splitlines()]
        print(file.name, len(texts), Counter(one.kind for text in texts for one in personal.find(text)))


if __name__ == "__main__":
    main()
