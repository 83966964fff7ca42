"""Write rows by clicks: describe, preview with forecast, run, and on to training; against the stub."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from evaluate.cost.prices import set_price
from studio.state.endpoints import Endpoint, save_endpoints
from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.dataset import DatasetDir
from synth.workspace import Workspace
from tests.studio.test_data_page import at_once, button, write
from tests.studio.test_views import page, text

__all__ = ["at_once"]
pytestmark = pytest.mark.slow


@pytest.fixture
def stub(workspace: Workspace) -> Iterator[Stub]:
    for unit, price in (("input_mtok", 1), ("output_mtok", 4)):
        set_price(workspace.path, "stub-model", unit, price)
    with serve_in_thread(StubSettings(skill=0.9)) as running:
        save_endpoints(workspace, [Endpoint(name="Rehearsal", base_url=running.base_url, model="stub-model")])
        yield running


def described() -> AppTest:
    app = page("pipelines")
    write(app, "Your task", "Messages of patients, by urgency")
    write(app, "Labels", "urgent\nsoon\nroutine")
    write(app, "Accepted rows", 30)  # type: ignore[arg-type]
    return app.run()


@pytest.mark.usefixtures("at_once")
def test_a_task_is_described_previewed_and_run_by_clicks(stub: Stub, workspace: Workspace) -> None:
    app = button(described(), "Preview 20 rows").run()
    assert not app.exception
    assert "candidates were accepted" in text(app) and "30 rows: about" in text(app)
    assert "About a minute." in text(app)
    asked = len(stub.requests)
    app = button(app, "Write the rows").run()
    assert not app.exception and "is ready" in text(app)
    made = DatasetDir(workspace.datasets / "describe-a-domain-1")
    assert sum(made.card.splits.values()) == 30 and set(made.task.labels) == {"urgent", "soon", "routine"}
    assert len(stub.requests) < asked + 40  # the preview's answers were not asked for again


@pytest.mark.usefixtures("at_once", "stub")
def test_a_preview_says_how_many_rows_would_narrow_its_forecast_and_makes_them() -> None:
    app = described()
    write(app, "Accepted rows", 2000)  # type: ignore[arg-type]
    app = button(app.run(), "Preview 20 rows").run()
    said = re.search(r"A preview of (\d+) rows narrows that to about 10 %", text(app))
    assert said and int(said[1]) > 20
    app = button(app, f"Preview {said[1]} rows").run()
    assert not app.exception and f"**{said[1]}** of " in text(app)


@pytest.mark.usefixtures("at_once", "stub")
def test_what_is_missing_is_told_before_anything_is_asked(stub: Stub) -> None:
    app = button(page("pipelines"), "Write the rows")
    assert "task: is missing" in "\n".join(e.value for e in app.error).replace("\\", "")
    assert stub.requests == []


def test_without_an_endpoint_the_page_says_where_to_add_one() -> None:
    assert any("Settings" in error.value for error in page("pipelines").error)


@pytest.mark.usefixtures("at_once")
def test_a_changed_prompt_makes_the_method_ones_own_and_only_what_it_touches_is_asked_anew(
    stub: Stub, workspace: Workspace
) -> None:
    app = button(described(), "Preview 20 rows").run()
    asked = len(stub.requests)
    prompt = next(area for area in app.text_area if area.label == "label-text.md")
    prompt.set_value(str(prompt.value) + "\nThink of who reads it.").run()
    app = button(app, "Keep my prompts").run()
    assert not app.exception
    assert "describe-a-domain-mine" in app.query_params["pipeline"]
    assert next(area.value for area in app.text_area if area.label == "Your task") == "Messages of patients, by urgency"
    app = button(app, "Preview 20 rows").run()
    assert not app.exception and "candidates were accepted" in text(app)
    # The second look was asked anew, the topics and texts were not, but for those of candidates that now passed.
    assert 20 <= len(stub.requests) - asked <= 40
    own = workspace.path / "methods" / "describe-a-domain-mine"
    assert "Think of who reads it." in (own / "prompts" / "label-text.md").read_text()


@pytest.mark.usefixtures("at_once", "stub")
def test_a_prompt_that_is_no_template_is_not_kept(workspace: Workspace) -> None:
    app = described()
    next(area for area in app.text_area if area.label == "label-text.md").set_value("{% if %}").run()
    app = button(app, "Keep my prompts")
    assert any("no template" in error.value for error in app.error)
    assert not (workspace.path / "methods").exists()


@pytest.mark.usefixtures("at_once")
def test_examples_can_be_pasted_and_are_read_as_a_person_writes_them(stub: Stub, workspace: Workspace) -> None:
    app = page("pipelines")
    write(app, "Your task", "Nachrichten von Mietern")
    write(
        app,
        "… or paste them: Examples",
        "1. Aufzug steht -> dringend\n2. Wo ist das Büro? → Auskunft \n3. Grill qualmt -> Klage",
    )
    write(app, "Accepted rows", 12)  # type: ignore[arg-type]
    app = button(app, "Write the rows").run()
    assert not app.exception and "is ready" in text(app)
    made = DatasetDir(workspace.datasets / "describe-a-domain-1")
    assert list(made.task.labels) == ["dringend", "Auskunft", "Klage"]
    own = {row.prompt[-1].text for row in made.examples("train") if row.origin and row.origin.kind == "imported"}
    assert own == {"Aufzug steht", "Wo ist das Büro?", "Grill qualmt"}


@pytest.mark.usefixtures("at_once", "stub")
def test_what_a_run_accepted_before_it_ended_becomes_a_dataset_by_a_click(workspace: Workspace) -> None:
    app = described()
    write(app, "Topics", 1)  # type: ignore[arg-type]
    write(app, "Spend cap, USD", 0.03)  # type: ignore[arg-type]
    write(app, "Accepted rows", 300)  # type: ignore[arg-type]
    app = button(app, "Write the rows").run()
    said = "\n".join(error.value for error in app.error)
    assert "cap" in said and "smolstudio" not in said
    taken = next(one for one in app.button if one.label.startswith("Go on with these"))
    app = taken.click().run()
    assert not app.exception and "is ready" in text(app)
    made = DatasetDir(workspace.datasets / "describe-a-domain-1")
    assert f"{sum(made.card.splits.values()):,} rows" in taken.label
