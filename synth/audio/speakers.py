"""Who speaks which split: voices of espeak-ng, of Piper, or of both, and an engine that only test_ood hears.

espeak-ng alone           training voices, others in test_ood
Piper besides             its share of all splits; a fifth of its voices in test_ood only (none, where it has one)
an engine held out        that engine speaks test_ood alone, the other everything else
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from functools import cached_property
from random import Random

from synth.audio import piper
from synth.audio.piper import PIPER, PiperFile, PiperVoice
from synth.audio.voices import ESPEAK, HELD_OUT_VOICES, TRAIN_VOICES, EspeakVoice, Samples, Voice, VoiceSpec
from synth.storage import sha256_bytes

NOBODY = "none"
TESTS_SHARE = 5  # one of Piper's voices in so many is for test_ood
_QUALITY = re.compile(r"-(?:x_low|low|medium|high)(?=#|$)")
"""What Piper's names say of a network's size: `en_US-ryan-low` and `en_US-ryan-high` are one person."""


@dataclasses.dataclass(frozen=True)
class Speakers:
    """The voices of a dataset. `share`: of Piper, where both engines speak a split."""

    files: tuple[PiperFile, ...] = ()
    share: float = 0.0
    held_out_engine: str = NOBODY

    @cached_property
    def _piper(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Piper's voices for everything but test_ood, and for it."""
        people: dict[str, list[str]] = {}
        for name in (name for file in self.files for name in file.names):
            people.setdefault(_QUALITY.sub("", name), []).append(name)
        order = sorted(people, key=lambda person: sha256_bytes(person.encode()))
        names = [name for person in order for name in people[person]]
        if self.held_out_engine == PIPER:
            return (), tuple(names)
        if self.held_out_engine == ESPEAK:
            return tuple(names), ()
        held = sum(len(people[person]) for person in order[: max(1, len(order) // TESTS_SHARE)]) if order[1:] else 0
        return tuple(names[held:]), tuple(names[:held])

    def voices(self, held_out: bool) -> dict[str, tuple[str, ...]]:
        """Names of voices by engine, of test_ood or of everything else."""
        own = self._piper[held_out]
        espeak = HELD_OUT_VOICES if held_out else TRAIN_VOICES
        if own and self.held_out_engine != NOBODY:
            espeak = ()
        return {engine: names for engine, names in ((ESPEAK, espeak), (PIPER, own)) if names}

    def drawn(self, rng: Random, held_out: bool) -> VoiceSpec:
        """One of those voices at some rate."""
        voices = self.voices(held_out)
        engine = next(iter(voices))
        if len(voices) > 1:
            engine = PIPER if rng.random() < self.share else ESPEAK
        name, rate = rng.choice(voices[engine]), rng.randint(150, 195)
        return VoiceSpec(name, rate, rng.randint(35, 65) if engine == ESPEAK else None, engine)

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that speak."""
        return tuple(dict.fromkeys(engine for held_out in (False, True) for engine in self.voices(held_out)))

    @contextlib.contextmanager
    def speaking(self) -> Iterator[Voice]:
        """A voice that knows them all. Raises DataError at once where Piper or one of its voices cannot speak."""
        with EspeakVoice() as espeak, PiperVoice(self.files) as own:
            for file in self.files:  # rather than after thousands of rows
                own("hello", VoiceSpec(file.names[0], engine=PIPER))

            def say(text: str, spec: VoiceSpec) -> Samples:
                return own(text, spec) if spec.engine == PIPER else espeak(text, spec)

            yield say


def speakers(piper_voices: str, share: float, held_out_engine: str) -> Speakers:
    """The voices that these settings name. Raises DataError for files that are no voices."""
    return Speakers(piper.find(piper_voices), share, held_out_engine) if piper_voices else Speakers()
