"""Claims about evaluate.stats, checked against published tables, other libraries and numbers worked out by hand."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from bench import bench_stats
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluate.stats import clusters, intervals, paired, power, ratios, verdict
from evaluate.stats.paired import Difference, paired_difference
from synth.wilson import wilson_bounds


def names(counts: list[int]) -> list[str]:
    """Cluster ids: counts[i] rows of cluster i."""
    return [f"c{index}" for index, count in enumerate(counts) for _ in range(count)]


def outcomes(both: int, only_small: int, only_large: int, neither: int) -> tuple[list[int], list[int]]:
    small = [1] * both + [1] * only_small + [0] * only_large + [0] * neither
    large = [1] * both + [0] * only_small + [1] * only_large + [0] * neither
    return small, large


# --- one rate ----------------------------------------------------------------------------------------------------


def test_wilson_agrees_with_the_textbook_interval() -> None:
    interval = intervals.wilson(81, 263)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.2553, 0.3662)  # Newcombe 1998, table I


def test_wilson_of_nothing_is_an_error_not_a_zero() -> None:
    with pytest.raises(ValueError, match="at least one"):
        intervals.wilson(0, 0)


def test_rows_of_one_template_widen_the_interval_of_a_rate_as_kish_says() -> None:
    right = np.repeat([1.0] * 30 + [0.0] * 10, 25)  # every template wholly right or wrong: 40 looks, not 1,000
    found = intervals.mean_score(right, names([25] * 40))
    alone = intervals.mean_score(right)
    assert found.effective == pytest.approx(40, rel=0.01)
    assert (found.low, found.high) == pytest.approx(tuple(wilson_bounds(0.75, 40, 2.0227)), abs=0.002)
    assert found.high - found.low > 4 * (alone.high - alone.low)


def test_independent_rows_get_the_plain_wilson_interval_but_for_t() -> None:
    right = np.r_[np.ones(160), np.zeros(40)]
    found, plain = intervals.mean_score(right), intervals.wilson(160, 200)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.0005)


def test_all_rows_right_counts_templates_and_not_rows() -> None:
    found = intervals.mean_score(np.ones(1000), names([25] * 40))
    assert found.high == 1.0
    assert found.low == pytest.approx(40 / (40 + 2.0227**2), abs=0.001)  # Wilson of 40 of 40
    one_wrong = intervals.mean_score(np.r_[np.zeros(1), np.ones(999)], names([25] * 40))
    assert one_wrong.effective < 200  # one wrong row does not turn 40 looks into 1,000


def test_one_family_says_nothing_about_other_families() -> None:
    found = intervals.mean_score([1, 0, 1, 1], ["same"] * 4)
    assert (found.low, found.high) == (0.0, 1.0)


def test_fractions_of_points_get_narrower_intervals_than_right_or_wrong() -> None:
    rng = np.random.default_rng(0)
    fine = intervals.mean_score(rng.uniform(0.7, 0.9, 300))
    assert fine.value - 0.01 < fine.low < fine.high < fine.value + 0.01
    constant = intervals.mean_score(np.full(300, 0.8))
    assert constant.low < 0.8 < constant.high


@pytest.mark.parametrize(("spoken", "wrong"), [(2000, 0), (2000, 1), (2000, 50)])
def test_an_error_rate_never_has_an_interval_of_zero_width(spoken: int, wrong: int) -> None:
    edits = np.zeros(200)
    edits[:wrong] = 1
    found = intervals.error_rate(edits, np.full(200, spoken / 200))
    assert 0 <= found.low <= found.value < found.high
    assert found.value == wrong / spoken


def test_corpus_wer_is_the_ratio_of_sums_not_the_mean_of_ratios() -> None:
    assert intervals.error_rate([1.0, 0.0], [1.0, 99.0]).value == 0.01


def test_seed_spread_shows_no_interval_for_two_seeds() -> None:
    assert intervals.seed_spread([0.9, 0.92]).low is None
    spread = intervals.seed_spread([0.90, 0.92, 0.94])
    assert spread.mean == pytest.approx(0.92)
    assert spread.low == pytest.approx(0.92 - 4.303 * 0.02 / 3**0.5, abs=1e-4)


# --- clusters ----------------------------------------------------------------------------------------------------


def test_the_design_effect_of_equal_clusters_is_the_one_of_the_cluster_robust_error() -> None:
    from statsmodels.regression.linear_model import OLS

    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(40), 10)
    d = np.repeat(rng.uniform(-0.5, 0.5, 40), 10) + rng.uniform(-0.5, 0.5, 400)
    fit = OLS(d, np.ones(400)).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
    found = clusters.spread(d - d.mean(), d != 0, codes, 0.0)
    assert found.se == pytest.approx(float(fit.bse[0]), rel=0.02)


def test_independent_rows_in_clusters_have_a_design_effect_near_one() -> None:
    rng = np.random.default_rng(5)
    designs = []
    for _ in range(50):
        d = rng.normal(0, 1, 1000)
        designs.append(clusters.spread(d - d.mean(), d != 0, np.repeat(np.arange(40), 25), 0.0).design)
    assert 1.0 <= np.median(designs) < 1.4


def test_repeating_every_row_under_its_cluster_id_adds_no_certainty() -> None:
    rng = np.random.default_rng(5)
    d = rng.integers(-1, 2, 300).astype(float)
    ids = [str(i) for i in range(300)]
    once = paired_difference(d, 0 * d, ids)
    twice = paired_difference(np.tile(d, 2), np.zeros(600), ids * 2)
    assert twice.se == pytest.approx(once.se, rel=0.01)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high), abs=0.003)


# --- paired differences ------------------------------------------------------------------------------------------


def test_tangos_interval_is_the_published_one() -> None:
    """Cavo et al. 2012, as in Fagerland, Lydersen and Laake's R package contingencytables: 6 and 16 of 161 patients."""
    z, cavo = 1.959964, paired.Discordant(6, 16, 161)
    assert [round(bound, 4) for bound in (paired.tango_low(cavo, z), paired.tango_high(cavo, z))] == [-0.1240, -0.0054]
    nothing = paired.Discordant(0, 0, 50)  # closed form without a discordant pair: +- z^2 / (n + z^2)
    assert paired.tango_high(nothing, z) == pytest.approx(z**2 / (50 + z**2), abs=1e-6)
    for gained, lost, n in ((0, 4, 30), (8, 2, 60), (12, 12, 100)):
        table = paired.Discordant(gained, lost, n)
        assert paired.tango_statistic(table, paired.tango_low(table, z)) == pytest.approx(z, abs=1e-3)
        assert paired.tango_statistic(table, paired.tango_high(table, z)) == pytest.approx(-z, abs=1e-3)
        assert paired.tango_statistic(table, 0.0) == pytest.approx((gained - lost) / math.sqrt(gained + lost))


