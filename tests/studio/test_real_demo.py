"""A demo on a published model: which one is meant, what it compares, and what is said when a model cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluate.cost import throughput
from evaluate.plan import Plan
from recipes.models import adding, store
from recipes.recipe.schema import load_recipe
from studio.presets import demo
from studio.presets.demos import DEMOS
from synth.errors import ModelError, RecipeError
from synth.workspace import Workspace
from tests.tiny import tiny_llama

PUBLISHED = [name for name, spec in DEMOS.items() if spec.base == name]
ADAPTERS = [("sft", "dpo")]


def test_a_demo_is_named_by_its_modality_or_by_its_base() -> None:
    assert demo.choose("", "") == "text" and demo.choose("audio", "") == "audio"
    assert demo.choose("", "whisper-tiny.en") == demo.choose("audio", "whisper-tiny.en") == "whisper-tiny.en"
    for modality, base in (("text", "whisper-tiny.en"), ("", "smolm2"), ("sound", "")):
        with pytest.raises(RecipeError, match="There is no demo for"):
            demo.choose(modality, base)


def test_a_task_names_its_demo_on_the_starter_or_with_a_base_on_that_one() -> None:
    assert demo.choose("", "", "issues") == demo.choose("text", "", "issues") == "issues"
    assert demo.choose("", "smollm2-135m", "issues") == demo.choose("", "smollm2-135m") == "smollm2-135m"
    assert demo.choose("", "", "math") == demo.choose("text", "") == "text"
    with pytest.raises(RecipeError, match="the modality 'audio' and the task 'issues'") as refused:
        demo.choose("audio", "", "issues")
    assert "--task issues (text) on smollm2-135m" in refused.value.remedy


def test_the_demo_of_issues_holds_every_system_to_the_schema_and_its_prompts_fit_the_starters(
    workspace: Workspace,
) -> None:
    from evaluate.predict.prompts import Prompter
    from recipes.models.files import resolve
    from recipes.text import chat
    from synth.build import build_dataset

    spec = DEMOS["issues"]
    plan = Plan.model_validate(spec.plan("issues", "data", [0], [("sft", "dpo" if spec.dpo else "")], spec.large))
    assert all(system.held_to_schema for system in plan.systems)
    assert {plan.system(name).model for name in plan.roles() if name} == {"starter-text", "starter-text-large"}
    settings = {**spec.settings, "train": 60, "val": 5, "test": 30, "test_ood": 15}
    dataset = demo._with_real(spec, build_dataset("extraction", settings, "data", workspace))
    rows = [row for split in plan.splits for row in dataset.examples(split)]
    train = list(dataset.examples("train"))
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve(spec.large).path)
    for system in plan.systems:
        prompter = Prompter(system, train, 0, dataset.path)
        texts = [
            chat.prompt_text([chat.message_dict(m, tokenizer) for m in prompter.question(row).messages], tokenizer)
            for row in rows
        ]
        longest = max(len(ids) for ids in tokenizer(texts)["input_ids"])
        assert longest + 150 < 1024, f"{system.id} asks in up to {longest} tokens"


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_is_compared_with_a_larger_one_or_else_with_itself_prompted(name: str) -> None:
    spec = DEMOS[name]
    for large in {spec.large, ""}:
        adapters = [("sft", "dpo" if spec.dpo else "")]
        plan = Plan.model_validate(spec.plan(name, "data", [0], adapters, large))
        small, rival = plan.system(plan.small), plan.system(plan.large)
        assert small.model == spec.base and small.adapter == ("dpo" if spec.dpo else "sft")
        assert rival.model == (large or spec.base) and rival.adapter is None
        assert "test_real" in plan.splits
    for recipe, overrides in ((spec.sft, spec.sft_overrides), (spec.dpo, spec.dpo_overrides)):
        assert not recipe or load_recipe(recipe, [f"base_model={spec.base}", *overrides]).modality == spec.modality


def test_no_demo_measures_a_speed_in_so_few_rounds_that_it_carries_no_price() -> None:
    for spec in DEMOS.values():
        plan = Plan.model_validate(spec.plan("demo", "data", [0], ADAPTERS, spec.large))
        assert plan.speed_rounds == 0 or plan.speed_rounds >= throughput.FEWEST_ROUNDS


def test_a_base_that_is_not_here_is_fetched_first_and_what_cannot_be_fetched_ends_it_before_any_row_is_made(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(name: str, **_: Any) -> store.Added:
        asked.append(name)
        raise ModelError(f"{name} could not be fetched: The hub cannot be reached.", "Connect once.", "model.fetch")

    monkeypatch.setattr(demo, "add", fetch)
    with pytest.raises(ModelError, match=r"smollm2-135m could not be fetched"):
        demo.run_demo("smollm2-135m", [0], workspace, lambda _: None, lambda _: None)
    assert asked == ["smollm2-135m"] and not list(workspace.datasets.glob("*"))
    monkeypatch.setattr(demo, "add", adding.add)
    store.keep(store.Added(name="smollm2-135m", path=tiny_llama(tmp_path / "llama"), source="a folder"))
    demo._have("smollm2-135m", lambda _: None)


def test_a_larger_model_that_cannot_be_had_is_said_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, **_: Any) -> store.Added:
        raise ModelError(f"{name} could not be fetched.", "Connect once.", "model.fetch")

    said: list[str] = []
    monkeypatch.setattr(demo, "add", fetch)
    assert demo._rival(DEMOS["whisper-tiny.en"], said.append) == ""
    assert said == ["whisper-base is not prompted beside it: whisper-base could not be fetched."]
    assert demo._rival(DEMOS["smollm2-135m"], said.append) == "" and "no package holds one" in said[-1]


@pytest.mark.slow
def test_the_demo_of_issues_goes_from_rows_to_a_report_with_every_field(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evaluate.report.reading import read_report

    tiny = DEMOS["issues"]._replace(
        settings={"train": 24, "val": 3, "test": 4, "test_ood": 3, "languages": ["en"]},
        sft_overrides=("optim.max_steps=2",),
        max_new_tokens=8,
        more={"speed_rounds": 0, "max_rows": 3},
    )
    monkeypatch.setitem(DEMOS, "issues", tiny)
    said: list[str] = []
    result = demo.run_demo("issues", [0], workspace, lambda _: None, said.append)
    report = read_report(result.report)
    assert said == []
    assert [part.split for part in report.by_field] == ["test", "test_ood", "test_real"]
    assert {"base-few-held", "large-few-held", "tuned-sft"} <= set(report.by_field[0].systems)
    fields = [one.field for one in report.by_field[2].systems["tuned-sft"].fields]
    assert fields[:3] == ["title", "type", "priority"] and "estimated_hours" in fields
    again = demo.run_demo("issues", [0], workspace, lambda _: None, said.append)
    assert again.report == result.report, "what is there is taken up"
