"""Work in its own process, seen from whoever started it: started twice, gone on with, torn, killed, stopped, full."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filled
import pytest

from recipes.recipe.schema import Recipe, load_recipe
from recipes.run.directory import Run
from studio.cli import runs as cli_runs
from studio.engines import jobs, task, training
from studio.engines.launched import FILE as LAUNCH
from studio.engines.local import LocalEngine
from studio.read.history import history
from synth import jobdir
from synth.errors import RunError, StorageError
from synth.jobdir import EVENTS, EXIT, LOG, QUEUED, JobDir
from synth.progress import Progress
from synth.storage import write_json
from synth.workspace import Workspace


class Nobody(LocalEngine):
    """An engine that takes note of work and never does it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def submit(self, work: Any) -> None:
        self.asked.append(work.directory.id)
        work.directory.expect()


@pytest.fixture
def engine(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Nobody:
    filled.dataset(workspace)
    made = Nobody()
    monkeypatch.setattr(jobs, "ENGINE", made)
    return made


@pytest.fixture
def signals() -> Iterator[None]:
    """What a worker's `main` does to this process ends with the test."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def recipe(*changes: str) -> Recipe:
    return load_recipe("starter-text-sft", ["data.dataset=invoices", *changes])


# --- started twice


def test_a_run_is_started_once_and_its_name_never_stands_for_other_settings(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = jobs.start_training(workspace, recipe(), "mine")
    assert jobs.start_training(workspace, recipe(), "mine").path == first.path
    assert engine.asked == ["mine"]
    with pytest.raises(
        RunError, match="There is a run mine already, with other settings; nothing was trained"
    ) as error:
        jobs.start_training(workspace, recipe("seed=7"), "mine")
    assert error.value.code == "run.changed" and "runs delete mine" in error.value.remedy
    assert engine.asked == ["mine"]

    make = Run.create

    def slower(*arguments: Any, **more: Any) -> Run:  # another tab makes it between the look and the making
        make(*arguments, **more)
        return make(*arguments, **more)

    monkeypatch.setattr(Run, "create", slower)
    assert jobs.start_training(workspace, recipe(), "second").id == "second"
    assert engine.asked == ["mine"], "the other tab has submitted it"


def test_a_disk_that_refuses_a_run_is_told_and_nothing_is_submitted(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMOLSTUDIO_FAIL", "dir.filled:1:ENOSPC")
    with pytest.raises(StorageError, match="No space left"):
        jobs.start_training(workspace, recipe(), "mine")
    monkeypatch.setenv("SMOLSTUDIO_FAIL", "dir.made:1:ENOSPC")
    with pytest.raises(StorageError, match="No space left"):
        jobs.start_task(workspace, "synth", {}, "made")
    assert engine.asked == [] and jobs.list_runs(workspace) == [] and list(jobs.tasks(workspace)) == []


def test_a_task_is_started_once(workspace: Workspace, engine: Nobody) -> None:
    first = jobs.start_task(workspace, "synth", {"name": "a"}, "made")
    assert jobs.start_task(workspace, "synth", {"name": "a"}, "made").path == first.path
    assert engine.asked == ["made"] and jobs.task_of(first)["arguments"] == {"name": "a"}
    assert jobs.start_task(workspace, "synth", {}).id.startswith("synth-")


def test_a_system_that_starts_no_process_is_told_and_nothing_waits_for_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(RunError, match="No process could be started for made: Resource temporarily") as error:
        jobs.start_task(workspace, "synth", {}, "made")
    assert error.value.code == "run.process" and "End other programs" in error.value.remedy
    assert not (workspace.tasks / "made" / QUEUED).exists()


def test_a_second_worker_of_a_task_leaves_the_first_alone(
    workspace: Workspace,
    engine: Nobody,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    signals: None,
) -> None:
    job = jobs.start_task(workspace, "synth", {}, "made")
    monkeypatch.setattr(sys, "argv", ["task", str(job.path)])
    with JobDir(job.path).hold():
        with pytest.raises(SystemExit) as ended:
            task.main()
        assert (ended.value.code, job.status()) == (2, "running")
    said = capsys.readouterr().err
    assert "in use by another process" in said and "Traceback" not in said


# --- gone on with


def test_a_run_that_is_gone_on_with_waits_for_its_turn_and_its_earlier_end_is_not_told_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another run trains, the resumed one waits: it can be stopped, not started twice, and is followed."""
    filled.dataset(workspace)
    run = filled.run(workspace, "mine", "failed")
    monkeypatch.setattr(Run, "resume_blocker", lambda self: "")
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: sleeper)
    assert [(one.status, one.ended and one.ended.verdict) for one in history(workspace)] == [("failed", "failed")]
    began = time.monotonic()
    jobs.resume_training(run)
    assert time.monotonic() - began < 5, "whoever resumes does not wait for the turn"
    assert run.status() == "queued"
    assert [(one.status, one.ended) for one in history(workspace)] == [("queued", None)]
    with pytest.raises(RunError, match="mine is queued"):
        jobs.resume_training(run)
    cli_runs.stop("mine", workspace=workspace.path)
    assert run.stop_requested()
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(RunError, match="worker of mine was lost") as error:
        jobs.follow(run, lambda _: None)
    assert error.value.code == "run.lost" and "runs resume mine" in error.value.remedy
    assert [(one.status, one.ended) for one in history(workspace)] == [("lost", None)]


