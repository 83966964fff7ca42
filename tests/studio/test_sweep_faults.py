"""A sweep on a bad day: workers that are lost, a stop in the middle, repetitions that fail, names that are taken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.recipe.space import parse_space
from recipes.run.directory import Run
from recipes.run.sweeps import seed_run, sweeps_elsewhere, trial_run
from studio.engines import jobs
from studio.engines import sweep as sweeps
from studio.engines.engine import Work
from studio.engines.local import LocalEngine
from studio.engines.sweep import LOSS, Asked, Objective, Swept
from synth.dataset import open_dataset
from synth.errors import RecipeError, RunError
from synth.jobdir import JobDir
from synth.progress import silent
from synth.workspace import Workspace
from tests.evaluate.test_lineage import ledger_of
from tests.studio.test_sweep import SPACE, base
from tests.tiny import sums_dataset

Ends = Callable[[Run], None]


class Does(LocalEngine):
    """Does with each run that is submitted what `ends` says, in this process."""

    def __init__(self, ends: Ends) -> None:
        self.ends, self.begun = ends, list[str]()

    def submit(self, work: Work) -> None:
        run = Run(work.directory.path)
        self.begun.append(run.id)
        with run.hold():
            self.ends(run)


def learns(run: Run) -> None:
    run.emit("score", step=10, final=False, metric="accuracy", value=0.4, rows=8, lower_is_better=False)
    run.emit("score", step=20, final=True, metric="accuracy", value=0.5, rows=8, lower_is_better=False)
    run.finish("done", "Trained.", steps=20)


def breaks(run: Run) -> None:
    run.finish("failed", "The loss is no number.", "run.nan")


def is_lost(run: Run) -> None:
    run.emit("phase", name="loading")


@pytest.fixture
def does(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[[Ends], Does]:
    sums_dataset(workspace.datasets / "sums")
    monkeypatch.setattr(jobs, "POLL_SEC", 0.001)

    def made(ends: Ends) -> Does:
        engine = Does(ends)
        monkeypatch.setattr(jobs, "ENGINE", engine)
        return engine

    return made


def search(workspace: Workspace, stop: Callable[[], bool] = lambda: False, **more: Any) -> Swept:
    recipe = more.pop("recipe", base())
    asked = Asked(recipe, parse_space(recipe, SPACE), more.pop("trials", 1), more.pop("seeds", 1), **more)
    return sweeps.sweep(workspace, "found", asked, silent, stop)


def test_a_trial_whose_worker_is_lost_is_begun_again_once_and_then_failed_in_words(
    workspace: Workspace, does: Callable[[Ends], Does]
) -> None:
    engine = does(is_lost)
    with pytest.raises(RunError, match="No trial of found came to its end"):
        search(workspace)
    assert engine.begun == [trial_run("found", 1)] * 2
    engine = does(lambda run: learns(run) if engine.begun.count(run.id) > 1 else is_lost(run))
    found = search(workspace, trials=2, seeds=0)
    assert (found.best.number, found.best.value) == (2, 0.5), "a sweep goes on after a trial that failed"
    assert [trial.state for trial in found.trials] == ["failed", "done"]


def test_three_lost_trials_in_a_row_end_it_and_say_that_they_were_lost(
    workspace: Workspace, does: Callable[[Ends], Does]
) -> None:
    does(is_lost)
    with pytest.raises(
        RunError, match="3 trials in a row failed; the last: found-t03 lost: The worker was lost: killed"
    ) as error:
        search(workspace, trials=4)
    assert "--id" in error.value.remedy


def test_a_stop_in_the_middle_of_a_trial_keeps_it_and_the_same_command_goes_on(
    workspace: Workspace, does: Callable[[Ends], Does]
) -> None:
    asked: list[bool] = []

    def saves(job: JobDir, discard: bool = False) -> None:
        asked.append(discard)
        with JobDir(job.path).hold():
            JobDir(job.path).finish("stopped", "Stopped after step 10; resume continues from there.", "run.stopped")

    engine = does(learns)
    engine.cancel = saves  # type: ignore[method-assign]
    engine.submit = lambda work: work.directory.expect()  # type: ignore[method-assign]
    with pytest.raises(RunError, match=r"stopped at trial 1 of 1 \(found-t01\); what was trained is kept") as error:
        search(workspace, stop=lambda: True)
    assert error.value.code == "run.stopped" and asked == [False]
    engine = does(learns)
    assert search(workspace, seeds=0).best.value == 0.5 and engine.begun == [trial_run("found", 1)]


def test_a_repetition_that_fails_is_told_with_the_way_on(workspace: Workspace, does: Callable[[Ends], Does]) -> None:
    repeated = seed_run("found", 1, base().seed + 1)
    does(lambda run: breaks(run) if run.id == repeated else learns(run))
    with pytest.raises(RunError, match=f"{repeated}, which repeats the best trial, failed: The loss is no") as error:
        search(workspace)
    assert f"runs resume {repeated}" in error.value.remedy and "fewer --seeds" in error.value.remedy
    assert search(workspace, seeds=0).best.value == 0.5, "nothing has to be deleted, which would make the cost unknown"


def test_a_run_of_that_name_which_is_not_of_the_sweep_is_never_taken_for_a_trial(
    workspace: Workspace, does: Callable[[Ends], Does]
) -> None:
    engine = does(learns)
    Run.create(workspace, base(), trial_run("found", 1))
    with pytest.raises(RunError, match="which is not of this sweep; nothing was trained") as error:
        search(workspace)
    assert error.value.code == "run.changed" and engine.begun == []


def test_rows_that_folds_share_out_are_not_searched_on(workspace: Workspace, does: Callable[[Ends], Does]) -> None:
    engine = does(learns)
    with pytest.raises(RecipeError, match=r"a cross-validation shares those out"):
        search(workspace, recipe=base("data.folds=3", "data.fold=1"))
    assert engine.begun == []


def test_by_the_loss_a_trial_is_worth_what_the_adapter_that_is_kept_had(
    workspace: Workspace, does: Callable[[Ends], Does]
) -> None:
    def validated(run: Run) -> None:
        for step, loss in ((10, 0.9), (20, None), (20, 0.5), (30, 0.7)):
            run.emit("eval", step=step, loss=loss)
        run.emit("validation", best_step=20, last_step=30, falling=False, sentence="")
        run.finish("done", "Trained.", steps=30)

    does(validated)
    assert search(workspace, metric=LOSS, seeds=0).best.value == 0.7
    assert sweeps.value_of(Run.create(workspace, base(), "none"), Objective("validation loss", True)) is None
    best = Run.create(workspace, base("load_best_model_at_end=true", "eval_steps=10"), "best")
    validated(best)
    assert sweeps.value_of(best, Objective("validation loss", True)) == 0.5


def test_the_last_failure_is_told_where_no_trial_came_to_its_end(
    workspace: Workspace, does: Callable[[Ends], Does]
) -> None:
    does(breaks)
    for _ in range(2):  # the same command again says it too
        with pytest.raises(RunError, match="the last, found-t01, failed: The loss is no number") as error:
            search(workspace)
        assert "--id" in error.value.remedy


def test_a_sweep_does_not_go_on_with_other_rows(workspace: Workspace, does: Callable[[Ends], Does]) -> None:
    engine = does(learns)
    search(workspace, seeds=0)
    val = workspace.datasets / "sums" / "val.jsonl"
    val.write_bytes(b"".join(val.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(RunError, match="a sweep found already, with other rows; nothing was trained") as error:
        search(workspace, trials=2, seeds=0)
    assert error.value.code == "run.changed" and engine.begun == [trial_run("found", 1)]


def test_a_name_that_leaves_no_room_for_its_runs_is_refused_before_anything_trains(
    workspace: Workspace, does: Callable[[Ends], Does]
) -> None:
    engine = does(learns)
    recipe = base()
    asked = Asked(recipe, parse_space(recipe, SPACE), 2, 1)
    with pytest.raises(RecipeError, match="too long for a sweep") as error:
        sweeps.sweep(workspace, "n" * 75, asked, silent)
    assert error.value.remedy and engine.begun == []
    fits = int(error.value.remedy.split(" of ")[1].split()[0])
    assert sweeps.sweep(workspace, "n" * fits, asked, silent).repeats


def test_where_the_sweep_is_not_the_cost_of_its_other_trainings_is_unknown(
    workspace: Workspace, does: Callable[[Ends], Does], tmp_path: Path
) -> None:
    does(learns)
    best = search(workspace, trials=2, seeds=1).repeats[0].run
    assert sweeps_elsewhere([workspace.runs / best], workspace) == []
    other = Workspace(tmp_path / "other")
    shutil.copytree(workspace.runs / best, other.runs / best)
    shutil.copytree(workspace.datasets, other.datasets)
    assert sweeps_elsewhere([other.runs / best], other) == ["found"]
    said = ("Other trainings of the sweep found, which is not in this workspace", None, None)
    items = ledger_of(other, open_dataset("sums", other.datasets), {})
    assert said in [(item.label, item.seconds, item.usd) for item in items], "unknown, not smaller"
