"""The speech generator: sentence, voice, room, noise → one recording with a transcript that is right by construction.

`generate` streams candidates; it writes nothing itself (media go through the context) and trains nothing. Rows are
deterministic by (seed, split, index): the voices at the next table are those of the recordings before it. A transcript
belongs to one split only, by its hash, so that test sentences never occur in training; `test_ood` uses families,
voices, noises and rooms that no other split has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from synth.audio import augment
from synth.audio.domains import SLOTS, families
from synth.audio.files import encode_flac
from synth.audio.grammar import Utterance, realise, text_id
from synth.audio.sentences import read_sentences
from synth.audio.voices import HELD_OUT_VOICES, SAMPLE_RATE_HZ, TRAIN_VOICES, EspeakVoice, Samples, Voice, VoiceSpec
from synth.context import Context
from synth.errors import DataError
from synth.example import AudioPart, Origin, Split, make_example, user
from synth.generators import Candidate, Offers, Units, fill, kept, rejected
from synth.scoring.names import WER
from synth.storage import sha256_bytes
from synth.task import TaskCard

VERSION = 1
INSTRUCTION = "Transcribe the recording."
TASK = TaskCard(instruction=INSTRUCTION, kind="dictation", answer_format="the transcript and nothing else")
MAX_UNUSABLE = 200
"""Recordings in a row of which none was kept after which the settings or the sentences are at fault."""
CHATTER = 6
"""Utterances that the voices at the next table are made of."""
Domain = Literal["medical", "field", "orders", "calls"]


class Spec(BaseModel):
    """Settings of the speech generator; every field is a form field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, title="Seed", description="The same seed gives the same rows.")
    train: int = Field(2000, ge=0, le=1_000_000, title="Training rows", description="Recordings to learn from.")
    val: int = Field(100, ge=0, le=100_000, title="Validation rows", description="Recordings to choose settings by.")
    test: int = Field(300, ge=0, le=100_000, title="Test rows", description="New sentences, same kinds, same voices.")
    test_ood: int = Field(
        200, ge=0, le=100_000, title="Held-out rows", description="Other kinds, voices, noises and rooms."
    )
    domains: tuple[Domain, ...] = Field(
        ("medical",),
        min_length=1,
        title="Domains",
        description="Medical notes, field notes, voice orders, call-centre lines.",
    )
    sentences_file: str = Field(
        "",
        title="Own sentences",
        description="A text file with one sentence per line, or a dataset's .jsonl whose targets are sentences, said "
        "instead of the domains' sentences; empty for none.",
    )
    noise_share: float = Field(0.5, ge=0, le=1, title="Noisy share", description="Share of rows with background noise.")
    snr_low_db: float = Field(5.0, ge=-5, le=40, title="Loudest noise (dB SNR)", description="Lower means noisier.")
    snr_high_db: float = Field(20.0, ge=-5, le=40, title="Softest noise (dB SNR)", description="Lower means noisier.")
    room_share: float = Field(0.3, ge=0, le=1, title="Room share", description="Share of rows with a room's echo.")
    telephone_share: float = Field(
        0.15, ge=0, le=1, title="Telephone share", description="Share of rows over a telephone line."
    )
    silence_share: float = Field(
        0.02, ge=0, le=0.5, title="Non-speech share", description="Rows of silence or noise whose transcript is empty."
    )
    max_seconds: float = Field(
        8.0,
        ge=1,
        le=30,
        title="Longest recording (s)",
        description="Longer ones are rejected; match the model's window.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Spec:
        if self.snr_low_db > self.snr_high_db:
            raise ValueError("snr_low_db must not be above snr_high_db")
        return self


class _Take(NamedTuple):
    """One recording and how it came about."""

    samples: Samples
    voice: VoiceSpec | None
    conditions: augment.Conditions


def generate(spec: Spec, context: Context) -> Offers:
    """Candidates spoken by espeak-ng. Rejected recordings are replaced by further ones."""
    with units(spec, context) as recordings:
        yield from fill(spec, context, recordings, MAX_UNUSABLE, _unusable)


def generate_with(voice: Voice, spec: Spec, context: Context) -> Offers:
    """As `generate`, with any voice that understands the names in `synth.audio.voices`.

    Raises DataError when hardly any recording is kept.
    """
    yield from fill(spec, context, _recordings(voice, spec, context), MAX_UNUSABLE, _unusable)


@contextlib.contextmanager
def units(spec: Spec, context: Context) -> Iterator[Units]:
    """Recordings by their number, one row each, spoken by espeak-ng."""
    with EspeakVoice() as voice:
        yield _recordings(voice, spec, context)


def _recordings(voice: Voice, spec: Spec, context: Context) -> Units:
    speaking = _Speaking(voice, spec, context.random)
    return Units(lambda split, number, room: [_row(speaking, spec, context, split, number)], 1)


def _unusable(split: Split, why: str) -> DataError:
    return DataError(
        f"{MAX_UNUSABLE} recordings in a row cannot be used for {split}; the last one: {why}.",
        "Allow longer recordings, or give sentences whose numbers and signs are said as they are written.",
        "audio.no_usable_recordings",
    )


class _Recording(NamedTuple):
    """One utterance before room and noise; `samples` is None where nobody speaks. `rng` goes on from here."""

    utterance: Utterance
    conditions: augment.Conditions
    speaker: VoiceSpec | None
    samples: Samples | None
    rng: Random


class _Speaking:
    """Utterances by their number, and the last few before each: what people at the next table say.

    Those before are kept from one number to the next; at any other number they are spoken again.
    """

    def __init__(self, voice: Voice, spec: Spec, random: Callable[[str], Random]) -> None:
        self._voice, self._spec, self._random = voice, spec, random
        self._next: tuple[Split, int] | None = None
        self._before: list[Samples] = []

    def recording(self, split: Split, index: int) -> tuple[_Recording, list[Samples]]:
        """An utterance, and the voices of up to six before it."""
        if self._next != (split, index):
            self._before = self._back(split, index)
        found, before = self._say(split, index), self._before
        self._next = (split, index + 1)
        if found.samples is not None:
            self._before = [*before[1 - CHATTER :], found.samples]
        return found, before

    def _back(self, split: Split, index: int) -> list[Samples]:
        found: list[Samples] = []
        while index > 0 and len(found) < CHATTER:
            index -= 1
            samples = self._say(split, index).samples
            found = found if samples is None else [samples, *found]
        return found

    def _say(self, split: Split, index: int) -> _Recording:
        spec, held_out = self._spec, split == "test_ood"
        rng = self._random(f"{spec.seed}/{split}/{index}")
        silent = rng.random() < spec.silence_share
        utterance = Utterance("", "", (), "non_speech", "") if silent else _sentence(spec, split, rng)
        conditions = augment.draw_conditions(
            rng,
            held_out=held_out,
            snr_db=(spec.snr_low_db, spec.snr_high_db),
            noise_share=spec.noise_share,
            room_share=spec.room_share,
            telephone_share=spec.telephone_share,
        )
        if not utterance.written:
            return _Recording(utterance, conditions, None, None, rng)
        speaker = VoiceSpec(
            rng.choice(HELD_OUT_VOICES if held_out else TRAIN_VOICES), rng.randint(150, 195), rng.randint(35, 65)
        )
        return _Recording(utterance, conditions, speaker, self._voice(utterance.spoken, speaker), rng)


def _row(speaking: _Speaking, spec: Spec, context: Context, split: Split, index: int) -> Candidate:
    recording, before = speaking.recording(split, index)
    utterance, take = recording.utterance, _take(recording, before)
    seconds = len(take.samples) / SAMPLE_RATE_HZ
    source = _lineage(spec, utterance, take, index, seconds)
    if seconds > spec.max_seconds:
        return rejected({"transcript": utterance.written, "split": split, "source": source}, "too long")
    content = encode_flac(take.samples)
    part = AudioPart(path=context.add_media(content, ".flac"), sha256=sha256_bytes(content))
    return kept(
        make_example(
            [user(part, INSTRUCTION)],
            utterance.written,
            answer=utterance.written,
            split=split,
            family=utterance.family,
            # Recordings without speech share no text: each is its own cluster.
            template=text_id(utterance.written) if utterance.written else part.sha256[:16],
            scorer=WER,
            origin=Origin(kind="template", by=utterance.pattern or utterance.family),
            source=source,
        )
    )


def _sentence(spec: Spec, split: Split, rng: Random) -> Utterance:
    """A sentence whose hash puts it in this split: 80 % of all sentences may train, 10 % each are val's and test's.

    `test_ood` takes sentences of held-out families, or test's own where they come from a file, which has no families.
    """
    own = read_sentences(spec.sentences_file) if spec.sentences_file else ()
    choices = families(spec.domains, split == "test_ood")
    for _ in range(10_000):
        utterance = rng.choice(own) if own else realise(rng.choice(choices), SLOTS, rng)
        if split == "test_ood" and (not own or _home(utterance.written) == "test"):
            return utterance
        if _home(utterance.written) == split:
            return utterance
    raise DataError(
        f"The {len(own)} sentences give none for {split}.",
        "Give at least 50 sentences, or ask for no rows of that split.",
    )


def _home(written: str) -> str:
    return {8: "val", 9: "test"}.get(int(text_id(written)[:8], 16) % 10, "train")


def _take(recording: _Recording, before: Sequence[Samples]) -> _Take:
    clean = recording.samples
    if clean is None:
        return _Take(_no_speech(recording.conditions, recording.rng), None, recording.conditions)
    if before:
        length = max(map(len, before))
        babble = np.asarray(sum(np.resize(voice, length) for voice in before), dtype=np.float32)
    else:
        babble = np.ascontiguousarray(clean[::-1])  # nobody has spoken yet
    return _Take(
        augment.apply(clean, recording.conditions, recording.rng, babble), recording.speaker, recording.conditions
    )


def _no_speech(conditions: augment.Conditions, rng: Random) -> Samples:
    """One to five seconds of silence, or of a noise (babble would be speech, so it is replaced)."""
    length = int(rng.uniform(1.0, 5.0) * SAMPLE_RATE_HZ)
    if conditions.noise is None:
        return np.zeros(length, dtype=np.float32)
    kind = "pink" if conditions.noise == "babble" else conditions.noise
    made = augment.noise(kind, length, np.random.default_rng(rng.getrandbits(64)))
    return augment.gain(made, conditions.gain_db - 12.0)


def _lineage(spec: Spec, utterance: Utterance, take: _Take, index: int, seconds: float) -> dict[str, object]:
    return {
        "generator": "audio",
        "generator_version": VERSION,
        "seed": spec.seed,
        "index": index,
        "spoken": utterance.spoken,
        "grammar": utterance.pattern,
        "entities": [entity._asdict() for entity in utterance.entities],
        "voice": take.voice._asdict() if take.voice else None,
        **take.conditions._asdict(),
        "seconds": round(seconds, 3),
    }
