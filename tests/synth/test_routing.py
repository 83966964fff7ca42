"""Several teachers share the writing of a pipeline: by the pipeline's own checks, then a judge, then the price."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.dataset import DatasetDir
from synth.errors import EndpointError, RecipeError
from synth.pipeline import work
from synth.pipeline.plan import Outside, RouteRule, RunPlan, TeacherPlan
from synth.usage import Usage
from synth.workspace import Workspace

pytestmark = pytest.mark.slow

QUIZ = """
version: 1
title: Quiz
about: One answer for each question of a table, kept where it is right.
inputs: {seeds: {title: Seeds, kind: path}}
steps:
  - {step: records, path: $seeds}
  - {step: shuffle}
  - {step: ask, prompt: "{{ question }}", max_tokens: 60, temperature: 0, into: replies}
  - {step: best, keep: best}
  - {step: row, prompt: "{{ question }}", target: "{{ chosen }}", answer: "{{ answer }}", family: "{{ kind }}"}
"""
RATES = {"cheap": 1.0, "dear": 5.0, "judge": 1.0}


def price(usage: Usage, model: str) -> float | None:
    return RATES[model] * ((usage.input_tokens or 0) + (usage.output_tokens or 0)) / 1e6


def questions(count: int = 120) -> list[dict[str, str]]:
    """Every other one a sum, every other one a capital."""
    return [
        {"kind": "sums", "question": f"What is {n} plus 1?", "answer": str(n + 1)}
        if n % 2
        else {"kind": "capitals", "question": f"What is the capital of land {n}?", "answer": f"Town{n}"}
        for n in range(count)
    ]


@contextlib.contextmanager
def knowing(folder: Path, name: str, share: Mapping[str, float], words: str = "") -> Iterator[Stub]:
    """A stub that is right in this share of each kind's questions, in its own words."""
    seen: Counter[str] = Counter()
    lines = []
    for one in questions():
        kind = one["kind"]
        seen[kind] += 1
        right = (seen[kind] * share[kind]) % 1 < share[kind] and share[kind] > 0
        lines.append({"prompt": one["question"], "answer": f"{words}\nAnswer: {one['answer'] if right else 'unknown'}"})
    book = folder / f"{name}.jsonl"
    book.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with serve_in_thread(StubSettings(answers=book, models=(name,))) as stub:
        yield stub


def plan(folder: Path, stubs: Mapping[str, Stub], by: str = "kind", **more: Any) -> RunPlan:
    (folder / "quiz.yaml").write_text(QUIZ)
    (folder / "seeds.jsonl").write_text("".join(json.dumps(one) + "\n" for one in questions()))
    teachers = {name: TeacherPlan(model=name, base_url=stub.base_url, concurrency=4) for name, stub in stubs.items()}
    return RunPlan(
        pipeline=str(folder / "quiz.yaml"),
        inputs={"seeds": str(folder / "seeds.jsonl")},
        teachers=teachers,
        route=RouteRule(by=by, trial=20),
        **more,
    )


def writers(dataset: DatasetDir) -> dict[str, set[str]]:
    """Family → models that wrote its rows."""
    found: dict[str, set[str]] = {}
    for split in dataset.splits():
        for row in dataset.examples(split):
            assert row.origin is not None
            found.setdefault(row.family, set()).add(row.origin.by)
    return found


def test_each_kind_of_row_goes_to_the_teacher_whose_answers_pass_the_checks(
    workspace: Workspace, tmp_path: Path
) -> None:
    with (
        knowing(tmp_path, "cheap", {"sums": 0.9, "capitals": 0.1}) as cheap,
        knowing(tmp_path, "dear", {"sums": 0.1, "capitals": 0.9}) as dear,
    ):
        made = work.start("quiz", plan(tmp_path, {"cheap": cheap, "dear": dear}), Outside(workspace, price))
        asked = len(cheap.requests) + len(dear.requests)
    assert writers(made) == {"sums": {"cheap"}, "capitals": {"dear"}}
    routes = made.card.notes["routes"]
    tried = routes["choices"]["sums"]["tried"]
    assert tried["cheap"]["accepted"] > 15 > 5 > tried["dear"]["accepted"]
    assert all(20 <= one["accepted"] + one["rejected"] <= 40 for one in tried.values())
    assert "accepted" in routes["choices"]["capitals"]["why"]
    # 120 questions once each, and the trial of the teacher that was not chosen: 40 and what was asked ahead.
    assert 120 + 40 <= asked <= 120 + 80


