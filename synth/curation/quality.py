"""How varied are the texts of a dataset, and do they show signs of model collapse?

Pure functions over strings. Every figure depends on length and amount, so compare only like with like: the measures
that are sensitive to it are taken over equally many words of each text. No figure here says that a text is right.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from synth.example import Example

SAMPLE = 200
"""Texts that Self-BLEU is taken over."""
WORDS = 40
"""Words of each text that Self-BLEU looks at, so that long texts do not score higher for their length."""
LONG = 8
"""Words in a row that make a repetition long."""
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,:]\d+)*")

PROXIES = (
    "delve", "rich tapestry", "tapestry of", "testament to", "it's important to note", "it is important to note",
    "it's worth noting", "in conclusion", "in summary", "as an ai", "language model", "ever-evolving", "ever-changing",
    "game-changer", "navigate the complexities", "navigating the", "unlock the", "unleash", "embark on", "realm of",
    "in today's fast-paced", "seamless", "leverage", "foster a", "underscores the", "plays a crucial role",
    "multifaceted", "intricate", "vibrant", "bustling", "nestled", "certainly!", "i hope this helps", "shed light on",
)  # fmt: skip
"""Phrases that language models overuse; a rising rate from generation to generation is an early sign of collapse."""


class Quality(NamedTuple):
    """Diversity of a set of texts.

    Attributes:
        distinct: share of different 1-, 2- and 3-grams among all; 1 is most varied.
        compression: bytes ÷ compressed bytes; higher is more repetitive.
        self_bleu: mean BLEU-4 of a text against the others, 0 to 1; lower is more varied. None below two texts.
        repeated: share of texts that contain a run of eight words that another text contains too.
        proxies: the overused phrases that occur, per 10,000 words.
    """

    texts: int
    words: int
    distinct: tuple[float, float, float]
    compression: float
    self_bleu: float | None
    repeated: float
    proxies: dict[str, float]

    @property
    def proxy_rate(self) -> float:
        """Overused phrases per 10,000 words, all together."""
        return sum(self.proxies.values())


def measure(texts: Sequence[str], seed: int = 0) -> Quality:
    """Measure a set of texts; deterministic. Time grows with their number, Self-BLEU is taken over a sample."""
    words = [_WORD.findall(text.casefold()) for text in texts]
    total = sum(map(len, words))
    return Quality(
        texts=len(texts),
        words=total,
        distinct=(_distinct(words, 1), _distinct(words, 2), _distinct(words, 3)),
        compression=_compression(texts),
        self_bleu=_self_bleu(words, seed),
        repeated=_repeated(words),
        proxies=_proxies(texts, total),
    )


def by_source(examples: Iterable[Example]) -> dict[str, Quality]:
    """`measure` over the targets, apart for each teacher and generator; "" is for rows that were imported."""
    groups: dict[str, list[str]] = defaultdict(list)
    for example in examples:
        taught = example.origin.kind == "teacher"
        groups[example.origin.by if taught else str(example.source.get("generator", ""))].append(example.target)
    return {name: measure(texts) for name, texts in sorted(groups.items())}


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


def _distinct(texts: Iterable[list[str]], n: int) -> float:
    seen: set[tuple[str, ...]] = set()
    total = 0
    for words in texts:
        grams = _grams(words, n)
        seen.update(grams)
        total += len(grams)
    return len(seen) / total if total else 0.0


def _compression(texts: Sequence[str]) -> float:
    joined = "\n".join(texts).encode("utf-8", "replace")
    return len(joined) / len(zlib.compress(joined, 6)) if joined else 0.0


def _repeated(texts: Sequence[list[str]]) -> float:
    holders: Counter[tuple[str, ...]] = Counter()
    grams = [set(_grams(words, LONG)) for words in texts]
    for found in grams:
        holders.update(found)
    shared = sum(any(holders[gram] > 1 for gram in found) for found in grams)
    return shared / len(texts) if texts else 0.0


def _proxies(texts: Iterable[str], words: int) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for text in texts:
        folded = text.casefold().replace("’", "'")
        for phrase in PROXIES:
            if phrase in folded:
                counts[phrase] += folded.count(phrase)
    return {phrase: 10_000 * count / words for phrase, count in counts.most_common()} if words else {}


# --- Self-BLEU ---------------------------------------------------------------------------------------------------


def _self_bleu(texts: Sequence[list[str]], seed: int) -> float | None:
    """Mean BLEU-4 (Zhu et al. 2018, arXiv 1802.01886) of WORDS words of a sampled text against those of the others."""
    usable = [words[:WORDS] for words in texts if len(words) >= 4]
    if len(usable) < 2:
        return None
    sample = Random(seed).sample(usable, min(SAMPLE, len(usable)))
    counts = [[Counter(_grams(words, n)) for n in (1, 2, 3, 4)] for words in sample]
    tops = [_two_highest(counts, order) for order in range(4)]
    scores = [_bleu(own, tops, place, sample) for place, own in enumerate(counts)]
    return sum(scores) / len(scores)


def _two_highest(
    counts: list[list[Counter[tuple[str, ...]]]], order: int
) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """For each n-gram: its highest count in a text, the place of that text, and the second highest count."""
    tops: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for place, orders in enumerate(counts):
        for gram, count in orders[order].items():
            best, owner, second = tops.get(gram, (0, -1, 0))
            tops[gram] = (count, place, best) if count > best else (best, owner, max(second, count))
    return tops


def _bleu(
    own: list[Counter[tuple[str, ...]]],
    tops: list[dict[tuple[str, ...], tuple[int, int, int]]],
    place: int,
    sample: list[list[str]],
) -> float:
    logs = 0.0
    for order in range(4):
        total = sum(own[order].values())
        clipped = 0
        for gram, count in own[order].items():
            best, owner, second = tops[order][gram]
            clipped += min(count, second if owner == place else best)
        logs += math.log((clipped or 0.1) / total) / 4  # smoothing 1 of Chen & Cherry 2014
    length = len(sample[place])
    closest = min((abs(len(words) - length), len(words)) for i, words in enumerate(sample) if i != place)[1]
    return math.exp(logs) * (1.0 if length >= closest else math.exp(1 - closest / length))
