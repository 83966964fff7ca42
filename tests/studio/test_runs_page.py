"""The Runs page: history and filters, live figures and answers, stopping, resuming, notes, deletion, comparison."""

from __future__ import annotations

from typing import Any

import filled
import pytest
from streamlit.testing.v1 import AppTest

from recipes.run.directory import DISCARDED, Run
from studio.engines import jobs
from studio.read.curves import answers, curve_frame, events, last_figures, phases
from studio.state.notes import read_notes, write_notes
from studio.widgets import ui
from synth.workspace import Workspace
from tests.studio.test_views import page, text, unfold


@pytest.fixture
def place(workspace: Workspace) -> Workspace:
    filled.dataset(workspace)
    filled.run(workspace, "first")
    filled.run(workspace, "second")
    return workspace


def press(app: AppTest, label: str) -> AppTest:
    next(b for b in app.button if b.label == label).click().run()
    assert not app.exception, app.exception
    return app


def address(app: AppTest, name: str) -> str | None:
    value: Any = app.query_params.get(name)
    return value[0] if isinstance(value, list) and value else value or None


def said(app: AppTest) -> str:
    return text(app).replace("\\", "")


@pytest.mark.slow
def test_filters_narrow_the_table_and_stay_in_the_address(place: Workspace) -> None:
    write_notes(Run(place.runs / "second"), "for the board", ["keep"])
    app = page("runs", tag="keep")
    assert "1 of 2 runs" in said(app)
    table = next(d.value for d in app.dataframe if "Status" in d.value)
    assert list(table["Run"]) == ["second"]
    assert list(table["Note"]) == ["for the board"]
    next(i for i in app.text_input if i.label == "Search").set_value("nothing of that kind").run()
    assert "No run fits" in said(app)
    assert address(app, "find") == "nothing of that kind"


@pytest.mark.slow
def test_a_note_is_written_shown_and_kept_out_of_the_recipe(place: Workspace) -> None:
    app = page("runs", run="first")
    recipe = (place.runs / "first" / "recipe.yaml").read_bytes()
    unfold(app, "notes.first")
    next(a for a in app.text_area if a.label == "Note").set_value("<b>rate</b> too high")
    press(app, "Save note")
    assert read_notes(place.runs / "first").note == "<b>rate</b> too high"
    assert "<b>rate</b> too high" in [t.value for t in app.text]  # as text, never as markup
    assert (place.runs / "first" / "recipe.yaml").read_bytes() == recipe


@pytest.mark.slow
def test_a_deleted_run_is_back_after_undo(place: Workspace) -> None:
    app = press(page("runs", run="first"), "Delete run first")
    assert not (place.runs / "first").exists()
    assert "first is in the trash" in said(app)
    press(app, "Undo")
    assert (place.runs / "first" / "exit.json").is_file()
    assert address(app, "run") == "first"
    press(app, "Delete run first")
    press(app, "Remove for good")
    assert not list((place.path / "trash").iterdir())


@pytest.mark.slow
def test_others_are_laid_over_and_only_what_differs_is_tabled(place: Workspace) -> None:
    recipe = place.runs / "second" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("seed: 0", "seed: 7"))
    app = page("runs", run="first", over="second")
    table = next(d.value for d in app.dataframe if "setting" in d.value)
    assert table.to_dict("list") == {"setting": ["seed"], "first": ["0"], "second": ["7"]}
    frame = curve_frame([Run(place.runs / name) for name in ("first", "second")], "loss")
    assert list(frame.columns) == ["first", "second"] and len(frame) == 20


def test_each_curve_stands_out_by_3_to_1_on_a_light_page_and_on_a_dark_one() -> None:
    def luminance(color: str) -> float:
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = luminance("#FFFFFF"), luminance("#191919")
    assert len(set(ui.PALETTE)) == 7 + 1, "the run itself has a line too"
    for color in ui.PALETTE:
        own = luminance(color) + 0.05
        assert (light + 0.05) / own >= 3 and own / (dark + 0.05) >= 3, color


def test_what_cannot_go_on_says_why_and_offers_a_clone(place: Workspace) -> None:
    run = filled.run(place, "third", "failed")
    run.finish("stopped", "Discarded after step 3: nothing was kept of it.", DISCARDED)
    app = page("runs", run="third")
    assert next(b for b in app.button if b.label == "Resume").disabled
    assert "third was discarded" in said(app)
    assert "Clone and change" in [b.label for b in app.button]


def test_a_clone_begins_with_the_settings_of_its_run(place: Workspace) -> None:
    recipe = place.runs / "first" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("seed: 0", "seed: 7"))
    app = page("train", dataset="invoices", clone="first")
    assert next(s for s in app.selectbox if s.label == "Recipe").value == "as in first"
    unfold(app, "advanced")
    assert next(n for n in app.number_input if n.label == "Seed").value == 7


@pytest.mark.slow
def test_a_run_that_goes_on_shows_phases_answers_and_two_ways_to_stop(place: Workspace) -> None:
    run = filled.run(place, "live", None)
    row = {"id": "x", "question": "What is 2 + 2?", "media": [], "finished": True}
    with run.hold():
        for name in ("loading", "encoding", "training"):
            run.emit("phase", name=name)
        run.emit("samples", step=10, rows=[{**row, "gold": "Answer: 4", "answer": filled.HOSTILE, "right": False}])
        run.emit("samples", step=20, rows=[{**row, "gold": "Answer: 4", "answer": "Answer: 4", "right": True}])
        app = page("runs", run="live")
        assert "running" in said(app)
        assert "**training" in said(app)
        assert "1 of 1 right" in said(app)
        assert "What is 2 + 2?" in [t.value for t in app.text]
        next(s for s in app.selectbox if s.label == "Answers after step").set_value(10).run()
        assert filled.HOSTILE in [c.value for c in app.code]
        press(app, "Stop and discard")
        assert run.discard_requested()
        press(app, "Stop and save")
        assert run.stop_requested()


@pytest.mark.slow
def test_pictures_of_rows_that_are_gone_are_said_to_be_gone(place: Workspace) -> None:
    run = Run(place.runs / "first")
    row = {"id": "x", "question": "", "media": ["media/none.png"], "finished": False}
    run.emit("samples", step=20, rows=[{**row, "gold": "4", "answer": "", "right": None}])
    assert "no longer there" in said(page("runs", run="first"))


def test_only_new_events_are_read_and_a_resumed_run_shows_its_last_sitting(place: Workspace) -> None:
    run = Run(place.runs / "first")
    assert last_figures(run)[0] == ("Step", "20 of 20")
    assert len(events(run)) == 20
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"at": 1, "ki\n[]\n')
    for name, at in (("loading", 10), ("training", 12), ("loading", 100), ("training", 104)):
        run.emit("phase", name=name, at=at)
    run.emit("step", step=20, total_steps=40, loss=0.5, learning_rate=1e-3, seconds=11, at=110)
    assert [(phase.name, phase.seconds) for phase in phases(run)] == [("loading", 4), ("training", 6)]
    assert [(phase.name, phase.seconds) for phase in phases(run, 120)][-1] == ("training", 16)
    assert curve_frame([run], "loss")["first"][20] == 0.5
    assert answers(run) == {}
    assert jobs.log_tail(run) == ""