def test_many_rows_give_the_paired_t_interval() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(1)
    a, b = (rng.random(4000) < 0.7).astype(float), (rng.random(4000) < 0.6).astype(float)
    ours, theirs = paired_difference(a, b), ttest_rel(a, b)
    low, high = theirs.confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.0005)
    assert ours.delta == pytest.approx((a - b).mean())


def test_clusters_of_one_row_change_nothing() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 2, 300).astype(float), rng.integers(0, 2, 300).astype(float)
    alone, named = paired_difference(a, b), paired_difference(a, b, [f"row {i}" for i in range(300)])
    assert (alone.low, alone.high) == pytest.approx((named.low, named.high))


def test_systems_that_never_differ_get_an_interval_that_shrinks_with_rows() -> None:
    few, many = paired_difference(np.ones(30), np.ones(30)), paired_difference(np.ones(3000), np.ones(3000))
    assert few.delta == many.delta == 0
    assert few.high >= 1 - 0.025 ** (1 / 30)
    assert 0 < many.high < few.high


def test_a_single_cluster_yields_no_certainty_at_all() -> None:
    difference = paired_difference([1, 0, 1, 1], [0, 0, 1, 0], ["same"] * 4)
    assert (difference.low, difference.high) == (-1.0, 1.0)
    assert verdict.verdict(difference, 0.02).word == verdict.INCONCLUSIVE


