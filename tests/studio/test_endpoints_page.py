"""Endpoints in Settings: a connection is tested before it is used, its models are listed, a key is kept in memory."""

from __future__ import annotations

import os

import pytest
from streamlit.testing.v1 import AppTest

from studio.read.glance import machine_line
from studio.serving import probe
from studio.state.endpoints import Endpoint, load_endpoints, save_endpoints
from studio.stub.endpoint import StubSettings, serve_in_thread
from synth.endpoint import keys
from synth.errors import EndpointError
from synth.workspace import Workspace
from tests.studio.test_data_page import button, write
from tests.studio.test_views import page, text

pytestmark = pytest.mark.slow


def said(app: AppTest) -> str:
    return " ".join([text(app), *(str(one.value) for one in [*app.success, *app.error])]).replace("\\", "")


def test_a_connection_is_tested_its_models_are_listed_and_it_is_added(workspace: Workspace) -> None:
    with serve_in_thread(StubSettings(models=("big", "bigger"))) as stub:
        app = page("settings")
        write(app, "Address", stub.base_url)
        button(app, "Test connection")
        assert "answers and offers 2 models" in said(app)
        assert next(s for s in app.selectbox if s.label == "Model").options == ["big", "bigger"]
        write(app, "Spend cap, USD", 1.5)  # type: ignore[arg-type]
        button(app, "Add")
        (added,) = load_endpoints(workspace)
        assert (added.name, added.model, added.base_url, added.spend_cap_usd) == ("big", "big", stub.base_url, 1.5)
        assert "on this machine, needs no key" in said(app)
        assert "no key found" not in said(app)
        assert not [row for row in stub.requests if row["paid"]]


def test_what_is_wrong_with_a_connection_is_a_sentence_with_a_remedy() -> None:
    app = page("settings")
    write(app, "Address", "http://127.0.0.1:9/v1")
    button(app, "Test connection")
    assert "does not answer" in said(app) and "Check the address" in said(app)
    button(app, "Add")
    assert "An endpoint needs its address and a model." in said(app) and "String should" not in said(app)
    with serve_in_thread() as stub, pytest.raises(EndpointError, match="status 404"):
        probe.models(stub.base_url.removesuffix("/v1") + "/v2", "NO_KEY")
    with pytest.raises(EndpointError, match="must look like https"):
        probe.models("ftp://example.test", "NO_KEY")


def test_a_model_that_a_server_no_longer_has_is_said(workspace: Workspace) -> None:
    with serve_in_thread(StubSettings(models=("new",))) as stub:
        save_endpoints(workspace, [Endpoint(name="mine", base_url=stub.base_url, model="old")])
        app = page("settings")
        button(app, "Test mine")
        assert "has no model “old”" in said(app) and "Choose one that it has: new" in said(app)


def test_a_key_kept_in_memory_is_used_and_written_nowhere(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    save_endpoints(workspace, [Endpoint(name="mine", base_url="https://example.test/v1", model="m")])
    app = page("settings")
    next(i for i in app.text_input if i.label == "Secret").set_value("sk-in-memory-1234")
    button(app, "Keep in memory")
    try:
        assert "key in memory until the studio stops" in said(app)
        assert keys.find_key("OPENAI_API_KEY") == os.environ["OPENAI_API_KEY"] == "sk-in-memory-1234"
        files = [p.read_text("utf-8", "replace") for p in workspace.path.rglob("*") if p.is_file()]
        assert files and not any("sk-in-memory" in content for content in files)
        button(app, "Forget it")
        assert keys.key_source("OPENAI_API_KEY") is None
    finally:
        keys._remembered.discard("OPENAI_API_KEY")
        os.environ.pop("OPENAI_API_KEY", None)


def test_endpoints_of_settings_are_counted_on_start(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert "no endpoint set" in machine_line(workspace)
    save_endpoints(workspace, [Endpoint(name="mine", base_url="https://example.test/v1", model="m")])
    assert "1 endpoint: mine" in machine_line(workspace)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert "2 endpoints: mine, OpenAI (environment)" in machine_line(workspace)
    app = page("start")
    assert any("2 endpoints: mine" in str(one.value).replace("\\", "") for one in app.caption)


def test_an_endpoint_is_renamed_described_and_removed_with_a_way_back(workspace: Workspace) -> None:
    save_endpoints(
        workspace, [Endpoint(name=name, base_url="https://example.test/v1", model="m") for name in ("mine", "other")]
    )
    app = page("settings")
    next(i for i in app.text_input if i.key == "called.mine").set_value("other")
    button(app, "Save mine")
    assert "There is already an endpoint 'other'" in said(app).replace("\\", "")
    next(i for i in app.text_input if i.key == "called.mine").set_value("the clinic's")
    next(i for i in app.text_area if i.key == "said.mine").set_value("Paid by the ward.")
    button(app, "Save mine")
    changed, other = load_endpoints(workspace)
    assert (changed.name, changed.about, other.name) == ("the clinic's", "Paid by the ward.", "other")
    button(app, "Remove the clinic's")
    assert load_endpoints(workspace) == [other] and "was removed" in said(app)
    button(app, "Undo")
    assert load_endpoints(workspace) == [other, changed]
    button(app, "Remove other")
    assert "other was removed" in said(app)
