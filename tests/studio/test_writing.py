"""Rows written by models, as work of a task: a preview, a run, and a name that an earlier run has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.engines import jobs, task, writing
from studio.engines.local import LocalEngine
from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.dataset import DatasetDir
from synth.jobdir import EXIT, JobDir
from synth.pipeline import work
from synth.storage import read_json
from synth.workspace import Workspace
from tests.short_pipeline import SHORT


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve_in_thread(StubSettings()) as running:
        yield running


@pytest.fixture
def plan(stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(LocalEngine, "submit", lambda self, work: work.directory.expect())
    monkeypatch.setattr(writing, "SHOWN", 2)
    (tmp_path / "short.yaml").write_text(SHORT)
    seeds = [{"question": f"question {n % 9}"} for n in range(12)]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(seed) + "\n" for seed in seeds))
    return {
        "pipeline": str(tmp_path / "short.yaml"),
        "inputs": {"seeds": str(tmp_path / "seeds.jsonl")},
        "teachers": {"teacher": {"model": "stub-model", "base_url": stub.base_url}},
        "rows": 9,
    }


def done(workspace: Workspace, kind: str, **arguments: Any) -> dict[str, Any]:
    job = jobs.start_task(workspace, kind, arguments)
    task.work(job)
    ended: dict[str, Any] = read_json(job.path / EXIT)
    return ended


def test_a_preview_tells_rows_rejections_and_forecast_and_makes_nothing(
    workspace: Workspace, plan: dict[str, Any]
) -> None:
    seen = done(workspace, "pipeline_preview", plan={**plan, "rows": 1000}, rows=20)
    assert seen["verdict"] == "done", seen
    assert len(seen["rows"]) + sum(seen["reasons"].values()) == 12, "every seed is a row, or a counted reason"
    assert seen["reasons"] == {"records: the same seed twice": 3} and len(seen["rejected"]) == writing.SHOWN
    assert seen["forecast"]["accepted"] == 9 and seen["paid_usd"] is None, "nothing here has a price"
    assert not workspace.datasets.exists() and not workspace.pipelines.exists()
    refused = done(workspace, "pipeline_preview", plan={**plan, "rows": 0}, rows=20)
    assert (refused["verdict"], refused["code"]) == ("failed", "run.invalid")


def test_a_run_that_was_stopped_goes_on_under_its_name_as_it_is_asked_for_then(
    workspace: Workspace, plan: dict[str, Any], stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(JobDir, "stop_requested", lambda self: stub.paid >= 4)
        job = jobs.start_task(workspace, "pipeline", {"plan": plan, "name": "mine"})
        task.work(job)
    assert job.status() == "stopped" and not (workspace.datasets / "mine").exists()
    ended = done(workspace, "pipeline", plan={**plan, "rows": 8, "seed": 5}, name="mine")
    assert (ended["verdict"], ended["dataset"]) == ("done", "mine")
    assert stub.paid <= 9, "each of nine questions is paid once"
    _, kept = work.read_run("mine", workspace)
    assert (kept.rows, kept.seed) == (8, 5)
    assert sum(DatasetDir(workspace.datasets / "mine").card.splits.values()) == 8


def test_a_stop_counts_also_where_every_answer_is_there_before_it_is_wanted(
    workspace: Workspace, plan: dict[str, Any], stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(workspace, "pipeline", plan={**plan, "rows": 50}, name="mine")
    paid, asked = stub.paid, iter([False, False])
    monkeypatch.setattr(JobDir, "stop_requested", lambda self: next(asked, True))
    ended = done(workspace, "pipeline", plan=plan, name="mine")
    assert (ended["verdict"], stub.paid) == ("stopped", paid), "all answers came from the cache"


def test_a_name_that_a_run_of_another_pipeline_has_is_refused_before_anything_is_asked(
    workspace: Workspace, plan: dict[str, Any], stub: Stub, tmp_path: Path
) -> None:
    ended = done(workspace, "pipeline", plan={**plan, "rows": 50}, name="mine")
    assert ended["code"] == "pipeline.exhausted", "it may be gone on with"
    (tmp_path / "other.yaml").write_text(SHORT.replace("Answer {{", "Say {{"))
    paid = stub.paid
    refused = done(workspace, "pipeline", plan={**plan, "pipeline": str(tmp_path / "other.yaml")}, name="mine")
    assert (refused["verdict"], refused["code"]) == ("failed", "pipeline.exists")
    assert "a run 'mine' of short already; nothing was asked" in refused["sentence"] and stub.paid == paid
    assert not (workspace.datasets / "mine").exists()
