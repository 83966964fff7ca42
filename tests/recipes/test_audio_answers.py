"""Claims about decoding speech: published Whispers fall back as their makers do, only for rows that failed, the same
each time; and each recording is heard in its own language.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.audio import audio_answers, audio_rows
from recipes.audio.audio_answers import Transcript
from recipes.audio.backend import AudioBackend
from recipes.audio.backends import audio_backend
from recipes.audio.steps import Steps
from recipes.models.loading import load_for_inference
from recipes.recipe.options import Data
from synth.errors import DataError
from synth.example import Example, make_example, user
from tests.tiny_audio import tiny_qwen3_asr, tiny_whisper, tone

LOOP = Transcript("thank you " * 40, 90, False, 0.9)
UNLIKELY = Transcript("bed four", 3, True, 0.2)
GOOD = Transcript("Give 4 mg.", 5, True, 0.9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper(tmp_path_factory.mktemp("base") / "multilingual")


@pytest.fixture
def backend(folder: Path) -> AudioBackend:
    return audio_backend(load_for_inference(str(folder), dtype=torch.float32))


class Scripted:
    """A batch whose attempts are given: for each row the transcripts of greedy decoding, then of 0.2, 0.4 …"""

    def __init__(self, attempts: list[list[Transcript]], silent: Sequence[int] = (), falls_back: bool = True) -> None:
        self.attempts, self.quiet, self.asked = attempts, silent, []  # type: ignore[var-annotated]
        self.sounds = [None] * len(attempts)
        self.backend = type("Backend", (), {"falls_back": falls_back})

    def decoded(self, rows: Sequence[int], temperature: float, numbers: Sequence[int] = ()) -> list[Transcript]:
        self.asked.append((list(rows), temperature))
        given = [self.attempts[row][round(5 * temperature)] for row in rows]
        return [one._replace(temperature=temperature) for one in given]

    def silent(self, rows: Sequence[int]) -> list[bool]:
        return [row in self.quiet for row in rows]


def test_only_rows_that_failed_are_decoded_anew_until_one_attempt_passes() -> None:
    batch: Any = Scripted([[GOOD], [LOOP, LOOP, GOOD], [UNLIKELY, GOOD]])
    found = audio_answers._used(batch)
    assert batch.asked == [([0, 1, 2], 0.0), ([1, 2], 0.2), ([1], 0.4)]
    assert [(one.text, one.temperature) for one in found] == [(GOOD.text, 0.0), (GOOD.text, 0.4), (GOOD.text, 0.2)]


def test_the_last_attempt_stands_and_a_loop_in_it_stays_cut_off() -> None:
    batch: Any = Scripted([[LOOP] * 6])
    (found,) = audio_answers._used(batch)
    assert [temperature for _, temperature in batch.asked] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert (found.temperature, found.finished) == (1.0, False), "counted as a loop by the report"


def test_an_unlikely_transcript_where_nobody_speaks_is_empty_and_a_likely_one_stays() -> None:
    batch: Any = Scripted([[UNLIKELY], [GOOD], [LOOP, UNLIKELY]], silent=(0, 1, 2))
    found = audio_answers._used(batch)
    assert [one.text for one in found] == ["", GOOD.text, ""]
    assert batch.asked == [([0, 1, 2], 0.0), ([2], 0.2)]


def test_models_whose_makers_decode_greedily_are_decoded_greedily() -> None:
    batch: Any = Scripted([[LOOP], [UNLIKELY]], falls_back=False)
    assert [one.text for one in audio_answers._used(batch)] == [LOOP.text, UNLIKELY.text]
    assert len(batch.asked) == 1


@pytest.mark.slow
def test_a_drawn_transcript_follows_from_its_recording_and_numbers_alone(backend: AudioBackend) -> None:
    sounds = backend.prepare([tone(300, 1.2), tone(500, 0.5), tone(410, 2.3)])
    together = audio_answers.sample(backend, sounds, 0.8, (7, 1), 12)
    alone = [audio_answers.sample(backend, [sound], 0.8, (7, 1), 12)[0] for sound in sounds]
    assert [one.text for one in together] == [one.text for one in alone]
    assert [one.text for one in audio_answers.sample(backend, sounds, 0.8, (7, 2), 12)] != [o.text for o in together]
    backend.falls_back = True  # random weights find everything unlikely, so that all attempts are made
    first, second = (audio_answers.transcribe(backend, sounds, 6) for _ in range(2))
    assert first == second
    assert {one.temperature for one in first} == {1.0}
    greedy = audio_answers.transcribe(backend, sounds, 6, greedy=True)
    assert {one.temperature for one in greedy} == {0.0}, "as exports are asked, which make no further attempts"


def test_draws_follow_the_distribution_at_the_temperature(backend: AudioBackend) -> None:
    (sound,) = backend.prepare([tone(300, 0.5)])
    scores = torch.tensor([[0.0, 1.0, -torch.inf, 2.0]])
    for temperature in (0.5, 1.0):
        steps = Steps([sound.features], temperature, (3,))
        drawn = torch.cat([steps(scores, scores).argmax(-1) for _ in range(4000)])
        shares = torch.bincount(drawn, minlength=4) / 4000
        assert torch.allclose(shares, (scores[0] / temperature).softmax(-1), atol=0.03)
        assert shares[2] == 0, "a forbidden token is never drawn"
        assert steps.logps()[0][0] == pytest.approx(float(scores[0].log_softmax(-1)[drawn[0]]))


def test_tokens_that_no_transcript_has_are_never_written(backend: AudioBackend) -> None:
    sounds = backend.prepare([tone(300, 0.5)])

    def written() -> list[int]:
        with torch.inference_mode():
            return backend.generate(sounds, backend.encode_batch(sounds), 4, Steps([s.features for s in sounds]))[
                0
            ].tolist()

    first = written()[0]
    backend.network.generation_config.suppress_tokens = [first]
    assert first not in written()


def test_timestamps_of_published_vocabularies_are_forbidden_beside_what_the_model_forbids(backend: Any) -> None:
    last = backend.head[-1]
    assert backend.forbidden() == {}
    backend.falls_back = True
    backend.network.generation_config.suppress_tokens = [1, 2]
    backend.network.config.vocab_size = last + 4
    assert backend.forbidden() == {"suppress_tokens": [1, 2, last + 1, last + 2, last + 3]}


def test_silence_is_read_where_a_transcript_would_begin(backend: Any) -> None:
    sounds = backend.prepare([tone(300, 0.5), tone(400, 1.0)])
    encoded = backend.encode_batch(sounds)
    start, nobody = (
        backend.tokenizer.convert_tokens_to_ids(word) for word in ("<|startoftranscript|>", "<|nospeech|>")
    )
    logits = backend.network(encoder_outputs=encoded, decoder_input_ids=torch.tensor([[start]] * 2)).logits[:, 0]
    assert backend.silence(encoded) == pytest.approx(logits.softmax(-1)[:, nobody].tolist(), rel=1e-4)


# --- languages ----------------------------------------------------------------------------------------------------


def spoken(text: str, language: str = "") -> Example:
    source = {"language": language} if language else {}
    return make_example([user(text)], text, answer=text, family="f", template=text, scorer="wer", source=source)


def given(backend: AudioBackend, ids: Sequence[int]) -> str:
    return str(backend.tokenizer.decode(ids))


def test_each_recording_is_learned_and_heard_in_its_own_language(backend: AudioBackend) -> None:
    rows = [spoken("Hej", "sv-SE"), spoken("Hello"), spoken("God dag", "Swedish")]
    sounds = backend.prepare([tone(300, 0.5)] * 3, audio_rows.languages(rows, backend))
    encoded = audio_rows.encode(rows, sounds, backend, Data())
    begins = [given(backend, row.input_ids[:4]) for row in encoded]
    swedish, english = (f"<|startoftranscript|><|{code}|><|transcribe|><|notimestamps|>" for code in ("sv", "en"))
    assert begins == [swedish, english, swedish]
    assert all(set(row.labels[:4]) == {audio_rows.IGNORED} for row in encoded), "the language is given, not learned"
    seen: list[Any] = []

    def note(_module: Any, _args: Any, given: dict[str, Any]) -> None:
        seen.append(given["decoder_input_ids"].tolist())

    backend.network.register_forward_pre_hook(note, with_kwargs=True)
    audio_answers.transcribe(backend, sounds, 2)
    assert [given(backend, row) for row in seen[0]] == begins


def test_a_language_that_the_model_does_not_know_is_refused_with_its_rows(
    tmp_path: Path, backend: AudioBackend
) -> None:
    with pytest.raises(DataError, match=r"multilingual transcribes other languages: of 3 recordings 2 in Welsh \(cy\)"):
        backend.prepare([tone(300, 0.5)] * 3, ["cy", "sv", "cy"])
    english = audio_backend(load_for_inference(str(tiny_whisper(tmp_path / "tiny.en", english_only=True))))
    with pytest.raises(DataError, match=r"tiny.en transcribes English only: of 2 recordings 1 in Swedish \(sv\)"):
        english.prepare([tone(300, 0.5)] * 2, ["en", "sv"])
    assert english.prepare([tone(300, 0.5)], ["en"])[0].head == english.head  # type: ignore[attr-defined]


def test_transcripts_in_other_letters_without_a_language_are_not_learned_as_english(backend: AudioBackend) -> None:
    rows = [spoken("Räksmörgås på bordet"), spoken("Åtta"), spoken("Nio")]
    with pytest.raises(
        DataError, match="2 of 3 transcripts without a language hold letters that English does not have"
    ):
        audio_rows.languages(rows, backend)
    named = [row.model_copy(update={"source": {"language": "sv"}}) for row in rows]
    assert audio_rows.languages(named, backend) == ["sv"] * 3
    assert audio_rows.languages([spoken("A café")] + [spoken(f"Row {n}") for n in range(20)], backend)[0] == ""


def test_a_published_tokenizer_that_names_no_language_still_gets_one(tmp_path: Path) -> None:
    loaded = load_for_inference(str(tiny_whisper(tmp_path / "hub")))
    loaded.tokenizer.language = loaded.tokenizer.task = None
    loaded.model.generation_config.is_multilingual = True
    assert "<|en|><|transcribe|>" in given(audio_backend(loaded), audio_backend(loaded).head)  # type: ignore[attr-defined]
    loaded.model.generation_config.is_multilingual = False
    assert "<|en|>" not in given(audio_backend(loaded), audio_backend(loaded).head)  # type: ignore[attr-defined]


def test_qwen3_asr_is_prompted_with_the_language_of_the_recording(tmp_path: Path) -> None:
    backend = audio_backend(load_for_inference(str(tiny_qwen3_asr(tmp_path / "qwen"))))
    swedish, english = backend.prepare([tone(300, 0.5)] * 2, ["sv", ""])
    assert given(backend, swedish.head).endswith("language Swedish<asr_text>")
    assert given(backend, english.head).endswith("language English<asr_text>")
