from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import sums_dataset, tiny_llama
from workers import losses, tiny_run

from recipes.recipe.options import Optim
from recipes.text import text_sft
from recipes.train import compiling
from recipes.train.report import PreflightReport, Probe, Tokens
from synth.workspace import Workspace

pytestmark = pytest.mark.slow


def test_auto_compiles_long_runs_only_and_only_with_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "compiler", lambda: "/usr/bin/g++")
    worth = compiling.WORTH_FLOP["cpu"]
    assert compiling.wanted("auto", worth * 1.01)
    assert not compiling.wanted("auto", worth * 0.99)
    assert not compiling.wanted("auto", worth * 1.01, "cuda")
    assert not compiling.wanted("auto", None)
    assert compiling.wanted("on", None)
    assert not compiling.wanted("off", 1e30)
    monkeypatch.setattr(compiling, "compiler", lambda: None)
    assert not compiling.wanted("auto", 1e30)


def test_a_busy_machine_does_not_change_what_is_compiled() -> None:
    """A demo compiled beside other programs only, and the other rounding moved its score from 95 to 90 %."""
    quiet = report_of(seconds_per_step=0.3)
    busy = report_of(seconds_per_step=30.0)
    assert compiling.arithmetic(quiet, Optim()) == compiling.arithmetic(busy, Optim())
    assert compiling.arithmetic(quiet, Optim(per_device_train_batch_size=4)) == 6 * 5_000_000 * 60 * 4 * 1000
    assert compiling.arithmetic(quiet.model_copy(update={"probe": None}), Optim()) is None


def report_of(seconds_per_step: float) -> PreflightReport:
    measured = Probe(
        problems=(),
        memory_bytes=1,
        memory_available_bytes=2,
        seconds_per_step=seconds_per_step,
        projected_sec=seconds_per_step * 1000,
        trainable=1_000_000,
        frozen=4_000_000,
    )
    tokens = Tokens(rows=4000, longest=80, mean=60.0, learned=0.1, cut_targets=0)
    return PreflightReport(
        ok=True, problems=(), sample=(), sample_text="", tokens=tokens, probe=measured, steps=1000, seconds=1.0
    )


@pytest.mark.skipif(compiling.compiler() is None, reason="no C++ compiler")
def test_a_compiled_training_learns_what_a_plain_one_learns(workspace: Workspace, tmp_path: Path) -> None:
    model = tiny_llama(tmp_path / "model", layers=1)
    dataset = sums_dataset(tmp_path / "sums", train=24)
    choices = {"max_steps": 3, "lora_dropout": 0.0}
    plain = tiny_run(workspace, model, dataset, torch_compile="off", **choices)
    compiled = tiny_run(workspace, model, dataset, torch_compile="on", **choices)
    for run in (plain, compiled):
        text_sft.train(run, run.recipe)
    assert [e["name"] for e in compiled.events("phase")].count("compiling") == 1
    torch.testing.assert_close(list(losses(compiled).values()), list(losses(plain).values()), rtol=1e-4, atol=1e-4)