def test_scores_outside_0_and_1_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        paired_difference([3.0, 1.0], [0.0, 0.0])


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.03])
def test_a_small_system_that_only_loses_is_rarely_called_not_worse(margin: float) -> None:
    """The exact chance that NOT WORSE is claimed at a true loss of the margin; 19.8 % with t and bootstrap before."""
    from scipy.stats import binom

    for n in range(150, 1001, 50):
        claims = 0.0
        for lost in range(math.ceil(n * margin) + 1):
            found = paired_difference(np.r_[np.zeros(lost), np.ones(n - lost)], np.ones(n))
            claims += binom.pmf(lost, n, margin) * (found.lower_one_sided > -margin)
        assert claims <= 0.0605, (n, claims)


@pytest.mark.parametrize("lost", [0, 1, 2, 3, 5, 9])
@pytest.mark.parametrize("groups", [None, 20])
def test_the_chance_of_not_worse_is_95_percent_exactly_where_the_verdict_turns(lost: int, groups: int | None) -> None:
    small, large = np.r_[np.zeros(lost), np.ones(300 - lost)], np.ones(300)
    ids = None if groups is None else [str(row % groups) for row in range(300)]
    bound = -paired_difference(small, large, ids).lower_one_sided
    for margin in (bound - 0.001, bound + 0.001):
        assert (paired.not_worse_confidence(small, large, margin, ids) >= 0.95) == (margin > bound)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 9)), min_size=2, max_size=60),
    st.booleans(),
)
def test_p_and_interval_agree_for_any_outcomes(rows: list[tuple[int, int, int]], grouped: bool) -> None:
    small, large, ids = zip(*rows, strict=True)
    d = paired_difference(small, large, [str(one) for one in ids] if grouped else None)
    assert -1 <= d.low <= d.delta + 1e-9
    assert d.delta - 1e-9 <= d.high <= 1
    assert d.low <= d.lower_one_sided + 1e-9
    assert d.low < d.high
    assert (d.p < 0.05) == (d.low > 1e-9 or d.high < -1e-9)


# --- exact tests -------------------------------------------------------------------------------------------------


def test_exact_mcnemar_is_the_binomial_test_of_the_discordant_rows() -> None:
    from scipy.stats import binomtest

    result = paired.mcnemar(*outcomes(50, 12, 3, 10))
    assert result[:4] == (50, 12, 3, 10)
    assert result.p == pytest.approx(binomtest(3, 15).pvalue)


def test_clustered_mcnemar_is_the_share_of_sign_flips_that_are_as_extreme() -> None:
    rng = np.random.default_rng(2)
    small, large, ids = rng.integers(0, 2, 40), rng.integers(0, 2, 40), np.repeat(np.arange(8), 5)
    sums = np.bincount(ids, small - large)
    flips = np.array(list(product((-1, 1), repeat=8))) @ np.abs(sums)
    expected = np.mean(np.abs(flips) >= abs(sums.sum()))
    assert paired.mcnemar(small, large, [str(i) for i in ids]).p == pytest.approx(expected)


def test_templates_that_fail_as_a_whole_are_few_observations_for_mcnemar() -> None:
    small, large = outcomes(200, 30, 0, 0)
    alone = paired.mcnemar(small, large)
    grouped = paired.mcnemar(small, large, names([200, 10, 10, 10]))
    assert alone.p < 1e-8
    assert grouped.p == 0.25  # three templates, all one way: 2 / 2^3


def test_more_wins_of_a_family_never_give_a_larger_p() -> None:
    found = [paired.mcnemar([1] * won + [0] * (8 - won), [0] * 8).p for won in range(9)]
    assert found == sorted(found, reverse=True)
    assert found[8] == pytest.approx(2 / 2**8)


def test_sign_flips_of_fractions_agree_with_drawing_them() -> None:
    rng = np.random.default_rng(6)
    d, codes = rng.uniform(-0.4, 0.8, 60), np.repeat(np.arange(12), 5)
    sums = np.bincount(codes, d)
    flips = np.array(list(product((-1, 1), repeat=12))) @ np.abs(sums)
    assert paired.sign_flip(d, codes) == pytest.approx(np.mean(np.abs(flips) >= abs(sums.sum()) - 1e-9), abs=0.002)


