"""What does a product text sell? Read again from the text alone, and compared with the answer key by key.

It knows which words are colours, materials, products and brands; how a text was made it does not know. Sentences that
speak of something else than what is sold are passed over by how they begin.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence

from synth.attributes.generator import KEYS, bank
from synth.example import Example
from synth.scoring.verify import Verdict

_OTHERS = re.compile(r"^(also|goes well|delivered|not made|replaces)\b", re.IGNORECASE)
_SENTENCES = re.compile(r"(?<=[.?!])\s+|\n+")
_SIZE = re.compile(r"\b(\d+(?:\.\d)? (?:x \d+ )?(?:ml|l|cm)|X{0,2}[SL]|M)\b(?!-)")
_PACK = re.compile(r"\b(?:pack|set|box) of (\d+)\b|\b(\d+)-pack\b", re.IGNORECASE)


def check(row: Example) -> Verdict:
    """Whether the answer is what the text says of the product that is sold, and nothing else."""
    given = json.loads(row.answer or "")
    if tuple(given) != KEYS or row.answer != row.target:
        return Verdict(False, "the answer has not the keys of a product")
    text = " ".join(part for part in _SENTENCES.split(row.prompt[-1].text) if not _OTHERS.search(part))
    for key in KEYS:
        found = _read(key, text)
        if found != ([] if given[key] is None else [given[key]]):
            return Verdict(False, f"{key} is not what the text says", f"{given[key]!r}, and the text: {found}")
    return Verdict(True, "every value stands in the text")


def _read(key: str, text: str) -> Sequence[str | int]:
    """All different values of an attribute in a text."""
    if key == "quantity":
        return list(dict.fromkeys(int(one or other) for one, other in _PACK.findall(text)))
    pattern = _SIZE if key == "size" else _named(key)
    found = dict.fromkeys(match[0] for match in pattern.finditer(text))
    if key in ("brand", "size"):
        return list(found)
    return list(dict.fromkeys(_as_listed(key, one) for one in found))


def _as_listed(key: str, found: str) -> str:
    return next(word for word in _words(key) if word.casefold() == found.casefold())


@functools.cache
def _words(key: str) -> tuple[str, ...]:
    """Longer words first, so that none is found inside another."""
    words = bank()
    if key == "brand":
        listed = {start + end for start in words["brand_starts"] for end in words["brand_ends"]}
    elif key == "colour":
        listed = set(words["colours"])
    else:
        listed = {word for group in words["groups"].values() for word in group[f"{key}s"]}
    return tuple(sorted(listed, key=lambda word: (-len(word), word)))


@functools.cache
def _named(key: str) -> re.Pattern[str]:
    choices = "|".join(map(re.escape, _words(key)))
    return re.compile(rf"(?<![\w-])(?:{choices})(?![\w-])", 0 if key == "brand" else re.IGNORECASE)
