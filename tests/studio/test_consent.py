"""Nothing is sent to an endpoint elsewhere before a person agreed: in the terminal and Playground as in Compare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import filled
import pytest
from streamlit.testing.v1 import AppTest

from studio.cli import app as cli
from studio.cli import consent
from studio.serving import asking
from studio.state.endpoints import TYPED, Endpoint, agree, may_leave, save_endpoints
from studio.stub.endpoint import serve_in_thread
from synth.errors import EndpointError
from synth.usage import Usage
from synth.workspace import Workspace
from tests.studio.test_runs_page import press, said
from tests.studio.test_views import page

AWAY = "https://example.test/v1"


@pytest.fixture
def place(workspace: Workspace) -> Workspace:
    filled.dataset(workspace)
    return workspace


def plan(place: Workspace, url: str = AWAY) -> str:
    file = place.path / "plan.yaml"
    systems = f"[{{id: a, kind: endpoint, model: m, base_url: '{url}'}}]"
    file.write_text(f"dataset: invoices\nmax_rows: 2\nsystems: {systems}\n")
    return str(file)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The comparisons that would have begun."""
    found: list[str] = []

    def run(plan: object, workspace: object, *_: object, **__: object) -> Path:
        found.append(type(plan).__name__)
        raise EndpointError("Begun.", "")

    monkeypatch.setattr("evaluate.compare.run_comparison", run)
    return found


def test_a_comparison_without_a_terminal_is_refused_until_somebody_agreed(place: Workspace, ran: list[str]) -> None:
    with pytest.raises(
        EndpointError, match=r"Rows of invoices would leave this machine: example\.test is asked"
    ) as error:
        cli(["compare", plan(place)], standalone_mode=False)
    assert error.value.code == "endpoint.consent"
    assert consent.LEAVE in error.value.remedy
    assert not ran
    assert not may_leave(place, AWAY, "invoices")
    with pytest.raises(EndpointError, match="Begun"):
        cli(["compare", plan(place), consent.LEAVE], standalone_mode=False)
    with pytest.raises(EndpointError, match="Begun"):
        cli(["compare", plan(place)], standalone_mode=False)  # remembered
    assert len(ran) == 2
    assert not may_leave(place, AWAY, "another") and not may_leave(place, "https://other.test/v1", "invoices")


def test_what_was_agreed_to_in_the_studio_holds_in_the_terminal(place: Workspace, ran: list[str]) -> None:
    agree(place, AWAY, "invoices")
    with pytest.raises(EndpointError, match="Begun"):
        cli(["compare", plan(place)], standalone_mode=False)


def test_a_server_of_this_machine_needs_no_agreement(place: Workspace, ran: list[str]) -> None:
    with pytest.raises(EndpointError, match="Begun"):
        cli(["compare", plan(place, "http://127.0.0.1:9/v1")], standalone_mode=False)


def test_an_address_of_the_environment_counts_as_much(
    place: Workspace, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(plan(place))
    file.write_text(file.read_text().replace(f", base_url: '{AWAY}'", ""))
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.test/v1")
    with pytest.raises(EndpointError, match=r"elsewhere\.test is asked"):
        cli(["compare", str(file)], standalone_mode=False)


@pytest.mark.parametrize(("answer", "begins"), [("y\n", True), ("n\n", False)])
def test_on_a_terminal_it_is_a_question(
    place: Workspace, ran: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, begins: bool
) -> None:
    asked: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return answer == "y\n"

    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("sys.stderr", type("Terminal", (), {"isatty": lambda self: True, "write": len, "flush": int})())
    monkeypatch.setattr("typer.confirm", confirm)
    with pytest.raises(EndpointError):
        cli(["compare", plan(place)], standalone_mode=False)
    assert asked == ["Rows of invoices would leave this machine: example.test is asked about it. Do you agree?"]
    assert bool(ran) is begins
    assert may_leave(place, AWAY, "invoices") is begins


def test_a_judge_elsewhere_gets_no_row_before_that(place: Workspace) -> None:
    filled.comparison(place)
    name = json.loads((place.comparisons / "first" / "report.json").read_text())["dataset"]["name"]
    with pytest.raises(EndpointError, match=f"Rows of {name}, with their answers, would leave this machine"):
        cli(["judge", "first", "--model", "m", "--base-url", AWAY], standalone_mode=False)


@pytest.mark.parametrize("command", ["preview", "run", "bakeoff"])
def test_a_pipeline_gives_nothing_to_a_teacher_elsewhere_before_that(place: Workspace, command: str) -> None:
    given = ["describe-a-domain", "task=Say the ward", "labels=a", "--model", "m", "--base-url", AWAY]
    with pytest.raises(EndpointError, match="What the pipeline describe-a-domain is given"):
        cli(["pipeline", command, *given], standalone_mode=False)
    assert not list(place.pipelines.glob("*"))


@pytest.mark.slow
def test_the_playground_sends_nothing_elsewhere_before_the_box_is_ticked(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(workspace: object, offer: dict[str, str], question: object) -> Iterator[object]:
        asked.append(offer["base_url"])
        yield "Seven."
        yield asking.AnswerFacts(1.0, 0.5, Usage(), None, "unpriced")

    monkeypatch.setattr(asking, "answer", answer)
    save_endpoints(place, [Endpoint(name="mine", base_url=AWAY, model="m")])
    app = page("playground")
    next(m for m in app.multiselect if m.label == "Models").set_value(["Endpoint: mine"]).run()
    app.text_area[0].set_value("How much?").run()
    press(app, "Ask")
    assert "Agree above that it leaves this machine" in " ".join(str(i.value) for i in app.info)
    assert not asked
    (box,) = app.checkbox
    assert "What I ask leaves this machine" in box.label and "example.test" in box.label.replace("\\", "")
    box.check().run()
    press(app, "Ask")
    assert asked == [AWAY]
    assert may_leave(place, AWAY, TYPED) and not may_leave(place, AWAY, "invoices")
    again = task_chosen(page("playground"))
    (box,) = again.checkbox
    assert "task of **invoices**" in box.label, "the task of a dataset is more than a question"
    agree(place, AWAY, "invoices")
    assert not task_chosen(page("playground")).checkbox


def task_chosen(app: AppTest) -> AppTest:
    next(m for m in app.multiselect if m.label == "Models").set_value(["Endpoint: mine"]).run()
    return next(s for s in app.selectbox if s.label == "Task").set_value("invoices").run()


def test_the_playground_asks_no_agreement_for_models_of_this_machine(place: Workspace) -> None:
    with serve_in_thread() as stub:
        save_endpoints(place, [Endpoint(name="mine", base_url=stub.base_url, model="stub-model")])
        app = page("playground")
        assert not app.checkbox
        assert "leaves this machine" not in said(app)