@pytest.mark.parametrize("rows", [200, 201, 2_000])
def test_sign_flips_of_many_fractions_are_as_sure_as_drawn_ones(rows: int) -> None:
    rng = np.random.default_rng(7)
    d = np.round(rng.uniform(-0.5, 0.5, rows), 3) + 0.9 / math.sqrt(rows) * 0.29
    drawn = 2 * rng.integers(0, 2, (2000, rows)) - 1
    expected = np.mean(np.abs(drawn @ np.abs(d)) >= abs(d.sum()))
    assert paired.sign_flip(d, np.arange(rows)) == pytest.approx(expected, abs=0.04)


@pytest.mark.slow
def test_holm_agrees_with_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = list(np.random.default_rng(9).uniform(0, 0.2, 12))
    assert paired.holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([]) == []


# --- ratios ------------------------------------------------------------------------------------------------------


def test_the_difference_of_error_rates_has_the_error_of_the_jackknife_where_clusters_are_alike() -> None:
    rng = np.random.default_rng(8)
    words, ids = np.full(400, 10.0), names([10] * 40)
    rate = np.repeat(rng.gamma(2, 0.05, 40), 10)
    a, b = rng.poisson(words * rate).astype(float), rng.poisson(words * 0.08).astype(float)
    found = ratios.error_rate_difference(a, b, words, ids)
    codes = np.repeat(np.arange(40), 10)
    left_out = [(b - a)[codes != one].sum() / words[codes != one].sum() for one in range(40)]
    by_hand = np.sqrt(39 / 40 * np.sum((np.array(left_out) - found.delta) ** 2))
    assert found.se == pytest.approx(by_hand, rel=0.03)


def test_systems_that_transcribe_alike_get_a_bound_and_not_certainty() -> None:
    edits, words = np.tile([0.0, 1.0, 2.0], 100), np.full(300, 10.0)
    found = ratios.error_rate_difference(edits, edits, words, names([10] * 30))
    assert found.delta == 0
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 30))
    assert found.low == -found.high
    assert found.p == 1.0


@pytest.mark.parametrize("delta", [0.0, 0.01, 0.03])
def test_p_and_interval_of_error_rates_agree(delta: float) -> None:
    rng = np.random.default_rng(11)
    for _ in range(40):
        words, ids = rng.integers(5, 20, 90).astype(float), names([6] * 15)
        a, b = rng.poisson(words * 0.1), rng.poisson(words * (0.1 + delta))
        found = ratios.error_rate_difference(a, b, words, ids)
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_cost_per_right_answer_is_the_accuracy_turned_over_where_answers_cost_the_same() -> None:
    right, ids = np.r_[np.ones(80), np.zeros(20)], names([5] * 20)
    found, share = ratios.cost_per_correct(np.full(100, 0.002), right, ids), intervals.mean_score(right, ids)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.0025, 0.002 / share.high, 0.002 / share.low))


def test_nothing_right_has_no_price_and_nothing_wrong_still_has_an_interval() -> None:
    assert ratios.cost_per_correct(np.ones(10), np.zeros(10)) is None
    assert ratios.cost_ratio(np.ones(10), np.ones(10), np.ones(10), np.zeros(10)) is None
    sure = ratios.cost_ratio(np.full(50, 0.001), np.ones(50), np.full(50, 0.01), np.ones(50))
    assert sure is not None
    assert sure.low < sure.value == pytest.approx(0.1)
    assert sure.value < sure.high


def test_joint_resampling_gives_both_systems_the_same_draw() -> None:
    column = np.random.default_rng(0).uniform(0, 1, 100)
    drawn = ratios.resample_sums(np.column_stack([column, column]), names([5] * 20), seed=3, resamples=200)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert drawn[:, 0].std() > 0


# --- power -------------------------------------------------------------------------------------------------------


def make(delta: float, se: float, n: int = 1000, groups: int | None = None) -> Difference:
    bounds = (delta - 1.96 * se, delta + 1.96 * se, delta - 1.645 * se)
    count = groups or n
    return Difference(delta, *bounds, se, se * n**0.5, 0.5, n, count, "template", 1.0, float(count), "")


