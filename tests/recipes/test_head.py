"""Which loss supervised tuning takes on which device; that both are the same number is in test_text_sft."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trl import SFTTrainer

from recipes.run.directory import Run
from recipes.text import text_sft
from recipes.train.head import FastHead, sft_trainer
from synth.workspace import Workspace
from tests.tiny import sums_dataset, tiny_llama
from tests.workers import losses, tiny_run


def test_a_processor_takes_our_head_and_a_gpu_trls() -> None:
    assert sft_trainer("cpu").compute_loss is FastHead.compute_loss
    assert sft_trainer("cuda").compute_loss is SFTTrainer.compute_loss


@pytest.mark.slow
def test_trls_head_trains_to_the_losses_of_ours(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, data = tiny_llama(tmp_path / "llama"), sums_dataset(tmp_path / "sums")

    def train(name: str) -> Run:
        run = tiny_run(workspace, base, data, name=name, max_steps=4, lora_dropout=0.0)
        text_sft.train(run, run.recipe)
        return run

    ours = train("ours")
    as_on_a_gpu = sft_trainer("cuda")
    monkeypatch.setattr(text_sft, "sft_trainer", lambda _: as_on_a_gpu)
    trls = train("trls")
    assert losses(trls).keys() == losses(ours).keys()
    assert torch.allclose(torch.tensor([*losses(trls).values()]), torch.tensor([*losses(ours).values()]), atol=2e-4)
