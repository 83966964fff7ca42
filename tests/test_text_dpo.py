"""Preference tuning end to end on a tiny model: what moves, what stays, what is logged, and that it resumes exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recipes import preference, text_dpo, text_sft
from recipes.recipe import load_recipe
from recipes.run import Run, Stopped
from synth.dataset import Card, DatasetWriter
from synth.errors import DataError, RunError
from synth.example import Example, make_example, user
from synth.workspace import Workspace
from tests.tiny import tiny_llama


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("base") / "tiny")


def rows(count: int, paired: bool) -> list[Example]:
    return [
        make_example(
            [user(f"What is {n} + 1?")],
            f"Answer: {n + 1}",
            answer=str(n + 1),
            rejected=f"Answer: 99{n}" if paired else None,
            family="sum",
            template="t",
            scorer="math",
        )
        for n in range(count)
    ]


def make_dataset(workspace: Workspace, name: str, examples: list[Example]) -> None:
    folder = workspace.datasets / name
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for example in examples:
        writer.keep(example)
    writer.finish(Card(name=name))


def make_run(workspace: Workspace, base: Path, run_id: str, **changes: Any) -> Run:
    recipe: dict[str, Any] = {
        "method": "text_dpo",
        "base_model": str(base),
        "data": {"dataset": "pairs", "val_split": ""},
        "lora": {"r": 4, "lora_alpha": 8},
        "optim": {
            "learning_rate": 5e-3,
            "num_train_epochs": 2,
            "per_device_train_batch_size": 4,
            "max_length": 96,
            "bf16": False,
            "warmup_ratio": 0.0,
        },
        "dpo": {"sft_weight": 0.2},
        "logging_steps": 1,
        "save_steps": 3,
    }
    return Run.create(workspace, load_recipe(recipe, [f"{key}={value}" for key, value in changes.items()]), run_id)


def train(run: Run) -> Any:
    with run.hold():
        return text_dpo.train(run, run.recipe)


def test_margins_grow_and_every_adapter_tensor_moves(workspace: Workspace, base: Path) -> None:
    make_dataset(workspace, "pairs", rows(16, paired=True))
    run = make_run(workspace, base, "dpo")
    result = train(run)
    steps = run.events("step")
    assert result.steps == len(steps) == 8
    assert abs(steps[0]["rewards/margins"]) < 1e-4, "at the start the model is its reference"
    assert steps[-1]["rewards/margins"] > 0.05
    assert steps[-1]["rewards/accuracies"] == 1.0
    weights = load_file(run.adapter / "adapter_model.safetensors")
    assert len(weights) == 2 * 7 * 2, "A and B of seven linear layers in two blocks, and no reference adapter"
    assert all(w.abs().sum() > 0 for name, w in weights.items() if "lora_B" in name)
    report = json.loads((run.path / "preflight.json").read_text())
    assert report["ok"]
    assert report["tokens"]["rows"] == 32


def test_dpo_starts_from_the_tuned_adapter_and_holds_it_as_reference(workspace: Workspace, base: Path) -> None:
    make_dataset(workspace, "pairs", rows(8, paired=True))
    sft = make_run(workspace, base, "sft", method="text_sft", **{"optim.max_steps": 3})
    with sft.hold():
        text_sft.train(sft, sft.recipe)
    run = make_run(workspace, base, "dpo", adapter="sft", **{"optim.max_steps": 2})
    train(run)
    first = run.events("step")[0]
    assert abs(first["rewards/chosen"]) < 1e-4, "rewards are measured against the tuned adapter, not the bare base"
    before = load_file(sft.adapter / "adapter_model.safetensors")
    after = load_file(run.adapter / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_stopped_run_resumes_with_identical_losses_and_weights(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(workspace, "pairs", rows(16, paired=True))
    whole = make_run(workspace, base, "whole")
    train(whole)
    parted = make_run(workspace, base, "parted")
    emit = parted.emit

    def stop_at_four(kind: str, **fields: Any) -> None:
        emit(kind, **fields)
        if kind == "step" and fields["step"] == 4:
            parted.request_stop()

    monkeypatch.setattr(parted, "emit", stop_at_four)
    with pytest.raises(Stopped):
        train(parted)
    again = Run(parted.path)
    train(again)
    losses = {run.id: {e["step"]: e["loss"] for e in run.events("step")} for run in (whole, again)}
    assert losses["whole"] == losses["parted"]
    weights = [load_file(run.adapter / "adapter_model.safetensors") for run in (whole, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_pairs_are_mined_from_own_answers_once_and_kept_in_the_run(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recipes import sampling

    asked = []

    def generator(*_: Any) -> sampling.Generate:
        def generate(examples: Any, n: int) -> list[list[sampling.Answer]]:
            asked.append(len(examples))
            return [[sampling.Answer("Answer: 1000", True)] * n for _ in examples]

        return generate

    monkeypatch.setattr(sampling, "text_generator", generator)
    make_dataset(workspace, "plain", rows(12, paired=False))
    run = make_run(workspace, base, "dpo", **{"data.dataset": "plain", "optim.max_steps": 2})
    train(run)
    assert [e["pairs"] for e in run.events("pairs")] == [12]
    mined = preference.pair_dataset(run, run.recipe, pytest.fail)
    assert asked == [12], "pairs that are there are not mined again"
    assert {e.rejected for e in mined.examples("train")} == {"Answer: 1000"}
    (mined.path / "train.jsonl").write_text("")
    with pytest.raises(RunError, match="changed"):
        preference.pair_dataset(run, run.recipe, pytest.fail)


def test_sampled_answers_are_reproducible_and_leave_the_random_state(base: Path) -> None:
    from recipes.models import load_for_inference
    from recipes.sampling import longest_target_tokens, text_generator

    loaded = load_for_inference(str(base))
    examples = rows(3, paired=False)
    state = torch.get_rng_state()
    first, second = (text_generator(loaded, 1.0, 6, seed=5)(examples, 3) for _ in range(2))
    assert first == second
    assert [len(answers) for answers in first] == [3, 3, 3]
    assert torch.equal(torch.get_rng_state(), state)
    greedy = text_generator(loaded, 1.0, 6, seed=6)(examples[:1], 1)
    assert greedy[0][0] == first[0][0], "the first answer is the greedy one, whatever the batch"
    assert longest_target_tokens(loaded, examples) >= len("Answer: 3")


def test_dataset_without_usable_pairs_is_a_sentence(workspace: Workspace, base: Path) -> None:
    make_dataset(workspace, "plain", [row.model_copy(update={"scorer": "taste"}) for row in rows(2, paired=False)])
    run = make_run(workspace, base, "dpo", **{"data.dataset": "plain", "dpo.num_generations": 1})
    with pytest.raises(DataError, match=r"cannot be checked|No preference pairs"):
        train(run)
