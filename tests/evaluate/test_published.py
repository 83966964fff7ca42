"""Claims about docs/published.md and docs/evaluation.md: what they show is what the commands print."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluate.stats import published

DOCS = Path(__file__).parents[2] / "docs"


def test_the_document_holds_what_the_command_prints() -> None:
    text = (DOCS / "published.md").read_text("utf-8")
    assert published.table() in text, "run `python -m evaluate.stats.published` and put its output into docs"
    assert published.wins() in text


def test_49_of_50_says_nothing_about_one_point() -> None:
    claim = next(one for one in published.CLAIMS if one.large == "Claude Haiku 4.5" and one.n == 50)
    for found in published.read(claim, 50):
        assert found.low < -0.02 < 0.02 < found.high


def test_how_alike_two_systems_are_decides_how_sure_a_difference_is() -> None:
    claim = next(one for one in published.CLAIMS if one.task == "text to SQL, exact")
    found = published.read(claim, 50)
    assert [one.delta for one in found] == pytest.approx([0.12] * 3)
    widths = [one.high - one.low for one in found]
    assert widths == sorted(widths)
    assert found.most_alike.low > 0 > found.least_alike.low
