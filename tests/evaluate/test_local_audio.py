"""Local speech models in a comparison: one prediction per recording, errors of rows, windows of adapters, usage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluate.plan import SystemPlan
from evaluate.predict import local_audio
from evaluate.predict.prompts import Prompter, Question
from recipes.audio import audio_answers, audio_sft
from recipes.audio.backends import audio_backend
from recipes.models.loading import load_for_inference
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from synth.audio.files import encode_flac, read_audio
from synth.audio.pauses import cut_at_pauses
from synth.dataset import DatasetDir
from synth.example import AudioPart, user
from synth.workspace import Workspace
from tests.tiny_audio import tiny_speech_model, tiny_whisper, tone, tones_dataset


@pytest.fixture(scope="module", params=["multilingual", "moonshine", "qwen3_asr"])
def any_base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech_model(request.param, tmp_path_factory.mktemp("base") / str(request.param))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper(tmp_path_factory.mktemp("base") / "tiny")


def questions(dataset: DatasetDir) -> list[Question]:
    return [Question(e.id, e.prompt, dataset.path) for e in dataset.examples("train")]


@pytest.mark.slow
def test_every_recording_is_answered_once_and_the_same_twice(workspace: Workspace, any_base: Path) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones", train=5, val=0))
    loaded = load_for_inference(str(any_base))
    asked = questions(dataset)
    first, second = (list(local_audio.answer(loaded, asked, 6, 2, lambda: False)) for _ in range(2))
    assert sorted(p.example_id for p in first) == sorted(q.example_id for q in asked)
    assert [p.text for p in first] == [p.text for p in second]
    lengths = [p.usage.audio_sec for p in first]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == 1.8
    assert all(0 < (p.confidence or 0) <= 1 and p.usage.output_tokens for p in first)


@pytest.mark.slow
def test_bad_recordings_are_errors_of_their_rows_only(workspace: Workspace, base: Path, tmp_path: Path) -> None:
    files = {"good": encode_flac(tone(300, 1)), "long": encode_flac(tone(300, 5)), "broken": b"no sound"}
    asked = []
    for name, content in files.items():
        (tmp_path / f"{name}.flac").write_bytes(content)
        asked.append(Question(name, (user(AudioPart(path=f"{name}.flac", sha256="0")),), tmp_path))
    asked.append(Question("mute", (user("no recording at all"),), tmp_path))
    loaded = load_for_inference(str(base))
    found = {p.example_id: p for p in local_audio.answer(loaded, asked, 4, None, lambda: False)}
    assert found["good"].error == ""
    assert "lasts 5.0 s, the model listens to 4 s, and between 2 and 4 s no pause is found" in found["long"].error
    assert "not a readable recording" in found["broken"].error
    assert "0 recordings" in found["mute"].error


def test_a_stop_ends_between_batches(workspace: Workspace, base: Path) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones", train=6, val=0))
    loaded = load_for_inference(str(base))
    answered: list[str] = []
    for prediction in local_audio.answer(loaded, questions(dataset), 2, 2, lambda: len(answered) >= 2):
        answered.append(prediction.example_id)
    assert len(answered) == 2


@pytest.mark.slow
def test_a_tuned_adapter_listens_to_the_window_it_was_trained_with(workspace: Workspace, base: Path) -> None:
    tones_dataset(workspace.datasets / "tones", train=4, val=0)
    recipe = load_recipe(
        {"method": "audio_sft", "base_model": str(base), "data": {"dataset": "tones"}}, ["max_steps=1"]
    )
    run = Run.create(workspace, recipe, "sft")
    with run.hold():
        audio_sft.train(run, recipe)
    plain, tuned = (load_for_inference(str(base), adapter) for adapter in (None, run.adapter))
    assert audio_backend(plain).limit_sec == 4.0
    assert audio_backend(tuned).limit_sec == 2.0
    assert len(tuned.model.model.encoder.embed_positions.weight) == 100
    dataset = DatasetDir(workspace.datasets / "tones")
    assert len(list(local_audio.answer(tuned, questions(dataset), 4, None, lambda: False))) == 4


@pytest.mark.slow
def test_the_shipped_starter_writes_down_fresh_sentences() -> None:
    from recipes.starters.audio_data import examples
    from recipes.starters.making.audio import errors

    spoken = list(examples(11, 40))
    asked = [Question(e.id, e.prompt, Path("/")) for e in spoken]
    transcripts = {
        p.example_id: p.text
        for p in local_audio.answer(load_for_inference("starter-audio"), asked, 90, None, lambda: False)
    }
    assert errors([e.target for e in spoken], [transcripts[e.id] for e in spoken]).rate <= 0.05


def test_a_long_recording_is_heard_piece_by_piece_and_the_transcripts_joined(
    workspace: Workspace, base: Path, tmp_path: Path
) -> None:
    pause = np.zeros(8000, np.float32)
    parts = [tone(300, 2.5), tone(520, 2.5), tone(410, 1.5)]
    whole = np.concatenate([parts[0], pause, parts[1], pause, parts[2]])
    (tmp_path / "whole.flac").write_bytes(encode_flac(whole))
    asked = [Question("whole", (user(AudioPart(path="whole.flac", sha256="0")),), tmp_path)]
    loaded = load_for_inference(str(base))
    loaded.model.generation_config.suppress_tokens = sorted(loaded.tokenizer.get_added_vocab().values())  # words only
    (found,) = local_audio.answer(loaded, asked, 6, None, lambda: False)
    assert found.error == ""
    assert found.usage.audio_sec == 7.5
    backend = audio_backend(loaded)
    pieces = cut_at_pauses(read_audio(tmp_path / "whole.flac"), backend.limit_sec)
    assert len(pieces) == 3
    alone = audio_answers.transcribe(backend, backend.prepare(pieces), 6)
    assert all(part.text for part in alone)
    assert found.text == " ".join(part.text for part in alone)
    assert found.usage.output_tokens == sum(part.tokens for part in alone)


def test_a_recording_in_a_language_that_the_model_does_not_know_is_an_error_of_its_row(
    workspace: Workspace, base: Path
) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones", train=2, val=0))
    first, second = questions(dataset)
    loaded = load_for_inference(str(base))
    asked = [first._replace(language="sv"), second._replace(language="cy")]
    found = {p.example_id: p for p in local_audio.answer(loaded, asked, 4, None, lambda: False)}
    assert found[first.example_id].error == ""
    assert "1 in Welsh (cy)" in found[second.example_id].error


def test_a_question_says_the_language_that_the_row_names(workspace: Workspace) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones", train=1, val=0))
    (row,) = dataset.examples("train")
    prompter = Prompter(SystemPlan(id="a", model="starter-audio"), [], 0, dataset.path)
    assert prompter.question(row).language == ""
    named = row.model_copy(update={"source": {**row.source, "language": "sv-SE"}})
    assert prompter.question(named).language == "sv"
