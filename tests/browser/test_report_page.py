"""The report in a real Chromium: sliders compute what Python computes, nothing is fetched, nothing in data runs."""

from pathlib import Path
from typing import Any

import pytest
from plausible import results

from evaluate.cost import payback
from evaluate.plan import Machine
from evaluate.report import basis, render_html, report_json, wording
from evaluate.report.schema import Report
from tests.evaluate.test_prices_said import UNSTEADY
from tests.evaluate.test_prices_said import report as report_of
from tests.markup import InTurn

pytestmark = [
    pytest.mark.browser,
]
HOSTILE = "<script>window.owned=1</script><img src=x onerror='window.owned=1'>"


@pytest.fixture(scope="module")
def made() -> Report:
    return report_json.build(results(("sft", "dpo", "large-few", "mini"), per_split=200))


def show(browser: Any, folder: Path, source: str, **options: Any) -> Any:
    """An open page that records complaints and requests."""
    file = folder / "report.html"
    file.write_text(source, "utf-8")
    page = browser.new_page(**options)
    page.complaints, page.fetched = [], []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.fetched.append(request.url))
    page.goto(file.as_uri())
    return page


def test_sliders_start_at_the_figures_of_the_report(browser: Any, made: Report, tmp_path: Path) -> None:
    page = show(browser, tmp_path, render_html.render(made))
    start = made.what_if
    assert page.text_content("#out-small") == wording.usd(1000 * start.small_usd_per_request)
    assert page.text_content("#out-large") == wording.usd(1000 * start.large_usd_per_request)
    assert page.text_content("#out-requests") == wording.count(made.break_even.requests)
    assert page.text_content("#out-verdict") == made.verdict.word
    assert page.complaints == []
    page.close()


@pytest.mark.parametrize("hourly", [0.0625, 0.0])
def test_figures_between_the_steps_of_a_slider_are_not_rounded(browser: Any, tmp_path: Path, hourly: float) -> None:
    original = results(("sft", "dpo", "mini"), large="mini", per_split=400)  # enough for a verdict and its pay-back
    machine = Machine(name="own", usd_per_hour=hourly, utilisation=0.333)
    odd = report_json.build(original.model_copy(update={"plan": original.plan.model_copy(update={"machine": machine})}))
    page = show(browser, tmp_path, render_html.render(odd))
    assert page.text_content("#out-small") == wording.usd(1000 * odd.what_if.small_usd_per_request)
    assert page.text_content("#out-requests") == wording.count(odd.break_even.requests)
    page.eval_on_selector("#factor", "e => { e.value = 1; e.dispatchEvent(new Event('input')); }")
    assert page.text_content("#out-small") == wording.usd(1000 * odd.what_if.small_usd_per_request)
    assert page.complaints == []
    page.close()


def test_no_slider_shows_money_where_the_price_does_not_hold(browser: Any, made: Report, tmp_path: Path) -> None:
    shaky = report_of(UNSTEADY)
    assert not shaky.break_even.price_holds
    page = show(browser, tmp_path, render_html.render(shaky))
    page.eval_on_selector("#factor", "e => { e.value = 2; e.dispatchEvent(new Event('input')); }")
    for name in ("small", "large", "requests", "months", "saving"):
        assert page.text_content(f"#out-{name}") == "not stated", name
    assert page.complaints == []
    page.close()


def test_moved_sliders_compute_what_python_computes(browser: Any, made: Report, tmp_path: Path) -> None:
    page = show(browser, tmp_path, render_html.render(made))
    for name, value in (("use", "20"), ("hourly", "0.4"), ("factor", "1")):
        page.eval_on_selector(f"#{name}", "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", value)
    start = made.what_if
    change = {"utilisation": 0.2 / 0.5, "machine_price": 0.4 / 0.1, "large_price": 2.0}
    small, large, fixed = payback.costs_under(start, change)
    assert small is not None
    assert large is not None
    assert fixed is not None
    assert page.text_content("#out-small") == wording.usd(1000 * small)
    assert page.text_content("#out-large") == wording.usd(1000 * large)
    shown = float((page.text_content("#out-requests") or "").replace(",", ""))
    assert shown == pytest.approx(fixed / (large - small), abs=1.5)
    assert page.locator(".money .run").count() == 2
    page.click("#start-over")
    assert page.text_content("#out-requests") == wording.count(made.break_even.requests)
    page.close()


