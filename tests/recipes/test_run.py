from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import sums_dataset, tiny_llama
from tiny_audio import tones_dataset
from workers import finish, losses, start, tiny_run, wait_for_step

from recipes.__main__ import as_user_error, main
from recipes.run import checkpoints
from recipes.run.directory import Run
from synth.errors import DataError, RunError
from synth.workspace import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sums_dataset(tmp_path_factory.mktemp("data") / "sums")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, model: Path, dataset: Path) -> Run:
    return finish(tiny_run(Workspace(tmp_path_factory.mktemp("reference")), model, dataset))


def adapter_bytes(run: Run) -> bytes:
    return (run.adapter / "adapter_model.safetensors").read_bytes()


def test_killed_run_resumes_with_identical_losses(
    workspace: Workspace, model: Path, dataset: Path, uninterrupted: Run
) -> None:
    run = tiny_run(workspace, model, dataset)
    options: list[str] = []
    for step in sorted(random.sample(range(2, 28), 3)):
        process = start(run, *options)
        wait_for_step(run, step, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert run.status() in ("queued", "lost")
        options = ["--resume"]
    finish(run, "--resume")
    assert run.status() == "done"
    assert losses(run) == losses(uninterrupted)
    assert adapter_bytes(run) == adapter_bytes(uninterrupted)


def test_a_kill_at_each_stage_of_a_checkpoint_resumes_with_identical_losses(
    workspace: Workspace, model: Path, dataset: Path, uninterrupted: Run
) -> None:
    run, options, saved = tiny_run(workspace, model, dataset), list[str](), []
    stages = ["dir.made:2", "file.written:2", "dir.filled:1", "dir.synced:1", "dir.renamed:1", "checkpoint.rotated:1"]
    for stage in stages:
        process = start(run, *options, fail=f"{stage}:KILL")
        assert process.wait(120) == -signal.SIGKILL, (stage, run.exit())
        found = run.checkpoint()
        assert found is not None and run.status() in ("queued", "lost")
        saved.append(found.step)
        options = ["--resume"]
    assert saved[:5] == [7, 7, 7, 7, 14], "what was not renamed is no checkpoint, what was renamed is one"
    finish(run, "--resume")
    assert losses(run) == losses(uninterrupted)
    assert adapter_bytes(run) == adapter_bytes(uninterrupted)
    assert list((run.path / "checkpoints").rglob("*.tmp")) == []


def test_sigterm_saves_the_step_and_resume_goes_on_from_it(
    workspace: Workspace, model: Path, dataset: Path, uninterrupted: Run
) -> None:
    run = tiny_run(workspace, model, dataset)
    process = start(run)
    wait_for_step(run, 3, process)
    os.kill(process.pid, signal.SIGTERM)
    process.wait()
    ended, saved = run.exit(), run.checkpoint()
    assert ended is not None and ended.verdict == "stopped"
    assert saved is not None and f"step {saved.step}" in ended.sentence
    assert max(losses(run)) == saved.step < 30
    finish(run, "--resume")
    assert losses(run) == losses(uninterrupted)


def test_resume_takes_the_newest_checkpoint_that_verifies(workspace: Workspace, tmp_path: Path) -> None:
    for step in (7, 14):
        checkpoints.write(tmp_path, step, lambda f: (f / "a.bin").write_bytes(b"abc") and None, {}, keep=2)
    file = tmp_path / "step-000014" / "a.bin"
    file.write_bytes(b"abd")
    found = checkpoints.newest(tmp_path)
    assert found is not None and found.step == 7


def test_a_checkpoint_that_fails_half_way_leaves_nothing_and_older_ones_stay(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "a.bin").write_bytes(b"abc")

    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError(28, "No space left on device")

    checkpoints.write(tmp_path, 7, fill, {}, keep=1)
    with pytest.raises(Exception, match="No space left"):
        checkpoints.write(tmp_path, 14, fail, {}, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["step-000007"]


def test_rotation_keeps_the_highest_steps(tmp_path: Path) -> None:
    for step in (5, 100, 20):
        checkpoints.write(tmp_path, step, lambda f: (f / "a").write_bytes(b"") and None, {}, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000020", "step-000100"]


def test_changed_data_choices_or_libraries_are_refused_with_a_diff(uninterrupted: Run) -> None:
    found = uninterrupted.checkpoint()
    assert found is not None
    now = {**found.fingerprint}
    uninterrupted.refuse_changes(now, found.fingerprint)
    now["data"] = {"train.jsonl": "0" * 64, "val.jsonl": found.fingerprint["data"]["val.jsonl"]}
    now["libraries"] = {**now["libraries"], "torch": "9.9"}
    now["recipe"] = {**now["recipe"], "seed": 5}
    with pytest.raises(RunError, match=r"data.train.jsonl: \w+… -> 0+….*libraries.torch.*-> 9.9.*recipe.seed: 0 -> 5"):
        uninterrupted.refuse_changes(now, found.fingerprint)


def test_resuming_after_the_data_changed_ends_in_one_sentence(workspace: Workspace, model: Path) -> None:
    dataset = sums_dataset(workspace.datasets / "own")
    run = tiny_run(workspace, model, dataset, max_steps=4, save_steps=2)
    process = start(run)
    wait_for_step(run, 3, process)
    process.kill()
    process.wait()
    rows = (dataset / "train.jsonl").read_text("utf-8").splitlines(keepends=True)
    (dataset / "train.jsonl").write_text("".join(rows[1:]), "utf-8")
    ended = finish(run, "--resume").exit()
    assert ended is not None and (ended.verdict, ended.code) == ("failed", "run.changed")
    assert "data.train.jsonl" in ended.sentence and "\n" not in ended.sentence


def test_a_second_worker_on_a_run_is_refused_and_changes_nothing(
    workspace: Workspace, model: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_run(workspace, model, dataset)
    with run.hold():
        assert main([str(run.path)]) == 2
    assert "running already" in capsys.readouterr().err
    assert run.exit() is None


def test_a_finished_run_is_not_done_again(uninterrupted: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(uninterrupted.path), "--resume"]) == 2
    assert "done already" in capsys.readouterr().err
    assert uninterrupted.status() == "done"


def test_the_command_line_worker_ends_an_unknown_model_with_one_sentence(workspace: Workspace, dataset: Path) -> None:
    run = tiny_run(workspace, Path("no-such/model"), dataset)
    command, home = [sys.executable, "-m", "recipes", str(run.path)], Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=home)
    ended = run.exit()
    assert done.returncode == 1
    assert ended is not None and ended.code == "model.offline"
    assert ended.sentence in done.stderr and "Traceback" not in done.stderr


def test_a_dataset_of_recordings_is_refused_by_a_text_method_before_there_is_a_run(
    workspace: Workspace, model: Path
) -> None:
    sounds = tones_dataset(workspace.datasets / "tones")
    with pytest.raises(DataError, match=r"tones is a dataset of audio, but text_sft learns text\. .* audio_sft"):
        tiny_run(workspace, model, sounds)
    assert not list(workspace.runs.glob("*"))


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), "run.memory", "per_device_train_batch_size"),
        (RuntimeError("CUDA out of memory. Tried"), "run.memory", "gradient_checkpointing"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "run.memory", "smaller model"),
        (OSError(28, "No space left on device"), "storage.full", "disk is full"),
        (ValueError("odd"), "run.bug", "worker.log"),
    ],
)
def test_every_failure_has_its_sentence(error: Exception, code: str, words: str) -> None:
    found = as_user_error(error)
    assert found.code == code
    assert words in str(found)


def test_events_tell_progress_speed_memory_and_time_left(uninterrupted: Run) -> None:
    last: dict[str, Any] = uninterrupted.events("step")[-1]
    assert last["step"] == last["total_steps"] == 30
    assert last["tokens_per_s"] > 0 and last["memory_mb"] > 0 and last["eta_sec"] == 0.0
    assert [e["name"] for e in uninterrupted.events("phase")][:3] == ["loading", "encoding", "preflight"]
