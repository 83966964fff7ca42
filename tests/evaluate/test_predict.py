"""Predictions survive kills, are shared between comparisons, and are asked for once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from evaluate.predict.journal import Predictor, read_answers
from evaluate.predict.prediction import Facts, Prediction, Stop
from evaluate.predict.prompts import Question
from synth.errors import RunError
from synth.example import user
from synth.progress import Progress, silent
from synth.usage import Usage
from synth.workspace import Workspace


class Fake:
    """Answers with the id; fails the ids in `bad`; dies after `dies_after` answers."""

    def __init__(self, bad: Sequence[str] = (), dies_after: int = 10**9) -> None:
        self.bad, self.dies_after = set(bad), dies_after
        self.asked: list[str] = []
        self.closed = False

    def answer(self, questions: Sequence[Question], stop: Stop) -> Iterator[Prediction]:
        for question in questions:
            if len(self.asked) == self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(question.example_id)
            error = "no" if question.example_id in self.bad else ""
            yield Prediction(example_id=question.example_id, text="x", usage=Usage(input_tokens=1), error=error)

    def facts(self) -> Facts:
        return Facts(params=7, load_seconds=0.0)

    def close(self) -> None:
        self.closed = True


QUESTIONS = [Question(str(i), (user("q"),), Path()) for i in range(10)]


def predictor(workspace: Workspace, comparison: str = "c", mark: str = "f" * 64, retry: bool = True) -> Predictor:
    journal = workspace.comparisons / comparison / "predictions" / "s.jsonl"
    return Predictor(journal, mark, "System", workspace, retry_errors=retry)


def never() -> bool:
    return False


def test_a_second_run_asks_nothing(workspace: Workspace) -> None:
    first, second = Fake(), Fake()
    predictor(workspace).run(QUESTIONS, lambda: first, silent, never)
    answers = predictor(workspace).run(QUESTIONS, lambda: second, silent, never)
    assert (len(first.asked), second.asked) == (10, [])
    assert len(answers.predictions) == 10
    assert answers.facts.params == 7
    assert answers.rows_per_second
    assert first.closed


def test_a_killed_run_asks_only_for_the_rest(workspace: Workspace) -> None:
    dying, rest = Fake(dies_after=4), Fake()
    with pytest.raises(KeyboardInterrupt):
        predictor(workspace).run(QUESTIONS, lambda: dying, silent, never)
    predictor(workspace).run(QUESTIONS, lambda: rest, silent, never)
    assert dying.asked + rest.asked == [q.example_id for q in QUESTIONS]
    assert dying.closed


def test_a_torn_last_line_costs_one_row(workspace: Workspace) -> None:
    predictor(workspace).run(QUESTIONS, Fake, silent, never)
    journal = workspace.comparisons / "c" / "predictions" / "s.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    predictions = [line for line in lines if b'"prediction"' in line]
    journal.write_bytes(b"".join(predictions)[:-9])
    again = Fake()
    predictor(workspace).run(QUESTIONS, lambda: again, silent, never)
    assert again.asked == ["9"]


def test_another_comparison_takes_over_what_is_known(workspace: Workspace) -> None:
    predictor(workspace, "one").run(QUESTIONS, Fake, silent, never)
    other = Fake()
    more = [*QUESTIONS, Question("new", (user("q"),), Path())]
    answers = predictor(workspace, "two").run(more, lambda: other, silent, never)
    assert other.asked == ["new"]
    assert len(answers.predictions) == 11


def test_another_fingerprint_shares_nothing(workspace: Workspace) -> None:
    predictor(workspace).run(QUESTIONS, Fake, silent, never)
    changed = Fake()
    predictor(workspace, mark="0" * 64).run(QUESTIONS, lambda: changed, silent, never)
    assert len(changed.asked) == 10
    journal = workspace.comparisons / "c" / "predictions" / "s.jsonl"
    assert len(read_answers(journal, "f" * 64).predictions) == 10


def test_only_an_endpoints_errors_are_tried_again(workspace: Workspace) -> None:
    predictor(workspace).run(QUESTIONS, lambda: Fake(bad="3"), silent, never)
    local, endpoint = Fake(), Fake()
    predictor(workspace, retry=False).run(QUESTIONS, lambda: local, silent, never)
    answers = predictor(workspace).run(QUESTIONS, lambda: endpoint, silent, never)
    assert (local.asked, endpoint.asked) == ([], ["3"])
    assert not answers.predictions["3"].error


def test_a_stop_request_keeps_answers_and_says_so(workspace: Workspace) -> None:
    seen: list[Progress] = []
    fake = Fake()
    with pytest.raises(RunError) as caught:
        predictor(workspace).run(QUESTIONS, lambda: fake, seen.append, lambda: len(fake.asked) >= 3)
    assert caught.value.code == "run.stopped"
    assert "3 of 10 answers are kept" in str(caught.value)
    assert predictor(workspace).run(QUESTIONS, Fake, seen.append, never)
    assert (seen[-1].done, seen[-1].total, seen[-1].note) == (7, 7, "3 from the journal")


@pytest.mark.parametrize("kind", ["folder", "dangling link", "unreadable"])
def test_damage_in_another_comparison_stops_no_answers(kind: str, workspace: Workspace) -> None:
    broken = workspace.comparisons / "broken" / "predictions" / "s.jsonl"
    broken.parent.mkdir(parents=True)
    if kind == "folder":
        (broken / "inside").mkdir(parents=True)
    elif kind == "dangling link":
        broken.symlink_to("/nowhere")
    else:
        broken.write_text("x")
        broken.chmod(0)
    predictor(workspace, "one").run(QUESTIONS, Fake, silent, never)
    other = Fake()
    assert len(predictor(workspace, "two").run(QUESTIONS, lambda: other, silent, never).predictions) == 10
    assert not other.asked
