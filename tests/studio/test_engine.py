"""The local engine: only installed code runs, and work is started, followed and cancelled through one object."""

from __future__ import annotations

import json
import time
from pathlib import Path

import filled
import pytest
from filelock import FileLock

from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run, Stopped
from studio.cli import app
from studio.engines import jobs, local, turns
from studio.engines.engine import Engine, Work
from studio.serving import server
from synth.errors import RunError
from synth.jobdir import JobDir
from synth.workspace import Workspace
from tests.spare import Forked

ROWS = {"train": 8, "val": 2, "test": 2, "test_ood": 2}


def ended(job: JobDir, seconds: float = 120) -> str:
    deadline = time.monotonic() + seconds
    while jobs.ENGINE.status(job) in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(0.1)
    return jobs.ENGINE.status(job)


@pytest.mark.slow
def test_a_workers_own_folder_is_never_imported_from(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("queue", "peft", "numpy", "sitecustomize", "synth"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')\n")
    monkeypatch.chdir(tmp_path)
    job = jobs.start_task(workspace, "synth", {"generator": "math", "settings": ROWS, "name": "sums"})
    assert ended(job) == "done", jobs.log_tail(job)
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()


def test_every_python_that_the_studio_starts_has_a_safe_path() -> None:
    assert server.command(8501)[:2] == list(local.PYTHON)


def test_any_engine_may_do_the_work(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        waiting = "It waits for a machine."

        def __init__(self) -> None:
            self.submitted: list[Work] = []

        def submit(self, work: Work) -> None:
            self.submitted.append(work)

        status = local.LocalEngine.status
        cancel = local.LocalEngine.cancel

    engine = Elsewhere()
    checked: Engine = engine
    monkeypatch.setattr(jobs, "ENGINE", checked)
    filled.dataset(workspace)
    run = jobs.start_training(workspace, load_recipe("starter-text-sft", ["data.dataset=invoices"]), "mine")
    task = jobs.start_task(workspace, "synth", {}, "other")
    assert [(work.directory.path, work.module) for work in engine.submitted] == [
        (run.path, jobs.TRAINING),
        (task.path, jobs.TASK),
    ]
    jobs.ENGINE.cancel(run)
    assert Run(run.path).stop_requested()


@pytest.mark.slow
def test_cancelled_work_ends_and_keeps_nothing_half(workspace: Workspace, lent: list[Forked]) -> None:
    rows = {**ROWS, "train": 1_000_000}
    job = jobs.start_task(workspace, "synth", {"generator": "math", "settings": rows, "name": "endless"})
    deadline = time.monotonic() + 60
    while not job.events("progress") and time.monotonic() < deadline:
        time.sleep(0.1)
    asked = time.monotonic()
    jobs.ENGINE.cancel(job)
    assert ended(job) == "stopped"
    assert time.monotonic() - asked < 10
    assert list(workspace.datasets.iterdir()) == []


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    app([*arguments], standalone_mode=False)
    return capsys.readouterr().out


def test_runs_that_differ_in_one_choice_and_their_figures_say_so(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    filled.dataset(workspace)
    first, second = filled.run(workspace, "first"), filled.run(workspace, "second", verdict="failed")
    for run, digest, version in ((first, "a" * 64, "1.0"), (second, "b" * 64, "1.1")):
        data = {"train.jsonl": digest, "val.jsonl": "c" * 64}
        known = {"data": data, "model": "m", "libraries": {"trl": version, "peft": "1"}, "machine": {"cores": 2}}
        (run.path / "env.json").write_text(json.dumps(known))
    file = second.path / "recipe.yaml"
    file.write_text(file.read_text().replace("seed: 0", "seed: 7"))
    rows = json.loads(said(capsys, "runs", "diff", "first", "sec", "--json"))
    assert {(row["part"], row["name"]): (row["first"], row["second"]) for row in rows} == {
        ("recipe", "seed"): ("0", "7"),
        ("data", "train.jsonl"): ("a" * 16 + "…", "b" * 16 + "…"),
        ("library", "trl"): ("1.0", "1.1"),
        ("figure", "status"): ("done", "failed"),
    }
    assert "train.jsonl" in said(capsys, "runs", "diff", "first", "second")
    assert "do not differ" in said(capsys, "runs", "diff", "first", "first")


def test_a_deleted_run_is_out_of_the_list_and_comes_back(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    filled.dataset(workspace)
    filled.run(workspace, "precious")
    assert "runs restore precious" in said(capsys, "runs", "delete", "prec")
    assert json.loads(said(capsys, "runs", "list", "--json")) == []
    with pytest.raises(RunError, match="did you mean 'precious'"):
        app(["runs", "restore", "precios"], standalone_mode=False)
    assert "precious is back" in said(capsys, "runs", "restore", "precious")
    assert [run["run"] for run in json.loads(said(capsys, "runs", "list", "--json"))] == ["precious"]


def test_an_old_request_to_stop_does_not_end_a_resumed_run_that_waits_for_its_turn(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.dataset(workspace)
    run = filled.run(workspace, "stopped", verdict="failed")
    run.request_stop()
    monkeypatch.setattr(jobs.ENGINE, "submit", lambda work: None)
    monkeypatch.setattr(Run, "resume_blocker", lambda self: "")
    jobs.resume_training(run)
    polls: list[float] = []

    def asked_to_stop_after_two_polls(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) == 2:
            run.request_stop()

    monkeypatch.setattr(turns.time, "sleep", asked_to_stop_after_two_polls)
    with FileLock(str(workspace.runs / turns.LOCK)), pytest.raises(Stopped), turns.turn(Run(run.path)):
        pass
    assert len(polls) == 2
