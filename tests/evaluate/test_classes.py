"""Claims about classification figures, checked against scikit-learn's definitions worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evaluate.stats.classes import classification, macro_f1_difference

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