def test_a_run_that_is_complete_or_no_longer_what_it_was_is_not_gone_on_with(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match="whole is complete"):
        jobs.resume_training(filled.run(workspace, "whole"))
    failed = filled.run(workspace, "failed", "failed")
    monkeypatch.setattr(Run, "resume_blocker", lambda self: "Its rows have changed.")
    with pytest.raises(RunError, match="Its rows have changed") as error:
        jobs.resume_training(failed)
    assert error.value.code == "run.changed" and "clone" in error.value.remedy
    assert engine.asked == []


# --- followed


def test_a_run_is_followed_to_its_end_and_each_event_is_told_once(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.start_task(workspace, "synth", {}, "made")
    seen: list[int] = []
    with JobDir(job.path).hold():
        writer = JobDir(job.path)

        def between(_: float) -> None:  # a writer at work between two looks, the second time in the middle of a line
            if len(seen) == 0:
                jobs.emit_progress(writer)(Progress("rows", 1, 2, "rows", 0.1234567))
            elif len(seen) == 1:
                with (job.path / EVENTS).open("a") as file:
                    file.write('{"kind": "progress", "phase": "rows", "done": 2, "unit": "rows", ')
                seen.append(0)
            else:
                with (job.path / EVENTS).open("a") as file:
                    file.write('"seconds": 0.2}\nno JSON\n[2]\n')
                writer.finish("done")

        monkeypatch.setattr(jobs.time, "sleep", between)
        ended = jobs.follow(job, lambda event: seen.append(jobs.progress_of(event).done))  # type: ignore[union-attr]
    assert (ended.verdict, seen) == ("done", [1, 0, 2])
    assert job.events("progress")[0]["seconds"] == 0.123
    jobs.raise_unless_done(job, ended)
    assert jobs.events_end(job) == (job.path / EVENTS).stat().st_size


def test_ctrl_c_asks_a_followed_run_to_save_and_follows_it_until_it_has(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = jobs.start_training(workspace, recipe(), "mine")

    def interrupted(_: float) -> None:
        if not run.stop_requested():
            raise KeyboardInterrupt
        with JobDir(run.path).hold():
            run.finish("stopped", "Stopped after step 3; resume continues from there.", "run.stopped")

    monkeypatch.setattr(jobs.time, "sleep", interrupted)
    assert cli_runs._watch(run, as_json=False) == "stopped"
    said = capsys.readouterr().out
    assert "Asked it to save and stop" in said and "Go on with: smolstudio runs resume mine" in said


def test_an_event_file_that_is_not_there_or_torn_is_no_fault(tmp_path: Path) -> None:
    job = JobDir(tmp_path / "job")
    job.path.mkdir()
    assert jobs.events_end(job) == 0 and jobs.read_new(job.path / EVENTS, 0) == ([], 0)
    (job.path / EVENTS).write_bytes(b"[" * 100_000 + b'\n{"n": 1}\n{"n": ')
    found, offset = jobs.read_new(job.path / EVENTS, 0)
    assert found == [{"n": 1}] and jobs.read_new(job.path / EVENTS, offset) == ([], offset)
    assert jobs.progress_of({"kind": "phase"}) is None
    step = {"kind": "step", "step": 3, "total_steps": 9, "seconds": 2.0, "loss": 0.5, "tokens_per_s": 1000.0}
    assert jobs.progress_of(step) == Progress("train", 3, 9, "steps", 2.0, "loss 0.500, 1,000 tokens/s")
    assert jobs.log_tail(job) == ""
    (job.path / LOG).write_bytes(b"\xff\n" * 9 + b"".join(b"line %d\n" % n for n in range(100)))
    assert jobs.log_tail(job, 2) == "line 98\nline 99"


@pytest.mark.parametrize(("sentence", "said"), [("It broke. Look there.", "It broke"), ("", "job failed")])
def test_work_that_failed_is_raised_with_its_own_sentence(tmp_path: Path, sentence: str, said: str) -> None:
    with pytest.raises(RunError, match=said) as error:
        jobs.raise_unless_done(JobDir(tmp_path / "job"), jobdir.Exit("failed", "x", sentence))
    assert error.value.code == "x" and LOG in error.value.remedy


# --- found


def test_one_torn_or_deleted_folder_hides_no_other(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        jobs.start_task(workspace, "synth", {"name": name}, name)
        jobs.start_training(workspace, recipe(), name)
    (workspace.tasks / "one" / jobs.TASK_FILE).write_text("[]")
    (workspace.tasks / "two" / jobs.TASK_FILE).write_text("{")
    look = Path.stat

    def gone(self: Path, **more: Any) -> os.stat_result:  # deleted in another tab while the list is made
        if self.name == "two":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return look(self, **more)

    monkeypatch.setattr(Path, "stat", gone)
    assert [job.id for job, _ in jobs.tasks(workspace)] == ["three"]
    assert sorted(run.id for run in jobs.list_runs(workspace)) == ["one", "three"]


def test_a_run_is_found_by_the_beginning_of_its_id_when_only_one_begins_so(
    workspace: Workspace, engine: Nobody
) -> None:
    for name in ("invoices-1", "invoices-12", "letters"):
        jobs.start_training(workspace, recipe(), name)
    assert jobs.find_run(workspace, "let").id == "letters"
    assert jobs.find_run(workspace, "invoices-1").id == "invoices-1"
    with pytest.raises(RunError, match="fits several runs: invoices-1"):
        jobs.find_run(workspace, "inv")
    with pytest.raises(RunError, match="did you mean 'letters'"):
        jobs.find_run(workspace, "leters")


# --- how a task ends


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (RunError("The import was stopped.", "Again.", "run.stopped"), "run.stopped", "The import was stopped"),
        (ModuleNotFoundError("no", name="optuna"), "install.extra", "pip install 'smolstudio[sweep]'"),
        (ModuleNotFoundError("no", name="mine"), "internal", "unexpected fault: ModuleNotFoundError"),
        (MemoryError(), "run.memory", "start it with fewer rows"),
        (OSError(errno.ENOSPC, "No space left on device"), "storage.full", "Free some space and start it again"),
        (ZeroDivisionError("division by zero"), "internal", "ZeroDivisionError: division by zero"),
    ],
)
def test_whatever_ends_a_task_is_a_sentence_with_a_remedy(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch, fault: Exception, code: str, said: str
) -> None:
    def fail(*_: Any) -> Any:
        raise fault

    monkeypatch.setitem(task.KINDS, "synth", fail)
    job = jobs.start_task(workspace, "synth", {}, "made")
    assert task.work(job) == 1
    ended = job.last_exit()
    assert ended and (ended.verdict, ended.code) == ("stopped" if code == "run.stopped" else "failed", code)
    assert said in ended.sentence


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "no-such-kind", "arguments": {}, "workspace": "x"}'])
def test_a_task_whose_order_is_torn_failed_and_is_not_taken_for_killed(
    workspace: Workspace, engine: Nobody, content: str, monkeypatch: pytest.MonkeyPatch, signals: None
) -> None:
    job = jobs.start_task(workspace, "synth", {}, "made")
    (job.path / jobs.TASK_FILE).write_text(content)
    monkeypatch.setattr(sys, "argv", ["task", str(job.path)])
    with pytest.raises(SystemExit):
        task.main()
    ended = job.exit()
    assert ended and ended.verdict == "failed" and ended.sentence


