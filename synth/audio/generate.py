"""The speech generator: sentence, voice, room, noise → one recording with a transcript that is right by construction.

`generate` streams candidates; it writes nothing itself (media go through the context) and trains nothing. Rows are
deterministic by (seed, split, index): the voices at the next table are those of the recordings before it. A transcript
belongs to one split only, by its hash, so that test sentences never occur in training; `test_ood` uses families,
voices, noises and rooms that no other split has; of a user's own recordings, test and test_ood share those that are
kept from training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from synth.audio import augment, recordings
from synth.audio.domains import SLOTS, families
from synth.audio.files import encode_flac
from synth.audio.grammar import Utterance, realise, text_id
from synth.audio.piper import sha256 as voice_sha256
from synth.audio.recordings import Library, Recording
from synth.audio.sentences import read_sentences
from synth.audio.speakers import Speakers, speakers
from synth.audio.voices import SAMPLE_RATE_HZ, Samples, Voice, VoiceSpec
from synth.context import Context
from synth.errors import DataError
from synth.example import AudioPart, Origin, Split, make_example, user
from synth.generators import Candidate, Ingredient, Offers, Units, fill, kept, rejected
from synth.scoring.names import WER
from synth.storage import sha256_bytes, sha256_file
from synth.task import TaskCard

VERSION = 2
INSTRUCTION = "Transcribe the recording."
TASK = TaskCard(instruction=INSTRUCTION, kind="dictation", answer_format="the transcript and nothing else")
MAX_UNUSABLE = 200
"""Recordings in a row of which none was kept after which the settings or the sentences are at fault."""
CHATTER = 6
"""Utterances that the voices at the next table are made of."""
UNSAID = {"voice.silent": "the voice gave silence", "voice.refused": "the voice could not say it"}
"""Faults of a voice that cost one sentence, by code, and why its row is rejected."""
ENGINES_LICENCE = "GPL-3.0-or-later (of the program, which runs apart)"
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
    piper_voices: str = Field(
        "",
        title="Piper voices",
        description="A folder with English voices of Piper (NAME.onnx and NAME.onnx.json), or the name of one that was "
        "added (`smolstudio voices add`), to speak beside espeak-ng; empty for none.",
    )
    piper_share: float = Field(
        0.5, ge=0, le=1, title="Piper share", description="Share of spoken rows in Piper's voices, where both speak."
    )
    held_out_engine: Literal["none", "piper", "espeak-ng"] = Field(
        "none",
        title="Held-out engine",
        description="An engine that speaks the held-out rows and nothing else, the other one all other rows: "
        "does the model know words, or one engine's sound?",
    )
    noise_folder: str = Field(
        "",
        title="Own noises",
        description="A folder of recordings (WAV, FLAC, OGG, MP3) without speech that is understood, mixed in instead "
        "of generated noises. A fifth of the files is for tests only; empty for none.",
    )
    room_folder: str = Field(
        "",
        title="Own rooms",
        description="A folder of impulse responses, heard instead of generated rooms. A fifth of the files is for "
        "tests only; empty for none.",
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
        if self.held_out_engine != "none" and not self.piper_voices:
            raise ValueError("held_out_engine needs piper_voices: without them there is one engine")
        return self

    def speakers(self) -> Speakers:
        """Who speaks. Raises DataError for files that are no voices."""
        return speakers(self.piper_voices, self.piper_share, self.held_out_engine)

    def noises(self) -> Library | None:
        """The user's own noises, or None. Raises DataError where none can be used."""
        return recordings.noises(self.noise_folder, self._both) if self.noise_folder else None

    def rooms(self) -> Library | None:
        """The user's own rooms, as `noises`."""
        return recordings.rooms(self.room_folder, self._both) if self.room_folder else None

    @property
    def _both(self) -> bool:
        return self.train + self.val > 0 and self.test + self.test_ood > 0


class _Take(NamedTuple):
    """One recording and how it came about."""

    samples: Samples
    voice: VoiceSpec | None
    conditions: augment.Conditions
    own: augment.Own


def generate(spec: Spec, context: Context) -> Offers:
    """Candidates in the voices of the spec. Rejected recordings are replaced by further ones.

    First come the files of the user's own noises and rooms that cannot be used, as rejected.
    """
    with spec.speakers().speaking() as voice:
        yield from generate_with(voice, spec, context)


def generate_with(voice: Voice, spec: Spec, context: Context) -> Offers:
    """As `generate`, with any voice that understands the names of the spec's speakers.

    Raises DataError when hardly any recording is kept.
    """
    for what, library in (("noise", spec.noises()), ("room", spec.rooms())):
        for name, reason in library.left_out if library else ():
            yield rejected({"file": name}, f"{what} recording left out: {reason}")
    yield from fill(spec, context, _recordings(voice, spec, context), MAX_UNUSABLE, _unusable)


@contextlib.contextmanager
def units(spec: Spec, context: Context) -> Iterator[Units]:
    """Recordings by their number, one row each."""
    with spec.speakers().speaking() as voice:
        yield _recordings(voice, spec, context)


