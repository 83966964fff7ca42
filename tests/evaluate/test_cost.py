"""Claims about money: published golden figures, and twenty bills worked out by hand."""

import datetime as dt

import numpy as np
import pytest

from evaluate.cost import formulas
from evaluate.cost.prices import PriceRow, PriceSheet, load
from synth.usage import Usage, total
from tests.bench import bench_bills

SHEET = load()


# --- golden fixtures: 2,147,248 items of 276 tokens in and 42 out; an L40 at 1.14 USD/h for 16.5 h ------------------

ITEMS, HOURS, L40 = 2_147_248, 16.5, 1.14
ALL = Usage(input_tokens=276 * ITEMS, output_tokens=42 * ITEMS, requests=ITEMS)
RATE = ITEMS / (HOURS * 3600)


def usd(usage: Usage, model: str, batch: bool = False) -> float:
    result = formulas.bill(usage, model, SHEET, batch).usd
    assert result is not None
    return result


def test_golden_own_gpu_bill_is_18_81() -> None:
    per_item = formulas.own_request(L40, RATE, 1.0)
    assert per_item is not None
    assert round(per_item * ITEMS, 2) == 18.81
    assert formulas.machine_time(HOURS * 3600, L40) == pytest.approx(18.81)


def test_golden_gpt_4_bill_is_23_190_and_1233_times_dearer() -> None:
    assert round(usd(ALL, "gpt-4")) == 23_190
    assert round(usd(ALL, "gpt-4") / 18.81) == 1233


def test_golden_gpt_4o_mini_is_7_6_times_dearer_and_breaks_even_at_13_percent_use() -> None:
    assert round(usd(ALL, "gpt-4o-mini") / 18.81, 1) == 7.6
    u = formulas.break_even_utilisation(L40, RATE, usd(ALL, "gpt-4o-mini") / ITEMS)
    assert u is not None
    assert round(u, 2) == 0.13


# --- twenty bills by hand ------------------------------------------------------------------------------------------

BILLS = [
    # plain text: tokens × price
    ("gpt-4o", {"input_tokens": 1_000, "output_tokens": 500}, False, 0.0025 + 0.005),
    ("gpt-4o-mini", {"input_tokens": 1_000_000, "output_tokens": 1_000_000}, False, 0.75),
    ("gpt-4", {"input_tokens": 276, "output_tokens": 42}, False, 0.00828 + 0.00252),
    ("claude-opus-5", {"input_tokens": 12_345, "output_tokens": 678}, False, 0.061725 + 0.01695),
    # cached: 900 of 1,000 input tokens at the cache price
    ("gpt-4o", {"input_tokens": 1_000, "cached_tokens": 900, "output_tokens": 100}, False, 0.00025 + 0.001125 + 0.001),
    ("claude-haiku-4-5", {"input_tokens": 10_000, "cached_tokens": 8_000, "output_tokens": 200}, False, 0.0038),
    ("gemini-2.5-pro", {"input_tokens": 50_000, "cached_tokens": 40_000, "output_tokens": 1_000}, False, 0.0275),
    # cache write, and both
    ("claude-sonnet-5", {"input_tokens": 5_000, "cache_write_tokens": 4_000, "output_tokens": 100}, False, 0.013),
    (
        "claude-haiku-4-5",
        {"input_tokens": 6_000, "cached_tokens": 2_000, "cache_write_tokens": 3_000, "output_tokens": 50},
        False,
        0.001 + 0.0002 + 0.00375 + 0.00025,
    ),
    # reasoning is part of the output: 4,000 of the 4,200 tokens, billed once
    ("gemini-2.5-flash", {"input_tokens": 300, "output_tokens": 4_200, "reasoning_tokens": 4_000}, False, 0.01059),
    ("gemini-2.5-pro", {"input_tokens": 800, "output_tokens": 9_000, "reasoning_tokens": 8_500}, False, 0.091),
    # batch: half of input and output; caches keep their price at some vendors
    ("gpt-4o", {"input_tokens": 1_000, "output_tokens": 500}, True, 0.00375),
    ("gpt-4o", {"input_tokens": 1_000, "cached_tokens": 600, "output_tokens": 0}, True, 0.0005 + 0.00075),
    ("claude-sonnet-5", {"input_tokens": 1_000, "cached_tokens": 600, "output_tokens": 100}, True, 0.00096),
    ("gemini-2.5-flash", {"input_tokens": 2_000, "output_tokens": 400}, True, 0.0008),
    # image tokens are part of the input: a 1,024 × 1,024 picture is 765 tokens
    ("gpt-4o", {"input_tokens": 800, "image_tokens": 765, "output_tokens": 20}, False, 0.002 + 0.0002),
    ("gemini-2.5-flash", {"input_tokens": 1_132, "image_tokens": 1_032, "output_tokens": 10}, False, 0.0003646),
    # audio: 60 s at 32 tokens/s, at the audio price; by the minute where that is how it is sold
    ("gemini-2.5-flash", {"input_tokens": 1_970, "audio_tokens": 1_920, "output_tokens": 150}, False, 0.00231),
    ("whisper-1", {"audio_sec": 90.0}, False, 0.009),
    ("gpt-4o-transcribe", {"audio_sec": 3_600.0}, False, 0.36),
]


