"""Write rows by clicks: describe, preview with forecast, run, and on to training; against the stub."""

from __future__ import annotations

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
    asked = len(stub.requests)
    app = button(app, "Run").run()
    assert not app.exception and "is ready" in text(app)
    made = DatasetDir(workspace.datasets / "describe-a-domain-1")
    assert sum(made.card.splits.values()) == 30 and set(made.task.labels) == {"urgent", "soon", "routine"}
    assert len(stub.requests) < asked + 40  # the preview's answers were not asked for again


@pytest.mark.usefixtures("at_once", "stub")
def test_what_is_missing_is_told_before_anything_is_asked(stub: Stub) -> None:
    app = button(page("pipelines"), "Run")
    assert "task: is missing" in "\n".join(e.value for e in app.error).replace("\\", "")
    assert stub.requests == []


def test_without_an_endpoint_the_page_says_where_to_add_one() -> None:
    assert any("Settings" in error.value for error in page("pipelines").error)
