"""Plans: read strictly, written back unchanged, roles filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluate.plan import Plan, dump_plan, load_plan, tables, with_untuned
from synth.errors import RecipeError

TWO = [
    {"id": "tuned", "model": "starter-text", "adapter": "run1"},
    {"id": "big", "model": "starter-text-large"},
]


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    return file


def test_a_plan_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    plan = Plan.model_validate({"dataset": "d", "systems": TWO, "margin": 0.05, "machine": {"usd_per_hour": 0.1}})
    assert load_plan(write(tmp_path, dump_plan(plan))) == plan


def test_every_fault_is_named_at_once_with_a_suggestion(tmp_path: Path) -> None:
    systems = "- {id: a, model: m, max_new_token: 3}\n- {id: b, kind: locl, model: m}\n"
    text = f"dataset: d\nmargn: 0.1\nsystems:\n{systems}"
    with pytest.raises(RecipeError) as caught:
        load_plan(write(tmp_path, text))
    message = str(caught.value)
    assert "margn: unknown key (did you mean 'margin'?)" in message
    assert "systems.0.max_new_token: unknown key (did you mean 'max_new_tokens'?)" in message
    assert "systems.1.kind" in message
    assert "3 faults" in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"small": "nobody"}, "no system has the id 'nobody'"),
        ({"monthly_volumes": [0]}, "monthly_volumes.0"),
        ({"systems": [TWO[0], TWO[0]]}, "ids must differ: tuned"),
        ({"small": "big", "large": "big"}, "must be two systems"),
        ({"systems": [{"id": "x", "kind": "predictions"}]}, "needs `path`"),
        ({"systems": [{"id": "x", "kind": "endpoint", "model": "m", "adapter": "a"}]}, "only a local system"),
    ],
)
def test_contradictions_are_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    import yaml

    with pytest.raises(RecipeError, match=said):
        load_plan(write(tmp_path, yaml.safe_dump({"dataset": "d", "systems": TWO, **change})))


@pytest.mark.parametrize("text", ["a: [", "- 1\n", ""])
def test_a_file_that_is_no_mapping_is_refused_in_one_sentence(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="plan"):
        load_plan(write(tmp_path, text))


def test_a_missing_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="There is no plan at"):
        load_plan(tmp_path / "no.yaml")


def test_roles_default_to_the_last_tuned_and_the_last_untuned_system() -> None:
    assert Plan.model_validate({"dataset": "d", "systems": TWO}).roles() == ("tuned", "big")
    assert Plan.model_validate({"dataset": "d", "systems": TWO[1:]}).roles() == ("big", None)
    assert Plan.model_validate({"dataset": "d", "systems": TWO, "large": "tuned"}).roles() == ("big", "tuned")


def test_the_document_on_plans_has_every_key_and_an_example_that_can_be_read(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "plan.md").read_text("utf-8")
    assert text.endswith(tables()), "run `python -m evaluate.plan` and put its tables into docs/plan.md"
    example = text.partition("```yaml\n")[2].partition("```")[0]
    plan = load_plan(write(tmp_path, example))
    assert plan.roles() == ("tuned", "gpt-few")
    assert all(line.split(" | ")[-1] != " |" for line in tables().splitlines()), "every key is described"


def test_the_untuned_model_is_asked_the_same_way_unless_the_plan_has_it() -> None:
    tuned, big = {**TWO[0], "prompting": "few_shot", "shots": 2, "train_seed": 3}, TWO[1]
    plan = with_untuned(Plan.model_validate({"dataset": "d", "systems": [tuned, big]}))
    assert [one.id for one in plan.systems] == ["tuned", "big", "untuned"]
    added = plan.system("untuned")
    assert (added.model, added.adapter, added.prompting, added.shots) == ("starter-text", None, "few_shot", 2)
    assert plan.roles() == ("tuned", "big"), "what tuning gained is no verdict"
    assert with_untuned(plan) == plan
    base = {"id": "base", "model": "starter-text"}
    for systems in ([tuned, big, base], [tuned], [big, base]):
        as_it_was = Plan.model_validate({"dataset": "d", "systems": systems})
        assert with_untuned(as_it_was) == as_it_was
    without = Plan.model_validate({"dataset": "d", "systems": [tuned, big], "baselines": False})
    assert with_untuned(without) == without
