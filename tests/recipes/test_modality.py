"""The records of modalities and methods: what is written once is what everything reads, and a new one is one file."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recipes.__main__ import main
from recipes.audio.backends import CLASSES
from recipes.methods import METHODS, Method, methods_of
from recipes.modality import claimed_by, side
from recipes.models.files import resolve
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from synth.dataset import DatasetDir
from synth.errors import DataError, RecipeError
from synth.modality import MODALITIES, modality
from synth.workspace import Workspace
from tests.tiny import sums_dataset, tiny_llama

TOY = """
from evaluate.predict.prediction import Prediction
from recipes.modality import ModelSide
from recipes.run.directory import TrainResult
from synth.importing.detect import detect
from synth.importing.importer import import_as
from synth.modality import Modality

ROLES = ("question", "answer")
BATCH_SIZE, LATENCY = 1, "not measured"
MODALITY = Modality("toy", "Toy", "Toys", importer="toy:import_rows", import_help="A table.", model="toy")
MODEL = ModelSide("AutoModelForCausalLM", "AutoTokenizer", replay="toy", runner="toy", model_types=("toy",))


def import_rows(path, name, workspace, mapping=None, **more):
    return import_as("text", path, name, workspace, mapping, **more)


def answer(loaded, questions, max_new_tokens, batch_size, stop):
    for question in questions:
        yield Prediction(example_id=question.example_id, text="toy answer")


def train(run, recipe):
    run.adapter.mkdir()
    return TrainResult(steps=7, seconds=0.0, tokens=0, final_loss=0.5)
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A modality and a method in one file, and a line in each table."""
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    import toy

    monkeypatch.setitem(MODALITIES, "toy", toy.MODALITY)
    monkeypatch.setitem(METHODS, "toy_sft", Method("toy", "sft", "toy"))
    yield toy
    sys.modules.pop("toy")


def test_a_new_modality_imports_loads_and_answers_from_one_file(toy: Any, tmp_path: Path, workspace: Workspace) -> None:
    from evaluate.predict.prompts import Question
    from evaluate.predict.stream import stream
    from synth.example import user

    (tmp_path / "rows.csv").write_text("question,answer\na,b\nc,d\n")
    kind = modality("toy")
    assert kind.roles() == ("question", "answer")
    assert kind.detect(tmp_path / "rows.csv").mapping == {"question": "question", "answer": "answer"}
    assert kind.import_rows()(tmp_path / "rows.csv", "toys", workspace, None).kept == 2
    assert claimed_by({"model_type": "toy"}) == "toy"
    loaded: Any = SimpleNamespace(info=SimpleNamespace(ref=SimpleNamespace(modality="toy")))
    asked = Question("q", (user("a?"),), tmp_path)
    assert [piece.text for piece in stream(loaded, asked, 8)] == ["toy answer"]


def test_a_new_method_is_trained_by_the_worker_from_one_file(toy: Any, tmp_path: Path, workspace: Workspace) -> None:
    data = sums_dataset(tmp_path / "sums", train=2, val=0)
    card = (data / "dataset.json").read_text()
    (data / "dataset.json").write_text(card.replace('"modality": "text"', '"modality": "toy"'))
    assert DatasetDir(data).card.modality == "toy"
    recipe = load_recipe({"method": "toy_sft", "base_model": "any", "data": {"dataset": str(data)}})
    run = Run.create(workspace, recipe, "toy-run")
    assert main([str(run.path)]) == 0
    assert run.exit().sentence == "Trained 7 steps in 0 s; final loss 0.500."  # type: ignore[union-attr]
    assert methods_of("toy") == ("toy_sft",)


def test_unknown_modalities_and_methods_are_refused_with_what_there_is() -> None:
    with pytest.raises(DataError, match=r"no modality 'vison' \(did you mean 'vision'\?\).*text, vision, audio"):
        modality("vison")
    with pytest.raises(RecipeError, match="method is 'text_ppo' but should be one of text_sft, text_dpo, text_kto"):
        load_recipe({"method": "text_ppo", "base_model": "x"})


def test_a_model_is_of_the_modality_that_its_config_says(tmp_path: Path) -> None:
    assert claimed_by({"model_type": "llama"}) == "text"
    assert claimed_by({"model_type": "smolvlm", "vision_config": {}}) == "vision"
    assert {claimed_by({"model_type": kind}) for kind in CLASSES} == {"audio"}
    assert set(side("audio").model_types) == set(CLASSES)
    assert resolve(str(tiny_llama(tmp_path / "llama"))).modality == "text"


def test_every_module_that_a_record_names_is_there() -> None:
    import importlib

    for kind in MODALITIES.values():
        assert kind.roles() and callable(kind.import_rows())
        for name in (side(kind.key).replay, side(kind.key).runner):
            importlib.import_module(name)
    assert all(hasattr(importlib.import_module(method.module), "train") for method in METHODS.values())
    assert {method.modality for method in METHODS.values()} == set(MODALITIES)
