"""A sweep with several trials at once: none twice, a kill or a stop with three open, and the real thing on Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from recipes.recipe.schema import Recipe, dump_recipe
from recipes.recipe.space import parse_space
from recipes.run.directory import Run
from recipes.run.sweeps import members, trial_run
from studio.engines import jobs
from studio.engines import sweep as sweeps
from studio.engines.engine import Work
from studio.engines.ray_trainings import RayTrainings
from studio.engines.sweep import Asked, Swept
from synth.errors import RunError
from synth.jobdir import JobDir, Status
from synth.progress import silent
from synth.storage import read_json
from synth.workspace import Workspace
from tests.studio.test_sweep import SPACE, Killed, Pretends, base
from tests.tiny import sums_dataset, tiny_llama

pytestmark = pytest.mark.slow


class Cluster(RayTrainings):
    """Three machines that train in no time, but end what they were given only when all three are at work or no more
    comes: the last one given ends first. `kills`: the sweep's process ends when so many were begun."""

    def __init__(self, kills: int = 0) -> None:
        super().__init__(3)
        self.kills, self.open = kills, list[Work]()
        self.begun, self.resumed, self.most = list[str](), list[str](), 0
        self.cancelled: list[str] = []
        self._idle = 0

    def submit(self, work: Work) -> None:
        (self.resumed if "--resume" in work.options else self.begun).append(work.directory.id)
        work.directory.expect()
        self.open.append(work)
        self.most = max(self.most, len(self.open))
        if self.kills and len(self.begun) == self.kills:
            raise Killed

    def status(self, job: JobDir) -> Status:
        self._idle += 1
        if len(self.open) == 3 or self._idle > 9:
            self._idle = 0
            Pretends().submit(self.open.pop())
        return job.status()

    def cancel(self, job: JobDir, discard: bool = False) -> None:
        if self.kills and len(self.begun) >= self.kills:
            return  # who is killed asks for nothing
        self.cancelled.append(job.id)
        with job.hold():
            job.finish("stopped", "Stopped after step 20; resume continues from there.", "run.stopped")
        self.open = [work for work in self.open if work.directory.path != job.path]


@pytest.fixture(autouse=True)
def rows(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    sums_dataset(workspace.datasets / "sums")
    monkeypatch.setattr(jobs, "POLL_SEC", 0.001)


def search(workspace: Workspace, cluster: RayTrainings, stop: Any = lambda: False, name: str = "found") -> Swept:
    recipe = base()
    asked = Asked(recipe, parse_space(recipe, SPACE), 7, 3)
    return sweeps.sweep(workspace, name, asked, silent, stop, cluster)


def test_three_trials_at_once_are_all_different_and_the_best_is_repeated(workspace: Workspace) -> None:
    cluster = Cluster()
    found = search(workspace, cluster)
    assert cluster.most == 3 and len(cluster.begun) == 10 == len({*cluster.begun})
    assert [trial.state for trial in found.trials] == ["done"] * 7
    assert len({tuple(trial.values.items()) for trial in found.trials}) == 7
    assert found.best.value == max(trial.value or 0 for trial in found.trials)
    assert [one.seed for one in found.repeats] == [1, 2, 3]
    assert {one.run for one in members(workspace.sweeps / "found")} == {*cluster.begun}


@pytest.mark.parametrize("kills", [3, 5])
def test_a_kill_with_several_open_trials_resumes_them_and_repeats_none(workspace: Workspace, kills: int) -> None:
    killed = Cluster(kills)
    with pytest.raises(Killed):
        search(workspace, killed)
    open_ones = [work.directory.id for work in killed.open]
    for work in killed.open:  # their processes ended with the cluster's
        with work.directory.hold():
            work.directory.finish("stopped", "Stopped.", "run.stopped")
    again = Cluster()
    found = search(workspace, again)
    assert sorted(again.resumed) == sorted(open_ones) and not {*again.begun} & {*killed.begun}
    assert [trial.state for trial in found.trials] == ["done"] * 7 and len(killed.begun) + len(again.begun) == 10


def test_a_stop_ends_all_that_are_open_and_the_same_call_goes_on(workspace: Workspace) -> None:
    cluster = Cluster()
    with pytest.raises(RunError) as stopped:
        search(workspace, cluster, lambda: len(cluster.begun) >= 3)
    assert stopped.value.code == "run.stopped" and len(cluster.cancelled) >= 2
    assert all(name in str(stopped.value) for name in cluster.cancelled)
    found = search(workspace, Cluster())
    assert [trial.state for trial in found.trials] == ["done"] * 7


def test_trials_train_on_ray_and_a_killed_sweep_is_taken_up_again(workspace: Workspace, tmp_path: Path) -> None:
    """The command itself, on a cluster of two cores of this machine, killed while two trials are at work."""
    pytest.importorskip("ray")
    raw = base().model_dump(mode="json")
    raw |= {"base_model": str(tiny_llama(tmp_path / "model")), "score_rows": 2, "eval_steps": 4, "save_steps": 2}
    raw["optim"] |= {"max_steps": 12, "torch_compile": "off"}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(Recipe.model_validate(raw)))
    words = [sys.executable, "-m", "studio", "sweep", str(recipe), "--space", "lora.r=2,4", "--trials", "2"]
    words += ["--seeds", "1", "--id", "shared", "--engine", "ray", "--workspace", str(workspace.path)]
    first = subprocess.Popen(words, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    runs = [Run(workspace.runs / trial_run("shared", number)) for number in (1, 2)]
    deadline = time.monotonic() + 200
    while not all(run.path.is_dir() and run.status() == "running" for run in runs):
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    while any(run.status() == "running" for run in runs):
        assert time.monotonic() < deadline, "a training outlived the sweep that it belongs to"
        time.sleep(0.1)
    done = subprocess.run(words, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    found = read_json(workspace.sweeps / "shared" / "result.json")
    assert sorted(trial["values"]["lora.r"] for trial in found["trials"]) == [2, 4]
    assert {trial["state"] for trial in found["trials"]} <= {"done", "pruned"} and len(found["repeats"]) == 1
    assert {path.name for path in workspace.runs.iterdir() if path.is_dir()} == {
        one.run for one in members(workspace.sweeps / "shared")
    }