@pytest.mark.parametrize(("model", "fields", "batch", "by_hand"), BILLS)
def test_bill_worked_out_by_hand(model: str, fields: dict[str, int], batch: bool, by_hand: float) -> None:
    assert usd(Usage.model_validate(fields), model, batch) == pytest.approx(by_hand, rel=1e-9)


def test_there_are_twenty_bills() -> None:
    assert len(BILLS) == 20


def test_sixty_bills_and_more_are_within_half_a_percent_of_the_charge() -> None:
    found = bench_bills.cases(SHEET)
    assert len(found) >= 60
    assert {case.shape for case in found} >= {
        "OpenAI chat",
        "OpenAI Responses",
        "Anthropic",
        "Gemini",
        "DeepSeek",
        "xAI",
    }
    wrong = [case for case in found if case.off is None or abs(case.off) > bench_bills.TOLERANCE]
    assert not wrong


def test_the_table_of_bills_in_the_documentation_is_the_one_the_command_prints() -> None:
    found = bench_bills.cases()
    tables = {bench_bills.DOCUMENT: bench_bills.table(found), bench_bills.SUMMARY: bench_bills.summary(found)}
    for file, made in tables.items():
        document = file.read_text("utf-8")
        assert bench_bills.BEGIN in document
        assert bench_bills.written(document, made) == document


def test_a_billed_retry_is_paid_with_the_answer() -> None:
    unusable = Usage(input_tokens=1_000, output_tokens=100, retries=1, billed_retries=1)
    answer = Usage(input_tokens=1_000, output_tokens=120)
    assert usd(total([unusable, answer]), "gpt-4o") == pytest.approx(2 * 0.0025 + 0.0022)


def test_a_forecast_with_two_percent_retries_costs_two_percent_more() -> None:
    one = Usage(input_tokens=500, output_tokens=100)
    plain, retried = formulas.forecast(one, 10_000), formulas.forecast(one, 10_000, 0.02)
    assert usd(retried, "gpt-4o") == pytest.approx(1.02 * usd(plain, "gpt-4o"))
    assert (retried.requests, retried.billed_retries) == (10_200, 200)


# --- missing is not zero ------------------------------------------------------------------------------------------


def test_an_unknown_model_gives_no_sum_and_says_why() -> None:
    result = formulas.bill(Usage(input_tokens=10, output_tokens=10), "frontier-9", SHEET)
    assert result.usd is None
    assert result.missing == ("frontier-9: input_mtok", "frontier-9: output_mtok")


def test_a_missing_cache_price_makes_the_bill_unpriced() -> None:
    assert formulas.bill(Usage(input_tokens=10, cached_tokens=5, output_tokens=1), "gpt-4", SHEET).usd is None


def test_unreported_usage_is_unpriced() -> None:
    assert formulas.bill(Usage(), "gpt-4o", SHEET).missing == ("token usage was not reported",)


def test_a_prompt_beyond_the_price_tier_is_unpriced() -> None:
    assert formulas.bill(Usage(input_tokens=200_001, output_tokens=1), "gemini-2.5-pro", SHEET).usd is None


def test_a_batch_without_a_known_discount_is_unpriced() -> None:
    row = PriceRow(model="m", unit="input_mtok", price=1, source="s", checked=dt.date(2026, 1, 1))
    only = PriceSheet(rows=(row,))
    assert formulas.bill(Usage(input_tokens=10, output_tokens=0), "m", only, batch=True).usd is None


def test_a_free_price_is_zero_and_not_unpriced() -> None:
    row = PriceRow(model="m", unit="input_mtok", price=0, source="s", checked=dt.date(2026, 1, 1))
    assert formulas.bill(Usage(input_tokens=10, output_tokens=0), "m", PriceSheet(rows=(row,))).usd == 0


