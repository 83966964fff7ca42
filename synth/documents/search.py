"""The extracts that are about something: BM25 (Robertson and Zaragoza 2009, k1 = 1.2, b = 0.75) over words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from synth.documents.extracts import Extract

K1, B = 1.2, 0.75
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Words in lower case, a plural's s taken off, so that "dams" finds "dam"."""
    found = _WORD.findall(text.casefold())
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in found]


def search(extracts: Sequence[Extract], query: str, most: int) -> list[Extract]:
    """The extracts that score best, best first; those that share no word with the query are left out."""
    counts = [Counter(words(one.text)) for one in extracts]
    lengths = [count.total() for count in counts]
    mean = sum(lengths) / max(1, len(lengths))
    scores = [0.0] * len(extracts)
    for word in set(words(query)):
        holding = [place for place, count in enumerate(counts) if word in count]
        rarity = math.log(1 + (len(extracts) - len(holding) + 0.5) / (len(holding) + 0.5))
        for place in holding:
            often = counts[place][word]
            scores[place] += rarity * often * (K1 + 1) / (often + K1 * (1 - B + B * lengths[place] / mean))
    ranked = sorted((place for place, score in enumerate(scores) if score > 0), key=lambda place: -scores[place])
    return [extracts[place] for place in ranked[:most]]