def test_between_teachers_that_pass_alike_the_cheaper_writes(workspace: Workspace, tmp_path: Path) -> None:
    share = {"sums": 0.8, "capitals": 0.8}
    with knowing(tmp_path, "dear", share) as dear, knowing(tmp_path, "cheap", share) as cheap:
        stubs = {"dear": dear, "cheap": cheap}
        made = work.start("quiz", plan(tmp_path, stubs, by=""), Outside(workspace, price))
    choice = made.card.notes["routes"]["others"]
    assert choice["teacher"] == "cheap" and "cheapest" in choice["why"]
    assert choice["tried"]["dear"]["usd_per_row"] > 4 * choice["tried"]["cheap"]["usd_per_row"]
    assert writers(made) == {"sums": {"cheap"}, "capitals": {"cheap"}}


def test_between_teachers_that_pass_alike_a_judge_comes_before_the_price(workspace: Workspace, tmp_path: Path) -> None:
    share = {"sums": 0.8, "capitals": 0.8}
    with (
        knowing(tmp_path, "dear", share, "Let me think about this with care, one step after the other.") as dear,
        knowing(tmp_path, "cheap", share) as cheap,
        serve_in_thread(StubSettings(skill=1.0, models=("judge",))) as judge,  # prefers the longer text
    ):
        stubs = {"dear": dear, "cheap": cheap, "judge": judge}
        made = work.start("quiz", plan(tmp_path, stubs, by=""), Outside(workspace, price))
        assert len(judge.requests) >= 20
    choice = made.card.notes["routes"]["others"]
    assert choice["teacher"] == "dear" and "judge" in choice["why"]


def test_a_judge_whose_choice_goes_with_the_order_decides_nothing(workspace: Workspace, tmp_path: Path) -> None:
    share = {"sums": 0.8, "capitals": 0.8}
    with (
        knowing(tmp_path, "dear", share, "Let me think about this with care.") as dear,
        knowing(tmp_path, "cheap", share) as cheap,
        serve_in_thread(StubSettings(skill=0.0, models=("judge",))) as judge,  # always the first
    ):
        stubs = {"dear": dear, "cheap": cheap, "judge": judge}
        made = work.start("quiz", plan(tmp_path, stubs, by=""), Outside(workspace, price))
    assert made.card.notes["routes"]["others"]["teacher"] == "cheap"


def test_a_trial_is_paid_under_the_cap_of_the_run(workspace: Workspace, tmp_path: Path) -> None:
    share = {"sums": 0.8, "capitals": 0.8}
    with knowing(tmp_path, "dear", share) as dear, knowing(tmp_path, "cheap", share) as cheap:
        wanted = plan(tmp_path, {"dear": dear, "cheap": cheap}, cap_usd=0.002)
        with pytest.raises(EndpointError, match="cap"):
            work.start("quiz", wanted, Outside(workspace, price))
        usd = sum(
            RATES[name] * (row["prompt_tokens"] + row["completion_tokens"]) / 1e6
            for name, stub in (("dear", dear), ("cheap", cheap))
            for row in stub.requests
        )
        assert 0 < usd <= 0.002
        before = len(dear.requests) + len(cheap.requests)
        work.resume("quiz", Outside(workspace, price), cap_usd=1.0)
        repeated = len(dear.requests) + len(cheap.requests) - before
    assert repeated < 240


def test_one_teacher_alone_is_refused_before_anything_is_asked(workspace: Workspace, tmp_path: Path) -> None:
    with knowing(tmp_path, "cheap", {"sums": 1.0, "capitals": 1.0}) as cheap:
        with pytest.raises(RecipeError, match="two teachers"):
            work.start("quiz", plan(tmp_path, {"cheap": cheap, "judge": cheap}), Outside(workspace, price))
        with pytest.raises(RecipeError, match="No candidate has the field"):
            stubs = {"cheap": cheap, "dear": cheap}
            work.start("other", plan(tmp_path, stubs, by="colour"), Outside(workspace, lambda usage, model: None))
    assert not (workspace.datasets / "other").exists()
