"""A fold's training on a bad day, as whoever waits for it sees it: stopped, failed, lost, or done all the same."""

from __future__ import annotations

from typing import Any

import filled
import pytest

from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from studio.engines import crossval
from synth.errors import RunError
from synth.jobdir import JobDir
from synth.progress import Progress
from synth.workspace import Workspace

STEP = {"step": 3, "total_steps": 9, "loss": 0.5, "tokens_per_s": 1000.0, "seconds": 2.0}


@pytest.mark.parametrize(
    ("verdict", "asked", "code", "said"),
    [
        ("stopped", True, "run.stopped", r"stopped at fold 1 of 3 \(mine\); what was trained is kept"),
        ("failed", True, "run.stopped", r"stopped at fold 1 of 3 \(mine\)"),
        ("done", True, "run.stopped", "stopped after fold 1 of 3"),
        ("failed", False, "run", r"mine \(fold 1 of 3\) failed: The loss is no number"),
        ("", False, "run", r"mine \(fold 1 of 3\) lost: The worker was lost: killed"),
    ],
)
def test_how_a_fold_ended_is_told_and_what_was_trained_is_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, verdict: Any, asked: bool, code: str, said: str
) -> None:
    filled.dataset(workspace)
    run = Run.create(workspace, load_recipe("starter-text-sft", ["data.dataset=invoices"]), "mine")
    worker, told = JobDir(run.path), list[Progress]()
    held = worker.hold()
    held.__enter__()
    looks: list[float] = []

    def at_work(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 1:
            worker.emit("step", **STEP)
        elif len(looks) == 2:
            if verdict:
                worker.finish(verdict, "The loss is no number.", "run.nan")
            held.__exit__(None, None, None)

    monkeypatch.setattr(crossval.time, "sleep", at_work)
    with pytest.raises(RunError, match=said) as error:
        crossval._follow(run, "fold 1 of 3", told.append, lambda: asked)
    assert error.value.code == code and run.stop_requested() == asked
    assert [(one.phase, one.done, one.total) for one in told] == [("fold 1 of 3", 3, 9)]
