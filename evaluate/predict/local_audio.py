"""Answers of a local speech model: one piece per recording, in batches of similar length.

As the model is used (`recipes.audio.audio_answers`), which gives the same answers twice. Recordings longer than its
window are cut at pauses, and the transcripts of the pieces joined. Prompts other than the recording are not read, so
few-shot prompting changes nothing here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evaluate.predict.prediction import Prediction, Stop
from evaluate.predict.prompts import Question
from synth.errors import DataError
from synth.scoring.normalise import UNSPACED
from synth.usage import Usage

if TYPE_CHECKING:
    from recipes.audio.audio_answers import Transcript
    from recipes.audio.backend import AudioBackend, Samples, Sound
    from recipes.models.loaded import Loaded

BATCH_SIZE = 32
LATENCY = "seconds of the batch of recordings that a row was in, features included"
DECODING = 2  # counts up whenever the same model would transcribe otherwise, so that no older answer is taken for new


class _Asked(NamedTuple):
    """A question with its recording, in pieces that fit its window."""

    question: Question
    pieces: list[Samples]

    @property
    def samples(self) -> int:
        return sum(map(len, self.pieces))


def answer(
    loaded: Loaded,
    questions: Sequence[Question],
    max_new_tokens: int,
    batch_size: int | None,
    stop: Stop,
    greedy: bool = False,
) -> Iterator[Prediction]:
    """One prediction per question, longest recordings first. A recording that cannot be read, or is too long and
    without pauses, or in a language that the model does not know, is an error of its row. `greedy`: first attempts.
    """
    from recipes.audio.backends import audio_backend
    from synth.audio.pauses import cut_at_pauses

    backend = audio_backend(loaded)
    asked: list[_Asked] = []
    for question in questions:
        try:
            backend.refuse_unknown([question.language])
            asked.append(_Asked(question, cut_at_pauses(recording(question), backend.limit_sec)))
        except DataError as fault:
            yield Prediction(example_id=question.example_id, usage=Usage(requests=0), error=str(fault))
    asked.sort(key=lambda one: one.samples, reverse=True)
    size = batch_size or BATCH_SIZE
    for start in range(0, len(asked), size):
        if stop():
            return
        yield from _batch(backend, asked[start : start + size], max_new_tokens, greedy)


def answer_greedily(loaded: Loaded, questions: Sequence[Question], max_new_tokens: int) -> Iterator[Prediction]:
    """First attempts only, as other runtimes decode what they are given."""
    return answer(loaded, questions, max_new_tokens, None, lambda: False, greedy=True)


def _batch(backend: AudioBackend, asked: Sequence[_Asked], max_new_tokens: int, greedy: bool) -> Iterator[Prediction]:
    from recipes.audio import audio_answers

    begun = time.perf_counter()
    pieces = [piece for one in asked for piece in one.pieces]
    languages = [one.question.language for one in asked for _ in one.pieces]
    transcripts = iter(audio_answers.transcribe(backend, backend.prepare(pieces, languages), max_new_tokens, greedy))
    seconds = time.perf_counter() - begun
    for one in asked:
        found = [next(transcripts) for _ in one.pieces]
        tokens = sum(part.tokens for part in found)
        yield Prediction(
            example_id=one.question.example_id,
            text=_joined(found, one.question.language),
            usage=Usage(input_tokens=0, output_tokens=tokens, audio_sec=round(one.samples / backend.rate_hz, 3)),
            seconds=seconds,
            confidence=_confidence(found),
            truncated=not all(part.finished for part in found),
        )


def _joined(parts: Sequence[Transcript], language: str) -> str:
    return ("" if language in UNSPACED else " ").join(part.text for part in parts if part.text)


def _confidence(parts: Sequence[Transcript]) -> float:
    """exp(mean log-probability) over the tokens of all parts."""
    if len(parts) == 1:
        return parts[0].confidence
    total = sum(part.tokens * math.log(max(part.confidence, 1e-300)) for part in parts)
    return math.exp(total / max(1, sum(part.tokens for part in parts)))


def bare_inputs(loaded: Loaded, questions: Sequence[Question]) -> list[list[Sound]]:
    """The pieces of each recording as the model takes them. Raises DataError as `recording`."""
    from recipes.audio.backends import audio_backend
    from synth.audio.pauses import cut_at_pauses

    backend = audio_backend(loaded)
    pieces = [cut_at_pauses(recording(question), backend.limit_sec) for question in questions]
    return [backend.prepare(p, [q.language] * len(p)) for p, q in zip(pieces, questions, strict=True)]


def recording(question: Question) -> Samples:
    """The one recording of a question, at 16 kHz. Raises DataError: none, several, or unreadable."""
    from recipes.starters.scratch import media_file
    from synth.audio.files import read_audio
    from synth.example import AudioPart

    parts = [part for message in question.messages[-1:] for part in message.content if isinstance(part, AudioPart)]
    if len(parts) != 1:
        raise DataError(
            f"The row has {len(parts)} recordings.",
            "Make a row of each of them, or remove the row: a speech model takes one.",
        )
    return read_audio(media_file(question.media_root, parts[0].path, "recording"))
