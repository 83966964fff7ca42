"""Settings names the engine for rows, and tests the connection to a cluster machine by machine."""

from __future__ import annotations

import json
import sys

import pytest

from studio.engines import on_ray, rows
from studio.engines.rows import Seen, Setting
from synth.errors import RunError
from synth.workspace import Workspace
from tests.studio.test_data_page import button, write
from tests.studio.test_endpoints_page import said
from tests.studio.test_views import page

pytestmark = pytest.mark.slow


def test_the_engine_is_chosen_tested_and_kept(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    met = [Seen("node-1", 8, 1, ""), Seen("node-2", 8, 1, "its smolstudio is another version")]
    monkeypatch.setattr(rows, "connection", lambda place, address: met if address == "10.0.0.5:6379" else [])
    app = page("settings")
    next(one for one in app.selectbox if one.label == "Engine").select("ray").run()
    write(app, "Address of the cluster", "10.0.0.5:6379")
    button(app, "Test the connection")
    shown = next(one.value for one in app.dataframe if "Can take part" in one.value.columns)
    assert shown["Can take part"].tolist() == ["yes", "its smolstudio is another version"]
    assert any("same path" in str(one.value) for one in app.warning)
    button(app, "Save")
    assert rows.setting(workspace) == Setting(engine="ray", address="10.0.0.5:6379")


def test_a_cluster_that_cannot_be_reached_is_a_sentence(workspace: Workspace) -> None:
    rows.save(workspace, Setting(engine="ray", address="127.0.0.1:1"))
    app = page("settings")
    button(app, "Test the connection")
    assert "No Ray cluster can be joined at 127.0.0.1:1" in said(app)
    with pytest.raises(RunError) as caught:
        rows.connection(workspace, "127.0.0.1:1")
    assert caught.value.code == "engine.address"


def test_the_connection_test_says_how_ray_is_installed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert on_ray.main(str(workspace.path)) == 1
    assert "pip install 'smolstudio[ray]'" in json.loads(capsys.readouterr().out)["remedy"]


@pytest.mark.parametrize("broken", ["", "[", "7", '{"engine": "slurm"}', '{"engine": "ray", "address": 5}'])
def test_a_broken_setting_is_said_and_made_anew_on_the_page(broken: str, workspace: Workspace) -> None:
    workspace.path.mkdir(parents=True, exist_ok=True)
    (workspace.path / rows.FILE).write_text(broken)
    app = page("settings")
    assert not app.exception and rows.FILE in said(app)
    assert any("prices.yaml" in str(one.value) for one in app.caption), "the rest of the page is there"
    button(app, "Save")
    assert rows.setting(workspace) == Setting()
