"""Answers of a local speech model: one piece per recording, greedy decoding in batches of similar length.

Greedy only: an evaluation must give the same answers twice. Prompts other than the recording are not read
(`recipes.audio.backends`); few-shot prompting therefore changes nothing here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evaluate.predict.prediction import Prediction, Stop
from evaluate.predict.prompts import Question
from synth.errors import DataError
from synth.usage import Usage

if TYPE_CHECKING:
    from recipes.audio.backends import Samples
    from recipes.models.loaded import Loaded

BATCH_SIZE = 32
LATENCY = "seconds of the batch of recordings that a row was in, features included"


def answer(
    loaded: Loaded, questions: Sequence[Question], max_new_tokens: int, batch_size: int | None, stop: Stop
) -> Iterator[Prediction]:
    """One prediction per question, longest recordings first. Unreadable or too long recordings are errors of their
    row.
    """
    from recipes.audio import audio_answers
    from recipes.audio.backends import audio_backend

    backend = audio_backend(loaded)
    sounds: list[tuple[Question, Samples]] = []
    for question in questions:
        try:
            sounds.append((question, recording(question, backend.limit_sec)))
        except DataError as fault:
            yield Prediction(example_id=question.example_id, usage=Usage(requests=0), error=str(fault))
    sounds.sort(key=lambda item: len(item[1]), reverse=True)
    size = batch_size or BATCH_SIZE
    for start in range(0, len(sounds), size):
        if stop():
            return
        part = sounds[start : start + size]
        begun = time.perf_counter()
        transcripts = audio_answers.transcribe(
            backend, backend.prepare([samples for _, samples in part]), max_new_tokens
        )
        seconds = time.perf_counter() - begun
        for (question, samples), found in zip(part, transcripts, strict=True):
            yield Prediction(
                example_id=question.example_id,
                text=found.text,
                usage=Usage(
                    input_tokens=0,
                    output_tokens=found.tokens,
                    audio_sec=round(len(samples) / backend.rate_hz, 3),
                ),
                seconds=seconds,
                confidence=found.confidence,
                truncated=not found.finished,
            )


def recording(question: Question, limit_sec: float) -> Samples:
    """The one recording of a question, at 16 kHz. Raises DataError: none, several, unreadable, or over `limit_sec`."""
    from recipes.starters.scratch import media_file
    from synth.audio.files import read_audio
    from synth.example import AudioPart

    parts = [part for message in question.messages[-1:] for part in message.content if isinstance(part, AudioPart)]
    if len(parts) != 1:
        raise DataError(f"The row has {len(parts)} recordings.", "A speech model takes one.")
    samples = read_audio(media_file(question.media_root, parts[0].path, "recording"))
    seconds = len(samples) / 16_000
    if seconds > limit_sec + 0.01:
        raise DataError(f"The recording lasts {seconds:.1f} s, and the model listens to {limit_sec:g} s.", "Cut it.")
    return samples
