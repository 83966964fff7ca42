"""A local model asked in ranges answers as one process does; what a killed comparison left is not asked again."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluate.plan import SystemPlan
from evaluate.predict import ranged
from evaluate.predict.journal import Answers, Predictor
from evaluate.predict.prompts import Question
from evaluate.predict.systems import Context, open_system
from synth.example import user
from synth.progress import silent
from synth.workspace import Workspace
from tests.in_turn import InTurn
from tests.tiny import tiny_llama

pytestmark = pytest.mark.slow

QUESTIONS = [Question(str(i), (user("word " * (i % 7) + "?"),), Path()) for i in range(21)]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> SystemPlan:
    return SystemPlan(id="tiny", model=str(tiny_llama(tmp_path_factory.mktemp("tiny"))), max_new_tokens=6)


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranged, "_open", {})
    monkeypatch.setattr(ranged, "FEWEST", 4)
    monkeypatch.setattr(ranged, "MOST", 4)


def predictor(workspace: Workspace, comparison: str, mark: str = "f" * 64) -> Predictor:
    journal = workspace.comparisons / comparison / "predictions" / "tiny.jsonl"
    return Predictor(journal, mark, "Tiny", workspace, retry_errors=False)


def asked(workspace: Workspace, plan: SystemPlan, engine: InTurn) -> Answers:
    return ranged.run(predictor(workspace, "shared"), QUESTIONS, (plan, workspace), engine, silent, lambda: False)


def said(answers: Answers) -> list[tuple[str, str, int | None]]:
    return sorted((p.example_id, p.text, p.usage.output_tokens) for p in answers.predictions.values())


def alone(workspace: Workspace, plan: SystemPlan) -> Answers:
    open_it = lambda: open_system(plan, Context(workspace))  # noqa: E731
    return predictor(workspace, "alone", "0" * 64).run(QUESTIONS, open_it, silent, lambda: False)


def test_ranges_answer_as_one_process_does(workspace: Workspace, plan: SystemPlan) -> None:
    answers = asked(workspace, plan, InTurn())
    assert said(answers) == said(alone(workspace, plan))
    assert sum(session.rows for session in answers.sessions) == len(QUESTIONS)
    assert all(session.wall_seconds > 0 for session in answers.sessions), "loading is not part of answering"
    loaded = [session for session in answers.sessions if session.facts.load_seconds]
    assert len(loaded) == 1, "a process loads its model once"
    assert answers.facts.load_seconds == loaded[0].facts.load_seconds
    assert not list((workspace.comparisons / "shared" / "predictions").glob("*.ranges"))


def test_the_journal_is_that_of_any_comparison(workspace: Workspace, plan: SystemPlan) -> None:
    first = asked(workspace, plan, InTurn())
    again = predictor(workspace, "shared")
    assert again.answers.predictions == first.predictions
    assert not again.missing(QUESTIONS)


def test_a_killed_comparison_asks_only_for_its_open_ranges(workspace: Workspace, plan: SystemPlan) -> None:
    dying, second = InTurn(dies_after=4), InTurn()
    with pytest.raises(KeyboardInterrupt):
        asked(workspace, plan, dying)
    answers = asked(workspace, plan, second)
    assert len(dying.done) == 4
    assert len(second.done) == 2, "21 questions are six ranges, of which four were done"
    assert said(answers) == said(alone(workspace, plan))
