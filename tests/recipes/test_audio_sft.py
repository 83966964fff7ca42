"""Supervised tuning of tiny speech models: what moves, what stays, windows, masks, and an exact resume after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import WhisperFeatureExtractor

from recipes.audio import audio_answers, audio_rows, audio_sft
from recipes.audio.backends import AudioBackend, audio_backend, saved_window
from recipes.models.files import resolve
from recipes.models.loading import load_for_inference
from recipes.recipe.options import Data
from recipes.run.directory import Run
from recipes.train.report import read_report
from synth.dataset import DatasetDir
from synth.errors import DataError, ModelError
from synth.workspace import Workspace
from tests.tiny_audio import EVERY_LINEAR, tiny_speech_model, tiny_whisper, tone, tones_dataset
from tests.tiny_audio import texts as tones
from tests.tiny_runs import assert_same_adapter, assert_same_training, short_run, stop_after

pytestmark = pytest.mark.slow

# Encoder: 4 attention and 2 MLP layers each; decoder: 8 and 2 (Qwen3-ASR's language model: 4 and 3).
ADAPTED = {"multilingual": 32, "english_only": 32, "moonshine": 32, "qwen3_asr": 26}


@pytest.fixture(scope="module", params=list(ADAPTED))
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_speech_model(request.param, tmp_path_factory.mktemp("base") / str(request.param))


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper(tmp_path_factory.mktemp("base") / "multilingual")


def ear_of(base: Path) -> AudioBackend:
    return audio_backend(load_for_inference(str(base)))


def make_run(workspace: Workspace, base: Path, run_id: str, **changes: Any) -> Run:
    recipe = {
        "method": "audio_sft",
        "data": {"dataset": "tones"},
        "lora": {"target_modules": EVERY_LINEAR},
        "eval_steps": 4,
    }
    return short_run(workspace, base, run_id, recipe, changes)


def train(run: Run) -> Any:
    with run.hold():
        return audio_sft.train(run, run.recipe)


def test_every_adapter_tensor_moves_no_frozen_one_does_and_the_loss_falls(workspace: Workspace, base: Path) -> None:
    tones_dataset(workspace.datasets / "tones")
    run = make_run(workspace, base, "sft")
    result = train(run)
    assert result.steps == 12
    steps = run.events("step")
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert len(run.events("eval")) == 3
    tuned = load_file(run.adapter / "adapter_model.safetensors")
    layers = {name.split(".lora_")[0] for name in tuned}
    assert len(layers) == ADAPTED[base.name]
    assert all(tensor.abs().sum() > 0 for tensor in tuned.values())  # B starts at zero, so each B has moved
    assert saved_window(run.adapter) == 2.0
    report = read_report(run.path)
    assert report is not None
    assert (report.picture is None) is (base.name == "moonshine")  # it hears the bare waveform


def test_a_stopped_run_resumes_with_the_tensors_of_an_uninterrupted_one(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tones_dataset(workspace.datasets / "tones")
    whole = make_run(workspace, base, "whole")
    train(whole)
    parted = stop_after(5, make_run(workspace, base, "parted"), train, monkeypatch)
    train(parted)
    assert_same_training(whole, parted)


def test_answers_during_training_name_the_recording_and_leave_no_trace(workspace: Workspace, base: Path) -> None:
    tones_dataset(workspace.datasets / "tones")
    plain = make_run(workspace, base, "plain", eval_steps=0)
    watched = make_run(workspace, base, "watched", eval_steps=0, sample_steps=5)
    for run in (plain, watched):
        train(run)
    assert [e["step"] for e in watched.events("samples")] == [5, 10, 12]
    shown = watched.events("samples")[-1]["rows"]
    assert [row["gold"] for row in shown] == tones([*watched.dataset().examples("val")][:3])
    assert all((watched.dataset().path / row["media"][0]).is_file() for row in shown)
    assert_same_adapter(plain, watched)


def test_a_shorter_window_keeps_the_first_positions_and_answers(
    workspace: Workspace, whisper: Path, tmp_path: Path
) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones"))
    backend = ear_of(whisper)
    before = backend.network.model.encoder.embed_positions.weight.clone()
    recordings = [audio_rows.recording(e, dataset) for e in dataset.examples("val")]
    seconds = backend.window_seconds(recordings)
    backend.fit(seconds)
    after = backend.network.model.encoder.embed_positions.weight
    assert seconds == backend.limit_sec == 2.0
    assert torch.equal(after, before[:100])
    sounds = backend.prepare(recordings)
    assert all(sound.features.shape == (80, 200) for sound in sounds)
    assert len(audio_answers.transcribe(backend, sounds, 8)) == len(recordings)
    backend.processor.feature_extractor.save_pretrained(tmp_path)
    read_back = WhisperFeatureExtractor.from_pretrained(tmp_path)  # as whoever takes an export home
    heard = read_back(recordings[0], sampling_rate=16_000, return_tensors="np").input_features
    assert heard.shape == (1, 80, 200)


def test_an_answer_does_not_depend_on_the_recordings_decoded_with_it(base: Path) -> None:
    backend = ear_of(base)
    sounds = backend.prepare([tone(300, 1.2), tone(500, 0.5), tone(410, 2.3)])
    together = audio_answers.transcribe(backend, sounds, 6)
    alone = [audio_answers.transcribe(backend, [sound], 6)[0] for sound in sounds]
    assert [transcripts.text for transcripts in together] == [transcripts.text for transcripts in alone]
    assert [transcripts.confidence for transcripts in together] == pytest.approx(
        [transcripts.confidence for transcripts in alone], rel=1e-4
    )


# What the decoder is given before the transcript.
GIVEN = {
    "multilingual": "<|startoftranscript|><|en|><|transcribe|><|notimestamps|>",
    "english_only": "<|startoftranscript|><|notimestamps|>",
    "moonshine": "<s>",
    "qwen3_asr": "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n<|audio_start|>"
    + "<|audio_pad|>" * 8
    + "<|audio_end|><|im_end|>\n<|im_start|>assistant\nlanguage English<asr_text>",
}
END = {"multilingual": "<|endoftext|>", "english_only": "<|endoftext|>", "moonshine": "</s>", "qwen3_asr": "<|im_end|>"}


def test_labels_cover_the_transcript_and_the_end_but_not_what_is_given(workspace: Workspace, base: Path) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones", train=2, val=0))
    backend, examples = ear_of(base), list(dataset.examples("train"))
    sounds = backend.prepare([audio_rows.recording(e, dataset) for e in examples])
    row = audio_rows.encode(examples, sounds, backend, Data())[0]
    learned = [label for label in row.labels if label != audio_rows.IGNORED]
    assert backend.tokenizer.decode(row.input_ids[: -len(learned)]) == GIVEN[base.name]
    assert row.input_ids[-len(learned) :] == learned
    assert backend.tokenizer.decode(learned) == "Pitch 200" + END[base.name]


def test_masks_follow_from_seed_epoch_and_row_and_spare_watched_rows(whisper: Path) -> None:
    backend = ear_of(whisper)
    sound = backend.prepare([tone(440, 1.5)])[0]
    epoch = 0
    batcher = audio_rows.Batcher(backend, 7, lambda: epoch)

    def seen(number: int | None, rows: int) -> torch.Tensor:
        return batcher.sounds([(None if number is None else number + n, sound) for n in range(rows)])["input_features"]

    plain, first = seen(None, 1), seen(0, 8)
    assert torch.equal(first, seen(0, 8))
    assert torch.equal(plain[0], torch.from_numpy(sound.features.astype(np.float32)))
    assert not all(torch.equal(row, plain[0]) for row in first)
    epoch = 1
    assert not torch.equal(first, seen(0, 8))
    changed = (first != plain).float().mean(dim=(1, 2))
    assert changed.max() < 0.6


def test_waveforms_reach_moonshine_as_recorded_and_unmasked(tmp_path: Path) -> None:
    backend = ear_of(tiny_speech_model("moonshine", tmp_path / "moonshine"))
    recorded = np.round(tone(440, 0.5) * 32768) / 32768  # as 16-bit files hold it
    sounds = backend.prepare([recorded.astype(np.float32), np.zeros(40, dtype=np.float32)])
    batch = audio_rows.Batcher(backend, 7, lambda: 0).sounds(list(enumerate(sounds)))
    assert np.array_equal(batch["input_values"][0].numpy(), recorded.astype(np.float32))
    assert batch["attention_mask"].sum(1).tolist() == [8000, 1600], "too short to encode is padded, and heard"
    assert len(audio_answers.transcribe(backend, sounds, 3)) == 2


def test_recordings_beyond_the_models_window_are_refused_with_their_number(whisper: Path) -> None:
    with pytest.raises(DataError, match="1 of 2 recordings exceed the model's window of 4 s"):
        ear_of(whisper).window_seconds([tone(300, 1), tone(300, 5)])


def test_transcripts_longer_than_the_decoder_are_refused_and_never_cut(workspace: Workspace, whisper: Path) -> None:
    backend = audio_backend(load_for_inference(str(whisper)))
    rows = list(DatasetDir(tones_dataset(workspace.datasets / "tones", train=3, val=1)).examples("train"))
    limit = backend.network.config.max_target_positions
    long = [rows[0], rows[1].model_copy(update={"target": "x" * (limit + 50)}), rows[2]]
    sounds = backend.prepare([tone(300, 0.5)] * 3)
    assert len(audio_rows.encode(rows, sounds, backend, Data())) == 3
    with pytest.raises(DataError, match=rf"1 of 3 transcripts are longer than the decoder, which takes {limit} tokens"):
        audio_rows.encode(long, sounds, backend, Data())


def test_a_qwen3_asr_in_its_authors_own_layout_is_refused_instead_of_made_up(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_asr", "thinker_config": {}}')
    with pytest.raises(ModelError, match="random weights"):
        resolve(str(tmp_path))


def test_a_recording_outside_the_dataset_is_refused(workspace: Workspace) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones", train=1, val=0))
    example = next(dataset.examples("train"))
    part = example.prompt[0].content[0].model_copy(update={"path": "../../secret.flac"})
    message = example.prompt[0].model_copy(update={"content": (part,)})
    with pytest.raises(DataError, match="outside the dataset"):
        audio_rows.recording(example.model_copy(update={"prompt": (message,)}), dataset)
