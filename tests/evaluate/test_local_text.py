"""Local text models: same replies at every batch size, memory running out halves the batch, misfits are named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluate.plan import SystemPlan
from evaluate.predict import local_text
from evaluate.predict.prediction import Prediction
from evaluate.predict.prompts import Prompter, Question
from evaluate.predict.systems import LocalSystem
from recipes.decode import decoder
from recipes.models.loaded import Loaded
from recipes.models.loading import load_for_inference
from synth.errors import ModelError, RecipeError
from synth.example import make_example, system, user
from synth.workspace import Workspace
from tests.tiny import tiny_llama


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_for_inference(str(tiny_llama(tmp_path_factory.mktemp("tiny"))))


def questions(count: int = 12) -> list[Question]:
    return [Question(str(i), (system("Be brief."), user("word " * i + "?")), Path()) for i in range(count)]


def answers(
    loaded: Loaded, batch_size: int | None = None, asked: list[Question] | None = None
) -> dict[str, Prediction]:
    replies = local_text.answer(loaded, asked or questions(), 12, batch_size, lambda: False)
    return {p.example_id: p for p in replies}


def test_the_batch_size_never_changes_a_reply(loaded: Loaded) -> None:
    one = answers(loaded, 1)
    assert {k: p.text for k, p in answers(loaded, 5).items()} == {k: p.text for k, p in one.items()}
    assert {k: p.text for k, p in answers(loaded).items()} == {k: p.text for k, p in one.items()}
    assert all(p.seconds and p.usage.reported and 0 < (p.confidence or 0) <= 1 for p in one.values())


def test_a_prompt_longer_than_the_model_is_an_error_of_its_row(loaded: Loaded) -> None:
    asked = [*questions(3), Question("long", (user("x" * 600),), Path())]
    found = answers(loaded, None, asked)
    assert "the model takes 512" in found["long"].error
    assert [found[str(i)].error for i in range(3)] == ["", "", ""]


def test_running_out_of_memory_halves_the_batch_and_loses_no_row(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hungry(decoder.SlotDecoder):
        def __init__(self, model: Any, ends: set[int], slots: int, *rest: Any) -> None:
            super().__init__(model, ends, slots, *rest)
            self.rows = slots
            tried.append(slots)

        def run(self, prompts: Any) -> Iterator[Any]:
            for number, done in enumerate(super().run(prompts)):
                if self.rows > 2 and number == 1:
                    raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")
                yield done

    tried: list[int] = []
    expected = answers(loaded)
    monkeypatch.setattr(decoder, "SlotDecoder", Hungry)
    found = answers(loaded, 8)
    assert tried == [8, 4, 2]
    assert {k: p.text for k, p in found.items()} == {k: p.text for k, p in expected.items()}


def test_one_row_that_does_not_fit_is_said_plainly(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Iterator[Any]:
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(local_text, "decode", refuse)
    with pytest.raises(ModelError, match="does not fit into the memory"):
        answers(loaded, 4)


def test_a_tokenizer_without_chat_template_is_refused(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded.tokenizer, "chat_template", None)
    with pytest.raises(ModelError, match="no chat template"):
        answers(loaded)


def test_generate_takes_over_for_models_that_do_not_fit_the_slots(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(loaded)
    monkeypatch.setattr(decoder, "fits", lambda _: False)
    assert {k: p.text for k, p in answers(loaded, 5).items()} == {k: p.text for k, p in expected.items()}


def test_a_local_system_knows_its_size_and_hardware(workspace: Workspace, loaded: Loaded) -> None:
    plan = SystemPlan(id="s", model=str(loaded.info.ref.path), max_new_tokens=4)
    local = LocalSystem(plan, workspace.runs)
    assert len(list(local.answer(questions(3), lambda: False))) == 3
    facts = local.facts()
    assert facts.params == loaded.info.params
    assert "float32" in facts.hardware
    assert facts.latency_basis == local_text.LATENCY


def test_a_constrained_system_answers_in_records_only(loaded: Loaded, tmp_path: Path) -> None:
    """A random model under `prompting: constrained`: its prompt says nothing of a schema, its answers all obey it."""
    record = '{"type": "bug", "hours": 3}'
    rows = [
        make_example([user(f"Text {n}")], record, answer=record, scorer="fields", family="f", template="t")
        for n in range(3)
    ]
    plan = SystemPlan(id="a", model="tiny", prompting="constrained")
    prompter = Prompter(plan, rows, 0, tmp_path)
    questions = [prompter.question(row) for row in rows]
    assert all("schema" not in message.text for q in questions for message in q.messages)
    for prediction in local_text.answer(loaded, questions, 80, None, lambda: False):
        if not prediction.truncated:
            assert set(json.loads(prediction.text)) == {"type", "hours"}
        assert prediction.text.startswith('{"type": "')


def test_answers_that_are_no_records_cannot_be_constrained(tmp_path: Path) -> None:
    plan = SystemPlan(id="a", model="tiny", prompting="constrained")
    with pytest.raises(RecipeError, match="are neither records nor labels"):
        Prompter(
            plan,
            [make_example([user("1 + 1")], "Answer: 2", answer="2", scorer="math", family="f", template="t")],
            0,
            tmp_path,
        )
