from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from recipes.recipe.schema import (
    EARLIER,
    Recipe,
    differences,
    dump_recipe,
    leaves,
    load_earlier,
    load_recipe,
    ready_recipes,
    recipe_hash,
)
from synth.errors import RecipeError

BASE = {"base_model": "starter-text"}


@pytest.mark.parametrize("override", ["data.val_split=", "data.val_split=null", "data.val_split=''"])
def test_no_validation_split_is_said_by_an_empty_value(override: str) -> None:
    assert load_recipe(BASE, [override]).data.val_split == ""


def test_all_faults_come_in_one_error() -> None:
    raw = {"base_modle": "x", "lora": {"r": 0}, "optim": {"learning_rat": 1}}
    with pytest.raises(RecipeError) as caught:
        load_recipe(raw, ["lr=abc", "nonsense"])
    text = str(caught.value)
    for part in (
        "6 faults",
        "unknown key 'base_modle' (did you mean 'base_model'?)",
        "unknown key 'optim.learning_rat' (did you mean 'optim.learning_rate'?)",
        "override 'nonsense' is not of the form key=value",
        "base_model is missing",
        "lora.r is 0 but should be greater than or equal to 1",
    ):
        assert part in text
    assert "optim.learning_rate is 'abc'" in text
    assert text.endswith(". Correct it and try again.")
    assert not re.search(r"[?!.;,]['\"]?[.;,]", text)


@pytest.mark.parametrize(
    ("alias", "value", "dotted", "expected"),
    [
        ("cutoff_len", 256, "optim.max_length", 256),
        ("sequence_len", 256, "optim.max_length", 256),
        ("micro_batch_size", 4, "optim.per_device_train_batch_size", 4),
        ("lora_target", "all", "lora.target_modules", "all-linear"),
        ("lora_target_linear", True, "lora.target_modules", "all-linear"),
        ("lora_target_modules", ["q_proj"], "lora.target_modules", ("q_proj",)),
        ("lora_rank", 8, "lora.r", 8),
        ("quantization_bit", 4, "quant.load_in_4bit", True),
        ("num_epochs", 3, "optim.num_train_epochs", 3.0),
        ("pref_beta", 0.3, "dpo.beta", 0.3),
        ("learning_rate", "2e-3", "optim.learning_rate", 2e-3),
    ],
)
def test_names_of_other_tools_are_understood(alias: str, value: object, dotted: str, expected: object) -> None:
    head, _, name = dotted.partition(".")
    assert getattr(getattr(load_recipe({**BASE, alias: value}), head), name) == expected


def test_the_same_choice_under_two_names_is_a_fault_only_when_they_differ() -> None:
    assert load_recipe({**BASE, "lora_rank": 8, "lora": {"r": 8}}).lora.r == 8
    with pytest.raises(RecipeError, match="both set"):
        load_recipe({**BASE, "lora_rank": 8, "lora": {"r": 16}})


def test_an_override_beats_the_file_and_the_last_one_wins() -> None:
    assert load_recipe({**BASE, "lora": {"r": 8}}, ["lora.r=4", "lora_rank=2"]).lora.r == 2


def test_a_bare_off_in_yaml_is_the_switch_and_not_a_boolean() -> None:
    assert load_recipe({**BASE, **yaml.safe_load("torch_compile: off")}).optim.torch_compile == "off"


def test_every_ready_recipe_loads_survives_a_round_trip_and_opens_with_its_command() -> None:
    names = ready_recipes()
    assert {"starter-text-sft", "starter-text-dpo", "smollm2-135m-instruct", "llama-3.2-1b-instruct"} <= set(names)
    for name in names:
        recipe = load_recipe(name)
        assert load_recipe(yaml.safe_load(dump_recipe(recipe))) == recipe
        source = Path("recipes/configs") if Path("recipes/configs").is_dir() else None
        assert recipe.name == name
        if source:
            assert (source / f"{name}.yaml").read_text("utf-8").startswith(f"# smolstudio train {name}")


def test_every_option_has_title_description_and_a_place_in_the_dump() -> None:
    dumped = dump_recipe(load_recipe(BASE))
    for dotted, info in leaves():
        assert info.title, dotted
        assert info.description, dotted
        assert isinstance(info.json_schema_extra, dict), dotted
        assert "advanced" in info.json_schema_extra, dotted
        assert f"# {info.description}" in dumped, dotted


def test_the_hash_ignores_the_name_and_nothing_else() -> None:
    recipe = load_recipe(BASE)
    assert recipe_hash(load_recipe({**BASE, "name": "other"})) == recipe_hash(recipe)
    assert recipe_hash(load_recipe({**BASE, "seed": 1})) != recipe_hash(recipe)


def test_only_what_differs_among_several_recipes_is_listed() -> None:
    recipes = [load_recipe(BASE, ["name=a"]), load_recipe(BASE, ["lr=1e-3"]), load_recipe(BASE, ["seed=2"])]
    assert differences(recipes) == {"optim.learning_rate": [2e-4, 1e-3, 2e-4], "seed": [0, 0, 2]}
    assert differences(recipes[:1]) == {}


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe(BASE).seed = 3  # type: ignore[misc]


def test_choices_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"max_steps is 0.*quant.weights is packed"):
        load_recipe({**BASE, "max_steps": 0, "load_in_4bit": False, "quant": {"weights": "packed"}})


@pytest.mark.parametrize(
    ("text", "match"),
    [("a: [1", "not valid YAML"), ("- 1", "holds no keys"), ("", "holds no keys"), ("lora: 3", "lora is a section")],
)
def test_a_file_that_is_no_recipe_ends_in_a_sentence(tmp_path: Path, text: str, match: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=match):
        load_recipe(file)


def test_a_misspelt_recipe_name_gets_the_nearest_one() -> None:
    with pytest.raises(RecipeError, match="Did you mean starter-text-sft"):
        load_recipe("starter-text-sf")


def test_modality_and_objective_follow_from_the_method() -> None:
    recipe: Recipe = load_recipe({**BASE, "method": "vision_dpo"})
    assert (recipe.modality, recipe.objective) == ("vision", "dpo")


def test_a_run_of_an_earlier_version_keeps_its_hash_and_what_it_learned(tmp_path: Path) -> None:
    """Hashes as version 0.1.0 computed them; a recipe that knows no newer option is read as it was trained then."""
    hashes = {
        "starter-text-sft": "2d8c9ac0b78a9847c38bb4def7c11fcdbbc8a0e5e55c5f65a1b8206ebe4048d2",
        "starter-text-dpo": "9da87b32cc7c97b0e0f94755b8bd532671f63600d73320a6682c5154c94d4e4a",
        "starter-vision-sft": "40110b5d45f22585b1f868cfbedcbcd4d81f94045250c52e9a317cdfc5725a28",
    }
    for name, expected in hashes.items():
        raw = yaml.safe_load(dump_recipe(load_recipe(name, ["data.dataset=d"]), comments=False))
        for key in EARLIER:
            section, _, option = key.rpartition(".")
            del (raw[section] if section else raw)[option]
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(raw))
        recipe = load_earlier(file)
        assert recipe_hash(recipe) == expected
        assert recipe.data.loss_turns == "last"
