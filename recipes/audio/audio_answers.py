"""Transcripts by a speech model: as it is used, and sampled; in batches, reproducible. For mining pairs and for
`evaluate.predict.local_audio`.

As it is used, a published Whisper answers as its makers decode it (arXiv 2212.04356, section 4.5, and the thresholds
of their reference code): greedily first; a transcript that repeats itself or that the model itself finds unlikely is
decoded anew at rising temperatures, only those rows of a batch; where it is unlikely and nobody seems to speak, it is
empty. Other models answer greedily. Each recording is taken whole, as in training; longer ones are cut at pauses or
refused before (`evaluate.predict.local_audio`). It does not score.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from recipes.audio import audio_rows
from recipes.audio.backend import AudioBackend, Sound, rows_of
from recipes.audio.backends import audio_backend
from recipes.audio.steps import Steps
from recipes.decode.sampling import Answer, Generate
from recipes.models.loaded import Loaded
from synth.dataset import DatasetDir
from synth.example import Example

SOUNDS_AT_ONCE = 32
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)  # of further attempts; the last one stands, whatever it is
MOST_COMPRESSED = 2.4  # bytes of a transcript over its bytes after zlib: beyond it, it says the same again and again
LEAST_LOGP = -1.0  # mean log-probability of its tokens, in nats
NO_SPEECH = 0.6  # probability from which an unlikely transcript is taken for silence


class Transcript(NamedTuple):
    """A transcript, its tokens (the end included), whether the model ended it, exp(mean log-probability of its steps),
    and the temperature of the attempt that it is from.
    """

    text: str
    tokens: int
    finished: bool
    confidence: float
    temperature: float = 0.0

    @property
    def unlikely(self) -> bool:
        """Whether the model itself finds it unlikely."""
        return math.log(max(self.confidence, 1e-300)) < LEAST_LOGP

    @property
    def failed(self) -> bool:
        """Whether its makers would decode the recording anew: it is unlikely, or says the same again and again."""
        data = self.text.encode()
        return self.unlikely or (bool(data) and len(data) / len(zlib.compress(data)) > MOST_COMPRESSED)


def transcribe(
    backend: AudioBackend, sounds: Sequence[Sound], max_new_tokens: int | None = None, greedy: bool = False
) -> list[Transcript]:
    """One transcript for each sound, in order, as the model is used; with `greedy`, the first attempt stands.

    `max_new_tokens` is at most, and by default, what the model's class allows (`AudioBackend.most_tokens`).
    """
    found: list[Transcript] = []
    for start in range(0, len(sounds), SOUNDS_AT_ONCE):
        part = sounds[start : start + SOUNDS_AT_ONCE]
        batch = _Batch(backend, part, max_new_tokens)
        found += batch.decoded(range(len(part)), 0.0) if greedy else _used(batch)
    return found


def sample(
    backend: AudioBackend, sounds: Sequence[Sound], temperature: float, numbers: Sequence[int], most: int | None = None
) -> list[Transcript]:
    """One transcript for each sound, drawn at a temperature above 0; the same `numbers` draw the same tokens."""
    found: list[Transcript] = []
    for start in range(0, len(sounds), SOUNDS_AT_ONCE):
        batch = _Batch(backend, sounds[start : start + SOUNDS_AT_ONCE], most)
        found += batch.decoded(range(len(batch.sounds)), temperature, numbers)
    return found


class _Batch:
    """Sounds that are encoded once and decoded as often as needed."""

    def __init__(self, backend: AudioBackend, sounds: Sequence[Sound], most: int | None) -> None:
        import torch

        limit = backend.most_tokens(sounds)
        self.backend, self.sounds, self.most = backend, sounds, min(limit, most or limit)
        with torch.inference_mode():
            self.encoded = backend.encode_batch(sounds)

    def decoded(self, rows: Sequence[int], temperature: float, numbers: Sequence[int] = ()) -> list[Transcript]:
        """Transcripts of some rows."""
        import torch

        sounds = [self.sounds[row] for row in rows]
        encoded = self.encoded if len(rows) == len(self.sounds) else rows_of(self.encoded, rows)
        steps = Steps([sound.features for sound in sounds], temperature, numbers)
        with torch.inference_mode():
            ids = self.backend.generate(sounds, encoded, self.most, steps)
        rows_found = zip(sounds, ids.tolist(), steps.logps(), strict=True)
        return [self._transcript(*found, temperature) for found in rows_found]

    def silent(self, rows: Sequence[int]) -> list[bool]:
        """Whether nobody seems to speak in some rows."""
        import torch

        with torch.inference_mode():
            return [chance > NO_SPEECH for chance in self.backend.silence(rows_of(self.encoded, rows))]

    def _transcript(self, sound: Sound, ids: list[int], logps: list[float], temperature: float) -> Transcript:
        read = self.backend.reading(sound, ids)
        confidence = math.exp(sum(logps[: read.steps]) / max(1, read.steps))
        text = self.backend.spell(read.tokens, special=False).strip()
        return Transcript(text, len(read.tokens), read.finished, confidence, temperature)


def _used(batch: _Batch) -> list[Transcript]:
    found = batch.decoded(range(len(batch.sounds)), 0.0)
    failed = [row for row, given in enumerate(found) if given.failed]
    if not batch.backend.falls_back or not failed:
        return found
    silent = {row for row, nobody in zip(failed, batch.silent(failed), strict=True) if nobody}
    for temperature in TEMPERATURES:
        failed = [row for row in failed if found[row].failed and not (found[row].unlikely and row in silent)]
        if not failed:
            break
        for row, again in zip(failed, batch.decoded(failed, temperature, [round(10 * temperature)]), strict=True):
            found[row] = again
    empty = {row for row in silent if found[row].unlikely}
    return [given._replace(text="", finished=True) if row in empty else given for row, given in enumerate(found)]


def audio_generator(
    loaded: Loaded, dataset: DatasetDir, temperature: float, seed: int, max_new_tokens: int | None = None
) -> Generate:
    """A `Generate` over a speech model in eval mode: first the transcript as it is used, then sampled ones.

    The first is what a comparison would see, because pairs are to teach what goes wrong in use.
    `max_new_tokens` as in `transcribe`.
    """

    def generate(examples: Sequence[Example], n: int) -> list[list[Answer]]:
        backend = audio_backend(loaded)
        recordings = [audio_rows.recording(example, dataset) for example in examples]
        backend.window_seconds(recordings)  # longer ones would be cut
        sounds = backend.prepare(recordings, [audio_rows.language(example) for example in examples])
        rounds: list[list[Transcript]] = [transcribe(backend, sounds, max_new_tokens)]
        rounds += [sample(backend, sounds, temperature, (seed, place), max_new_tokens) for place in range(1, n)]
        return [
            [Answer(transcript.text, transcript.finished) for transcript in given]
            for given in zip(*rounds, strict=True)
        ]

    return generate
