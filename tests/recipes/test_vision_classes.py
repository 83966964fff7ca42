"""Vision classes of dynamic resolution, with random weights, through preflight, SFT, DPO, merging and answering."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.decode.decoder import fits
from recipes.models.loading import load_for_inference
from recipes.recipe.options import Data
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from recipes.vision import vision_decode, vision_dpo, vision_rows, vision_sft
from synth.workspace import Workspace
from tests.tiny_vision import DYNAMIC, picture_dataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: make(tmp_path_factory.mktemp(kind)) for kind, make in DYNAMIC.items()}


def run(workspace: Workspace, base: Path, name: str, method: str, **more: Any) -> Run:
    recipe = {
        "method": method, "base_model": str(base), "data": {"dataset": "pictures", "val_split": ""},
        "lora": {"r": 4, "lora_alpha": 8}, "logging_steps": 1, **more,
        "optim": {
            "learning_rate": 1e-2, "max_steps": 2, "per_device_train_batch_size": 4, "max_length": None,
            "torch_compile": "off",
        },
    }  # fmt: skip
    return Run.create(workspace, load_recipe(recipe), name)


@pytest.mark.parametrize("kind", DYNAMIC)
def test_a_class_of_dynamic_resolution_is_tuned_by_sft_and_dpo_and_answers_merged_as_with_its_adapter(
    bases: dict[str, Path], kind: str, workspace: Workspace
) -> None:
    dataset = picture_dataset(workspace, paired=True, rows=8)
    sft = run(workspace, bases[kind], "sft", "vision_sft")
    vision_sft.train(sft, sft.recipe)
    dpo = run(workspace, bases[kind], "dpo", "vision_dpo", adapter="sft")
    vision_dpo.train(dpo, dpo.recipe)
    assert len(sft.events("step")) == len(dpo.events("step")) == 2
    rows = list(dataset.examples("test"))[:2]
    said = []
    for merge in (False, True):
        loaded = load_for_inference(str(bases[kind]), dpo.adapter, torch.float32, merge=merge)
        encoded = vision_rows.encode(rows, loaded.processor, Data(), dataset)
        assert vision_rows.problems(encoded, loaded.model, loaded.processor) == []
        prompts = [
            [t for t, label in zip(r.tokens.input_ids, r.tokens.labels, strict=True) if label < 0] for r in encoded
        ]
        found = vision_decode.decode_pictures(loaded, prompts, [r.pictures for r in encoded], 2, 8)
        said.append([done.tokens for done in sorted(found, key=lambda done: done.place)])
    assert said[0] == said[1]


def test_positions_that_follow_a_pictures_grid_are_left_to_the_model(bases: dict[str, Path]) -> None:
    assert not fits(load_for_inference(str(bases["Qwen3VL"])).model)
