"""Replay rows and forgetting rows of an embedded starter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from recipes.models.files import ModelRef
from recipes.train.replay import base_rows, forgetting_rows, mix, replay_count
from synth.errors import RecipeError
from synth.example import Example, make_example, user

STARTER = ModelRef("starter-text", "starter", Path("nowhere"), None, "text")


def row(text: str) -> Example:
    return make_example([user(text)], "Answer: 1", family="f", template="t", answer="1")


@pytest.fixture(autouse=True)
def families(monkeypatch: pytest.MonkeyPatch) -> None:
    def examples(seed: int, n: int, families: object = None) -> Iterator[Example]:
        return (row(f"{seed}-{i}") for i in range(n))

    module = ModuleType("recipes.starters.text_data")
    module.examples = examples  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "recipes.starters.text_data", module)


def test_replay_makes_up_its_fraction_of_the_mixture() -> None:
    new = [row(f"new {i}") for i in range(80)]
    mixed = mix(new, base_rows(STARTER, replay_count(80, 0.2), seed=3), seed=0)
    replayed = [r for r in mixed if r.source.get("replay")]
    assert (len(mixed), len(replayed)) == (100, 20)
    assert mixed == mix(new, base_rows(STARTER, 20, seed=3), seed=0)
    assert mixed[:80] != new, "replay rows must be spread over the list"


def test_a_row_that_is_there_already_is_not_replayed() -> None:
    assert len(mix([row("3-0")], base_rows(STARTER, 2, seed=3), seed=0)) == 2


def test_hardly_a_forgetting_row_is_among_those_that_are_replayed() -> None:
    fresh = forgetting_rows(STARTER, 200)
    replayed = {r.id for r in base_rows(STARTER, 1000, seed=0)}
    assert len(fresh) == 200
    assert {r.split for r in fresh} == {"test"}
    assert sum(r.id in replayed for r in fresh) <= 2


def test_a_base_from_elsewhere_has_no_known_families() -> None:
    with pytest.raises(RecipeError, match="embedded starters only"):
        base_rows(STARTER._replace(kind="hub", name="owner/model"), 1, seed=0)