# --- forecasts of tokens ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "size", "tokens"),
    [
        ("gpt-4o", (1024, 1024), 765),
        ("gpt-4o", (2048, 4096), 1105),
        ("gpt-4o", (512, 512), 255),
        ("gpt-4o-2024-08-06", (128, 128), 255),
        ("gemini-2.5-flash", (384, 384), 258),
        ("gemini-2.5-pro", (1024, 1024), 1032),
        ("unknown", (10, 10), None),
    ],
)
def test_image_token_formulas(family: str, size: tuple[int, int], tokens: int | None) -> None:
    assert formulas.image_tokens(family, *size) == tokens


def test_audio_tokens_are_known_for_gemini_only() -> None:
    assert formulas.audio_tokens("gemini-2.5-flash", 60) == 1920
    assert formulas.audio_tokens("gpt-4o", 60) is None


# --- decisions ----------------------------------------------------------------------------------------------------


def test_break_even_is_fixed_cost_over_saving() -> None:
    assert formulas.break_even(10.0, 0.003, 0.001) == ("pays_back", 5_000, pytest.approx(0.002))
    assert formulas.break_even(10.0, 0.001, 0.001).status == "never"
    assert formulas.break_even(None, 0.001, 0.0).status == "unpriced"


def test_an_idle_machine_makes_each_request_dearer() -> None:
    busy, idle = formulas.own_request(0.8, 10, 1.0), formulas.own_request(0.8, 10, 0.1)
    assert busy == pytest.approx(0.8 / 36_000)
    assert idle == pytest.approx(10 * 0.8 / 36_000)
    assert formulas.own_request(0.8, None, 1.0) is None


def test_an_audio_hour_costs_the_machine_hour_over_its_speed() -> None:
    assert formulas.own_audio_hour(0.4, 50, 0.5) == pytest.approx(0.016)


def test_always_on_counts_every_hour_of_the_month() -> None:
    assert formulas.always_on_volume(120.0, 0.8, 0.001, months=12) == 594_000  # (10 + 584) / 0.001


def test_error_price_exists_only_where_dearer_is_better() -> None:
    assert formulas.error_price(0.001, 0.011, 0.90, 0.95) == pytest.approx(0.2)
    assert formulas.error_price(0.001, 0.011, 0.95, 0.90) is None
    assert formulas.error_price(None, 0.011, 0.90, 0.95) is None


def test_cost_per_right_answer_has_an_interval_and_a_probability() -> None:
    rng = np.random.default_rng(0)
    small = (rng.random(400) < 0.9).astype(float)
    large = (rng.random(400) < 0.6).astype(float)
    joint = formulas.joint_costs(small, large, np.full(400, 0.001), rng.uniform(0.001, 0.003, 400), None, 0.02)
    assert joint.small is not None
    assert joint.large is not None
    assert joint.small.value == pytest.approx(0.001 / small.mean())
    assert joint.small.low < joint.small.value < joint.small.high
    assert joint.p_cheaper_and_not_worse == 1.0


def test_nothing_right_or_unpriced_has_no_cost_per_right_answer() -> None:
    joint = formulas.joint_costs(np.zeros(30), np.ones(30), np.ones(30), None, None, 0.02)
    assert joint == (None, None, pytest.approx(0, abs=1e-4), None)


def test_a_cascade_sends_on_what_the_small_model_doubts() -> None:
    confidence = np.array([0.9, 0.8, 0.3, 0.2])
    small, large = np.array([1.0, 1.0, 0.0, 0.0]), np.ones(4)
    point = formulas.cascade(confidence, small, large, 0.001, 0.01, threshold=0.5)
    assert point == (0.5, 0.5, 1.0, pytest.approx(0.006))


def test_the_threshold_is_the_thriftiest_that_reaches_the_target() -> None:
    confidence = np.linspace(0, 1, 100)
    small, large = (confidence > 0.3).astype(float), np.ones(100)
    points = [formulas.cascade(confidence, small, large, 0.0, 1.0, t) for t in formulas.cascade_thresholds(confidence)]
    assert points[0].escalated == 0.0
    assert points[-1].escalated == 1.0
    assert formulas.choose_threshold(points, 1.0).escalated == pytest.approx(0.35, abs=0.05)
    assert formulas.choose_threshold(points, 2.0).score == 1.0


def test_energy_is_power_over_speed() -> None:
    assert formulas.energy_wh(36.0, 10.0) == pytest.approx(0.001)
    assert formulas.energy_wh(None, 10.0) is None
