"""`smolstudio pipeline …` as a person types it, against the stub."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from studio.cli import app
from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.dataset import DatasetDir
from synth.errors import EndpointError, RecipeError
from synth.pipeline import work
from synth.pipeline.plan import Outside
from synth.workspace import Workspace
from tests import spare

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TASK = ["describe-a-domain", "task=Sort messages: by urgency", "labels=urgent,soon,routine"]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve_in_thread(StubSettings(skill=0.9)) as running:
        yield running


def say(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["pipeline", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def teacher(stub: Stub) -> list[str]:
    return ["--model", "stub-model", "--base-url", stub.base_url]


def prices() -> None:
    for unit, usd in (("input_mtok", "1"), ("output_mtok", "4")):
        assert CliRunner().invoke(app, ["prices", "set", "stub-model", unit, usd]).exit_code == 0


def test_a_preview_shows_rows_and_what_all_would_cost_and_writes_nothing(stub: Stub, workspace: Workspace) -> None:
    prices()
    out = say("preview", *TASK, *teacher(stub), "--rows", "500", "--preview", "6")
    assert out.count("\n  -> ") == 6 and "500 rows: about $0." in out and "Time: about" in out
    assert not workspace.datasets.exists() and not workspace.pipelines.exists()


def test_a_preview_without_a_price_says_how_to_set_one(stub: Stub) -> None:
    assert "smolstudio prices set" in say("preview", *TASK, *teacher(stub), "--rows", "50", "--preview", "3")


def test_a_run_makes_a_dataset_and_is_listed(stub: Stub, workspace: Workspace) -> None:
    out = say("run", *TASK, *teacher(stub), "--rows", "12", "--name", "triage")
    assert "triage:" in out and sum(DatasetDir(workspace.datasets / "triage").card.splits.values()) == 12
    assert "triage" in (listed := say("runs")) and "done" in listed


def test_a_capped_run_is_resumed_or_taken_by_the_commands_that_it_names(stub: Stub, workspace: Workspace) -> None:
    prices()
    with pytest.raises(EndpointError) as caught:
        say("run", *TASK, *teacher(stub), "--rows", "60", "--cap", "0.01", "--name", "triage")
    assert "pipeline resume triage --cap" in caught.value.remedy
    say("resume", "triage", "--cap", "1")
    assert sum(DatasetDir(workspace.datasets / "triage").card.splits.values()) == 60


def test_a_pipeline_that_was_copied_runs_from_its_path(stub: Stub, workspace: Workspace, tmp_path: Path) -> None:
    say("show", "describe-a-domain", "--copy", str(tmp_path / "mine"))
    prompt = tmp_path / "mine" / "prompts" / "write-text.md"
    prompt.write_text(prompt.read_text() + "\nUse no exclamation marks.\n")
    say("run", str(tmp_path / "mine" / "describe-a-domain.yaml"), *TASK[1:], *teacher(stub), "--rows", "3", "-n", "own")
    card = DatasetDir(workspace.datasets / "own").card
    assert "exclamation" in card.notes["pipeline"]["prompts"]["write-text.md"]


def test_lists_and_steps_say_what_there_is() -> None:
    assert "describe-a-domain" in say("list") and len(json.loads(say("list", "--json"))) >= 8
    assert "must be given" in say("show", "rephrase") and "$documents" in say("show", "rephrase")
    assert "dedup:" in say("steps") and "near (default 0.8)" in say("steps")


def test_without_a_teacher_nothing_starts() -> None:
    with pytest.raises(RecipeError, match="No teacher is named"):
        say("run", *TASK, "--rows", "3")


def test_a_judge_of_its_own_is_asked_instead_of_the_teacher(stub: Stub) -> None:
    with serve_in_thread(StubSettings(skill=1.0, models=("judge-model",))) as judge:
        given = [f"teachers.judge.base_url={judge.base_url}", "teachers.judge.model=judge-model"]
        say("run", *TASK, *given, *teacher(stub), "--rows", "5", "--name", "two")
        assert {row["model"] for row in judge.requests} == {"judge-model"} and len(judge.requests) >= 5
    assert {row["model"] for row in stub.requests} == {"stub-model"}


def test_a_bake_off_tells_a_good_teacher_from_a_bad_one_by_one_judge(stub: Stub) -> None:
    prices()
    with serve_in_thread(StubSettings(skill=0.2)) as bad:
        given = [f"teachers.bad.base_url={bad.base_url}", "teachers.bad.model=other-model"]
        given += [f"teachers.judge.base_url={stub.base_url}"]
        found = json.loads(say("bakeoff", *TASK, *given, *teacher(stub), "--preview", "10", "--json"))
    assert {row["model"] for row in bad.requests} == {"other-model"}
    good, other = (found[name]["forecast"] for name in ("teacher", "bad"))
    assert good["rejected"] < 8 < other["rejected"] and good["accepted"] == 10


def test_the_key_is_in_no_file_of_a_run(stub: Stub, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key-1")
    say("run", *TASK, *teacher(stub), "--rows", "3", "--name", "triage")
    assert all(row["key_sent"] for row in stub.requests)
    for file in workspace.path.rglob("*"):
        assert not file.is_file() or b"sk-very-secret-key-1" not in file.read_bytes(), file


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_paid(workspace: Workspace) -> None:
    with serve_in_thread(StubSettings(skill=0.9, latency_sec=0.05)) as stub:
        argv = [
            sys.executable,
            "-P",
            "-m",
            "studio",
            "pipeline",
            "run",
            *TASK,
            *teacher(stub),
            "--rows",
            "80",
            "-n",
            "triage",
        ]
        process = spare.fork(argv, stderr=subprocess.PIPE)
        while len(stub.requests) < 40 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)  # as `timeout -s INT` does
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1 and "The pipeline was stopped." in said and "pipeline resume triage" in said
        before = stub.paid
        work.resume("triage", Outside(workspace))
        assert stub.paid == len(stub.requests) and stub.paid < before + 160
    assert sum(DatasetDir(workspace.datasets / "triage").card.splits.values()) == 80
