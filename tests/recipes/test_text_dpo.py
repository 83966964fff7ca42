"""Preference tuning end to end on a tiny model: what moves, what stays, what is logged, and that it resumes exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recipes.run.directory import Run
from recipes.text import text_dpo, text_sft
from recipes.train import preference
from synth.dataset import Card, DatasetWriter
from synth.errors import DataError, RunError
from synth.example import Example, make_example, user
from synth.workspace import Workspace
from tests.tiny import tiny_llama
from tests.tiny_runs import assert_same_training, short_run, stop_after

pytestmark = pytest.mark.slow


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
        "data": {"dataset": "pairs", "val_split": ""},
        "optim": {"max_length": 96, "warmup_ratio": 0.0},
    }
    if changes.get("method") != "text_sft":  # which refuses choices that it does not use
        recipe["dpo"] = {"sft_weight": 0.2}
    return short_run(workspace, base, run_id, recipe, changes)


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
    parted = stop_after(4, make_run(workspace, base, "parted"), train, monkeypatch)
    train(parted)
    assert_same_training(whole, parted)


def test_pairs_are_mined_from_own_answers_once_and_kept_in_the_run(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recipes.decode import sampling

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
    from recipes.decode.sampling import longest_target_tokens, text_generator
    from recipes.models.loading import load_for_inference

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
