"""The worker of a training by several processes, with pretended ones: whoever dies, nothing is left and all is told."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import filled
import psutil
import pytest

from recipes.__main__ import LEFT
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from studio.engines import jobs, launched, training
from studio.engines.launched import Launch
from synth.errors import RecipeError
from synth.storage import DirLock
from synth.workspace import Workspace

RANK = """
import sys, time
from pathlib import Path
from synth.jobdir import JobDir
from synth.tied import end_with_parent
end_with_parent()
job = JobDir(Path(sys.argv[1]))
with job.hold():
    job.emit("step", step=1)
    time.sleep(60)
"""
LAUNCHER = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {RANK!r}, sys.argv[1]], start_new_session=True)
sys.stdin.read()
"""

HOLDER = """
import sys, time
from pathlib import Path
from synth.jobdir import QUEUED, JobDir
job = JobDir(Path(sys.argv[1]))
with job.hold():
    job.emit("step", step=1)
    until = time.monotonic() + 10
    while not (job.path / QUEUED).exists() and time.monotonic() < until:
        time.sleep(0.02)
"""
TABLE = """[1]:
  rank      : 1 (local_rank: 1)
  exitcode  : -15 (pid: 8)
[2]:
  rank      : 2 (local_rank: 2)
  exitcode  : -9 (pid: 9)
"""


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture
def run(workspace: Workspace) -> Run:
    filled.dataset(workspace)
    made = Run.create(workspace, load_recipe("starter-text-sft", ["data.dataset=invoices"]), "shared")
    launched.choose(made, Launch(num_processes=2))
    return made


def pretend(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """What `accelerate launch` would be; its last arguments are the run and the options."""
    monkeypatch.setattr(launched, "command", lambda run, launch, options: [sys.executable, "-c", code, str(run)])


def processes_of(run: Run) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if str(run.path) in (p.info["cmdline"] or [])]


def end(run: Run) -> tuple[str, str, str]:
    ended = run.last_exit()
    assert ended is not None
    return ended.verdict, ended.code, ended.sentence


def test_what_the_processes_wrote_of_their_end_is_the_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; from pathlib import Path; from synth.jobdir import JobDir; JobDir(Path(sys.argv[1])).finish({})"
    for verdict, exit_code in (("stopped", 3), ("done", 0)):
        pretend(monkeypatch, code.format(f"{verdict!r}, 'So it was.'"))
        assert training.main([str(run.path)]) == exit_code
        assert end(run) == (verdict, "", "So it was.")
    assert training.main([str(run.path)]) == 2, "it is done, and nothing of it is touched"
    assert end(run)[0] == "done"


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (
            "error: (exitcode: -9) local_rank: 1 (pid: 7) of binary",
            "processes of this training ended before the others",
        ),
        ("failed (exitcode: -9) local_rank: 1 (pid: 7)", "(rank 1, killed by signal 9)"),
        ("failed (exitcode: 1) local_rank: 0 (pid: 7)", "(rank 0, exit code 1)"),
        (f"failed (exitcode: {LEFT}) local_rank: 0 (pid: 7)\n{TABLE}", "(rank 2, killed by signal 9)"),
        (f"failed (exitcode: {LEFT}) local_rank: 0 (pid: 7)", "ended before the others;"),  # one of another machine
        (None, "ended before the others;"),
    ],
)
def test_a_process_that_ended_before_the_others_is_named_where_the_log_names_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, report: str | None, said: str
) -> None:
    pretend(monkeypatch, "")
    log = run.path / "worker.log"
    if report is not None:
        log.write_text("failed (exitcode: 3) local_rank: 5, as an earlier session wrote\n")
        pretend(monkeypatch, f"open({str(log)!r}, 'a').write({report!r})")
    assert training.main([str(run.path)]) == 1
    verdict, code, sentence = end(run)
    assert (verdict, code) == ("failed", "run.rank") and said in sentence and "rank 5" not in sentence


def test_a_launcher_that_is_killed_leaves_no_process_that_trains_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process holds the run and would write an end of its own, after ours, while another training begins."""
    kill = "import os; os.kill(os.getpid(), 9)"
    wait = "import time\nfrom synth.jobdir import JobDir\nfrom pathlib import Path\n"
    wait += "while not JobDir(Path(sys.argv[1])).events(): time.sleep(0.02)\n"
    pretend(monkeypatch, LAUNCHER.replace("sys.stdin.read()", wait + kill))
    assert training.main([str(run.path)]) == 1
    assert end(run)[:2] == ("failed", "run.rank")
    assert not DirLock(run.path).held_elsewhere() and not psutil.wait_procs(processes_of(run), timeout=10)[1]


def test_between_the_end_of_its_processes_and_what_is_said_of_it_a_run_does_not_pass_for_lost(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who watches it would else say that it was lost, and a sweep would begin it again."""
    pretend(monkeypatch, HOLDER)
    seen: list[str] = []

    def which(*_: object) -> str:
        seen.append(run.status())
        return ""

    monkeypatch.setattr(launched, "_which", which)
    assert training.main([str(run.path)]) == 1
    assert seen == ["queued"] and run.status() == "failed"
    assert end(run)[1] == "run.rank"


