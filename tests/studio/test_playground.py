"""The playground: answers as they are written, equal to those of a comparison, with time, tokens and cost."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import filled
import pytest

from evaluate.cost import prices
from evaluate.predict import local_text, local_vision
from evaluate.predict.prompts import Question
from evaluate.predict.stream import stream
from recipes.models.loading import load_for_inference
from studio.serving import asking
from studio.state.endpoints import Endpoint as Known
from studio.state.endpoints import save_endpoints
from studio.stub.endpoint import StubSettings, serve_in_thread
from studio.widgets import issue_form
from synth.endpoint import Ask, Endpoint, Settings
from synth.endpoint.wire import streamed_piece
from synth.errors import EndpointError
from synth.example import user
from synth.storage import read_json, write_json
from synth.workspace import Workspace
from tests.studio.test_runs_page import press, said
from tests.studio.test_views import page
from tests.tiny import tiny_llama
from tests.tiny_vision import picture_dataset, tiny_vlm

pytestmark = pytest.mark.slow

ASKED = Ask((user("What is 2 + 2?"),))


def test_a_streamed_text_is_the_text_of_a_comparison(tmp_path: Path) -> None:
    loaded = load_for_inference(str(tiny_llama(tmp_path)))
    question = Question("q", (user("How many?"),), tmp_path)
    (whole,) = local_text.answer(loaded, [question], 12, 1, lambda: False)
    pieces = list(stream(loaded, question, 12))
    assert "".join(piece.text for piece in pieces).strip() == whole.text
    assert [piece.usage for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].usage == whole.usage


def test_a_streamed_answer_to_a_picture_is_that_of_a_comparison(tmp_path: Path, workspace: Workspace) -> None:
    loaded = load_for_inference(str(tiny_vlm(tmp_path / "tiny", "SmolVLM")))
    dataset = picture_dataset(workspace, rows=2)
    example = next(dataset.examples("train"))
    question = Question(example.id, example.prompt, dataset.path)
    (whole,) = local_vision.answer(loaded, [question], 8, 1, lambda: False)
    pieces = list(stream(loaded, question, 8))
    assert "".join(piece.text for piece in pieces).strip() == whole.text
    assert pieces[-1].usage and pieces[-1].usage.input_tokens == whole.usage.input_tokens


def test_an_endpoint_streams_the_answer_that_it_would_give_whole() -> None:
    with serve_in_thread() as stub, Endpoint(Settings(stub.base_url, "stub-model")) as endpoint:
        whole = endpoint.ask(ASKED)
        pieces = list(endpoint.stream(ASKED))
    assert len(pieces) > 2
    assert "".join(piece.text for piece in pieces) == whole.text
    assert pieces[-1].usage and pieces[-1].usage.output_tokens == whole.usage.output_tokens
    assert stub.requests[-1]["stream"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said_so"), [("401", "key"), ("429", "too many"), ("500", "failed"), ("html", "HTML")]
)
def test_a_streamed_answer_that_does_not_come_is_a_sentence(fault: str, said_so: str) -> None:
    with serve_in_thread(StubSettings(faults={fault: 1.0})) as stub:
        with Endpoint(Settings(stub.base_url, "stub-model")) as endpoint, pytest.raises(EndpointError, match=said_so):
            list(endpoint.stream(ASKED))
        assert len(stub.requests) == 1


def test_odd_lines_of_a_stream_bring_nothing() -> None:
    for line in ("", ": keep-alive", "event: ping", "data: [DONE]", 'data: {"choices": []}', 'data: {"choices": [{}]}'):
        assert streamed_piece(line) is None


@pytest.mark.slow
def test_the_page_shows_answer_time_tokens_and_cost_of_each_model(workspace: Workspace) -> None:
    with serve_in_thread() as stub:
        save_endpoints(workspace, [Known(name="mini", base_url=stub.base_url, model="mini-1")])
        prices.set_price(workspace.path, "mini-1", "input_mtok", 1.0)
        prices.set_price(workspace.path, "mini-1", "output_mtok", 2.0)
        app = page("playground")
        next(m for m in app.multiselect if m.label == "Models").set_value(["Endpoint: mini"]).run()
        next(t for t in app.text_area if t.label == "Question").set_value(filled.HOSTILE).run()
        press(app, "Ask")
    shown = said(app)
    assert "the first word after" in shown
    assert "tokens in" in shown
    assert "for this answer (its tokens at the prices in Settings)" in shown
    assert "$0.0" in shown
    assert any(box.value for box in app.text)


@pytest.mark.slow
def test_an_endpoint_that_refuses_is_a_sentence_beside_the_others(workspace: Workspace) -> None:
    with serve_in_thread(StubSettings(faults={"401": 1.0})) as stub:
        save_endpoints(workspace, [Known(name="mini", base_url=stub.base_url, model="mini-1")])
        app = page("playground")
        next(m for m in app.multiselect if m.label == "Models").set_value(["Endpoint: mini"]).run()
        next(t for t in app.text_area if t.label == "Question").set_value("Well?").run()
        press(app, "Ask")
    assert "does not accept the key" in said(app)


def test_the_picture_that_is_asked_about_is_shown_and_needs_a_question(workspace: Workspace) -> None:
    picture = next((picture_dataset(workspace, rows=2).path / "media").iterdir())
    app = page("playground", modality="vision")
    app.file_uploader[0].set_value((picture.name, picture.read_bytes(), "image/png")).run()
    assert not app.exception
    assert len(app.image) == 1
    press(app, "Ask")
    assert "question" in said(app).lower() and not app.exception


def test_base_tuned_and_large_stand_side_by_side_at_first(workspace: Workspace) -> None:
    filled.dataset(workspace)
    filled.run(workspace, "first")
    models = next(m for m in page("playground").multiselect if m.label == "Models")
    assert models.value == ["Base: starter-text", "Tuned: first", "Large: starter-text-large"]


def test_the_base_beside_a_tuned_model_is_the_one_that_was_tuned(workspace: Workspace) -> None:
    filled.dataset(workspace)
    filled.run(workspace, "another")
    recipe = filled.run(workspace, "published").path / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("base_model: starter-text", "base_model: SmolLM2-135M-Instruct"))
    models = next(m for m in page("playground", run="published").multiselect if m.label == "Models")
    assert models.value[:2] == ["Base: SmolLM2-135M-Instruct", "Tuned: published"]


def test_what_a_local_answer_costs_is_the_machines_time(workspace: Workspace) -> None:
    from evaluate.plan import SystemPlan
    from synth.usage import Usage

    prices.set_price(workspace.path, "this machine", "hour", 3.6)
    usd, basis = asking.cost_of(workspace, SystemPlan(id="x", model="m"), Usage(), 10.0)
    assert usd == pytest.approx(0.01)
    assert "3.6 USD per hour" in basis
    endpoint = SystemPlan(id="x", kind="endpoint", model="unheard-of")
    assert asking.cost_of(workspace, endpoint, Usage(input_tokens=1, output_tokens=1), 10.0)[0] is None


def test_prompted_models_are_told_the_task_of_the_dataset_and_tuned_ones_as_they_were_tuned(
    workspace: Workspace,
) -> None:
    filled.dataset(workspace)
    filled.run(workspace, "bare")
    card = workspace.datasets / "invoices" / "dataset.json"
    said = "Work out the result."
    write_json(card, {**read_json(card), "task": {"instruction": said}})
    asked = Question("q", (user("What is 2 + 2?"),), workspace.path)
    endpoint = {"kind": "endpoint", "model": "m", "base_url": "https://example.test/v1"}
    assert asking.with_task(workspace, endpoint, asked, "invoices").messages[0].text == said
    assert asking.with_task(workspace, endpoint, asked, "") == asked
    assert asking.with_task(workspace, {"model": "starter-text"}, asked, "invoices") == asked
    tuned = {"model": "starter-text", "adapter": "bare"}
    assert asking.with_task(workspace, tuned, asked, "invoices") == asked, "its recipe does not say data.task"
    recipe = workspace.runs / "bare" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("task: false", "task: true"))
    assert asking.with_task(workspace, tuned, asked, "").messages[0].text == said


def test_a_tuned_model_whose_answers_are_records_is_held_to_their_schema_in_the_playground(
    workspace: Workspace,
) -> None:
    from synth.build import build_dataset

    filled.dataset(workspace)
    filled.run(workspace, "bare")
    build_dataset("extraction", {"train": 20, "val": 2, "test": 2, "test_ood": 2}, "issues", workspace)
    recipe = workspace.runs / "bare" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("dataset: invoices", "dataset: issues"))
    asked = Question("q", (user("The app closes on my Pixel 8."),), workspace.path)
    told = asking.with_task(workspace, {"model": "starter-text", "adapter": "bare"}, asked, "")
    assert told.response_format is not None
    free, held = (
        "".join(piece.text for piece in stream(load_for_inference("starter-text"), question, 24))
        for question in (asked, told)
    )
    assert held.startswith('{"title": "')
    assert not free.startswith("{"), "the untuned starter writes no record by itself"
    recipe.write_text(recipe.read_text().replace("dataset: issues", "dataset: gone"))
    assert asking.with_task(workspace, {"model": "starter-text", "adapter": "bare"}, asked, "").response_format is None


def test_a_record_with_a_title_is_a_form_and_a_link_to_a_filled_in_issue_that_nobody_sends(
    workspace: Workspace,
) -> None:
    answer = '{"title": "Crash on save", "type": "bug", "version": null, "steps": ["open", "save & close"]}'
    known = workspace.path / "answers.jsonl"
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps({"prompt": "It crashes when I save.", "answer": answer}))
    with serve_in_thread(StubSettings(answers=known)) as stub:
        save_endpoints(workspace, [Known(name="near", base_url=stub.base_url, model="stub-model")])
        app = page("playground")
        app.multiselect[0].set_value(["Endpoint: near"])
        app.text_area[0].set_value("It crashes when I save.")
        press(app, "Ask")
    fields = {area.label: area for area in app.text_area[1:]}
    assert [area.value for area in fields.values()] == ["Crash on save", "bug", "", "1. open\n2. save & close"]
    fields["type"].set_value("question")
    next(one for one in app.text_input if one.label == "Repository").set_value("me/mine").run()
    (found,) = [one for one in app.get("link_button") if one.proto.label == "Open as a new issue"]
    query = parse_qs(urlsplit(found.proto.url).query)
    assert found.proto.url.startswith("https://github.com/me/mine/issues/new?")
    assert query == {"title": ["Crash on save"], "body": ["**type**\nquestion\n\n**steps**\n1. open\n2. save & close"]}
    assert issue_form.link("not a repository", {"title": "x"}) == ""
