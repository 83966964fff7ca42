"""Short trainings of tiny models: their common choices, a stop on purpose, and what must be equal afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recipes.models.loading import load_trainable
from recipes.models.lora import save_adapter
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run, Stopped
from synth.workspace import Workspace
from tests.workers import losses


def short_run(workspace: Workspace, base: Path, run_id: str, recipe: dict[str, Any], changes: dict[str, Any]) -> Run:
    """A run of two epochs in fp32, logged at each step; `recipe` and dotted `changes` say what is different."""
    common = {
        "base_model": str(base),
        "lora": {"r": 4, "lora_alpha": 8, **recipe.pop("lora", {})},
        "optim": {
            "learning_rate": 5e-3,
            "num_train_epochs": 2,
            "per_device_train_batch_size": 4,
            "bf16": False,
            "torch_compile": "off",  # auto would compile, and round otherwise, where the machine is busy
            **recipe.pop("optim", {}),
        },
        "logging_steps": 1,
        "save_steps": 3,
    }
    chosen = load_recipe({**common, **recipe}, [f"{key}={value}" for key, value in changes.items()])
    return Run.create(workspace, chosen, run_id)


def stop_after(step: int, run: Run, train: Callable[[Run], Any], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Train until `step` is logged, where a stop is asked for; returns the run as another process would find it."""
    emit = run.emit

    def emit_and_stop(kind: str, **fields: Any) -> None:
        emit(kind, **fields)
        if kind == "step" and fields["step"] == step:
            run.request_stop()

    monkeypatch.setattr(run, "emit", emit_and_stop)
    with pytest.raises(Stopped):
        train(run)
    return Run(run.path)


def assert_same_training(one: Run, other: Run) -> None:
    """The same losses at the same steps, and the same adapter bit for bit."""
    assert losses(one) == losses(other)
    assert_same_adapter(one, other)


def assert_same_adapter(one: Run, other: Run) -> None:
    first, second = (load_file(run.adapter / "adapter_model.safetensors") for run in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def nudged(recipe: dict[str, Any], run: Run) -> None:
    """An adapter that changes the base a little, as a training would."""
    write_adapter(recipe, run.adapter, run.id, 0.002)


def write_adapter(recipe: dict[str, Any], folder: Path, run: str = "run-1", change: float = 0.05) -> Path:
    """An adapter of a recipe's base in `folder` whose B is no longer zero but of this standard deviation."""
    loaded = load_trainable(load_recipe({**recipe, "lora": {"r": 4}}))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=change)
    save_adapter(loaded, folder, run=run, recipe="tiny")
    return folder
