"""Claims about how prices are said: with their intervals, and not at all where the speed does not hold."""

from __future__ import annotations

from plausible import results

from evaluate.cost import throughput
from evaluate.report import gate, headline, render_html, render_md, report_json
from evaluate.report.results import Speed, SystemResult
from evaluate.report.schema import Report
from tests.evaluate.test_throughput import QUIET, probed, turns

UNSTEADY = [20.0, 90, 30, 80, 25, 85, 40, 70, 50]


def measured(system: SystemResult, factor: float, speeds: list[float]) -> SystemResult:
    made = probed(turns([factor * speed for speed in speeds], others=0.5))
    rate = throughput.rate(made).requests_per_s
    return system.model_copy(update={"speed": Speed(requests_per_s=rate, batch_size=10, probe=made)})


def report(speeds: list[float]) -> Report:
    original = results(("dpo", "large-few"), large="large-few", per_split=120)
    small, large = (measured(one, factor, speeds) for one, factor in zip(original.systems, (1.0, 0.2), strict=True))
    return report_json.build(original.model_copy(update={"systems": (small, large)}))


def test_prices_are_said_with_their_intervals() -> None:
    made = report(QUIET)
    said = headline.pay_back(made)
    small = made.small_system.cost
    assert small.usd_per_1k_ci95 is not None
    assert small.usd_per_1k_ci95[0] < small.usd_per_1k < small.usd_per_1k_ci95[1]  # type: ignore[operator]
    assert said.count("[$") == 2
    assert "labelling, engineering, hosting and licences not stated" in said
    page = render_html.render(made)
    assert "one at a time" in page
    assert "both systems run on the same machine" in page
    assert "[$" in render_md.render(made)


def test_nothing_is_said_of_money_where_the_speed_does_not_hold() -> None:
    made = report(UNSTEADY)
    assert not made.break_even.price_holds
    said = headline.pay_back(made)
    assert "is not stated" in said
    assert "when the machine is quiet" in said
    assert "$" not in said
    page = render_html.render(made)
    assert 'data-from="what_if/small_usd_per_request">not stated' in page
    assert "its speed does not hold" in page
    assert "No break-even line: no pay-back is stated" in page
    for absent in (
        "Saved per month, by volume",
        "What the break-even depends on",
        'class="chart money"',
        'id="pareto"',
    ):
        assert absent not in page, absent
    even = made.break_even
    assert (even.error_price_usd, even.p_cheaper_and_not_worse, even.saved_usd_per_1k) == (None, None, None)
    assert all(check.failed for check in gate.check(made, ["small_usd_per_1k > 9", "large_usd_per_1k > 9"]))


def test_a_report_with_speeds_can_be_priced_again() -> None:
    made = report(QUIET)
    again = report_json.reprice(made, report_json.load())
    assert again.break_even.requests_ci95 == made.break_even.requests_ci95
    assert [one.cost for one in again.systems] == [one.cost for one in made.systems]
