"""Texts that say nearly the same, found among many at once: what must not be parted between training and test.

The rule is that of `leakage` with shorter runs: the same numbers in the same order, a run of words in common (or
several numbers), and at least `NEAR` of the characters. Rows that differ in a number are different problems.
Paraphrases are not found. Extracts of documents (`overlapping`) are a matter of what stands in both: the new version of
a manual with other numbers is the same manual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from synth.curation.leakage import BOILERPLATE, NEAR
from synth.curation.runs import WORDS, Runs, Text

RUN = 5
"""Words in a row that make two texts candidates; shorter texts are compared when all their words are the same."""
SKETCH = 32
"""Hashes kept of a text, so that it takes at most some 400 bytes, however long it is."""
_FARTHEST = 11
"""Texts with one run in common are compared with so many of the next ones; those that are the same find each other."""


SHARED = 0.5
"""Share of the shorter extract's runs of words from which two of them overlap."""


def alike(texts: Sequence[Text]) -> list[list[int]]:
    """Places of two texts or more that say nearly the same, each place in one group at most."""
    from rapidfuzz import fuzz

    def same(one: int, other: int) -> bool:
        if texts[one].numbers != texts[other].numbers:
            return False
        return fuzz.ratio(texts[one].text, texts[other].text) >= 100 * NEAR

    pairs, _, _ = _met(texts, Runs(RUN, SKETCH, with_numbers=True))
    return _grouped(len(texts), pairs.tolist(), same)


def overlapping(texts: Sequence[Text]) -> list[list[int]]:
    """Places of two extracts or more that share half of the shorter one's runs of words, numbers aside or not.

    Extracts that overlap a third one are in its group. Runs that more than `BOILERPLATE` extracts have count for
    nothing: the words of a form are no reason to keep all of its copies together.
    """
    pairs, shared, sizes = _met(texts, Runs(RUN))
    shorter = sizes[pairs].min(axis=1)
    return _grouped(len(texts), pairs[shared >= SHARED * shorter].tolist())


def _grouped(
    count: int, pairs: Sequence[Sequence[int]], same: Callable[[int, int], bool] = lambda one, other: True
) -> list[list[int]]:
    """Groups of the places below `count` that pairs tie together, of those that are the same."""
    leader = list(range(count))

    def find(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    for one, other in pairs:
        first, second = find(one), find(other)
        if first != second and same(one, other):
            leader[max(first, second)] = min(first, second)
    found: dict[int, list[int]] = {}
    for place in range(count):
        if leader[place] != place:
            found.setdefault(find(place), []).append(place)
    return [[first, *others] for first, others in sorted(found.items())]


def _met(texts: Sequence[Text], runs: Runs) -> tuple[Any, Any, Any]:
    """Pairs of places `[pairs, 2]` that share a run of words (or several numbers), each once and the lower place first;
    the number of keys that each pair shares; and the number of keys of each text.
    """
    import numpy as np

    for text in texts:
        runs.add(text)
    keys, places = runs.shared()
    if not len(keys):
        return np.empty((0, 2), np.int64), np.empty(0, np.int64), np.zeros(len(texts), np.int64)
    once = np.concatenate(([True], (keys[1:] != keys[:-1]) | (places[1:] != places[:-1])))
    keys, places = keys[once], places[once]
    held = np.bincount(places, minlength=len(texts))
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    sizes = np.diff(np.append(starts, len(keys)))
    wanted = np.repeat((sizes > 1) & (sizes <= BOILERPLATE), sizes)
    keys, places = keys[wanted], places[wanted].astype(np.uint64)
    found = [np.empty(0, np.uint64)]
    for distance in range(1, _FARTHEST + 1):
        same = keys[distance:] == keys[:-distance]
        found.append((places[:-distance][same] << np.uint64(32)) | places[distance:][same])
    packed, shared = np.unique(np.concatenate(found), return_counts=True)
    return np.stack([packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)], 1).astype(np.int64), shared, held


def wording(text: str) -> str:
    """What texts have in common that differ in case, punctuation and white space only."""
    folded = text.casefold()
    return " ".join(WORDS.findall(folded)) or folded
