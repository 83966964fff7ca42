"""Supervised tuning of tiny Whispers: what moves, what stays, windows, masks, and that a killed run resumes exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from recipes import audio_answers, audio_rows, audio_sft, models
from recipes.recipe import load_recipe
from recipes.run import Run, Stopped
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.workspace import Workspace
from tests.tiny_audio import tiny_whisper, tone, tones_dataset


@pytest.fixture(scope="module", params=["multilingual", "english_only"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / str(request.param)
    return tiny_whisper(folder, english_only=request.param == "english_only")


def make_run(workspace: Workspace, base: Path, run_id: str, **changes: Any) -> Run:
    recipe: dict[str, Any] = {
        "method": "audio_sft",
        "base_model": str(base),
        "data": {"dataset": "tones"},
        "lora": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]},
        "optim": {"learning_rate": 5e-3, "num_train_epochs": 2, "per_device_train_batch_size": 4, "bf16": False},
        "logging_steps": 1,
        "save_steps": 3,
        "eval_steps": 4,
    }
    return Run.create(workspace, load_recipe(recipe, [f"{key}={value}" for key, value in changes.items()]), run_id)


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
    assert len(layers) == 2 * (4 + 2) + 2 * (8 + 2)  # encoder: 4 + 2 linear layers each; decoder: 8 + 2
    assert all(tensor.abs().sum() > 0 for tensor in tuned.values())  # B starts at zero, so each B has moved
    assert audio_rows.noted_window(run.adapter) == 2.0


def test_a_stopped_run_resumes_with_the_tensors_of_an_uninterrupted_one(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tones_dataset(workspace.datasets / "tones")
    whole = make_run(workspace, base, "whole")
    train(whole)
    parted = make_run(workspace, base, "parted")
    emit = parted.emit

    def stop_at_five(kind: str, **fields: Any) -> None:
        emit(kind, **fields)
        if kind == "step" and fields["step"] == 5:
            parted.request_stop()

    monkeypatch.setattr(parted, "emit", stop_at_five)
    with pytest.raises(Stopped):
        train(parted)
    again = Run(parted.path)
    train(again)
    losses = [{e["step"]: e["loss"] for e in run.events("step")} for run in (whole, again)]
    assert losses[0] == losses[1]
    expected = load_file(whole.adapter / "adapter_model.safetensors")
    found = load_file(again.adapter / "adapter_model.safetensors")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_shorter_window_keeps_the_first_positions_and_answers(workspace: Workspace, base: Path) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones"))
    loaded = models.load_for_inference(str(base))
    before = loaded.model.model.encoder.embed_positions.weight.clone()
    recordings = [audio_rows.recording(e, dataset) for e in dataset.examples("val")]
    seconds = audio_rows.window_seconds(recordings, loaded.processor)
    audio_rows.shorten(loaded.model, loaded.processor, seconds)
    after = loaded.model.model.encoder.embed_positions.weight
    assert seconds == 2.0
    assert torch.equal(after, before[:100])
    answers = audio_answers.transcribe(loaded, audio_rows.windows(recordings, loaded.processor, seconds), 8)
    assert len(answers) == len(recordings)


def test_labels_cover_the_transcript_and_the_end_but_not_the_prefix(workspace: Workspace, base: Path) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones", train=2, val=0))
    processor = models.load_processor(models.resolve(str(base)))
    row = audio_rows.encode(list(dataset.examples("train")), processor, load_recipe({"base_model": "x"}).data)[0]
    words = processor.tokenizer.convert_ids_to_tokens(row.input_ids)
    given = [word for word, label in zip(words, row.labels, strict=True) if label == audio_rows.IGNORED]
    multilingual = base.name == "multilingual"
    assert given == [
        "<|startoftranscript|>",
        *(["<|en|>", "<|transcribe|>"] if multilingual else []),
        "<|notimestamps|>",
    ]
    assert processor.tokenizer.decode([i for i in row.labels if i != audio_rows.IGNORED]) == "Pitch 200<|endoftext|>"
    assert row.input_ids[: len(given)] == [processor.tokenizer.convert_tokens_to_ids(word) for word in given]


def test_masks_follow_from_seed_epoch_and_row_and_spare_watched_rows(base: Path) -> None:
    processor = models.load_processor(models.resolve(str(base)))
    sound = audio_rows.windows([tone(440, 1.5)], processor, 2.0)[0]
    epoch = 0
    batcher = audio_rows.Batcher(0, 7, lambda: epoch)
    plain = batcher.sounds([(None, sound)])
    first = batcher.sounds([(n, sound) for n in range(8)])
    assert torch.equal(first, batcher.sounds([(n, sound) for n in range(8)]))
    assert torch.equal(plain[0], torch.from_numpy(sound.features.astype(np.float32)))
    assert not all(torch.equal(row, plain[0]) for row in first)
    epoch = 1
    assert not torch.equal(first, batcher.sounds([(n, sound) for n in range(8)]))
    changed = (first != plain).float().mean(dim=(1, 2))
    assert changed.max() < 0.6


def test_recordings_beyond_the_models_window_are_refused_with_their_number(base: Path) -> None:
    processor = models.load_processor(models.resolve(str(base)))
    with pytest.raises(DataError, match="1 of 2 recordings exceed the model's window of 4 s"):
        audio_rows.window_seconds([tone(300, 1), tone(300, 5)], processor)


def test_a_recording_outside_the_dataset_is_refused(workspace: Workspace) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones", train=1, val=0))
    example = next(dataset.examples("train"))
    part = example.prompt[0].content[0].model_copy(update={"path": "../../secret.flac"})
    message = example.prompt[0].model_copy(update={"content": (part,)})
    with pytest.raises(DataError, match="outside the dataset"):
        audio_rows.recording(example.model_copy(update={"prompt": (message,)}), dataset)
