"""Claims about evaluate.stats.certainty, checked against the libraries and against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluate.stats import certainty


def clustered(rng: np.random.Generator, clusters: int, size: int, delta: float) -> tuple[np.ndarray, list[str]]:
    """Differences with a shared shift per cluster: intra-cluster correlation 0.5."""
    shift = np.repeat(rng.normal(0, 1, clusters), size)
    ids = [str(i) for i in np.repeat(np.arange(clusters), size)]
    return delta + shift + rng.normal(0, 1, clusters * size), ids


def test_wilson_agrees_with_the_textbook_interval() -> None:
    interval = certainty.wilson(81, 263)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.2553, 0.3662)  # Newcombe 1998, table I


def test_wilson_of_nothing_is_an_error_not_a_zero() -> None:
    with pytest.raises(ValueError, match="at least one"):
        certainty.wilson(0, 0)


def test_paired_difference_without_clusters_is_the_paired_t_test() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(1)
    a, b = rng.normal(0.1, 1, 400), rng.normal(0, 1, 400)
    ours, theirs = certainty.paired_difference(a, b), ttest_rel(a, b)
    low, high = theirs.confidence_interval()
    assert ours.delta == pytest.approx((a - b).mean())
    assert (ours.low, ours.high, ours.p) == pytest.approx((low, high, theirs.pvalue))


def test_the_non_inferiority_bound_is_the_one_of_ttost_paired() -> None:
    from statsmodels.stats.weightstats import ttost_paired

    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 1, 500), rng.normal(0.02, 1, 500)
    bound = certainty.paired_difference(a, b).lower_one_sided
    lower_test = ttost_paired(a, b, bound, 10.0)[1]
    assert lower_test[1] == pytest.approx(0.05)


def test_clusters_of_one_row_change_nothing() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 2, 300).astype(float), rng.integers(0, 2, 300).astype(float)
    alone = certainty.paired_difference(a, b)
    named = certainty.paired_difference(a, b, [f"row {i}" for i in range(300)])
    assert (alone.low, alone.high) == pytest.approx((named.low, named.high))


def test_clusters_of_one_size_have_the_error_that_statsmodels_gives() -> None:
    from statsmodels.regression.linear_model import OLS

    d, ids = clustered(np.random.default_rng(4), 40, 10, 0.0)
    codes = np.unique(ids, return_inverse=True)[1]
    fit = OLS(d, np.ones(len(d))).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
    found = certainty.paired_difference(d, 0 * d, ids)
    assert found.se == pytest.approx(float(fit.bse[0]), rel=1e-6)
    assert [found.low, found.high] == pytest.approx(fit.conf_int()[0].tolist())
    assert found.p == pytest.approx(float(fit.pvalues[0]))


def test_clusters_of_many_sizes_have_the_error_of_the_jackknife() -> None:
    d, ids = clustered(np.random.default_rng(4), 40, 10, 0.0)
    names = ["big" if int(name) < 8 else name for name in ids]
    without = [d[[name != left_out for name in names]].mean() for left_out in sorted(set(names))]
    by_hand = np.sqrt(32 / 33 * np.sum((np.array(without) - d.mean()) ** 2))
    assert certainty.paired_difference(d, 0 * d, names).se == pytest.approx(by_hand)


def test_clusters_that_all_come_out_even_do_not_make_certainty() -> None:
    d = np.tile([1.0, -1.0], 3)
    found = certainty.paired_difference(d, 0 * d, ["a", "a", "b", "b", "c", "c"])
    assert found.delta == 0
    assert (found.low, found.high) == pytest.approx((-(1 - 0.025 ** (1 / 3)), 1 - 0.025 ** (1 / 3)))
    assert certainty.verdict(found, 0.02).word == certainty.INCONCLUSIVE


def test_rows_that_hang_together_widen_the_interval() -> None:
    d, ids = clustered(np.random.default_rng(4), 40, 10, 0.0)
    naive, honest = certainty.paired_difference(d, 0 * d), certainty.paired_difference(d, 0 * d, ids)
    assert honest.high - honest.low > 1.5 * (naive.high - naive.low)
    assert honest.clusters == 40


def test_duplicating_every_row_under_its_cluster_id_adds_no_certainty() -> None:
    rng = np.random.default_rng(5)
    d = rng.normal(0, 1, 300)
    ids = [str(i) for i in range(300)]
    once = certainty.paired_difference(d, 0 * d, ids)
    twice = certainty.paired_difference(np.tile(d, 2), np.zeros(600), ids * 2)
    assert twice.se == pytest.approx(once.se, rel=0.01)


def test_few_rows_get_a_bootstrap_and_many_a_normal_theory_interval() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 2, 400).astype(float), rng.integers(0, 2, 400).astype(float)
    assert "bootstrap" in certainty.paired_difference(a[:150], b[:150]).method
    assert "bootstrap" not in certainty.paired_difference(a, b).method


def test_rare_differences_in_few_rows_are_covered_as_often_as_promised() -> None:
    rng, covered, sets = np.random.default_rng(0), 0, 200
    for _ in range(sets):
        small, large = (rng.random(60) < 0.93).astype(float), (rng.random(60) < 0.97).astype(float)
        found = certainty.paired_difference(small, large)
        covered += found.low <= -0.04 <= found.high
    assert 0.93 <= covered / sets <= 0.99


def test_systems_that_never_differ_get_an_interval_that_shrinks_with_rows() -> None:
    few = certainty.paired_difference(np.ones(30), np.ones(30))
    many = certainty.paired_difference(np.ones(3000), np.ones(3000))
    assert few.delta == many.delta == 0
    assert few.high == pytest.approx(1 - 0.025 ** (1 / 30))
    assert 0 < many.high < few.high


def test_a_single_cluster_yields_no_certainty_at_all() -> None:
    difference = certainty.paired_difference([1, 0, 1, 1], [0, 0, 1, 0], ["same"] * 4)
    assert (difference.low, difference.high) == (-1.0, 1.0)
    assert certainty.verdict(difference, 0.02).word == certainty.INCONCLUSIVE


def test_exact_mcnemar_is_the_binomial_test_of_the_discordant_rows() -> None:
    from scipy.stats import binomtest

    small = [1] * 50 + [1] * 12 + [0] * 3 + [0] * 10
    large = [1] * 50 + [0] * 12 + [1] * 3 + [0] * 10
    result = certainty.mcnemar(small, large)
    assert result[:4] == (50, 12, 3, 10)
    assert result.p == pytest.approx(binomtest(3, 15).pvalue)


def test_our_bca_bootstrap_agrees_with_scipy() -> None:
    from scipy.stats import bootstrap

    rng = np.random.default_rng(7)
    words = rng.integers(5, 15, 120).astype(float)
    edits = rng.poisson(0.1 * words).astype(float)
    ours = certainty.cluster_bootstrap(np.column_stack([edits, words]), certainty.ratio, resamples=9999)
    theirs = bootstrap(
        (edits, words),
        lambda e, w, axis: e.sum(axis) / w.sum(axis),
        paired=True,
        method="BCa",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.002)


def test_corpus_wer_is_the_ratio_of_sums_not_the_mean_of_ratios() -> None:
    boot = certainty.cluster_bootstrap(np.array([[1.0, 1.0], [0.0, 99.0]]), certainty.ratio)
    assert boot.value == 0.01


def test_joint_resampling_sees_that_equal_systems_never_differ() -> None:
    rng = np.random.default_rng(8)
    edits, words = rng.integers(0, 3, 300).astype(float), np.full(300, 10.0)
    columns = np.column_stack([edits, words, edits, words])
    difference = certainty.bootstrap_difference(
        columns, lambda s: certainty.ratio(s[..., 2:]) - certainty.ratio(s[..., :2])
    )
    assert (difference.delta, difference.low, difference.high) == (0, 0, 0)


def test_holm_is_the_step_down_rule() -> None:
    assert certainty.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert certainty.holm([]) == []


def test_holm_agrees_with_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = list(np.random.default_rng(9).uniform(0, 0.2, 12))
    assert certainty.holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_power_and_detectable_effect_are_inverses() -> None:
    rows = certainty.rows_needed(0.03, sd=0.5)
    assert certainty.minimum_detectable_effect(0.5, rows) == pytest.approx(0.03, rel=0.001)
    assert rows == 2181  # ((1.960 + 0.8416) · 0.5 / 0.03)²


def make(delta: float, se: float, n: int = 1000) -> certainty.Difference:
    return certainty.Difference(
        delta, delta - 1.96 * se, delta + 1.96 * se, delta - 1.645 * se, se, se * n**0.5, 0.5, n, n, ""
    )


@pytest.mark.parametrize(
    ("delta", "se", "word"),
    [
        (0.05, 0.01, certainty.BETTER),
        (0.0, 0.005, certainty.NOT_WORSE),
        (-0.01, 0.004, certainty.NOT_WORSE),
        (-0.05, 0.01, certainty.WORSE),
        (-0.01, 0.02, certainty.INCONCLUSIVE),
        (0.01, 0.03, certainty.INCONCLUSIVE),
    ],
)
def test_each_verdict_word_is_reached(delta: float, se: float, word: str) -> None:
    assert certainty.verdict(make(delta, se), margin=0.02).word == word


def test_a_measurable_loss_within_the_margin_is_told_and_not_hidden() -> None:
    assert "measurably behind" in certainty.verdict(make(-0.01, 0.004), 0.02).sentence


def test_inconclusive_says_about_how_many_rows_would_decide() -> None:
    result = certainty.verdict(make(0.0, 0.02), margin=0.02)
    assert result.rows_to_decide is not None
    assert 6000 < result.rows_to_decide < 6400  # (2.4865 · 0.632 / 0.02)² = 6,183
    assert "about 6,200 rows would decide" in result.sentence


def test_seed_spread_shows_no_interval_for_two_seeds() -> None:
    assert certainty.seed_spread([0.9, 0.92]).low is None
    spread = certainty.seed_spread([0.90, 0.92, 0.94])
    assert spread.mean == pytest.approx(0.92)
    assert spread.low == pytest.approx(0.92 - 4.303 * 0.02 / 3**0.5, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=60))
def test_any_paired_outcomes_give_an_ordered_interval_around_delta(rows: list[tuple[int, int]]) -> None:
    small, large = zip(*rows, strict=True)
    d = certainty.paired_difference(small, large)
    assert -1 <= d.low <= d.delta + 1e-9
    assert d.delta - 1e-9 <= d.high <= 1
    assert d.low <= d.lower_one_sided + 1e-9
