"""Claims about pay-back: its interval, when it is not stated, and what a machine can answer."""

from __future__ import annotations

import functools

import pytest
from plausible import results

from evaluate.cost import economics, payback, population, spread
from evaluate.cost.prices import load
from evaluate.cost.spread import Spread
from evaluate.report import report_json
from evaluate.report.money import BreakEvenPart, FixedCosts, MachinePart, SpeedPart
from evaluate.report.results import Row
from evaluate.report.schema import Report, SystemPart
from synth.usage import Usage

HOURLY = 0.36  # USD: 0.0001 a second


def row(name: str, split: str = "test", usage: Usage | None = None, error: str = "") -> Row:
    return Row(
        example_id=name,
        split=split,
        family="f",
        template=name,
        scorer="exact",
        score=None if error else 1.0,
        usage=usage or Usage(input_tokens=1_000, output_tokens=100),
        error=error,
    )


@functools.cache
def report() -> Report:
    return report_json.build(results(("dpo", "mini"), large="mini", per_split=20))


def machine_system(name: str, rate: float, low: float, high: float, reason: str = "") -> SystemPart:
    unsaid = dict.fromkeys(SpeedPart.model_fields, 1) | {"basis": "cpu", "single_stream_range": None}
    speed = SpeedPart.model_validate(unsaid | {"low": low, "high": high, "holds": not reason, "reason": reason})
    small = report().small_system.model_copy(update={"requests_per_s": rate, "speed": speed})
    cost = economics.system_cost(small, machine(), load(), "test")
    return small.model_copy(update={"id": name, "label": name, "cost": cost})


def billed_system(usd: float, low: float, high: float) -> SystemPart:
    large = report().large_system
    assert large is not None
    figures = {"usd_per_request": usd, "usd_per_1k_ci95": (1000 * low, 1000 * high)}
    return large.model_copy(update={"cost": large.cost.model_copy(update=figures)})


def machine(utilisation: float = 1.0) -> MachinePart:
    return report().machine.model_copy(update={"usd_per_hour": HOURLY, "utilisation": utilisation})


def spent(fixed: float, quiet: float | None = None) -> FixedCosts:
    """Fixed costs that are all machine time."""
    return FixedCosts(items=(), fixed_usd=fixed, fixed_quiet_usd=quiet or fixed, priced_usd=fixed, seconds=0.0)


def even(small: SystemPart, large: SystemPart, fixed: float = 10.0, quiet: float | None = None) -> BreakEvenPart:
    start = payback.what_if(small, large, machine(), spent(fixed, quiet), None)
    return payback.break_even(start, small, large, (0.9, 0.9), [1000])


SMALL = machine_system("small", 100.0, 90.0, 120.0)  # 1e-6 USD a request
LARGE = billed_system(0.001, 0.0009, 0.0011)


def test_the_pay_back_has_the_interval_of_the_saving() -> None:
    found = even(SMALL, LARGE)
    assert (found.status, found.requests) == ("pays_back", 10_011)
    low, high = found.requests_ci95
    assert 9_000 < low < 10_011 < high < 11_200


def test_a_speed_that_does_not_hold_states_neither_price_nor_pay_back() -> None:
    found = even(machine_system("small", 100.0, 10.0, 200.0, "speed varied"), LARGE)
    assert (found.status, found.requests, found.price_holds) == ("not_stated", None, False)
    assert found.reason == "small: speed varied"
    assert found.months_at == {"1000": None}


def test_prices_closer_than_their_uncertainty_state_no_pay_back() -> None:
    found = even(SMALL, billed_system(1.05e-6, 0.9e-6, 1.2e-6))
    assert (found.status, found.price_holds) == ("not_stated", True)
    assert "less than their uncertainty" in found.reason


def test_training_beside_other_programs_states_no_pay_back() -> None:
    assert even(SMALL, LARGE, fixed=10.0, quiet=8.0).status == "pays_back"
    found = even(SMALL, LARGE, fixed=10.0, quiet=2.0)
    assert found.status == "not_stated"
    assert "between 20 and 100 %" in found.reason


