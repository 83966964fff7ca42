"""The task's own metric while a model is trained: told at each validation and of what is kept, and without a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import sums_dataset, tiny_llama
from tiny_runs import assert_same_training
from workers import tiny_run

from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from recipes.text import text_sft
from recipes.train import scores
from synth.dataset import DatasetDir
from synth.example import Example, make_example, user
from synth.scoring.scorers import score_reply
from synth.workspace import Workspace


def rows(scorer: str, answers: list[str]) -> list[Example]:
    return [
        make_example([user(f"{n}")], a, answer=a, family="f", template="t", scorer=scorer, split="val")
        for n, a in enumerate(answers)
    ]


def test_error_rates_are_all_edits_by_all_words_and_others_a_mean() -> None:
    spoken = rows("wer", ["the red bird sings", "softly"])
    heard = [score_reply(text, row) for text, row in zip(["the red bird sings", "loudly"], spoken, strict=True)]
    assert scores.pooled(spoken, heard) == ("wer", 1 / 5, 2, True)
    sums = rows("math", ["4", "5"])
    told = [score_reply(text, row) for text, row in zip(["4", "6"], sums, strict=True)]
    assert scores.pooled(sums, told) == ("accuracy", 0.5, 2, False)


def test_the_scored_rows_are_the_same_whatever_the_seed(tmp_path: Path) -> None:
    dataset = DatasetDir(sums_dataset(tmp_path / "sums", train=2, val=30))
    drawn = [
        [row.id for row in scores.scored_rows(load_recipe("starter-text-sft", ["score_rows=7", seed]), dataset)]
        for seed in ("seed=0", "seed=5")
    ]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 7


@pytest.mark.slow
def test_the_metric_is_told_at_each_validation_and_of_what_is_kept_and_changes_nothing(
    workspace: Workspace, tmp_path: Path
) -> None:
    model, dataset = tiny_llama(tmp_path / "model"), sums_dataset(tmp_path / "sums", train=32)

    def train(**choices: Any) -> Run:
        run = tiny_run(workspace, model, dataset, max_steps=4, **choices)
        text_sft.train(run, run.recipe)
        return run

    plain, scored = train(), train(eval_steps=2, score_rows=4)
    told = scored.events("score")
    assert [(event["step"], event["final"]) for event in told] == [(2, False), (4, False), (4, True)]
    assert all(event["metric"] == "accuracy" and event["rows"] == 4 for event in told)
    assert scores.finals(scored) == ("accuracy", told[-1]["value"], 4, False)
    assert scores.finals(plain) is None
    assert_same_training(plain, scored)
    blind = train(eval_steps=2, score_rows=4, val_split="")
    assert any("no validation rows" in event["sentence"] for event in blind.events("warning"))
    assert len(blind.events("step")) == 4, "and the training goes on"
