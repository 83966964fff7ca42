"""recipes.export.gguf_tower: llama.cpp sees the pictures of a SmolVLM as transformers does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from evaluate.parity import parity_gate
from evaluate.predict import local_vision
from evaluate.predict.prompts import Question
from recipes.export import gguf_model, llama_cpp, targets
from recipes.models.files import resolve
from recipes.models.loading import load_for_inference
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from synth.example import ImagePart, Message, TextPart
from synth.storage import sha256_file
from synth.workspace import Workspace
from tests.tiny_runs import nudged
from tests.tiny_vision import CLASSES, picture_dataset, tiny_vlm

pytestmark = pytest.mark.slow
ROWS = 12


def run_on_pictures(place: Workspace, name: str) -> None:
    """A run of a tiny random model, hardly changed."""
    picture_dataset(place, rows=ROWS)
    base = tiny_vlm(place.path / "base", name)
    recipe = {"base_model": str(base), "method": "vision_sft", "data": {"dataset": "pictures"}}
    nudged(recipe, Run.create(place, load_recipe(recipe), "run-1"))


def whole(text: str) -> str:
    """Without half a character at the end, which llama.cpp does not hand out."""
    return text.rstrip("\ufffd")


@pytest.mark.parametrize("name", CLASSES)
def test_llama_cpp_answers_about_pictures_of_all_shapes_as_the_tuned_model_does(
    workspace: Workspace, name: str
) -> None:
    run_on_pictures(workspace, name)
    out = targets.export_run("run-1", workspace.runs, workspace.path / "out", "gguf")
    found = targets.tuned("run-1", workspace.runs)
    loaded = load_for_inference(found.ref, found.adapter, torch.float32)
    questions = []
    for number, size in enumerate([(64, 64), (200, 50), (31, 90), (300, 200)]):
        file = workspace.path / f"{number}.png"
        Image.radial_gradient("L").resize(size).convert("RGB").save(file)
        picture = ImagePart(path=file.name, sha256=sha256_file(file))
        turn = Message(role="user", content=(picture, TextPart(text="What is this?")))
        questions.append(Question(str(number), (turn,), workspace.path))
    tuned = {one.example_id: one.text for one in local_vision.answer(loaded, questions, 8, 1, lambda: False)}
    chats, context = local_vision.bare_inputs(loaded, questions), gguf_model.context_of(found.ref)
    tower = out / "mmproj-out.gguf"
    lengths = llama_cpp.read_lengths(out / "out-f16.gguf", context, tower, [chat.turns for chat in chats])
    assert lengths == [chat.tokens for chat in chats] and len(set(lengths)) > 1
    replies = llama_cpp.opened(out / "out-f16.gguf", context, tower=tower)(chats, 8)
    assert [whole(reply.text) for reply in replies] == [
        whole(tuned[question.example_id] or "") for question in questions
    ]


def test_the_folder_has_the_tower_and_says_how_to_use_it_and_the_gate_asks_with_pictures(workspace: Workspace) -> None:
    run_on_pictures(workspace, "SmolVLM")
    out = targets.export_run("run-1", workspace.runs, workspace.path / "out", "gguf", parity_gate(workspace, 2))
    assert {file.name for file in out.glob("*.gguf")} >= {"out-f16.gguf", "out-q8_0.gguf", "mmproj-out.gguf"}
    artefacts = json.loads((out / "manifest.json").read_text())["parity"]["artefacts"]
    assert [one["rows"] for one in artefacts] == [2] * len(gguf_model.kinds())
    assert "--mmproj mmproj-out.gguf" in (out / "README.md").read_text()
    assert not (out / "Modelfile").exists(), "nobody looked whether Ollama sees these pictures"


def test_a_model_that_does_not_cut_pictures_is_refused_because_llama_cpp_does(tmp_path: Path) -> None:
    assert "does not cut pictures into tiles" in gguf_model.supports(resolve("starter-vision"))
    whole = resolve(str(tiny_vlm(tmp_path / "whole", "SmolVLM", splitting=False)))
    assert "does not cut pictures into tiles" in gguf_model.supports(whole)
    cut = resolve(str(tiny_vlm(tmp_path / "cut", "SmolVLM")))
    assert gguf_model.supports(cut) == ""
    assert "takes texts only" in targets.exporter("web").supports(cut)
