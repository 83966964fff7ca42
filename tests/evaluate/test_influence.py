"""Claims about few rows that carry an error rate: they are named, and the rate is shown without them."""

from __future__ import annotations

import html

import numpy as np
import pytest
from plausible import results

from evaluate.report import render_html, render_md, report_json
from evaluate.report.results import Results, Row
from evaluate.stats.influence import carried
from evaluate.stats.intervals import error_rate


def test_three_loops_among_sixty_rows_are_counted_with_the_rate_without_them() -> None:
    edits, words = np.full(60, 1.0), np.full(60, 8.0)
    loops = [4, 20, 41]
    edits[loops] = 220
    ids = [f"t{place % 20}" for place in range(60)]
    found = carried(edits, words, ids, "template")
    assert found is not None
    rest = np.delete(np.arange(60), loops)
    assert (found.rows, found.share) == (3, pytest.approx(660 / 717))
    assert found.without == error_rate(edits[rest], words[rest], [ids[place] for place in rest], "template")
    assert found.without.value == pytest.approx(1 / 8)


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ([1.0] * 60, "errors are spread over all rows"),
        ([0.0] * 59 + [2.0], "two errors in 480 words move the rate by less than a point"),
        ([0.0] * 60, "there are none"),
        ([30.0] * 9 + [0.0] * 51, "a seventh of the rows is not few"),
        ([4.0] * 3 + [1.0] * 57, "no row stands out"),
    ],
)
def test_ordinary_errors_are_carried_by_no_few_rows(edits: list[float], why: str) -> None:
    assert carried(np.array(edits), np.full(60, 8.0), [str(n) for n in range(60)], "row") is None, why


def looping(original: Results) -> Results:
    """Transcripts in place of answers: the small system loops on two recordings of test."""

    def heard(place: int, row: Row, small: bool) -> Row:
        loop = small and row.split == "test" and place < 2
        edits = 300 if loop else place % 2
        return row.model_copy(update={"scorer": "wer", "edits": edits, "ref_units": 10, "score": 1 - edits / 10})

    systems = [
        one.model_copy(
            update={
                "metric": "wer",
                "rows": tuple(heard(n, row, one.id == "dpo") for n, row in enumerate(one.rows)),
            }
        )
        for one in original.systems
    ]
    return original.model_copy(update={"systems": tuple(systems)})


def test_the_report_names_the_rows_that_carry_a_rate_and_shows_it_without_them() -> None:
    report = report_json.build(looping(results(("dpo", "large-few"), per_split=100)))
    small, large = report.small_system, report.large_system
    assert large is not None and large.splits["test"].carried is None
    few = small.splits["test"].carried
    assert few is not None
    assert (few.rows, round(few.value_without, 3)) == (2, 0.05)
    (said,) = [one for one in report.limits if "of its errors; without them its error rate is" in one]
    assert "2 of 100 rows of test hold 92 % of its errors" in said and "5.0 % [" in said and "instead of 64.9 %" in said
    assert said in render_md.render(report).replace("\\", "")
    page = html.unescape(render_html.render(report))
    assert "without the" in page and said in page
