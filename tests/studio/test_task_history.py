"""Versions of a task card: with their dates, who was given them, and the way back; in the terminal and on the page."""

from __future__ import annotations

import json

import filled
import pytest

from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from studio.cli import app as cli
from studio.read.task_uses import uses
from synth.curation import task_history
from synth.curation.amend import restore_task, set_task
from synth.dataset import DatasetDir
from synth.errors import DataError, RunError
from synth.storage import read_json, write_json
from synth.workspace import Workspace
from tests.studio.test_runs_page import press, said
from tests.studio.test_views import page


@pytest.fixture
def dataset(workspace: Workspace) -> DatasetDir:
    filled.dataset(workspace)
    return DatasetDir(workspace.datasets / "invoices")


def told(workspace: Workspace, run_id: str) -> Run:
    """A run that was trained with the task card as it is now."""
    run = Run.create(workspace, load_recipe("starter-text-sft", ["data.dataset=invoices", "data.task=true"]), run_id)
    with run.hold():
        run.note_environment(run.fingerprint(""), 1)
        run.finish("done", "Trained.")
    return run


def test_every_change_is_a_version_and_any_can_come_back(dataset: DatasetDir) -> None:
    first = dataset.task
    (only,) = task_history.versions(dataset)
    assert (only.number, only.since, only.task) == (1, "2026-01-01T00:00:00+00:00", first)
    set_task(dataset, instruction="Work out the amount.")
    set_task(DatasetDir(dataset.path), instruction="Work out the amount.")  # no change, no version
    second = DatasetDir(dataset.path)
    known = task_history.versions(second)
    assert [one.task.instruction for one in known] == [first.instruction, "Work out the amount."]
    assert known[1].since > known[0].since
    assert restore_task(second, 1) == first
    back = DatasetDir(dataset.path)
    assert back.task == first and back.verify() == []
    assert [one.task for one in task_history.versions(back)] == [first, known[1].task, first]
    with pytest.raises(DataError, match="no version 9") as error:
        restore_task(back, 9)
    assert "versions 1 to 3" in error.value.remedy


def test_a_kill_between_the_card_and_its_line_loses_no_version(
    dataset: DatasetDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_task(dataset, instruction="Second.")
    with monkeypatch.context() as patched:
        patched.setattr(task_history, "note", lambda *_: None)
        set_task(DatasetDir(dataset.path), instruction="Third.")
    assert [one.task.instruction for one in task_history.versions(DatasetDir(dataset.path))][1:] == [
        "Second.",
        "Third.",
    ]
    set_task(DatasetDir(dataset.path), instruction="Fourth.")
    known = task_history.versions(DatasetDir(dataset.path))
    assert [one.task.instruction for one in known][1:] == ["Second.", "Third.", "Fourth."]
    assert known[2].since == ""


def test_runs_and_comparisons_are_named_with_the_version_that_they_were_given(
    workspace: Workspace, dataset: DatasetDir
) -> None:
    told(workspace, "early")
    before = dataset.task.sha256()
    set_task(dataset, instruction="Work out the amount.")
    after = DatasetDir(dataset.path).task.sha256()
    told(workspace, "late")
    filled.run(workspace, "bare")  # learned bare prompts
    filled.comparison(workspace, "verdict")
    file = workspace.comparisons / "verdict" / "report.json"
    report = read_json(file)
    report["dataset"] = {**report["dataset"], "name": "invoices", "sha256": {"task": before}}
    write_json(file, report)
    found = uses(workspace, "invoices")
    assert found[before] == (("early",), ("verdict",))
    assert found[after].runs == ("late",)
    assert found[before].sentence() == "run early; comparison verdict"


def test_a_run_that_was_told_another_task_does_not_go_on_with_this_one(
    workspace: Workspace, dataset: DatasetDir
) -> None:
    run = told(workspace, "early")
    then = run.fingerprint("")
    set_task(dataset, instruction="Something else.")
    with pytest.raises(RunError, match="what it depends on has changed: task: "):
        Run(run.path).refuse_changes(Run(run.path).fingerprint(""), then)
    del then["task"]  # a checkpoint of before it was noted
    Run(run.path).refuse_changes(Run(run.path).fingerprint(""), then)


def test_the_terminal_lists_versions_and_restores_one(
    workspace: Workspace, dataset: DatasetDir, capsys: pytest.CaptureFixture[str]
) -> None:
    told(workspace, "early")
    set_task(dataset, instruction="Work out the amount.")
    capsys.readouterr()
    cli(["data", "task", "invoices", "--history"], standalone_mode=False)
    out = capsys.readouterr().out
    assert "version 1, since 2026-01-01T00:00:00+00:00; given to: run early" in out
    assert "version 2" in out and "the present one; given to: nobody" in out
    cli(["data", "task", "invoices", "--history", "--json"], standalone_mode=False)
    assert [one["version"] for one in json.loads(capsys.readouterr().out)] == [1, 2]
    cli(["data", "task", "invoices", "--restore", "1"], standalone_mode=False)
    assert DatasetDir(dataset.path).task == dataset.task


@pytest.mark.slow
def test_the_page_shows_versions_with_dates_and_users_and_restores_one(
    workspace: Workspace, dataset: DatasetDir
) -> None:
    told(workspace, "early")
    set_task(dataset, instruction="Work out the amount.")
    app = page("data", tab="task", dataset="invoices")
    assert not app.exception, app.exception
    seen = said(app).replace("\\", "")
    assert "**Version 2** · the present one" in seen
    assert "**Version 1** · 2026-01-01 00:00" in seen
    assert "Given to: run early" in seen
    press(app, "Restore version 1")
    assert DatasetDir(dataset.path).task == dataset.task
