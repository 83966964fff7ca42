"""What a workspace remembers of its runs: lists, notes and tags, deletion and its undoing."""

from __future__ import annotations

import json
from typing import Any

import filled
import pytest

from recipes.recipe.schema import recipe_hash
from recipes.run.directory import DISCARDED, Run
from studio.cli import app
from studio.engines import jobs
from studio.read.history import history, matching, tags_of, tuned
from studio.state import trash
from studio.state.notes import Notes, read_notes, write_notes
from synth.errors import RunError
from synth.jobdir import QUEUED
from synth.workspace import Workspace


@pytest.fixture
def place(workspace: Workspace) -> Workspace:
    filled.dataset(workspace)
    for name, verdict in {"first": "done", "second": "done", "broken": "failed", "gone": None}.items():
        filled.run(workspace, name, verdict)
    return workspace


def run_of(place: Workspace, name: str) -> Run:
    return Run(place.runs / name)


def test_history_tells_how_each_run_stands_and_sees_every_change(place: Workspace) -> None:
    found = {run.id: run.status for run in history(place)}
    assert found == {"first": "done", "second": "done", "broken": "failed", "gone": "lost"}
    run = run_of(place, "broken")
    run.finish("stopped", "Stopped after step 3.")
    assert {r.id: r.status for r in history(place)}["broken"] == "stopped"
    (run.path / "exit.json").unlink()
    assert {r.id: r.status for r in history(place)}["broken"] == "lost"
    (place.runs / "first" / "recipe.yaml").write_text("method: no_such")
    assert "first" not in {r.id for r in history(place)}
    assert [run.id for run in tuned(place, "text")] == ["second"]
    assert tuned(place, "audio") == []


def test_notes_lie_beside_the_recipe_and_change_neither_hash_nor_state(place: Workspace) -> None:
    run = run_of(place, "gone")
    before = recipe_hash(run.recipe)
    write_notes(run, " lr too high? ", ["sweep", "sweep", " keep "])
    assert read_notes(run.path) == Notes("lr too high?", ("sweep", "keep"))
    assert recipe_hash(Run(run.path).recipe) == before
    assert run.status() == "lost"  # and not queued, as a folder that changed just now would be
    assert "sweep" not in (run.path / "recipe.yaml").read_text()


@pytest.mark.parametrize("tag", ["", "two\nlines", "<b>", "x" * 41])
def test_odd_tags_are_refused(place: Workspace, tag: str) -> None:
    with pytest.raises(RunError, match="is no tag"):
        write_notes(run_of(place, "first"), "", [tag])


def test_runs_are_found_by_words_status_and_tag(place: Workspace) -> None:
    write_notes(run_of(place, "first"), "The one for the board meeting", ["keep"])
    write_notes(run_of(place, "broken"), "", ["keep", "sweep"])
    runs = history(place)
    assert tags_of(runs) == ["keep", "sweep"]
    assert {r.id for r in matching(runs, tag="keep")} == {"first", "broken"}
    assert {r.id for r in matching(runs, tag="keep", status="failed")} == {"broken"}
    assert {r.id for r in matching(runs, words="BOARD starter-text")} == {"first"}
    called = {"first": "Überweisungen (first)"}
    named = matching(runs, words="überweisung", shown=lambda run: called.get(run, run))
    assert {r.id for r in named} == {"first"}
    assert len(matching(runs)) == 4


def test_terminal_writes_shows_and_filters_tags(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    def say(*arguments: str) -> Any:
        app(["runs", *arguments, "--json"], standalone_mode=False)
        return json.loads(capsys.readouterr().out)

    said = say("note", "first", "better than second", "--tag", "keep", "--tag", "v2")
    assert said == {"run": "first", "note": "better than second", "tags": ["keep", "v2"]}
    assert say("note", "first", "--untag", "v2")["tags"] == ["keep"]
    assert say("note", "first") == {"run": "first", "note": "better than second", "tags": ["keep"]}
    assert [row["run"] for row in say("list", "--tag", "keep")] == ["first"]
    assert {row["run"] for row in say("list", "--status", "done")} == {"first", "second"}
    with pytest.raises(RunError, match="did you mean 'keep'"):
        app(["runs", "list", "--tag", "kep"], standalone_mode=False)


def test_a_deleted_run_can_be_put_back_with_everything_in_it(place: Workspace) -> None:
    write_notes(run_of(place, "first"), "precious", ["keep"])
    name = trash.delete(place, "runs", "first")
    assert "first" not in {run.id for run in history(place)}
    filled.run(place, "first")  # the id is free again …
    with pytest.raises(RunError, match="another run named first"):
        trash.restore(place, "runs", name)
    second = trash.delete(place, "runs", "first")
    assert trash.deleted(place, "runs") == [second, name]  # … and both keep their place in the trash
    assert trash.restore(place, "runs", name) == "first"
    assert read_notes(place.runs / "first").note == "precious"
    trash.destroy(place, "runs", second)
    assert trash.deleted(place, "runs") == []
    with pytest.raises(RunError, match="not in the trash"):
        trash.restore(place, "runs", second)


def test_a_waiting_run_is_not_deleted(place: Workspace) -> None:
    run = run_of(place, "gone")
    (run.path / QUEUED).touch()
    with pytest.raises(RunError, match="gone is queued"):
        trash.delete(place, "runs", run.id)


def test_what_cannot_be_resumed_says_why(place: Workspace) -> None:
    run = run_of(place, "broken")
    assert run.resume_blocker() == ""
    folder = run.path / "checkpoints" / "step-000003"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"fingerprint": run.fingerprint("weights")}))
    assert run.resume_blocker() == ""
    with (place.datasets / "invoices" / "train.jsonl").open("a") as file:
        file.write("{}\n")
    assert "train.jsonl" in run.resume_blocker()
    with pytest.raises(RunError, match="depends on has changed"):
        jobs.resume_training(run)
    run.finish("stopped", "Discarded after step 3: nothing was kept of it.", DISCARDED)
    assert "was discarded" in run.resume_blocker()


def test_a_run_whose_dataset_is_gone_says_so(place: Workspace) -> None:
    (place.datasets / "invoices").rename(place.datasets / "other")
    assert "no dataset 'invoices'" in run_of(place, "broken").resume_blocker()