def test_the_detectable_effect_is_wider_with_few_clusters() -> None:
    many, few = (power.minimum_detectable_effect(make(0, 0.01, 1000, groups)) for groups in (1000, 6))
    assert many == pytest.approx(2.80 * 0.01, rel=0.01)  # 1.962 + 0.842
    assert few == pytest.approx((2.571 + 0.920) * 0.01, rel=0.01)  # t(5)
    same = power.minimum_detectable_effect(paired_difference(np.ones(100), np.ones(100)))
    assert same == pytest.approx(1 - 0.025 ** (1 / 100))


def test_rows_needed_is_the_textbook_formula() -> None:
    assert power.rows_needed(0.03, sd=0.5) == pytest.approx(2180.2, abs=1)  # ((1.960 + 0.8416) x 0.5 / 0.03)^2


def test_rows_to_decide_are_a_range_that_holds_what_the_pilot_leaves_open() -> None:
    found = power.rows_to_decide(make(0.0, 0.02), margin=0.02)
    assert found is not None
    assert found.high is not None
    assert 1001 <= found.low < 6183 < found.high  # 6,183 if the pilot's figures were the true ones
    worst = ((1.645 + 1.960 + 2 * 0.8416) * 0.632 / 0.02) ** 2  # halfway between the margin and 0, hardest to settle
    assert found.high == pytest.approx(worst, rel=0.1)


def test_a_pilot_of_six_families_says_less_than_one_of_a_thousand_rows() -> None:
    rows, families = power.rows_to_decide(make(0, 0.02), 0.02), power.rows_to_decide(make(0, 0.02, 1000, 6), 0.02)
    assert rows is not None
    assert families is not None
    assert (families.high or math.inf) > 2 * (rows.high or 0)
    assert families.clusters_low < families.low  # rows are counted as rows, families as families


def test_clusters_are_never_counted_as_rows() -> None:
    same = paired_difference(np.ones(1000), np.ones(1000), names([25] * 40))
    found = power.rows_to_decide(same, 0.02)
    assert found is not None
    assert found.low >= 1001
    assert found.clusters_low * 25 >= found.low


def test_inconclusive_says_between_which_numbers_of_rows_it_would_be_decided() -> None:
    result = verdict.verdict(make(0.0, 0.02, 1000, 50), margin=0.02)
    assert result.rows_to_decide is not None
    assert "between about" in result.sentence
    assert "templates) would decide" in result.sentence


# --- verdict -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delta", "se", "word"),
    [
        (0.05, 0.01, verdict.BETTER),
        (0.0, 0.005, verdict.NOT_WORSE),
        (-0.01, 0.004, verdict.NOT_WORSE),
        (-0.05, 0.01, verdict.WORSE),
        (-0.01, 0.02, verdict.INCONCLUSIVE),
        (0.01, 0.03, verdict.INCONCLUSIVE),
    ],
)
def test_each_verdict_word_is_reached(delta: float, se: float, word: str) -> None:
    assert verdict.verdict(make(delta, se), margin=0.02).word == word


def test_a_measurable_loss_within_the_margin_is_told_and_not_hidden() -> None:
    assert "measurably behind" in verdict.verdict(make(-0.01, 0.004), 0.02).sentence


def test_two_failures_have_no_winner() -> None:
    small, large = intervals.wilson(12, 400), intervals.wilson(4, 400)
    assert "near 0" in (verdict.near_nothing(small, large) or "")
    assert verdict.near_nothing(intervals.wilson(60, 400), large) is None
    assert "too few" in (verdict.near_nothing(intervals.Interval(0.96, 0.0, 1.0, 4, "", 1.0), large) or "")


def test_two_systems_at_chance_have_no_winner() -> None:
    golds = ["yes"] * 220 + ["no"] * 180
    chance = verdict.constant_answer(golds)
    assert chance == 0.55
    assert "chance" in (verdict.near_nothing(intervals.wilson(222, 400), intervals.wilson(210, 400), chance) or "")
    assert verdict.near_nothing(intervals.wilson(300, 400), intervals.wilson(210, 400), chance) is None
    assert verdict.constant_answer([str(i) for i in range(40)]) == 0.0


