"""A new generator and a new scorer are one file each, and one entry of a table: everything that lists them finds them.

Modalities and methods: tests/recipes/test_modality.py; export targets: tests/recipes/test_export.py; pages:
tests/studio/test_views.py.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from evaluate.plan import Plan
from synth.build import build_dataset
from synth.curation.recheck import check_failures
from synth.example import make_example, user
from synth.generators import GENERATORS, GeneratorInfo
from synth.scoring.scorers import SCORERS, metric, score_reply
from synth.workspace import Workspace

GENERATOR = '''
"""Sums of two digits; every seventh is wrong on purpose."""
from pydantic import BaseModel, Field
from synth.example import make_example, user
from synth.generators import kept, was_kept
from synth.scoring.verify import Verdict

VERSION = 1

class Spec(BaseModel):
    train: int = Field(10, title="Training rows")
    seed: int = 0

def generate(spec, context):
    rng, done, number = context.random(f"sums {spec.seed}"), 0, 0
    while done < spec.train:
        a, b, number = rng.randrange(1000), rng.randrange(1000), number + 1
        answer = str(a + b + (number % 7 == 0))
        example = make_example([user(f"{a} + {b}")], answer, answer=answer, family="sums", template="sums/t1",
                               split="train", scorer="math", source={"generator": "sums", "seed": spec.seed})
        candidate = kept(example)
        done += was_kept(candidate, (yield candidate))

def check(row):
    a, b = row.prompt[0].text.split(" + ")
    return Verdict(int(a) + int(b) == int(row.answer), "the sum is wrong")
'''

SCORER = '''
"""Right when the reply has as many words as the gold answer."""
from synth.scoring.rule import Metric, Score, ScoreRule

def grade(reply, row):
    right = len(reply.split()) == len(row.answer.split())
    return Score(float(right), reply, "as many words" if right else "another number of words")

RULE = ScoreRule("word_count", grade, Metric("length error", "length error", lower_is_better=True))
'''


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "sums_generator.py").write_text(GENERATOR)
    (tmp_path / "word_count_scorer.py").write_text(SCORER)
    monkeypatch.setitem(GENERATORS, "sums", GeneratorInfo("sums", "Sums", "text", "sums_generator", "Two numbers."))
    module = importlib.import_module("word_count_scorer")
    monkeypatch.setitem(SCORERS, "word_count", module.RULE)
    yield module
    for name in ("sums_generator", "word_count_scorer"):
        sys.modules.pop(name, None)


def test_a_new_generator_builds_is_checked_and_is_checked_again_by_hand(
    added: ModuleType, workspace: Workspace
) -> None:
    made = build_dataset("sums", {"train": 30}, "sums", workspace)
    assert made.count("train") == 30
    assert list(made.card.rejected) == ["the sum is wrong"]
    assert made.card.rejected["the sum is wrong"] >= 4
    row = next(iter(made.examples("train")))
    wrong = row.model_copy(update={"answer": "1", "target": "1"})
    assert any("the sum is wrong" in sentence for sentence in check_failures(wrong, row))


def test_a_new_scorer_is_known_to_rows_plans_and_wording(added: ModuleType) -> None:
    row = make_example(
        [user("Say two words.")], "two words", answer="two words", family="f", template="t", scorer="word_count"
    )
    assert score_reply("other words", row).value == 1.0
    verdict = SCORERS["word_count"].verdict("one", row)
    assert verdict is not None
    assert not verdict.ok
    assert metric("length error").lower_is_better
    Plan.model_validate({"dataset": "d", "systems": [{"id": "a", "model": "m"}], "metric": "word_count"})
