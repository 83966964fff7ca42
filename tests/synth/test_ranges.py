"""Generation in ranges: the bytes of one process, whoever made which range in what order, and however often killed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from synth import ranged
from synth.build import build_dataset
from synth.errors import RecipeError, RunError, StorageError
from synth.storage import read_json
from synth.workspace import Workspace
from tests.in_turn import InTurn

PICTURES = {
    "train": 31,
    "val": 4,
    "test": 5,
    "test_ood": 7,
    "size": 112,
    "model_size": 112,
    "questions_per_image": 3,
    "degrade": ["blur", "noise"],
}


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranged, "UNITS", 4)


def files(folder: Path) -> dict[str, str]:
    """Everything but when it was made and how long that took."""
    found = [file for file in folder.rglob("*") if file.is_file()]
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in found
        if file.name not in ("dataset.json", "README.md")
    }


def card(folder: Path) -> dict[str, Any]:
    return {k: v for k, v in read_json(folder / "dataset.json").items() if k not in ("created", "seconds", "name")}


def test_pictures_made_in_ranges_are_the_bytes_of_one_process(workspace: Workspace) -> None:
    alone = build_dataset("vision", PICTURES, "alone", workspace).path
    engine = InTurn()
    shared = build_dataset("vision", PICTURES, "shared", workspace, engine=engine).path
    assert files(shared) == files(alone)
    assert card(shared) == card(alone)
    assert card(shared)["rejected"], "rejected rows are the same too, and there are some"
    assert len(engine.done) > 4
    assert len(engine.done) == len(set(engine.done))
    assert not (workspace.path / "cache" / "generation" / "shared").exists(), "ranges go once the dataset is there"


@pytest.mark.slow
def test_speech_made_in_ranges_is_the_bytes_of_one_process(workspace: Workspace) -> None:
    """Also the voices at the next table, which are those of the recordings before: they are spoken again."""
    settings = {"train": 26, "val": 2, "test": 6, "test_ood": 6, "silence_share": 0.2, "noise_share": 1.0}
    alone = build_dataset("audio", settings, "alone", workspace).path
    shared = build_dataset("audio", settings, "shared", workspace, engine=InTurn()).path
    assert files(shared) == files(alone)
    assert card(shared) == card(alone)


def test_a_killed_generation_makes_only_its_open_ranges_again(workspace: Workspace) -> None:
    alone = build_dataset("vision", PICTURES, "alone", workspace).path
    dying, second = InTurn(dies_after=5), InTurn()
    with pytest.raises(KeyboardInterrupt):
        build_dataset("vision", PICTURES, "shared", workspace, engine=dying)
    shared = build_dataset("vision", PICTURES, "shared", workspace, engine=second).path
    assert len(dying.done) == 5
    assert not set(dying.done) & set(second.done)
    assert files(shared) == files(alone)


def test_other_settings_under_the_same_name_take_nothing_over(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_dataset("vision", PICTURES, "shared", workspace, engine=InTurn(dies_after=3))
    changed = {**PICTURES, "seed": 5}
    alone = build_dataset("vision", changed, "alone", workspace).path
    assert files(build_dataset("vision", changed, "shared", workspace, engine=InTurn()).path) == files(alone)


def test_a_stop_keeps_the_ranges_that_are_done(workspace: Workspace) -> None:
    engine = InTurn()
    with pytest.raises(RunError) as caught:
        build_dataset("vision", PICTURES, "shared", workspace, stop=lambda: len(engine.done) >= 3, engine=engine)
    assert caught.value.code == "run.stopped"
    again = InTurn()
    build_dataset("vision", PICTURES, "shared", workspace, engine=again)
    assert not set(engine.done) & set(again.done)


def test_rows_that_depend_on_those_before_them_are_not_shared(workspace: Workspace) -> None:
    with pytest.raises(RecipeError, match="Generate it here") as caught:
        build_dataset("math", {"train": 5}, "m", workspace, engine=InTurn())
    assert caught.value.code == "engine.rows"
    assert not (workspace.datasets / "m").exists()


def test_a_picture_that_is_not_the_one_that_was_made_is_named(workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_dataset("vision", PICTURES, "shared", workspace, engine=InTurn(dies_after=3))
    one = next((workspace.path / "cache" / "generation" / "shared").rglob("00000000-*.media"))
    one.write_bytes(one.read_bytes()[:-9])
    for damaged in (one.exists, one.unlink):
        damaged()
        with pytest.raises(StorageError, match=r"does not hold what was made. Delete .*, and start again"):
            build_dataset("vision", PICTURES, "shared", workspace, engine=InTurn())


@pytest.mark.parametrize("last", ["", "{}", "[]", '{"rows": 3}', '{"rows": [{}], "media": [], "seconds": 0}'])
def test_a_range_that_lost_a_line_is_named(last: str, workspace: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_dataset("vision", PICTURES, "shared", workspace, engine=InTurn(dies_after=3))
    one = next((workspace.path / "cache" / "generation" / "shared").rglob("00000000-*.jsonl"))
    one.write_text("".join(one.read_text().splitlines(keepends=True)[:-1]) + last)
    with pytest.raises(StorageError, match=r"Delete it, and start again"):
        build_dataset("vision", PICTURES, "shared", workspace, engine=InTurn())
