"""Claims about classification figures, checked against scikit-learn's definitions worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from plausible import results

from evaluate.report import render_html, render_md, report_json
from evaluate.report.results import Results, Row, SystemResult
from evaluate.stats.classes import classification, macro_f1_difference
from evaluate.stats.measures import class_table

GOLD = ["a"] * 6 + ["b"] * 3 + ["c"]
GIVEN = ["a", "a", "a", "a", "b", "other", "b", "b", "a", "c"]


def test_macro_f1_weighs_each_class_alike() -> None:
    found = classification(GOLD, GIVEN)
    by_label = {one.label: one for one in found.classes}
    assert by_label["a"].f1 == pytest.approx(2 * 4 / (6 + 5))
    assert by_label["b"].f1 == pytest.approx(2 * 2 / (3 + 3))
    assert by_label["c"].f1 == 1.0
    assert found.macro_f1.value == pytest.approx((8 / 11 + 2 / 3 + 1) / 3)
    assert by_label["a"].precision == pytest.approx(4 / 5)
    assert by_label["a"].recall.value == pytest.approx(4 / 6)
    assert (found.majority_label, found.majority) == ("a", 0.6)
    assert found.confusion[0] == ("a", "a", 4)


def test_answers_outside_the_labels_are_wrong_and_no_class_of_their_own() -> None:
    found = classification(["x", "x", "y"], ["x", "I think it is x", "y"])
    assert [one.label for one in found.classes] == ["x", "y"]
    assert found.classes[0].given == 1


def test_a_class_of_one_row_has_a_recall_that_says_next_to_nothing() -> None:
    rare = classification(GOLD, GIVEN).classes[2]
    assert rare.recall.value == 1.0
    assert rare.recall.low == 0.0


def test_the_interval_of_macro_f1_has_the_width_of_the_jackknife() -> None:
    rng = np.random.default_rng(0)
    gold = rng.choice(["a", "b", "c"], 300, p=[0.6, 0.3, 0.1]).tolist()
    given = [one if rng.random() < 0.8 else str(rng.choice(["a", "b", "c"])) for one in gold]
    found = classification(gold, given).macro_f1
    left_out = [
        classification(gold[:skip] + gold[skip + 1 :], given[:skip] + given[skip + 1 :]).macro_f1.value
        for skip in range(300)
    ]
    se = np.sqrt(299 / 300 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    assert found.high - found.low == pytest.approx(2 * 1.968 * se, rel=0.03)


def test_nothing_wrong_is_no_certainty() -> None:
    found = classification(["a", "b"] * 20, ["a", "b"] * 20, [str(i // 4) for i in range(40)]).macro_f1
    assert found.value == found.high == 1.0
    assert found.low < 0.75  # ten clusters


def test_the_difference_of_macro_f1_is_zero_with_a_bound_for_equal_systems() -> None:
    same = macro_f1_difference(GOLD, GIVEN, GIVEN)
    assert (same.delta, same.p) == (0, 1)
    assert same.low < 0 < same.high
    worse = macro_f1_difference(GOLD * 30, ["a"] * 300, GOLD * 30)
    assert worse.high < 0
    assert worse.delta == pytest.approx(2 * 6 / 16 / 3 - 1)


def row(number: int, gold: str, answer: str) -> Row:
    right = float(answer.lower() == gold.lower())
    where = {"split": "test", "family": "f", "template": str(number), "scorer": "exact"}
    return Row(example_id=str(number), gold=gold, answer=answer, score=right, **where)


def test_rows_with_few_gold_answers_get_a_class_table_and_open_answers_none() -> None:
    rows = [row(i, "refund" if i % 3 else "delay", "Refund" if i % 2 else "delay") for i in range(60)]
    table = class_table(rows)
    assert table is not None
    assert {one.label: (one.gold, one.right) for one in table.classes} == {"delay": (20, 10), "refund": (40, 20)}
    assert class_table([row(i, str(i), str(i)) for i in range(60)]) is None


def with_labels(original: Results) -> Results:
    """The plausible comparison as a classification of complaints; wrong answers name the next class."""
    labels = ["delay", "refund", "<b>other|</b>"]

    def classified(system: SystemResult) -> SystemResult:
        rows = []
        for number, one in enumerate(system.rows):
            gold, wrong = labels[number % 3], labels[(number + 1) % 3]
            rows.append(one.model_copy(update={"gold": gold, "answer": gold if one.score == 1 else wrong}))
        return system.model_copy(update={"rows": tuple(rows)})

    return original.model_copy(update={"systems": tuple(classified(system) for system in original.systems)})


def test_a_classification_has_macro_f1_recall_and_mistakes_in_every_view() -> None:
    made = report_json.build(with_labels(results(per_split=120)))
    part = made.by_class
    assert part is not None
    assert part.majority == pytest.approx(1 / 3)
    small, large = part.systems[made.small], part.systems[made.large or ""]
    assert part.macro_f1_ahead == pytest.approx(small.macro_f1 - large.macro_f1, abs=0.02)  # rows of both
    assert {one.label for one in small.classes} == {"delay", "refund", "<b>other|</b>"}
    assert ("delay", "refund") in {(one.gold, one.given) for one in large.mistakes}
    assert all(one.recall_ci95[0] < one.recall <= one.recall_ci95[1] for one in large.classes)
    page, text = render_html.render(made), render_md.render(made)
    assert 'id="classes"' in page
    assert "<b>other" not in page.split('id="classes"')[1].split("<h2")[0]
    assert f"{100 * small.macro_f1:.1f} %" in text
    assert "<b>other" not in text


@pytest.mark.slow
def test_open_answers_have_no_section_by_class() -> None:
    made = report_json.build(results(per_split=60))
    assert made.by_class is None
    assert 'id="classes"' not in render_html.render(made)