def test_a_worker_that_is_killed_takes_all_its_processes_with_it(run: Run) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c",
         f"import sys; from studio.engines import jobs, launched, training\nlaunched.command = "
         f"lambda run, *_: [sys.executable, '-c', {LAUNCHER!r}, str(run)]\ntraining.main(sys.argv[1:])", str(run.path)]
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not run.events() and time.monotonic() < deadline:
        time.sleep(0.02)
    left = [process for process in processes_of(run) if process.pid != worker.pid]
    assert len(left) == 2 and run.status() == "running"
    worker.kill()
    worker.wait()
    assert not psutil.wait_procs(left, timeout=10)[1], "a training that nobody supervises goes on beside the next one"
    assert run.status() == "lost"


def test_a_stop_while_it_waits_for_its_turn_starts_no_process(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launched, "command", lambda *_: pytest.fail("processes were started"))
    run.request_stop()
    assert training.main([str(run.path)]) == 3
    assert end(run) == ("stopped", "run.stopped", "Taken out of the queue before it began.")


def test_sigterm_asks_the_processes_to_save(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(
        monkeypatch,
        "import os, sys, time; from pathlib import Path; from synth.jobdir import JobDir\n"
        "job = JobDir(Path(sys.argv[1])); os.kill(os.getppid(), 15)\n"
        "while not job.stop_requested(): time.sleep(0.02)\n"
        "job.finish('stopped', 'Stopped after step 3.')",
    )
    assert training.main([str(run.path)]) == 3
    assert end(run)[2] == "Stopped after step 3."


def test_processes_that_hang_are_ended_some_time_after_a_stop_was_asked(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launched, "HUNG_SEC", 0.5)
    ask = "import time\nfrom synth.jobdir import JobDir\nfrom pathlib import Path\njob = JobDir(Path(sys.argv[1]))\n"
    ask += "while not job.events(): time.sleep(0.02)\njob.request_stop()\ntime.sleep(60)"
    pretend(monkeypatch, LAUNCHER.replace("sys.stdin.read()", ask))
    begun = time.monotonic()
    assert training.main([str(run.path)]) == 1 and time.monotonic() - begun < 30
    assert end(run)[:2] == ("failed", "run.rank")
    assert not psutil.wait_procs(processes_of(run), timeout=10)[1]


def test_the_choice_is_kept_before_the_run_is_submitted(
    workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Launch | None] = []
    monkeypatch.setattr(jobs.ENGINE, "submit", lambda work: kept.append(launched.launch_of(Run(work.directory.path))))
    jobs.start_training(workspace, run.recipe, "second", launch=Launch(num_processes=3))
    assert kept == [Launch(num_processes=3)]


def test_a_configuration_that_changed_or_went_since_is_told_before_anything_starts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launched, "command", lambda *_: pytest.fail("processes were started"))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "config.yaml"
    file.write_text("distributed_type: MULTI_GPU\n")
    launched.choose(run, Launch(num_processes=2, config_file="config.yaml"))
    kept = launched.launch_of(run)
    assert kept and kept.config_file == str(file), "it is resumed from other folders too"
    file.unlink()
    assert training.main([str(run.path)]) == 1
    assert end(run) == ("failed", "recipe.launch", f"There is no file {file}. Make one with `accelerate config`.")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("num_machines: two", "num_machines"),
        ("distributed_type: {a: 1}", "distributed_type"),
        ("fsdp_config: [1]", "fsdp_config"),
        ("- a", "holds no `key: value` pairs"),
        ("{", "cannot be read as YAML"),
        ("", "holds no `key: value` pairs"),
    ],
)
def test_a_configuration_that_is_none_is_a_sentence(tmp_path: Path, config: str, said: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(config)
    recipe = load_recipe("starter-text-sft", ["data.dataset=invoices"])
    with pytest.raises(RecipeError) as refused:
        launched.check(recipe, Launch(num_processes=2, config_file=str(file)))
    assert said in refused.value.message and refused.value.remedy
