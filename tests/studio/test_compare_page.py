"""The Compare page: what is asked before a comparison, and what can be read, priced again and taken along after it."""

from __future__ import annotations

import json

import filled
import pytest

from evaluate.cost import prices
from studio.engines import jobs
from studio.engines.engine import Work
from studio.read import disagreements
from studio.read.rows import read_at
from studio.state.endpoints import Endpoint, is_here, may_leave, save_endpoints
from synth.jobdir import JobDir
from synth.storage import read_json, write_json
from synth.workspace import Workspace
from tests.studio.test_runs_page import address, press, said
from tests.studio.test_views import page

pytestmark = pytest.mark.slow


@pytest.fixture
def place(workspace: Workspace) -> Workspace:
    filled.dataset(workspace)
    filled.run(workspace, "first")
    filled.comparison(workspace, hostile=filled.HOSTILE)
    return workspace


def test_every_row_is_counted_once_and_read_again_at_its_place(place: Workspace) -> None:
    scores = place.comparisons / "first" / "scores.jsonl"
    report = json.loads(scores.with_name("report.json").read_text())
    small, large = report["small"], report["large"]
    found = disagreements.cases(scores, small, large)
    assert disagreements.systems(scores) == [small, large]
    for split, counts in report["gallery"]["counts"].items():
        ours = {kind: sum(c.kind == kind and c.split == split for c in found) for kind in counts}
        assert ours == counts
    for case in found:
        rows = read_at(scores, (case.small, case.large))
        assert [(row["system"], row["example_id"]) for row in rows] == [
            (small, case.example_id),
            (large, case.example_id),
        ]


@pytest.mark.slow
def test_rows_are_filtered_by_outcome_and_hostile_answers_stay_text(place: Workspace) -> None:
    app = page("compare", comparison="first", kind="both_right", first="large-few", second="sft")
    next(b for b in app.segmented_control if b.label == "Show").set_value("rows").run()
    assert not app.exception, app.exception
    outcome = next(s for s in app.selectbox if s.label == "Outcome")
    assert outcome.value == "both_right"
    scores = place.comparisons / "first" / "scores.jsonl"
    cases = disagreements.cases(scores, "large-few", "sft")
    count = sum(case.kind == "both_right" for case in cases)
    assert f"{count} rows · page 1 of" in said(app)
    shown = [c.value for c in app.code]
    assert read_at(scores, [next(c for c in cases if c.kind == "both_right").small])[0]["answer_text"] in shown
    marked_up = " ".join(str(m.value) for m in [*app.markdown, *app.caption]).replace("\\<", "")
    assert "<script" not in marked_up


@pytest.mark.slow
def test_a_report_is_priced_again_from_settings_and_taken_along(place: Workspace) -> None:
    file = place.comparisons / "first" / "report.json"
    before = json.loads(file.read_text())
    prices.set_price(place.path, before["machine"]["name"], "hour", 7.5)
    app = page("compare", comparison="first")
    assert "*Save as PDF*" in said(app)
    press(app, "Price again")
    after = json.loads(file.read_text())
    assert after["repriced"]
    assert after["verdict"]["word"] == before["verdict"]["word"]
    assert 'id="print"' in file.with_suffix(".html").read_text()


@pytest.mark.slow
def test_unpriced_endpoints_are_said_before_they_are_asked(place: Workspace) -> None:
    save_endpoints(place, [Endpoint(name="mine", base_url="https://example.test/v1", model="unheard-of")])
    app = page("compare", dataset="invoices")
    assert "No price is known for unheard" in " ".join(w.value for w in app.warning).replace("\\", "")
    systems = next(m for m in app.multiselect if m.label == "Systems")
    systems.set_value([one for one in systems.value if not one.startswith("Endpoint")]).run()
    assert "No price is known" not in " ".join(w.value for w in app.warning)


