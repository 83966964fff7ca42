"""Training workers as processes that can be killed: forked from one that has imported torch and TRL once."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from synth import failpoint
from synth.workspace import Workspace
from tests import spare


def start(run: Run, *options: str, fail: str = "") -> spare.Forked:
    """A worker process on `run`, as `python -m recipes RUN_DIR` is; `fail` is a failpoint that it dies at."""
    env = {**os.environ, **({failpoint.VARIABLE: fail} if fail else {})}
    return spare.fork([sys.executable, "-P", "-m", "recipes", str(run.path), *options], env=env)


def finish(run: Run, *options: str) -> Run:
    """Work on `run` to its end."""
    start(run, *options).wait(120)
    return run


def wait_for_step(run: Run, step: int, process: spare.Forked) -> None:
    """Return when `step` has been logged."""
    until = time.monotonic() + 120
    while not any(event["step"] >= step for event in run.events("step")):
        assert process.poll() is None, run.exit()
        assert time.monotonic() < until
        time.sleep(0.005)


def losses(run: Run) -> dict[int, float]:
    """Loss of each step; of the last session where a step was done twice."""
    return {event["step"]: event["loss"] for event in run.events("step")}


def tiny_run(workspace: Workspace, model: Path, dataset: Path, **choices: Any) -> Run:
    """A run of 30 fp32 steps with dropout on a tiny model, logged at every step."""
    options = {
        "base_model": str(model),
        "dataset": str(dataset),
        "max_steps": 30,
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 8,
        "bf16": False,
        "torch_compile": "off",  # auto would compile, and round otherwise, where the machine is busy
        "lora_r": 4,
        "lora_dropout": 0.1,
        "save_steps": 7,
        "logging_steps": 1,
        **choices,
    }
    return Run.create(workspace, load_recipe(options))
