"""A run's folder without any training: what it says of itself, what it refuses to go on with, what it learns from."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import filled
import pytest

from recipes.recipe.schema import load_recipe
from recipes.run import checkpoints
from recipes.run.directory import DISCARDED, Run, cpu_name
from recipes.run.folds import final_recipe, fold_recipe, fold_run, kept_epochs
from recipes.run.instructed import InstructedDataset, instructed
from synth.dataset import DatasetDir
from synth.errors import DataError, RunError, StorageError
from synth.example import system
from synth.jobdir import QUEUED, UNREADABLE, JobDir
from synth.storage import write_json
from synth.task import TaskCard
from synth.workspace import Workspace


def saved(run: Run, step: int, fingerprint: dict[str, object] | None = None) -> checkpoints.Checkpoint:
    def fill(folder: Path) -> None:
        (folder / "weights").write_bytes(b"w" * step)

    return checkpoints.write(run.path / "checkpoints", step, fill, fingerprint or run.fingerprint(""), keep=2)


@pytest.fixture
def run(workspace: Workspace) -> Run:
    filled.dataset(workspace)
    return filled.run(workspace, "mine", "failed")


def test_a_dataset_of_another_modality_is_refused_with_the_method_that_fits(workspace: Workspace) -> None:
    filled.dataset(workspace)
    card = workspace.datasets / "invoices" / "dataset.json"
    write_json(card, {**json.loads(card.read_text()), "modality": "audio"})
    with pytest.raises(DataError, match="dataset of audio") as caught:
        Run.create(workspace, load_recipe("starter-text-sft", ["data.dataset=invoices"]))
    assert "audio_sft" in caught.value.remedy and not workspace.runs.exists()


def test_checkpoints_count_only_while_every_byte_is_as_it_was(run: Run) -> None:
    assert run.checkpoint() is None and not run.has_checkpoints()
    for step in (1, 2, 3):
        assert saved(run, step).step == step
    assert [path.name for path in sorted((run.path / "checkpoints").iterdir())] == ["step-000002", "step-000003"]
    newest = run.path / "checkpoints" / "step-000003"
    (newest / "weights").write_bytes(b"www"[::-1] + b"x")
    assert (found := run.checkpoint()) is not None and found.step == 2
    (newest / checkpoints.MANIFEST).write_text("[]")
    assert checkpoints.fingerprint(run.path / "checkpoints") == found.fingerprint
    (run.path / "checkpoints" / "step-000002" / checkpoints.MANIFEST).unlink()
    assert run.checkpoint() is None and checkpoints.fingerprint(run.path / "checkpoints") is None
    run.drop_checkpoints()
    assert not run.has_checkpoints()


def test_a_disk_that_gives_back_other_bytes_is_said_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "read", lambda path: None)
    with pytest.raises(StorageError, match="does not read back"):
        saved(run, 1)


def test_what_stands_in_the_way_of_going_on_is_said_before_it_is_tried(run: Run, workspace: Workspace) -> None:
    assert run.resume_blocker() == ""
    then = run.fingerprint("")
    saved(run, 1, {**then, "libraries": {**then["libraries"], "torch": "0.1"}, "data": {"train.jsonl": "0" * 64}})
    said = run.resume_blocker()
    assert "libraries.torch: 0.1 -> " in said and "data.train.jsonl: 000000000000… -> " in said
    run.drop_checkpoints()
    early = {name: value for name, value in then["recipe"].items() if name != "sample_rows"}
    saved(run, 1, {**then, "recipe": early})
    assert run.resume_blocker() == "", "an option that came later is as it was done before there was a choice"
    run.finish("stopped", "It was discarded.", DISCARDED)
    assert "discarded" in run.resume_blocker()
    run.finish("failed", "It failed.", "run.bug")
    (workspace.datasets / "invoices").rename(workspace.datasets / "gone")
    assert "invoices" in run.resume_blocker()


def test_the_machine_is_noted_beside_what_was_trained(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.note_environment(run.fingerprint("abc"), 2)
    noted = json.loads((run.path / "env.json").read_text())
    assert noted["model"] == "abc" and noted["machine"]["threads"] == 2 and noted["machine"]["cpu"] == cpu_name()
    monkeypatch.setattr(Path, "read_text", lambda *_: (_ for _ in ()).throw(OSError("no /proc here")))
    assert isinstance(cpu_name(), str)


def test_each_row_is_told_the_task_once_and_keeps_its_id(run: Run) -> None:
    bare = DatasetDir(run.workspace.datasets / "invoices")
    told = InstructedDataset(bare)
    said = told.task.in_words()
    assert (told.splits(), told.count("train"), told.task) == (bare.splits(), bare.count("train"), bare.task)
    row = next(iter(bare.examples("train")))
    own = row.model_copy(update={"prompt": (system("Be brief."), *row.prompt)})
    assert instructed(own, "Add.").prompt[0].text == "Be brief.\n\nAdd." and instructed(row, "") is row
    assert instructed(own, "Be brief.") is own
    rows = [*told.examples("train"), *told.draw("test", 3, seed=1)]
    wanted = [*bare.examples("train"), *bare.draw("test", 3, seed=1)]
    assert [row.id for row in rows] == [row.id for row in wanted] and isinstance(told.task, TaskCard)
    assert all((row.prompt[0].text == said) if said else row.prompt[0].role == "user" for row in rows)


def test_the_model_of_all_rows_is_trained_as_long_as_the_folds_kept_in_the_middle(run: Run) -> None:
    recipe = run.recipe
    assert fold_run("mine", 2) == "mine-fold2" and fold_recipe(recipe, 5, 2).data.fold == 2
    final = final_recipe(recipe, 5, [1.0, 3.0, 2.0])
    assert (final.data.folds, final.data.fold, final.optim.num_train_epochs, final.eval_steps) == (5, 0, 2.0, 0)
    with pytest.raises(RunError, match="does not say how long"):
        kept_epochs(run)


def test_whatever_stands_in_the_files_of_a_job_it_has_a_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    for text in ("", "{", "7", '{"at": "x"}', '{"at": 1e999, "host": 7, "pid": []}', "[" * 20_000):
        (job.path / QUEUED).write_text(text)
        assert job.status() == "queued"
    job.expect(os.getpid())
    assert job.status() == "queued"
    for name in (QUEUED, "."):
        os.utime(job.path / name, (time.time() - 3600,) * 2)
    mark = json.loads((job.path / QUEUED).read_text())
    (job.path / QUEUED).write_text(json.dumps({**mark, "pid": 2**22 + 7}))
    assert job.status() == "lost"
    job.request_stop(discard=True)
    assert job.stop_requested() and job.discard_requested()
    monkeypatch.delattr(os, "getloadavg")
    with job.hold():
        assert job.discard_requested(), "it was asked of the worker that was asked for"
    with job.hold():
        assert not job.discard_requested() and job.status() == "running"
        job.emit("step", step=1)
    assert [set(event) for event in job.events("step")] == [{"at", "kind", "step"}]
    (job.path / "exit.json").write_text('{"verdict": "won"}')
    ended = job.exit()
    assert job.status() == "failed" and ended is not None and ended.code == UNREADABLE
