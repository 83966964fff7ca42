"""Transcripts by a speech model: greedy and sampled, in batches, reproducible. For mining pairs and for
`evaluate.predict.local_audio`.

Each recording is taken whole, as in training; longer ones are refused by `AudioBackend.window_seconds`. It does not
score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from recipes.audio import audio_rows
from recipes.audio.backends import AudioBackend, Sound, audio_backend
from recipes.decode.sampling import Answer, Generate
from recipes.models.loaded import Loaded
from synth.dataset import DatasetDir
from synth.example import Example

SOUNDS_AT_ONCE = 32


class Transcript(NamedTuple):
    """A transcript, its tokens (the end included), whether the model ended it, exp(mean log-probability)."""

    text: str
    tokens: int
    finished: bool
    confidence: float


def transcribe(
    backend: AudioBackend, sounds: Sequence[Sound], max_new_tokens: int | None = None, temperature: float = 0.0
) -> list[Transcript]:
    """One transcript for each sound, in order: greedy at temperature 0, else sampled with torch's generator.

    `max_new_tokens` is at most, and by default, what the model's class allows (`AudioBackend.most_tokens`).
    """
    transcripts: list[Transcript] = []
    for start in range(0, len(sounds), SOUNDS_AT_ONCE):
        transcripts += _decode(backend, sounds[start : start + SOUNDS_AT_ONCE], max_new_tokens, temperature)
    return transcripts


def _decode(
    backend: AudioBackend, sounds: Sequence[Sound], max_new_tokens: int | None, temperature: float
) -> list[Transcript]:
    import torch

    how: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    most = backend.most_tokens(sounds)
    with torch.inference_mode():
        ids, logits = backend.generate(sounds, min(most, max_new_tokens or most), **how)
        scores = torch.stack(logits, dim=1).float().log_softmax(-1).gather(2, ids[..., None])[..., 0]
    return [_transcript(backend, row, logps) for row, logps in zip(ids.tolist(), scores.tolist(), strict=True)]


def _transcript(backend: AudioBackend, ids: list[int], logps: list[float]) -> Transcript:
    ended = next((place for place, token in enumerate(ids) if token in backend.ends), None)
    count = len(ids) if ended is None else ended + 1
    confidence = math.exp(sum(logps[:count]) / max(1, count))
    text = backend.tokenizer.decode(ids[:count], skip_special_tokens=True).strip()
    return Transcript(text, count, ended is not None, confidence)


def audio_generator(
    loaded: Loaded, dataset: DatasetDir, temperature: float, seed: int, max_new_tokens: int | None = None
) -> Generate:
    """A `Generate` over a speech model in eval mode; the caller's random state is left as it was.

    `max_new_tokens` as in `transcribe`.
    """

    def generate(examples: Sequence[Example], n: int) -> list[list[Answer]]:
        import torch

        backend = audio_backend(loaded)
        recordings = [audio_rows.recording(example, dataset) for example in examples]
        backend.window_seconds(recordings)  # longer ones would be cut
        sounds = backend.prepare(recordings)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            rounds = [transcribe(backend, sounds, max_new_tokens)]
            rounds += [transcribe(backend, sounds, max_new_tokens, temperature) for _ in range(n - 1)]
        return [
            [Answer(transcript.text, transcript.finished) for transcript in given]
            for given in zip(*rounds, strict=True)
        ]

    return generate