def test_both_on_one_machine_have_no_break_even_use_and_no_always_on() -> None:
    found = even(SMALL, machine_system("large", 10.0, 9.0, 11.0))
    assert (found.utilisation, found.always_on.requests_per_month) == (None, None)
    assert found.utilisation_note == found.always_on.note == payback.SAME_MACHINE


def test_always_on_takes_as_many_machines_as_the_requests_need() -> None:
    small, large = machine_system("small", 1.0, 1.0, 1.0), billed_system(0.00025, 0.00025, 0.00025)
    start = payback.what_if(small, large, machine(), spent(12_000.0), None)
    found = payback._always_on(start)
    assert found.capacity_per_month == 730 * 3600
    assert found.machines > 1
    assert found.requests_per_month <= found.machines * found.capacity_per_month
    fewer = found.machines - 1
    assert (1000 + 730 * fewer * HOURLY) / 0.00025 > fewer * found.capacity_per_month, "one fewer would not do"


def test_a_machine_that_cannot_answer_enough_to_pay_for_itself_is_said() -> None:
    found = even(machine_system("small", 0.1, 0.09, 0.11), billed_system(0.0005, 0.0005, 0.0005)).always_on
    assert found.requests_per_month is None
    assert "cannot answer" in found.note


def test_use_doubled_stops_at_the_whole_time() -> None:
    small = machine_system("small", 0.1, 0.1, 0.1)  # 0.001 USD a request
    start, usd = payback.what_if(small, LARGE, machine(utilisation=0.8), spent(1.0), None), HOURLY / 360
    assert payback.costs_under(start, {"utilisation": 2.0}).small == pytest.approx(usd * 0.8)
    assert payback.costs_under(start, {"utilisation": 0.5}).small == pytest.approx(2 * usd)


def test_intervals_are_put_together_by_their_distances() -> None:
    a, b = Spread(10.0, 7.0, 13.0), Spread(4.0, 0.0, 8.0)
    assert spread.difference(a, b) == pytest.approx((6.0, 1.0, 11.0))
    assert spread.product(spread.exact(2.0), Spread(3.0, 1.5, 6.0)) == pytest.approx((6.0, 3.0, 12.0))
    assert spread.chance_below(b, a) == pytest.approx(0.99, abs=0.01)
    assert spread.chance_below(a, a) == 0.5


def test_failed_rows_with_billed_attempts_cost_money() -> None:
    lost = Usage(billed_retries=2, retries=2)
    found = population.consumption([row("a"), row("b"), row("c", usage=lost, error="no answer")])
    assert (found.answers, found.lost_attempts, found.input_tokens) == (2, 2, 2_000)
    asked = LARGE.model_copy(update={"usage": found, "priced_as": "gpt-4o"})
    rate = economics.rate(asked, machine(), load())
    assert rate.usd == pytest.approx(2 * (0.0025 + 0.001)), "two answers and two lost attempts, shared by two answers"
    assert "2 billed attempts without an answer" in rate.basis


def test_a_batch_is_priced_with_its_discount() -> None:
    changes = {"usage": population.consumption([row("a")]), "batch": True, "priced_as": "gpt-4o-2024-08-06"}
    batch = LARGE.model_copy(update=changes | {"kind": "predictions"})
    rate = economics.rate(batch, machine(), load())
    assert rate.usd == pytest.approx((0.0025 + 0.001) / 2)
    assert "gpt-4o, for gpt-4o-2024-08-06 has no price of its own" in rate.basis


def test_what_the_plan_leaves_out_is_not_stated_and_zero_is_a_statement() -> None:
    assert economics.not_stated({}) == ["labelling", "engineering", "hosting", "licences"]
    assert economics.not_stated({"labelling_usd": 0, "engineering_hours": 3, "licence_usd": 0}) == [
        "engineering",
        "hosting",
    ]
    assert economics.not_stated({"engineering_hours": 0, "labelling_usd": 1, "hosting_usd_per_month": 1}) == [
        "licences"
    ]
