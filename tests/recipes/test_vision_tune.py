"""Vision tuning end to end on tiny models of the real classes: batches, what moves, what is refused, DPO, resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recipes.models.loading import load_for_inference
from recipes.recipe.options import Data
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from recipes.train import training
from recipes.train.work import prepare
from recipes.vision import vision_dpo, vision_rows, vision_sampling, vision_sft
from synth.errors import DataError, RunError
from synth.workspace import Workspace
from tests.tiny_vision import CLASSES, picture_dataset, tiny_processor, tiny_vlm

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=CLASSES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vlm(tmp_path_factory.mktemp("base") / "tiny", request.param)


def make_run(workspace: Workspace, base: Path, run_id: str, method: str = "vision_sft", **changes: Any) -> Run:
    recipe: dict[str, Any] = {
        "method": method,
        "base_model": str(base),
        "data": {"dataset": "pictures", "val_split": ""},
        "lora": {"r": 4, "lora_alpha": 8},
        "optim": {
            "learning_rate": 1e-2,
            "max_steps": 4,
            "per_device_train_batch_size": 4,
            "max_length": None,
            "warmup_ratio": 0.0,
            "torch_compile": "off",  # auto would compile, and round otherwise, where the machine is busy
        },
        "logging_steps": 1,
    }
    for key, value in changes.items():
        recipe[key] = {**recipe.get(key, {}), **value} if isinstance(value, dict) else value
    return Run.create(workspace, load_recipe(recipe), run_id)


def test_splitting_is_on_and_image_tokens_match_tiles(workspace: Workspace, base: Path) -> None:
    dataset = picture_dataset(workspace)
    loaded = load_for_inference(str(base))
    rows = vision_rows.encode(list(dataset.examples("train")), loaded.processor, Data(), dataset)
    token = loaded.model.config.image_token_id
    assert {row.tokens.input_ids.count(token) for row in rows} == {5 * 4}
    assert vision_rows.problems(rows, loaded.model, loaded.processor) == []
    assert vision_rows.as_seen(rows[0], loaded.processor).size == (4 * 36, 2 * 36)


def test_a_row_whose_image_tokens_do_not_match_is_refused_before_training(workspace: Workspace, base: Path) -> None:
    dataset = picture_dataset(workspace)
    loaded = load_for_inference(str(base))
    rows = vision_rows.encode(list(dataset.examples("train")), loaded.processor, Data(), dataset)
    loaded.processor.image_processor.do_image_splitting = False
    (problem,) = vision_rows.problems(rows, loaded.model, loaded.processor)
    assert "20 image tokens" in problem
    assert "4 features" in problem


def test_batches_equal_those_of_trl(workspace: Workspace, base: Path) -> None:
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    dataset = picture_dataset(workspace)
    processor = tiny_processor(
        json.loads((base / "config.json").read_text())["architectures"][0].removesuffix("ForConditionalGeneration")
    )
    rows = list(dataset.examples("train"))[:4]
    encoded = vision_sft.as_dataset(vision_rows.encode(rows, processor, Data(), dataset))
    ours = vision_rows.Collator(processor)([encoded[i] for i in range(4)])
    plain = [
        {
            "images": [vision_rows.open_picture(vision_rows.picture_files(e, dataset)[0])],
            "prompt": [{"role": "user", "content": e.prompt[0].text}],
            "completion": [{"role": "assistant", "content": e.target}],
        }
        for e in rows
    ]
    theirs = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)(plain)
    assert torch.equal(ours["pixel_values"], theirs["pixel_values"])
    for our_ids, our_labels, ids, labels in zip(
        ours["input_ids"], ours["labels"], theirs["input_ids"], theirs["labels"], strict=True
    ):
        # Ours ends at the end of the turn; TRL learns the template's line break after it too, and pads on the left.
        expected = [t for t in ids.tolist() if t != 0]
        assert [t for t in our_ids.tolist() if t != 0] == expected[:-1]
        learned = [t for t in labels.tolist() if t != -100]
        assert [t for t in our_labels.tolist() if t != -100] == learned[:-1]


@pytest.mark.parametrize("bits", [True, False])
def test_every_adapter_tensor_moves_and_no_frozen_one(workspace: Workspace, base: Path, bits: bool) -> None:
    picture_dataset(workspace)
    run = make_run(workspace, base, "all", quant={"load_in_4bit": bits})
    result = vision_sft.train(run, run.recipe)
    assert result.steps == 4
    tuned = load_file(run.adapter / "adapter_model.safetensors")
    places = {part for name in tuned for part in ("vision_model", "connector", "text_model") if part in name}
    assert places == {"vision_model", "connector", "text_model"}
    assert all(bool(value.any()) for name, value in tuned.items() if "lora_B" in name)
    report = json.loads((run.path / "preflight.json").read_text())
    assert report["ok"]
    assert report["picture"] == "preflight.png"
    assert "<image x " in report["sample_text"], "image tokens are counted, not written one by one"
    assert (run.path / "preflight.png").stat().st_size > 500


def test_the_recipe_says_which_modules_get_an_adapter(workspace: Workspace, base: Path) -> None:
    picture_dataset(workspace)
    run = make_run(workspace, base, "language", lora={"exclude_modules": r".*(vision_model|connector).*"})
    vision_sft.train(run, run.recipe)
    tuned = load_file(run.adapter / "adapter_model.safetensors")
    assert tuned
    assert all("text_model" in name for name in tuned)


def test_max_length_never_cuts_image_tokens_but_is_refused(workspace: Workspace, base: Path) -> None:
    picture_dataset(workspace)
    run = make_run(workspace, base, "cut", optim={"max_length": 24})
    with pytest.raises(RunError, match="would cut the target"):
        vision_sft.train(run, run.recipe)


def test_a_broken_picture_stops_before_training_with_its_name(workspace: Workspace, base: Path) -> None:
    dataset = picture_dataset(workspace)
    first = dataset.path / next(dataset.examples("train")).prompt[0].content[0].path  # type: ignore[union-attr]
    first.write_bytes(first.read_bytes()[:200])
    run = make_run(workspace, base, "broken")
    with pytest.raises(DataError, match=first.name):
        vision_sft.train(run, run.recipe)


def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(workspace: Workspace, tmp_path: Path) -> None:
    base = tiny_vlm(tmp_path / "tiny", "SmolVLM")
    picture_dataset(workspace)
    options: dict[str, Any] = {"optim": {"bf16": False}, "save_steps": 2}
    whole = make_run(workspace, base, "whole", **options)
    vision_sft.train(whole, whole.recipe)
    half = make_run(workspace, base, "half", **options)

    def stop_after_two(run: Run) -> None:
        work = prepare(run, run.recipe)
        rows = vision_rows.encode(list(work.dataset.examples("train")), work.loaded.processor, Data(), work.dataset)
        trainer = vision_sft.build_trainer(work, rows, None)
        vision_sft.check(trainer, rows, [])
        trainer.args.save_steps = 2
        old = trainer.training_step

        def step(*args: Any, **kwargs: Any) -> Any:
            if trainer.state.global_step == 2:
                raise KeyboardInterrupt
            return old(*args, **kwargs)

        trainer.training_step = step
        with pytest.raises(KeyboardInterrupt):
            training.fit(trainer)

    stop_after_two(half)
    vision_sft.train(half, half.recipe)
    losses = [{e["step"]: e["loss"] for e in run.events() if e["kind"] == "step"} for run in (whole, half)]
    assert losses[0] == losses[1]
    tuned = [load_file(run.adapter / "adapter_model.safetensors") for run in (whole, half)]
    assert all(torch.equal(tuned[0][name], tuned[1][name]) for name in tuned[0])


def test_answers_during_training_show_the_picture_and_leave_no_trace(workspace: Workspace, base: Path) -> None:
    picture_dataset(workspace)
    options: dict[str, Any] = {"data": {"val_split": "val"}, "optim": {"bf16": False}, "lora": {"lora_dropout": 0.1}}
    plain = make_run(workspace, base, "plain", **options)
    watched = make_run(workspace, base, "watched", sample_steps=2, **options)
    for run in (plain, watched):
        vision_sft.train(run, run.recipe)
    assert [e["step"] for e in watched.events("samples")] == [2, 4]
    shown = watched.events("samples")[-1]["rows"]
    assert len(shown) == 3
    assert all((watched.dataset().path / row["media"][0]).is_file() and row["right"] is False for row in shown)
    tuned = [load_file(run.adapter / "adapter_model.safetensors") for run in (plain, watched)]
    assert all(torch.equal(tuned[0][name], tuned[1][name]) for name in tuned[0])


def test_dpo_moves_the_adapter_from_its_reference(workspace: Workspace, base: Path) -> None:
    picture_dataset(workspace)
    sft = make_run(workspace, base, "sft")
    vision_sft.train(sft, sft.recipe)
    picture_dataset(workspace, "pairs", paired=True)
    run = make_run(workspace, base, "dpo", "vision_dpo", adapter="sft", data={"dataset": "pairs"})
    vision_dpo.train(run, run.recipe)
    before, after = (load_file(r.adapter / "adapter_model.safetensors") for r in (sft, run))
    assert all(not torch.equal(before[name], after[name]) for name in before)
    first = next(e for e in run.events() if e["kind"] == "step")
    assert first["loss"] == pytest.approx(0.6931, abs=0.02)


def test_pairs_are_mined_from_wrong_answers_to_pictures(workspace: Workspace, base: Path) -> None:
    dataset = picture_dataset(workspace)
    loaded = load_for_inference(str(base))
    generate = vision_sampling.vision_generator(loaded, dataset, 1.0, 6, 0)
    rows = list(dataset.examples("train"))[:5]
    answers = generate(rows, 3)
    assert [len(given) for given in answers] == [3] * 5
    assert generate(rows, 3) == answers
