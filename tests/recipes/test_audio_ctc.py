"""A speech model without a decoder (Parakeet CTC), with random weights: tuned, asked, merged, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from evaluate.predict import local_audio
from evaluate.predict.prompts import Question
from recipes.audio import audio_answers, audio_dpo, audio_rows, audio_sft
from recipes.audio.backends import audio_backend
from recipes.export.exporter import Tuned, export
from recipes.export.merged import EXPORTER as MERGED
from recipes.models.files import resolve
from recipes.models.loading import load_for_inference
from recipes.recipe.options import Data
from recipes.run.directory import Run
from recipes.train.report import read_report
from synth.dataset import DatasetDir
from synth.errors import DataError, ModelError
from synth.workspace import Workspace
from tests.tiny_audio import tiny_parakeet, tone, tones_dataset
from tests.tiny_runs import assert_same_training, short_run, stop_after

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_parakeet(tmp_path_factory.mktemp("base") / "parakeet_ctc")


def make_run(workspace: Workspace, base: Path, run_id: str, **changes: Any) -> Run:
    if not (workspace.datasets / "tones").exists():
        tones_dataset(workspace.datasets / "tones", letters=True)
    recipe = {"method": "audio_sft", "data": {"dataset": "tones"}, "lora": {"target_modules": "all-linear"}}
    return short_run(workspace, base, run_id, recipe, changes)


def train(run: Run) -> Any:
    with run.hold():
        return audio_sft.train(run, run.recipe)


def backend_of(base: Path, adapter: Path | None = None, **how: Any) -> Any:
    return audio_backend(load_for_inference(str(base), adapter, torch.float32, **how))


def test_every_adapter_tensor_moves_the_loss_falls_and_the_preflight_shows_the_transcript(
    workspace: Workspace, base: Path
) -> None:
    run = make_run(workspace, base, "sft", eval_steps=4, sample_steps=6)
    assert train(run).steps == 12
    steps = run.events("step")
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert len(run.events("eval")) == 3 and len(run.events("samples")) == 2
    tuned = load_file(run.adapter / "adapter_model.safetensors")
    assert len({name.split(".lora_")[0] for name in tuned}) == 2 * 9 + 1  # the head, a convolution, has none
    assert all(tensor.abs().sum() > 0 for tensor in tuned.values())
    report = read_report(run.path)
    assert report is not None and report.picture
    assert "pitch " in report.sample_text and "⟦" not in report.sample_text  # double letters and all; no part is given


def test_merged_answers_are_those_with_the_adapter_apart_and_statistics_are_the_bases(
    workspace: Workspace, base: Path
) -> None:
    run = make_run(workspace, base, "sft", **{"optim.num_train_epochs": 6})
    train(run)
    folder = export(MERGED, Tuned("sft", resolve(str(base)), run.adapter), workspace.path / "merged")
    assert "AutoModelForCTC" in (folder / "README.md").read_text()
    sounds = [tone(300, 1.2), tone(500, 0.7)]
    apart, merged = backend_of(base, run.adapter, merge=False), backend_of(folder)
    said = [audio_answers.transcribe(backend, backend.prepare(sounds)) for backend in (apart, merged)]
    assert [one.text for one in said[0]] == [one.text for one in said[1]]
    before, after = (load_file(place / "model.safetensors") for place in (base, folder))
    held = [name for name in before if "running_" in name]
    assert held and all(torch.equal(before[name], after[name]) for name in held)


def test_a_stopped_run_resumes_with_the_tensors_of_an_uninterrupted_one(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_run(workspace, base, "whole")
    train(whole)
    parted = stop_after(5, make_run(workspace, base, "parted"), train, monkeypatch)
    train(parted)
    assert_same_training(whole, parted)


def test_the_loss_is_that_of_transformers_whatever_is_padded_beside(base: Path, workspace: Workspace) -> None:
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones", train=3, val=0, letters=True))
    backend, rows = backend_of(base), list(dataset.examples("train"))
    sounds = backend.prepare([audio_rows.recording(row, dataset) for row in rows])
    collate = audio_rows.Collator(backend, 0, lambda: 0)
    encoded = [
        audio_rows.AudioRow(*pair)
        for pair in zip(sounds, audio_rows.encode(rows, sounds, backend, Data()), strict=True)
    ]
    together = collate([(None, row) for row in encoded])
    alone = [collate([(None, row)]) for row in encoded]
    lengths = [len(row.tokens.labels) for row in encoded]
    with torch.no_grad():
        theirs = [
            float(backend.network(b["input_features"], b["attention_mask"], labels=b["labels"]).loss) for b in alone
        ]
        ours = [float(backend.loss(batch)) for batch in alone]
        both = float(backend.loss(together))
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert both == pytest.approx(np.average(ours, weights=lengths), rel=1e-3)


def test_an_answer_does_not_depend_on_the_recordings_decoded_with_it_and_says_how_sure_it_is(
    base: Path, workspace: Workspace
) -> None:
    backend = backend_of(base)
    sounds = backend.prepare([tone(300, 1.2), tone(500, 0.5), tone(410, 2.3)])
    together = audio_answers.transcribe(backend, sounds)
    alone = [audio_answers.transcribe(backend, [sound])[0] for sound in sounds]
    assert [one.text for one in together] == [one.text for one in alone]
    assert [one.confidence for one in together] == pytest.approx([one.confidence for one in alone], rel=1e-3)
    dataset = DatasetDir(tones_dataset(workspace.datasets / "tones", train=3, val=0, letters=True))
    asked = [Question(row.id, row.prompt, dataset.path) for row in dataset.examples("train")]
    loaded = load_for_inference(str(base))
    found = list(local_audio.answer(loaded, asked, 4, None, lambda: False))
    assert len(found) == 3 and not any(one.error or one.truncated for one in found)


def test_double_letters_stay_and_repeated_frames_are_one(base: Path) -> None:
    backend = backend_of(base)
    (sound,) = backend.prepare([tone(300, 0.6)])
    word = backend.tokens_of(["hello"])[0]
    blank, frames = backend.blank, []
    for token in word:
        frames += [token, token, blank]
    frames += [blank] * (sound.positions - len(frames)) + [word[0]] * 5  # behind the recording's end: not read
    read = backend.reading(sound, frames)
    assert backend.spell(read.tokens, special=False).strip() == "hello" and read.finished


def test_transcripts_are_learned_in_the_letters_that_it_has_and_digits_are_refused(base: Path) -> None:
    backend = backend_of(base)
    (ids,) = backend.tokens_of(["Don't STOP, now!"])
    assert backend.spell(ids).strip() == "don't stop now"
    with pytest.raises(DataError, match=r"1 of 2 transcripts hold what .* has no tokens for \((4 0|0 4)\)") as caught:
        backend.tokens_of(["take it", "take 40 now"])
    assert caught.value.code == "data.unspellable"


def test_a_transcript_that_its_recording_cannot_hold_is_refused(base: Path, workspace: Workspace) -> None:
    rows = list(DatasetDir(tones_dataset(workspace.datasets / "t", train=2, val=0, letters=True)).examples("train"))
    backend = backend_of(base)
    long = [rows[0], rows[1].model_copy(update={"target": "no " * 60})]
    with pytest.raises(DataError, match="1 of 2 transcripts are longer than their recordings") as caught:
        audio_rows.encode(long, backend.prepare([tone(300, 0.5)] * 2), backend, Data())
    assert caught.value.code == "data.long_transcript"


def test_preference_tuning_is_refused_with_the_reason_before_anything_is_mined(
    workspace: Workspace, base: Path
) -> None:
    run = make_run(workspace, base, "dpo", method="audio_dpo")
    with run.hold(), pytest.raises(ModelError, match="each frame is decided by itself") as caught:
        audio_dpo.train(run, run.recipe)
    assert caught.value.code == "model.no_preferences" and "audio_sft" in caught.value.remedy
    assert not (run.path / "pairs").exists()