@pytest.mark.slow
def test_an_endpoint_of_settings_is_preselected_as_the_rival_and_gets_no_row_before_consent(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Work] = []
    monkeypatch.setattr(jobs.ENGINE, "submit", started.append)
    endpoint = Endpoint(name="mine", base_url="https://example.test/v1", model="gpt-4o-mini", spend_cap_usd=2)
    save_endpoints(place, [endpoint])
    app = page("compare", dataset="invoices")
    assert "Endpoint: mine, zero-shot" in next(m for m in app.multiselect if m.label == "Systems").value
    rival = next(s for s in app.selectbox if s.label.startswith("… good enough"))
    assert rival.value == "Endpoint: mine, zero-shot"
    forecast = " ".join(str(c.value) for c in app.caption).replace("\\", "")
    assert "30 requests for these rows, about $" in forecast  # 10 each of test, test_ood and val
    assert "stopped before $2.00" in forecast
    compare = next(b for b in app.button if b.label == "Compare")
    assert compare.disabled
    (consent,) = app.checkbox
    assert "leave this machine" in consent.label and "example.test" in consent.label.replace("\\", "")
    consent.check().run()
    press(app, "Compare")
    assert len(started) == 1
    assert may_leave(place, endpoint.base_url, "invoices")
    assert not may_leave(place, endpoint.base_url, "second")
    assert not may_leave(place, "https://other.test/v1", "invoices")
    assert not page("compare", dataset="invoices").checkbox  # asked once


def test_a_server_of_this_machine_needs_no_consent(place: Workspace) -> None:
    save_endpoints(place, [Endpoint(name="mine", base_url="http://localhost:11434/v1", model="m")])
    app = page("compare", dataset="invoices")
    assert not app.checkbox
    assert not next(b for b in app.button if b.label == "Compare").disabled
    for url in ("http://127.0.0.1:1/v1", "http://[::1]:1/v1", "http://localhost/v1"):
        assert is_here(url)
    for url in ("http://192.168.1.4/v1", "https://localhost.evil.test/v1", "http://127.0.0.1.evil.test/v1"):
        assert not is_here(url)


def test_a_comparison_elsewhere_cannot_be_named(place: Workspace) -> None:
    for name in ("../comparisons/first", "never-made"):
        assert f"There is no comparison '{name}' here" in said(page("compare", comparison=name))


@pytest.mark.slow
def test_another_dataset_can_be_chosen_again_and_again(place: Workspace) -> None:
    filled.dataset(place, "second")
    app = page("compare", dataset="invoices")
    for name in ("second", "invoices", "second"):
        next(s for s in app.selectbox if s.label == "Dataset").set_value(name).run()
        assert (address(app, "dataset"), next(s for s in app.selectbox if s.label == "Dataset").value) == (name, name)


def test_without_real_rows_the_page_says_before_comparing_what_the_verdict_will_be_about(place: Workspace) -> None:
    app = page("compare", dataset="invoices")
    assert "No real rows are in this dataset" in " ".join(str(one.value) for one in app.info)
    card = place.datasets / "invoices" / "dataset.json"
    write_json(card, {**read_json(card), "generator": "import"})
    (told,) = (str(one.value) for one in page("compare", dataset="invoices").info)
    assert told.startswith("The verdict will be about rows of your file."), "whose rows a file holds is the user's say"


def test_an_endpoint_is_offered_every_way_of_prompting_and_no_answer_limit_of_160(place: Workspace) -> None:
    save_endpoints(place, [Endpoint(name="mine", base_url="https://example.test/v1", model="gpt-4o-mini")])
    app = page("compare", dataset="invoices")
    offered = [str(one) for one in app.multiselect[0].options if str(one).startswith("Endpoint: mine")]
    assert [one.partition(", ")[2] for one in offered] == [
        "zero-shot",
        "few-shot",
        "with a schema",
        "few-shot with a schema",
    ]
    app.multiselect[0].set_value([offered[0]]).run()
    assert not app.exception, app.exception
    assert any("Instructions to try" in one.label for one in app.number_input)


def test_a_comparison_that_is_running_is_found_again(workspace: Workspace) -> None:
    job = JobDir(workspace.tasks / "compare-x")
    job.path.mkdir(parents=True)
    asked = {"kind": "compare", "arguments": {"plan": {"dataset": "mine"}, "comparison_id": "mine-x"}}
    write_json(job.path / "task.json", asked)
    with job.hold():
        links = [str(link.proto.label) for link in page("compare").get("page_link")]
        job.finish("done", "")
    assert any("A comparison on mine is running" in label for label in links)
    assert not any("is running" in str(link.proto.label) for link in page("compare").get("page_link"))
