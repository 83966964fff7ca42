"""Claims about how prices are said: with their intervals, and not at all where the speed does not hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from plausible import results

from evaluate.cost import throughput
from evaluate.report import gate, headline, render_html, render_md, report_json
from evaluate.report.reading import opened, read_report
from evaluate.report.results import Speed, SystemResult
from evaluate.report.schema import Report
from studio.read.results import headline as results_said
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
    assert 'data-from="systems/0/cost/usd_per_1k">not stated' in page
    assert "speed varied between" in page
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


MONEY = re.compile(r"\$[0-9]")


def priced(report: Report) -> list[str]:
    """Where in the JSON of a report a price of an answer stands that rests on a speed which does not hold."""
    shaky = {one.id for one in report.systems if one.speed and not one.speed.holds}
    found = []
    for one in report.systems:
        if one.id in shaky:
            figures = one.cost.model_dump(exclude={"basis", "kind", "withheld", "bill"})
            found += [f"{one.id}: {name}" for name, value in figures.items() if value is not None]
    start, even = report.what_if, report.break_even
    pair = {"small_usd_per_request": start.small, "large_usd_per_request": start.large}
    found += [name for name, of in pair.items() if of in shaky and getattr(start, name) is not None]
    if shaky & {start.small, start.large}:
        rests = even.model_dump(
            include={"requests", "requests_ci95", "saved_usd_per_1k", "utilisation", "error_price_usd"}
        )
        found += [name for name, value in rests.items() if value is not None]
        found += ["cascade"] * bool(report.cascade and any(point.usd_per_request for point in report.cascade.curve))
        found += ["heat"] * any(cell for row in report.sensitivity.heat.saving_usd_per_month for cell in row)
    return found


def said(report: Report, systems: set[str]) -> list[str]:
    """Lines of every output that name one of the systems and a sum of money."""
    report = report.model_copy(update={"gallery": None})  # invoices of the test rows name sums of their own
    labels = [one.label for one in report.systems if one.id in systems]
    page = re.sub(r"<script.*?</script>|<style.*?</style>", "", render_html.render(report), flags=re.S)
    rows = [
        " ".join(re.sub(r"<[^>]*>", " ", row).split())
        for row in re.findall(r"<tr[ >].*?</tr>|<p[ >].*?</p>", page, re.S)
    ]
    lines = [*render_md.render(report).splitlines(), *results_said(report, Path("r.json")).splitlines(), *rows]
    lines += [report.headline, *report.not_measured, *report.limits]
    lines = [line for line in lines if "Answering the test rows" not in line]  # spent, whatever the speed
    return [line for line in lines if any(label in line for label in labels) and MONEY.search(line)]


def test_a_price_at_a_speed_that_does_not_hold_stands_nowhere() -> None:
    made = report(UNSTEADY)
    assert priced(made) == []
    assert said(made, {"dpo", "large-few"}) == []
    for output in (render_md.render(made), results_said(made, Path("r.json")), render_html.render(made)):
        assert output.count("not stated") >= 2
    begins = f"What an answer of {made.small_system.label} costs is not stated: speed varied"
    assert any(line.startswith(begins) for line in made.not_measured)


def test_a_third_system_whose_speed_does_not_hold_has_no_price_and_the_two_keep_theirs() -> None:
    original = results(("dpo", "large-few", "sft"), large="large-few", per_split=120)
    speeds = (QUIET, [speed / 5 for speed in QUIET], UNSTEADY)
    systems = tuple(measured(one, 1.0, each) for one, each in zip(original.systems, speeds, strict=True))
    made = report_json.build(original.model_copy(update={"systems": systems}))
    assert made.break_even.price_holds
    assert made.break_even.status == "pays_back"
    assert priced(made) == []
    assert said(made, {"sft"}) == []
    assert said(made, {"dpo"}) != []


def test_a_report_written_with_such_prices_opens_without_them() -> None:
    """As versions before this one wrote them: a price beside a note that its speed does not hold."""
    steady, shaky = report(QUIET).model_dump(mode="json"), report(UNSTEADY).model_dump(mode="json")
    for one, held in zip(shaky["systems"], steady["systems"], strict=True):
        new = ("withheld", "usd_per_1k_single_range")
        one["cost"] = {key: value for key, value in held["cost"].items() if key not in new}
    shaky["what_if"] = steady["what_if"]
    opened_now = opened(shaky)
    assert priced(opened_now) == []
    assert said(opened_now, {"dpo", "large-few"}) == []
    assert priced(report_json.reprice(opened_now, report_json.load())) == []


def test_a_report_with_speeds_can_be_priced_again() -> None:
    made = report(QUIET)
    again = report_json.reprice(made, report_json.load())
    assert again.break_even.requests_ci95 == made.break_even.requests_ci95
    for one, other in zip(again.systems, made.systems, strict=True):
        spread = {"usd_per_1k_single_range"}
        assert one.cost.model_dump(exclude=spread) == other.cost.model_dump(exclude=spread)
        assert one.cost.usd_per_1k_single_range == pytest.approx(other.cost.usd_per_1k_single_range)


def test_a_report_of_a_demo_made_before_prices_were_withheld_opens_prints_and_is_priced_again() -> None:
    """The text demo's report, as written on a machine where the tuned model's speed varied (its cases cut to two)."""
    file = Path(__file__).parent / "fixtures" / "report-version-2-unsteady.json"
    before = json.loads(file.read_text("utf-8"))
    small = next(one for one in before["systems"] if one["id"] == before["small"])
    assert small["cost"]["usd_per_1k"] is not None
    assert not small["speed"]["holds"]
    for made in (read_report(file), report_json.reprice(read_report(file), report_json.load())):
        assert priced(made) == []
        assert said(made, {"tuned-dpo"}) == []
        assert made.small_system.cost.kind == "withheld"
        assert made.verdict.word == before["verdict"]["word"]
        assert [one.splits for one in made.systems] == [one.splits for one in read_report(file).systems]
        assert all(one.cost.usd_per_1k for one in made.systems if one.id in ("base-zero", "large-zero"))
