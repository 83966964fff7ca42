"""The extracts that are about something, by their words, by their meaning, or by both.

    Index(extracts).search("how dams are removed", most=20, by="both")

Words: BM25 (Robertson and Zaragoza 2009, k1 = 1.2, b = 0.75). Meaning: cosine of the embeddings of
`filtering.features`, which know related words and no word order; on headings of our documentation they find less than
BM25 does. Both: reciprocal rank fusion (Cormack et al. 2009, k = 60).
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Literal

from synth.documents.extracts import Extract
from synth.filtering.features import features

K1, B = 1.2, 0.75
FUSION = 60
CLOSE = 0.3
"""Cosine below which an extract has nothing to do with a query."""
By = Literal["words", "meaning", "both"]
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Words in lower case, a plural's s taken off, so that "dams" finds "dam"."""
    found = _WORD.findall(text.casefold())
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in found]


class Index:
    """Extracts that can be searched many times."""

    def __init__(self, extracts: Sequence[Extract]) -> None:
        self._extracts = extracts
        self._postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self._lengths = []
        for place, extract in enumerate(extracts):
            count = Counter(words(extract.text))
            self._lengths.append(count.total())
            for word, often in count.items():
                self._postings[word].append((place, often))

    @functools.cached_property
    def _vectors(self) -> Any:
        return features([extract.text for extract in self._extracts], "embeddings")

    def search(self, query: str, most: int, by: By = "words") -> list[Extract]:
        """The extracts that fit best, best first; those that have nothing to do with the query are left out."""
        rankings = []
        if by != "meaning":
            rankings.append(self._by_words(query))
        if by != "words":
            rankings.append(self._by_meaning(query))
        scores: defaultdict[int, float] = defaultdict(float)
        for ranking in rankings:
            for rank, place in enumerate(ranking, start=1):
                scores[place] += 1 / (FUSION + rank)
        best = sorted(scores, key=lambda place: (-scores[place], place))
        return [self._extracts[place] for place in best[:most]]

    def _by_words(self, query: str) -> list[int]:
        total = len(self._extracts)
        mean = sum(self._lengths) / max(1, total)
        scores: defaultdict[int, float] = defaultdict(float)
        for word in set(words(query)):
            holding = self._postings.get(word, ())
            rarity = math.log(1 + (total - len(holding) + 0.5) / (len(holding) + 0.5))
            for place, often in holding:
                length = self._lengths[place] / mean
                scores[place] += rarity * often * (K1 + 1) / (often + K1 * (1 - B + B * length))
        return sorted(scores, key=lambda place: (-scores[place], place))

    def _by_meaning(self, query: str) -> list[int]:
        import numpy as np

        if not self._extracts:
            return []
        likeness = self._vectors @ features([query], "embeddings")[0]
        order = np.argsort(-likeness, kind="stable")
        return [int(place) for place in order if likeness[place] >= CLOSE]


def search(extracts: Sequence[Extract], query: str, most: int, by: By = "words") -> list[Extract]:
    """`Index.search` once."""
    return Index(extracts).search(query, most, by)
