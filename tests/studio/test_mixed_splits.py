"""A test split of real and made rows is two splits of the report; who reads single rows must find the right ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from plausible import results

from evaluate import compare, judge
from evaluate.report import report_json
from evaluate.report.schema import Report
from evaluate.report.scored_rows import scored_rows
from studio.read import mistakes
from synth.errors import StorageError


class Mixed(NamedTuple):
    folder: Path
    report: Report
    real: set[str]

    @property
    def scores(self) -> Path:
        return self.folder / "scores.jsonl"


@pytest.fixture
def mixed(tmp_path: Path) -> Mixed:
    """A third of the test rows is real."""
    measured = results(("sft", "large-few"), small="sft", per_split=60)
    names = sorted({row.example_id for row in measured.systems[0].rows if row.split == "test"})
    real = set(names[::3])

    def told(system: object) -> object:
        rows = tuple(
            row.model_copy(update={"origin": "real" if row.example_id in real else "template"})
            for row in system.rows  # type: ignore[attr-defined]
        )
        return system.model_copy(update={"rows": rows})  # type: ignore[attr-defined]

    measured = measured.model_copy(update={"systems": tuple(map(told, measured.systems))})
    made = report_json.build(measured)
    compare._write_scores(measured, tmp_path / "scores.jsonl")
    (tmp_path / "report.json").write_text(report_json.dumps(made), "utf-8")
    return Mixed(tmp_path, made, real)


def test_mistakes_are_those_of_the_rows_that_the_verdict_is_about(mixed: Mixed) -> None:
    assert mixed.report.primary_split == "test.real"
    found = mistakes.answers(mixed.scores, mixed.report, "sft")
    assert {row.example_id for row in found} == mixed.real


def test_the_judge_compares_answers_to_those_rows(mixed: Mixed) -> None:
    pairs = judge.pairs_of(judge.answers(mixed.scores, mixed.report), mixed.report.small, mixed.report.large or "")
    assert {one.example_id for one in pairs} == mixed.real


def test_anything_but_an_answer_is_a_sentence_with_its_line(mixed: Mixed) -> None:
    with mixed.scores.open("a") as file:
        file.write(json.dumps({"system": "sft", "name": "x"}) + "\n")
    with pytest.raises(StorageError, match=r"in line \d+ something else than an answer"):
        list(scored_rows(mixed.scores, mixed.report, "test.real"))
