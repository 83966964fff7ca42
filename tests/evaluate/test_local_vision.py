"""Answers of local vision models: slots and `generate` agree, broken pictures are errors of their rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluate.predict import local_vision
from evaluate.predict.prompts import Question
from recipes.models.loaded import Loaded
from recipes.models.loading import load_for_inference
from recipes.vision import vision_decode
from synth.workspace import Workspace
from tests.tiny_vision import CLASSES, picture_dataset, tiny_vlm


@pytest.fixture(scope="module", params=CLASSES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_for_inference(str(tiny_vlm(tmp_path_factory.mktemp("base") / "tiny", request.param)))


def ask(workspace: Workspace) -> tuple[list[Question], Path]:
    dataset = picture_dataset(workspace)
    return [Question(e.id, e.prompt, dataset.path) for e in dataset.examples("train")], dataset.path


@pytest.mark.slow
def test_slot_decoding_equals_generate_row_by_row(workspace: Workspace, loaded: Loaded) -> None:
    questions, _ = ask(workspace)
    fast = {p.example_id: p for p in local_vision.answer(loaded, questions, 8, 5, lambda: False)}
    prompts, files = zip(*(local_vision.encoded(loaded, q) for q in questions), strict=True)
    for question, done in zip(questions, vision_decode.one_by_one(loaded, prompts, files, 8), strict=True):
        found = fast[question.example_id]
        assert found.text == loaded.tokenizer.decode(done.tokens, skip_special_tokens=True).strip()
        assert found.confidence == pytest.approx(done.confidence, rel=1e-3)
        assert found.usage.image_tokens == 20
        assert found.usage.input_tokens == len(prompts[questions.index(question)])


def test_a_broken_picture_is_an_error_of_its_row_only(workspace: Workspace, loaded: Loaded) -> None:
    questions, root = ask(workspace)
    broken = root / questions[0].messages[0].content[0].path  # type: ignore[union-attr]
    broken.write_bytes(b"no picture")
    found = list(local_vision.answer(loaded, questions, 4, None, lambda: False))
    assert len(found) == len(questions)
    faults = [p for p in found if p.error]
    assert faults
    assert all(broken.name in p.error for p in faults)
    assert {q.example_id for q in questions if q.messages[0].content[0].path.endswith(broken.name)} == {  # type: ignore[union-attr]
        p.example_id for p in faults
    }


def test_answering_stops_when_asked(workspace: Workspace, loaded: Loaded) -> None:
    questions, _ = ask(workspace)
    assert len(list(local_vision.answer(loaded, questions, 4, 2, lambda: True))) == 1
