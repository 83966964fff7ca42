"""The slot-grammar engine: a family of sentence patterns, filled with pieces whose spoken and written forms are both
known.

It knows no domain (see `domains`) and makes no sound (see `voices`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from synth.audio.forms import Slot

_SLOT = re.compile(r"\{(\w+)\}")


class Family(NamedTuple):
    """Patterns that belong together. Words outside {slots} are said as they are written (case and final stop apart)."""

    key: str
    domain: str
    patterns: tuple[str, ...]
    held_out: bool = False


class Entity(NamedTuple):
    """A part of the transcript that matters on its own: a dose, a name, a code."""

    kind: str
    written: str


class Utterance(NamedTuple):
    """One sentence in both forms, with its entities in order and the pattern it came from."""

    spoken: str
    written: str
    entities: tuple[Entity, ...]
    family: str
    pattern: str


def realise(family: Family, slots: Mapping[str, Slot], rng: Random) -> Utterance:
    """Fill one random pattern of the family. A pattern's unknown slot is a KeyError (patterns are ours, and tested)."""
    pattern = rng.choice(family.patterns)
    spoken: list[str] = []
    written: list[str] = []
    entities: list[Entity] = []
    for index, part in enumerate(_SLOT.split(pattern)):
        if index % 2 == 0:
            spoken.append(part.lower())
            written.append(part)
            continue
        piece = slots[part](rng)
        spoken.append(piece.spoken)
        written.append(piece.written)
        if piece.kind:
            entities.append(Entity(piece.kind, piece.written))
    text = "".join(written)
    return Utterance(
        " ".join("".join(spoken).replace("-", " ").split()),
        text[:1].upper() + text[1:],
        tuple(entities),
        family.key,
        pattern,
    )


def text_id(written: str) -> str:
    """The cluster of rows that say the same: 16 hex digits of the transcript's SHA-256."""
    return hashlib.sha256(written.encode()).hexdigest()[:16]
