"""A local model asked in ranges answers as one process does; what a killed comparison left is not asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from evaluate.plan import SystemPlan
from evaluate.predict import ranged
from evaluate.predict.journal import Answers, Predictor
from evaluate.predict.prompts import Question
from evaluate.predict.systems import Context, open_system
from synth.errors import RunError
from synth.example import user
from synth.progress import silent
from synth.ranges import Range, Work
from synth.storage import atomic_write_bytes
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


class Late(InTurn):
    """An engine whose first machine of an earlier call, taken for lost, writes its range while this call begins."""

    def __init__(self, range_of_then: bytes) -> None:
        super().__init__()
        self.range_of_then = range_of_then

    def each(
        self, work: Work, ranges: Iterable[Range], stop: Callable[[], bool], model: bool = False
    ) -> Iterator[Range]:
        left = list(ranges)
        folder = next(parent for parent in left[0].file.parents if parent.suffix == ".ranges")
        for place in (folder / left[0].file.name, folder / ("0" * 16) / left[0].file.name):
            atomic_write_bytes(place, self.range_of_then)
        return super().each(work, left, stop, model)


def test_a_range_that_an_earlier_call_s_machine_writes_late_costs_no_answer(
    workspace: Workspace, plan: SystemPlan
) -> None:
    dying = InTurn(ahead=1, dies_after=1)
    with pytest.raises(KeyboardInterrupt):
        asked(workspace, plan, dying)
    (first,) = (workspace.comparisons / "shared" / "predictions").rglob(f"{dying.done[0].partition('/')[2]}.jsonl")
    answers = asked(workspace, plan, Late(first.read_bytes()))
    assert said(answers) == said(alone(workspace, plan))


class OtherCache(InTurn):
    """An engine whose machine has other weights under the model's name."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def each(
        self, work: Work, ranges: Iterable[Range], stop: Callable[[], bool], model: bool = False
    ) -> Iterator[Range]:
        tiny_llama(self.folder, seed=1)
        return super().each(work, ranges, stop, model)


def test_a_machine_with_other_weights_answers_nothing(workspace: Workspace, tmp_path: Path) -> None:
    own = SystemPlan(id="tiny", model=str(tiny_llama(tmp_path)), max_new_tokens=6)
    with pytest.raises(RunError, match="has other weights of tiny than the machine that asks") as caught:
        asked(workspace, own, OtherCache(tmp_path))
    assert caught.value.code == "engine.machine"
    assert not predictor(workspace, "shared").answers.predictions


class Forgetful(InTurn):
    """An engine that loses the content of a range."""

    def each(
        self, work: Work, ranges: Iterable[Range], stop: Callable[[], bool], model: bool = False
    ) -> Iterator[Range]:
        for place, one in enumerate(super().each(work, ranges, stop, model)):
            if place == 1:
                one.file.write_bytes(b"")
            yield one


def test_rows_that_came_back_without_an_answer_are_said(workspace: Workspace, plan: SystemPlan) -> None:
    with pytest.raises(RunError, match="4 of 21 rows of Tiny came back without an answer") as caught:
        asked(workspace, plan, Forgetful())
    assert caught.value.code == "run.rows_missing"
    assert said(asked(workspace, plan, InTurn())) == said(alone(workspace, plan))