def test_a_system_that_was_cut_off_has_no_score_of_its_own() -> None:
    assert verdict.cut_off("big", 2, 100) is None
    assert "max_new_tokens" in (verdict.cut_off("big", 3, 100) or "")
    assert verdict.cut_off("big", 0, 0) is None


def test_a_verdict_that_hangs_on_the_format_is_named() -> None:
    better, worse = verdict.verdict(make(0.05, 0.01), 0.02), verdict.verdict(make(-0.05, 0.01), 0.02)
    assert verdict.format_decides(better, better) is None
    assert "WORSE if right answers" in (verdict.format_decides(better, worse) or "")


# --- a small part of tests/bench/bench_stats.py -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("shape", [0, 4], ids=["40 templates", "one giant template"])
def test_simulated_comparisons_are_covered_as_promised(shape: int) -> None:
    """150 datasets: standard error about 2 points; the full figures are in docs/evaluation.md."""
    drawn, rng = bench_stats.shapes()[shape], np.random.default_rng(3)
    rate, own, _, ratio = bench_stats.measured(lambda: bench_stats.rate_cell(rng, drawn, 0.8), 150)
    assert min(rate, own, ratio) >= 0.9
    found = bench_stats.measured(lambda: bench_stats.difference_cell(rng, drawn, 0.98), 150)
    assert found[0] >= 0.9
    assert (found[1:] <= 0.1).all()
    words = bench_stats.measured(lambda: bench_stats.word_cell(rng, drawn, 0.98), 150)
    assert words[1] >= 0.9
    assert words[2] <= 0.1


def test_six_families_are_six_observations_and_not_48_templates() -> None:
    rng = np.random.default_rng(4)
    rate, difference, as_templates = bench_stats.measured(lambda: bench_stats.families_cell(rng, 0.8), 150)
    assert min(rate, difference) >= 0.92
    assert as_templates < 0.85


def test_error_rates_of_one_cluster_have_no_interval_and_no_verdict() -> None:
    found = ratios.error_rate_difference([1, 2], [8, 9], [4, 4], ["a", "a"])
    assert (found.low, found.high, found.lower_one_sided, found.p) == (-1.75, 1.75, -1.75, 1.0)
    assert verdict.verdict(found, 0.02).word == "INCONCLUSIVE"


@pytest.mark.parametrize(("rate", "reach"), [(0.2, 0.05), (0.2, 1.5), (0.001, 0.01), (1.4, 0.3)])
def test_the_upper_end_of_an_error_rate_solves_its_equation(rate: float, reach: float) -> None:
    """r - rate = reach (r / rate)^(3/4), wider than the end of Poisson counts."""
    found = intervals._tweedie_bound(rate, reach)
    assert found - rate == pytest.approx(reach * (found / rate) ** 0.75)
    shift = reach**2 / rate
    assert found > rate + shift / 2 + (shift * rate + shift**2 / 4) ** 0.5


def test_a_giant_cluster_is_not_measured_by_its_own_deviation_alone() -> None:
    """Half of all rows in one cluster: weighed by rows, |difference|/SE could never reach the quantile of t."""
    sizes = np.r_[300, np.full(30, 10)]
    ids = [str(one) for one in np.repeat(np.arange(31), sizes)]
    ahead = np.r_[np.repeat([1.0, 0.0], [180, 120]), np.tile(np.r_[1.0, -1.0, np.zeros(8)], 30)]
    found = paired_difference(np.maximum(ahead, 0), np.maximum(-ahead, 0), ids)
    assert found.delta == pytest.approx(0.3)
    assert found.p < 0.01
    even = paired_difference(np.maximum(ahead[300:], 0), np.maximum(-ahead[300:], 0), ids[300:])
    assert even.p == pytest.approx(1.0), "where clusters agree, the correlation is 0"
    assert even.design == 1.0


def test_graded_scores_that_differ_by_the_same_in_every_row_are_compared_and_not_certain() -> None:
    found = paired_difference([0.5] * 4, [0.0] * 4)
    assert found.low < found.delta == 0.5 < found.high and found.high - found.low > 0.05
