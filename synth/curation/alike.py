"""Texts that say nearly the same, found among many at once: what must not be parted between training and test.

The rule is that of `leakage` with shorter runs: the same numbers in the same order, a run of words in common (or
several numbers), and at least `NEAR` of the characters. Rows that differ in a number are different problems.
Paraphrases are not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synth.curation.leakage import BOILERPLATE, NEAR
from synth.curation.runs import WORDS, Runs, Text

RUN = 5
"""Words in a row that make two texts candidates; shorter texts are compared when all their words are the same."""
SKETCH = 32
"""Hashes kept of a text, so that it takes at most some 400 bytes, however long it is."""
_FARTHEST = 11
"""Texts with one run in common are compared with so many of the next ones; those that are the same find each other."""


def alike(texts: Sequence[Text]) -> list[list[int]]:
    """Places of two texts or more that say nearly the same, each place in one group at most."""
    from rapidfuzz import fuzz

    leader = list(range(len(texts)))

    def find(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    for one, other in _pairs(texts).tolist():
        first, second = find(one), find(other)
        if first == second or texts[one].numbers != texts[other].numbers:
            continue
        if fuzz.ratio(texts[one].text, texts[other].text) >= 100 * NEAR:
            leader[max(first, second)] = min(first, second)
    found: dict[int, list[int]] = {}
    for place in range(len(texts)):
        if leader[place] != place:
            found.setdefault(find(place), []).append(place)
    return [[first, *others] for first, others in sorted(found.items())]


def _pairs(texts: Sequence[Text]) -> Any:
    """Places (rows of two) of texts that share a run of words, or several numbers, and all numbers; each once."""
    import numpy as np

    runs = Runs(RUN, SKETCH, with_numbers=True)
    for text in texts:
        runs.add(text)
    keys, places = runs.shared()
    if not len(keys):
        return np.empty((0, 2), np.int64)
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    sizes = np.diff(np.append(starts, len(keys)))
    wanted = np.repeat((sizes > 1) & (sizes <= BOILERPLATE), sizes)
    keys, places = keys[wanted], places[wanted].astype(np.uint64)
    found = [np.empty(0, np.uint64)]
    for distance in range(1, _FARTHEST + 1):
        same = keys[distance:] == keys[:-distance]
        found.append((places[:-distance][same] << np.uint64(32)) | places[distance:][same])
    packed = np.unique(np.concatenate(found))
    pairs = np.stack([packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)], 1).astype(np.int64)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def wording(text: str) -> str:
    """What texts have in common that differ in case, punctuation and white space only."""
    folded = text.casefold()
    return " ".join(WORDS.findall(folded)) or folded
