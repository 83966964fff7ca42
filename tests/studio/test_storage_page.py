"""Settings shows the bucket of a workspace: what differs, pushing, pulling, and what goes wrong in a sentence."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from synth.bucket import address
from synth.shared import Shared
from synth.standing import known_address, standing
from synth.workspace import Workspace
from tests.s3_server import Fault, S3Server
from tests.studio.test_data_page import button, write
from tests.studio.test_endpoints_page import said
from tests.studio.test_storage_command import BOXES, machine, made, served, store
from tests.studio.test_views import page, text

__all__ = ["served", "store"]
pytestmark = pytest.mark.slow
FIELD = "Bucket that its folders are shared through"


def stands(place: Workspace, store: str) -> dict[str, str]:
    return {str(one.item): one.state for one in standing(Shared(place, address(store)))}


def test_each_way_in_which_two_sides_can_differ_is_told(store: str, tmp_path: Path) -> None:
    here, there = machine(tmp_path, "here"), machine(tmp_path, "there")
    made(here)
    assert stands(here, store) == {"datasets/boxes": "only here"}
    assert known_address(here) is None
    Shared(here, address(store)).publish(BOXES)
    assert stands(here, store) == {"datasets/boxes": "equal"} and known_address(here) == address(store)
    assert stands(there, store) == {"datasets/boxes": "only there"}
    Shared(there, address(store)).fetch(BOXES)
    (there.datasets / "boxes" / "README.md").write_text("Other words")
    assert stands(there, store) == {"datasets/boxes": "changed here"}
    Shared(there, address(store)).publish(BOXES)
    assert stands(here, store) == {"datasets/boxes": "changed there"}
    (here.datasets / "boxes" / "README.md").write_text("Yet other words")
    assert stands(here, store) == {"datasets/boxes": "changed on both sides"}


def test_the_page_pushes_what_is_new_and_pulls_what_others_made(
    store: str, workspace: Workspace, tmp_path: Path
) -> None:
    app = page("settings")
    assert "Shared with nobody" in text(app)
    made(workspace)
    write(app, FIELD, store)
    app.run()
    assert "Nothing was pushed there or pulled from there yet" in text(app)
    button(app, "See what differs")
    shown = next(one.value for one in app.dataframe if "How it stands" in one.value.columns)
    assert shown["How it stands"].tolist() == ["Only here: push it"] and shown["Folder"].tolist() == ["datasets/boxes"]
    button(app, "Push what is new here")
    assert "Published datasets/boxes" in text(app).replace("\\", "")
    other = machine(tmp_path, "other")
    made(other, seed=1, name="more")
    Shared(other, address(store)).publish_made(lambda line: None)
    app = page("settings")
    assert next(one.value for one in app.text_input if one.label == FIELD) == store, "it is remembered"
    assert "Last push or pull" in text(app) and "Nothing changed here since" in text(app)
    button(app, "Pull what is new there")
    assert "Fetched datasets/more" in text(app).replace("\\", "") and (workspace.datasets / "more").is_dir()
    button(app, "Pull what is new there")
    assert "Nothing new is published" in text(app)
    (workspace.datasets / "boxes" / "README.md").write_text("Other words")
    assert "1 folder here is new or changed since" in text(page("settings"))


def test_what_goes_wrong_is_a_sentence_and_the_rest_of_the_page_is_there(
    store: str, served: S3Server, workspace: Workspace
) -> None:
    app = page("settings")
    write(app, FIELD, "somewhere")
    app.run()
    assert "is no address of a bucket" in said(app)
    write(app, FIELD, store)
    app.run()
    served.faults.append(Fault("403", lambda method, path: True))
    began = time.monotonic()
    button(app, "See what differs")
    assert not app.exception and time.monotonic() - began < 30
    assert store in said(app) or "refuse" in said(app)
    assert any("system has it" in str(one.value) for one in app.caption), "what comes after it"


def test_an_address_that_was_lost_is_asked_for_again(store: str, workspace: Workspace) -> None:
    made(workspace)
    Shared(workspace, address(store)).publish_made(lambda line: None)
    shutil.rmtree(workspace.path / "shared")
    assert known_address(workspace) is None
    assert "Shared with nobody" in text(page("settings"))
