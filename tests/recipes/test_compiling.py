from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import sums_dataset, tiny_llama
from workers import losses, tiny_run

from recipes.text import text_sft
from recipes.train import compiling
from synth.workspace import Workspace

pytestmark = pytest.mark.slow


def test_auto_compiles_long_runs_only_and_only_with_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "compiler", lambda: "/usr/bin/g++")
    assert compiling.wanted("auto", compiling.WORTH_SEC + 1)
    assert not compiling.wanted("auto", compiling.WORTH_SEC - 1)
    assert not compiling.wanted("auto", None)
    assert compiling.wanted("on", None)
    assert not compiling.wanted("off", 1e9)
    monkeypatch.setattr(compiling, "compiler", lambda: None)
    assert not compiling.wanted("auto", 1e9)


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