def test_where_the_end_cannot_be_written_the_log_says_it(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = jobs.start_task(workspace, "synth", {"generator": "math", "settings": {}, "name": "no/name"}, "made")
    monkeypatch.setenv("SMOLSTUDIO_FAIL", "file.open:1:ENOSPC")
    assert task.work(job) == 1
    assert not (job.path / EXIT).exists()
    assert "No space left" in capsys.readouterr().err


def test_a_stop_while_a_worker_begins_ends_it_before_it_has_made_anything(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch, signals: None
) -> None:
    for kind in task.KINDS:
        job = jobs.start_task(workspace, kind, {}, kind)
        jobs.ENGINE.cancel(job)
        monkeypatch.setattr(sys, "argv", ["task", str(job.path)])
        with pytest.raises(SystemExit):
            task.main()
        ended = job.exit()
        assert ended and (ended.verdict, ended.code) == ("stopped", "run.stopped"), kind
    assert [folder.name for folder in workspace.datasets.iterdir()] == ["invoices"]


def test_a_run_whose_way_of_training_cannot_be_read_failed_and_is_not_taken_for_killed(
    workspace: Workspace, engine: Nobody, capsys: pytest.CaptureFixture[str]
) -> None:
    run = jobs.start_training(workspace, recipe(), "mine")
    write_json(run.path / LAUNCH, {"num_processes": "many"})
    assert training.main([str(run.path)]) == 1
    ended = run.exit()
    assert ended and (ended.verdict, ended.code) == ("failed", "run.launch")
    assert "does not say how many processes train" in capsys.readouterr().err


def test_a_stop_before_the_turn_takes_a_run_out_before_any_model_is_loaded(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = jobs.start_training(workspace, recipe(), "mine")
    jobs.ENGINE.cancel(run)
    monkeypatch.setattr("recipes.__main__.work", lambda *_: pytest.fail("the training began"))
    assert training.main([str(run.path)]) == 3
    ended = run.exit()
    assert ended and (ended.verdict, ended.sentence) == ("stopped", "Taken out of the queue before it began.")


def test_a_disk_that_refuses_the_turn_is_a_sentence_in_the_log(
    workspace: Workspace, engine: Nobody, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = jobs.start_training(workspace, recipe(), "mine")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "touch", full)
    assert training.main([str(run.path)]) == 2
    said = capsys.readouterr().err
    assert "No space left" in said and "Traceback" not in said
