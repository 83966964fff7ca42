"""What documents are about: clusters of their extracts (k-means on embeddings), named by their most telling words.

A name is made of the words that are frequent in the cluster and rare in the others (c-TF-IDF, Grootendorst 2022). It
describes; it is not a title that a person would give.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from synth.documents.extracts import Extract
from synth.documents.search import words
from synth.filtering.features import features

NAMED_BY = 3
_LEAST_LETTERS = 3


class Topic(NamedTuple):
    """A cluster: its telling words, and its extracts, the most typical first."""

    name: str
    extracts: tuple[Extract, ...]


def topics(extracts: Sequence[Extract], count: int) -> list[Topic]:
    """At most `count` topics, the largest first; the same extracts give the same topics."""
    import numpy as np
    from sklearn.cluster import KMeans

    if not extracts:
        return []
    numbers = features([extract.text for extract in extracts], "embeddings")
    model = KMeans(min(count, len(np.unique(numbers, axis=0))), n_init=4, random_state=0).fit(numbers)
    distances = np.linalg.norm(numbers - model.cluster_centers_[model.labels_], axis=1)
    members: list[list[int]] = [[] for _ in range(model.n_clusters)]
    for place in np.argsort(distances, kind="stable").tolist():
        members[model.labels_[place]].append(place)
    found = [tuple(extracts[place] for place in places) for places in members if places]
    names = _names(found)
    made = [Topic(name, members) for name, members in zip(names, found, strict=True)]
    return sorted(made, key=lambda topic: (-len(topic.extracts), topic.name))


def in_turn(found: Sequence[Topic]) -> Iterator[tuple[Topic, Extract]]:
    """Extracts of each topic in turn, the most typical first, so that a part of them covers every topic."""
    for row in zip_longest(*(topic.extracts for topic in found)):
        for topic, extract in zip(found, row, strict=True):
            if extract is not None:
                yield topic, extract


def _names(clusters: Sequence[Sequence[Extract]]) -> list[str]:
    counts = [Counter(word for one in cluster for word in words(one.text) if _telling(word)) for cluster in clusters]
    total: Counter[str] = sum(counts, Counter())
    mean = total.total() / len(counts)
    names: list[str] = []
    for own in counts:
        ranked = sorted(own, key=lambda word: (-own[word] * math.log(1 + mean / total[word]), word))
        name = ", ".join(ranked[:NAMED_BY]) or "no words"
        names.append(name if name not in names else f"{name} ({names.count(name) + 1})")
    return names


def _telling(word: str) -> bool:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return len(word) >= _LEAST_LETTERS and not word.isdigit() and word not in ENGLISH_STOP_WORDS
