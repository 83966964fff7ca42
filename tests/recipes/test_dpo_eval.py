"""What preference tuning did to greedy answers is said at the end of its run, with a warning beyond chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recipes import __main__ as worker
from recipes.decode.sampling import Answer, Generate
from recipes.run.directory import Run
from recipes.train import dpo_eval, samples
from recipes.train.dpo_eval import Change, change
from synth.example import Example
from synth.workspace import Workspace
from tests.recipes.test_text_dpo import make_dataset, make_run, rows, train
from tests.tiny import tiny_llama
from tests.tiny_runs import assert_same_adapter, stop_after

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("base") / "tiny")


def test_both_sides_of_each_row_are_counted() -> None:
    assert change([1, 1, 0, 0, 1], [1, 0, 1, 0, 0]) == Change(rows=5, before=3, after=2, lost=2, gained=1)


@pytest.mark.parametrize(
    ("lost", "gained", "harmful"),
    [(0, 0, False), (4, 0, False), (5, 0, True), (9, 4, False), (10, 2, True), (2, 10, False), (5, 5, False)],
)
def test_only_losses_that_chance_does_not_explain_are_called_harmful(lost: int, gained: int, harmful: bool) -> None:
    found = Change(200, 170, 170 - lost + gained, lost, gained)
    assert found.harmful is harmful
    assert ("keep the adapter it started from" in found.sentence) is harmful


def scripted(monkeypatch: pytest.MonkeyPatch, *looks: set[int]) -> None:
    """Let each look answer right exactly the rows of these numbers."""
    left = list(looks)

    def answers(_: Any, __: Any, asked: list[Example]) -> list[list[Answer]]:
        right = left.pop(0)
        return [[Answer(e.target if n in right else "Answer: 7000", True)] for n, e in enumerate(asked)]

    monkeypatch.setattr(samples, "answers", answers)


def paired_with_val(workspace: Workspace) -> None:
    watched = [row.model_copy(update={"split": "val"}) for row in rows(24, paired=False)[16:]]
    make_dataset(workspace, "pairs", [*rows(16, paired=True), *watched])


def short(workspace: Workspace, base: Path, **more: Any) -> Run:
    return make_run(workspace, base, "dpo", **{"data.val_split": "val", "optim.max_steps": 2, **more})


def test_the_end_of_the_run_says_what_it_did_to_validation_rows(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paired_with_val(workspace)
    scripted(monkeypatch, {0, 1, 2, 3, 4, 5}, {0})
    run = short(workspace, base)
    with run.hold():
        assert worker.work(run) == 0
    ended = run.exit()
    assert ended
    assert "Of 8 validation rows, 6 were answered right before and 1 after it" in ended.sentence
    assert "keep the adapter it started from" in ended.sentence
    assert [event["sentence"] for event in run.events("warning")] == [dpo_eval.last_sentence(run)]


def test_a_resumed_run_is_compared_with_its_first_beginning(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paired_with_val(workspace)
    scripted(monkeypatch, {0, 1}, {0, 1, 2})
    run = short(workspace, base, save_steps=1, **{"optim.max_steps": 3})
    again = stop_after(1, run, train, monkeypatch)
    with again.hold():
        assert worker.work(again) == 0
    assert [event["when"] for event in again.events("accuracy")] == ["before", "after"]
    assert dpo_eval.last_sentence(again) == "Of 8 validation rows, 2 were answered right before and 3 after it."


def test_looking_changes_nothing_that_is_learned_and_its_failure_ends_nothing(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paired_with_val(workspace)
    looked = short(workspace, base)
    with looked.hold():
        assert worker.work(looked) == 0
    assert len(looked.events("accuracy")[0]["right"]) == 8

    def fail(*_: Any) -> Generate:
        raise RuntimeError("no memory for that")

    monkeypatch.setattr(samples, "answers", fail)
    blind = make_run(workspace, base, "blind", **{"data.val_split": "val", "optim.max_steps": 2})
    with blind.hold():
        assert worker.work(blind) == 0
    assert "no memory for that" in blind.events("warning")[0]["sentence"]
    assert_same_adapter(looked, blind)