def made_of(spec: Spec) -> tuple[Ingredient, ...]:
    """Engines, voices, sentences and recordings of a dataset, with licences and hashes. Raises DataError."""
    cast = spec.speakers()
    found = [Ingredient("speech engine", engine, ENGINES_LICENCE) for engine in cast.engines]
    found += [Ingredient("voice", voice.name, voice.licence, voice_sha256(voice)) for voice in cast.files]
    if spec.sentences_file:
        file = Path(spec.sentences_file).expanduser()
        read_sentences(spec.sentences_file)
        found.append(Ingredient("sentences", file.name, "", sha256_file(file)))
    for what, library in (("noise recordings", spec.noises()), ("impulse responses", spec.rooms())):
        if library:
            found.append(Ingredient(what, f"{len(library.used)} files", "", library.sha256))
    return tuple(found)


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
    """One utterance before room and noise; `samples` is None where nobody speaks. `rng` goes on from here.

    unsaid: why the voice could not say the sentence, "" where it could.
    """

    utterance: Utterance
    conditions: augment.Conditions
    own: augment.Own
    speaker: VoiceSpec | None
    samples: Samples | None
    rng: Random
    unsaid: str = ""


class _Speaking:
    """Utterances by their number, and the last few before each: what people at the next table say.

    Those before are kept from one number to the next; at any other number they are spoken again.
    """

    def __init__(self, voice: Voice, spec: Spec, random: Callable[[str], Random]) -> None:
        self._voice, self._spec, self._random = voice, spec, random
        self._speakers, self._noises, self._rooms = spec.speakers(), spec.noises(), spec.rooms()
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
        conditions, own = self._own(conditions, split, rng)
        if not utterance.written:
            return _Recording(utterance, conditions, own, None, None, rng)
        speaker = self._speakers.drawn(rng, held_out)
        try:
            samples = self._voice(utterance.spoken, speaker)
        except DataError as fault:
            if fault.code not in UNSAID:
                raise
            return _Recording(utterance, conditions, own, speaker, None, rng, UNSAID[fault.code])
        return _Recording(utterance, conditions, own, speaker, samples, rng)

    def _own(self, conditions: augment.Conditions, split: Split, rng: Random) -> tuple[augment.Conditions, augment.Own]:
        """The user's recordings in place of the noise and the room that were drawn."""
        noise: Recording | None = None
        room: Recording | None = None
        if self._noises and conditions.noise is not None:
            noise = rng.choice(self._noises.of(split))
            conditions = conditions._replace(noise=augment.RECORDED)
        if self._rooms and conditions.room_sec is not None:
            room = rng.choice(self._rooms.of(split))
            heard = len(recordings.response(room)) / SAMPLE_RATE_HZ
            conditions = conditions._replace(room_sec=round(heard, 3))
        return conditions, augment.Own(noise, room)


def _row(speaking: _Speaking, spec: Spec, context: Context, split: Split, index: int) -> Candidate:
    recording, before = speaking.recording(split, index)
    if recording.unsaid:
        row = {"transcript": recording.utterance.written, "split": split, "voice": recording.speaker}
        return rejected(row, recording.unsaid)
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
            family=_family(spec, utterance, split),
            # Recordings without speech share no text: each is its own cluster.
            template=text_id(utterance.written) if utterance.written else part.sha256[:16],
            scorer=WER,
            origin=Origin(kind="template", by=utterance.pattern or utterance.family),
            source=source,
        )
    )


def _family(spec: Spec, utterance: Utterance, split: Split) -> str:
    """The kind of a sentence, and the engine where tests have one that training has not."""
    if split == "test_ood" and spec.held_out_engine != "none" and utterance.written:
        return f"{utterance.family}_by_{spec.held_out_engine}"
    return utterance.family


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
    clean, conditions, own = recording.samples, recording.conditions, recording.own
    if clean is None:
        own = own._replace(room=None)  # nobody speaks in it
        return _Take(_no_speech(conditions, own, recording.rng), None, conditions, own)
    if before:
        length = max(map(len, before))
        babble = np.asarray(sum(np.resize(voice, length) for voice in before), dtype=np.float32)
    else:
        babble = np.ascontiguousarray(clean[::-1])  # nobody has spoken yet
    heard = augment.apply(clean, conditions, recording.rng, babble, own)
    return _Take(heard, recording.speaker, conditions, own)


def _no_speech(conditions: augment.Conditions, own: augment.Own, rng: Random) -> Samples:
    """One to five seconds of silence, or of a noise (babble would be speech, so it is replaced)."""
    length = int(rng.uniform(1.0, 5.0) * SAMPLE_RATE_HZ)
    if conditions.noise is None:
        return np.zeros(length, dtype=np.float32)
    numbers = np.random.default_rng(rng.getrandbits(64))
    if own.noise is not None:
        made = recordings.part(own.noise, length, numbers)
    else:
        made = augment.noise("pink" if conditions.noise == "babble" else conditions.noise, length, numbers)
    return augment.gain(made, conditions.gain_db - 12.0)


def _lineage(spec: Spec, utterance: Utterance, take: _Take, index: int, seconds: float) -> dict[str, object]:
    source: dict[str, object] = {
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
    for what, recording in take.own._asdict().items():
        if recording is not None:
            source |= {f"{what}_file": recording.name, f"{what}_sha256": recording.sha256}
    return source
