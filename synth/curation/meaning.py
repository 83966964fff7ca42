"""Texts that say the same in other words: the cosine of their embeddings, under two guards.

Rows whose numbers differ are different problems, and rows whose known answers differ are different questions, however
alike they sound: both are never compared. Embeddings are means of token vectors (`filtering.features`): they know which
words are related and not their order, so that "lost" and "not lost" are near.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from synth.curation.runs import read_text
from synth.example import Example, media_parts, text_of
from synth.filtering.features import features, in_batches

Key = tuple[tuple[str, ...], str | None]
"""The numbers of a row and its known answer: only rows that share both are compared."""


def repeats(rows: Iterable[Example], least: float) -> bytearray:
    """For each row: 1 where a row before it, that has 0, means the same with a cosine of `least` or more.

    Rows with media are never compared. Holds a vector of 256 numbers for each row that stays.
    """
    import numpy as np

    found = bytearray()
    kept: defaultdict[Key, list[Any]] = defaultdict(list)
    for batch in in_batches(rows):
        texts = [text_of(row) for row in batch]
        vectors = features(texts, "embeddings")
        groups: defaultdict[Key, list[int]] = defaultdict(list)
        for place, (row, text) in enumerate(zip(batch, texts, strict=True)):
            if not media_parts(row):
                groups[read_text(text).numbers, row.answer].append(place)
        marks = bytearray(len(batch))
        for key, places in groups.items():
            near = _near(vectors[places], kept[key], least)
            for place, one in zip(places, near, strict=True):
                marks[place] = one
            kept[key].append(vectors[places][np.logical_not(near)])
        found += marks
    return found


def _near(vectors: Any, blocks: list[Any], least: float) -> list[bool]:
    """Which vectors (n, 256) are near one of the blocks, or near one before them that is near none."""
    import numpy as np

    likest = np.full(len(vectors), -1.0)
    for block in blocks:
        if len(block):
            likest = np.maximum(likest, (block @ vectors.T).max(axis=0))
    near = (likest >= least).tolist()
    between = vectors @ vectors.T >= least
    for place in range(len(vectors)):
        near[place] = near[place] or any(between[place, other] and not near[other] for other in range(place))
    return [bool(one) for one in near]