def test_margin_slider_changes_the_verdict(browser: Any, made: Report, tmp_path: Path) -> None:
    page = show(browser, tmp_path, render_html.render(made))
    set_margin = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
    page.eval_on_selector("#margin", set_margin, "10")
    wide = page.text_content("#out-verdict")
    page.eval_on_selector("#margin", set_margin, "0")
    strict = page.text_content("#out-verdict")
    lower = made.what_if.lower_one_sided95
    moved = " (margin moved from 2.0 points after the answers)"
    begin = f"{made.verdict.qualifier}: "
    assert wide and wide.startswith(begin) and wide.endswith(moved)
    assert strict and strict.startswith(begin) and strict.endswith(moved)
    assert (basis.bare(wide.removesuffix(moved)) in ("NOT WORSE", "BETTER")) is (
        lower > -0.1 or made.what_if.ci95[0] > 0
    )
    assert (basis.bare(strict.removesuffix(moved)) == "NOT WORSE") is (lower > 0 >= made.what_if.ci95[0])
    page.close()


@pytest.mark.parametrize("text", [HOSTILE, InTurn()], ids=["one text", "each payload"])
def test_nothing_is_fetched_and_nothing_in_data_runs(browser: Any, tmp_path: Path, text: str) -> None:
    hostile = report_json.build(results(("dpo", "large-few"), per_split=40, hostile=text))
    page = show(browser, tmp_path, render_html.render(hostile))
    page.wait_for_timeout(1000)
    assert page.evaluate("window.owned") is None
    assert page.locator("a[href^='javascript' i]").count() == 0
    assert [url for url in page.fetched if not url.startswith(("file:", "data:"))] == []
    assert page.complaints == []
    page.close()


def test_both_themes_and_the_button_between_them(browser: Any, made: Report, tmp_path: Path) -> None:
    source = render_html.render(made)
    colour = "getComputedStyle(document.body).backgroundColor"
    light = show(browser, tmp_path, source, color_scheme="light")
    dark = show(browser, tmp_path, source, color_scheme="dark")
    assert light.evaluate(colour) != dark.evaluate(colour)
    wanted = dark.evaluate(colour)
    light.click("#theme")
    assert light.evaluate(colour) == wanted
    light.close()
    dark.close()


@pytest.mark.parametrize("width", [340, 768, 1600])
def test_page_never_scrolls_sideways(browser: Any, made: Report, tmp_path: Path, width: int) -> None:
    page = show(browser, tmp_path, render_html.render(made), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_gallery_pages_and_filters(browser: Any, made: Report, tmp_path: Path) -> None:
    page = show(browser, tmp_path, render_html.render(made))
    assert page.locator(".case:visible").count() == 6
    page.click("#more")
    assert page.locator(".case:visible").count() == 12
    page.click(".tabs button[data-kind=both_wrong]")
    assert page.locator(".case:visible[data-kind=both_wrong]").count() == page.locator(".case:visible").count()
    page.close()


def test_a_full_gallery_opens_within_two_seconds(browser: Any, tmp_path: Path) -> None:
    """Work of the page's own thread, so that a busy machine does not decide the outcome."""
    full = report_json.build(results(per_split=1200))
    page = show(browser, tmp_path, render_html.render(full))
    measured = page.context.new_cdp_session(page)
    measured.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.reload()
    metrics = {one["name"]: one["value"] for one in measured.send("Performance.getMetrics")["metrics"]}
    page.close()
    assert 0 < metrics["TaskDuration"] < 2


def test_on_a_phone_the_systems_stand_below_each_other_with_all_their_figures(browser: Any, tmp_path: Path) -> None:
    made = report_json.build(results(("sft", "dpo", "large-few", "mini"), per_split=200))
    page = show(browser, tmp_path, render_html.render(made), viewport={"width": 390, "height": 844})
    for table in page.locator("table.stacked").all():
        inner, outer = table.evaluate("t => [t.parentElement.scrollWidth, t.parentElement.clientWidth]")
        assert inner <= outer
    first = page.locator("table.stacked tbody tr").first
    shown = first.locator("td").evaluate_all("all => all.map(td => getComputedStyle(td, '::before').content)")
    assert '"USD per 1,000"' in shown and '"Latency p50 / p95"' in shown
    page.close()
