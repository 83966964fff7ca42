"""Claims about what mistakes cost and the threshold that costs least, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evaluate.stats.error_costs import ALWAYS, NEVER, best_threshold, mean_cost, mistake_costs

COSTS = {("high", "low"): 100.0, ("low", "high"): 1.0}


def test_a_missed_high_urgency_costs_what_was_said_and_no_label_costs_as_much() -> None:
    paid = mistake_costs(["high", "high", "low", "low", "high"], ["high", "low", "high", "low", ""], COSTS)
    assert paid.tolist() == [0, 100, 1, 0, 100]
    with pytest.raises(ValueError, match="less than nothing"):
        mistake_costs(["a"], ["b"], {("a", "b"): -1})


def test_the_threshold_is_the_cheapest_of_all_by_brute_force() -> None:
    chance = np.random.default_rng(0)
    for _ in range(50):
        sure = chance.random(60).round(1)  # with ties
        paid = np.where(chance.random(60) > sure, 10.0, 0.0)
        found = best_threshold(paid, sure, 2.0)
        assert found is not None

        def total(at: float, sure: np.ndarray = sure, paid: np.ndarray = paid) -> float:
            return float(np.where(sure >= at, paid, 2.0).mean())

        tried = [total(at) for at in (*np.unique(sure), ALWAYS, NEVER)]
        assert total(found.at) == pytest.approx(min(tried))
        assert found.alone == pytest.approx(float((sure >= found.at).mean()))


def test_the_cost_that_is_reported_is_not_that_of_the_rows_it_was_chosen_on() -> None:
    """Where confidence says nothing, the chosen threshold looks cheaper on its own rows than it is."""
    chance = np.random.default_rng(1)
    own, reported, true = [], [], []
    for _ in range(200):
        sure, paid = chance.random(40), np.where(chance.random(40) < 0.3, 10.0, 0.0)
        found = best_threshold(paid, sure, 3.0)
        assert found is not None
        own.append(np.where(sure >= found.at, paid, 3.0).mean())
        reported.append(found.cost.mean)
        true.append(3.0)  # 0.3 x 10 and a person cost the same: no threshold is better than 3
    assert np.mean(own) < 2.6
    assert np.mean(reported) == pytest.approx(np.mean(true), abs=0.12)


def test_dear_mistakes_send_every_row_to_a_person_and_cheap_ones_none() -> None:
    sure, paid = np.linspace(0, 1, 30), np.full(30, 1.0)
    dear, cheap = best_threshold(1000 * paid, sure, 1.0), best_threshold(paid, sure, 50.0)
    assert dear is not None and cheap is not None
    assert (dear.at, dear.alone, dear.cost.mean) == (NEVER, 0.0, 1.0)
    assert (cheap.at, cheap.alone, cheap.cost.mean) == (ALWAYS, 1.0, 1.0)
    assert best_threshold(paid[:19], sure[:19], 1.0) is None  # that few rows decide nothing


def test_the_interval_of_a_cost_is_the_t_interval_over_rows() -> None:
    found = mean_cost(np.array([0.0, 10.0] * 50))
    assert found.mean == 5
    assert found.high - found.mean == pytest.approx(1.984 * 5.025 / 10, rel=0.01)
