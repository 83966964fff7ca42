"""A clinic's file on the Data page: what is shown before Import, the task, and real rows by paste and by buttons."""

from __future__ import annotations

import io
import json
import wave
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from studio.views.data_plan import FIRST_ROLES
from synth.curation.amend import set_task
from synth.dataset import DatasetDir
from synth.importing.importer import Options, import_data
from synth.workspace import Workspace
from tests.studio.test_data_page import at_once, button, choose, write
from tests.studio.test_views import page, text
from tests.synth.test_shares import clinic

pytestmark = pytest.mark.slow

__all__ = ["at_once"]
READ_AS = {"question": "message", "answer": "category"}
PATH = "… or a file or folder on this machine"


def opened(source: Path) -> AppTest:
    app = page("data", tab="import", modality="text")
    write(app, PATH, str(source))
    return app.run()


def shown(app: AppTest) -> str:
    boxes = [*app.warning, *app.info, *app.error, *app.success]
    return "\n".join([text(app), *(str(box.value) for box in boxes)])


@pytest.fixture
def imported(tmp_path: Path, workspace: Workspace) -> DatasetDir:
    import_data(clinic(tmp_path), "clinic", workspace, Options(mapping={"question": "message", "answer": "category"}))
    return DatasetDir(workspace.datasets / "clinic")


# --- before Import -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
def test_a_clinics_file_on_the_defaults_gets_a_sound_split_and_a_task(tmp_path: Path, workspace: Workspace) -> None:
    app = opened(clinic(tmp_path))
    menus = {s.label: s.value for s in app.selectbox}
    assert (menus["What is asked, or the text"], menus["The right answer"], menus["Keep rows together by"]) == (
        "message",
        "category",
        "",
    )
    seen = shown(app)
    assert "**239** training · **30** validation · **30** test" in seen
    (classes,) = [d.value for d in app.dataframe if "Answer" in d.value.columns]
    assert len(classes) == 5
    assert (classes[["Training", "Validation", "Test"]] > 0).all(axis=None)
    assert any("Not used: urgency" in e.label for e in app.expander)
    assert menus["Kind of task"] == "classification"
    write(app, "What the model should do", "Say which desk of the clinic a message belongs to.")
    button(app, "Import")
    assert not app.exception
    assert "299 rows kept, 0 set aside" in text(app)
    made = DatasetDir(workspace.datasets / "my-data")
    assert made.card.splits == {"train": 239, "val": 30, "test": 30}
    assert made.task.instruction == "Say which desk of the clinic a message belongs to."
    assert set(made.task.labels) == {row.answer for row in made.examples("train")}


def test_a_group_that_holds_a_class_out_is_refused_before_import(tmp_path: Path, workspace: Workspace) -> None:
    source = tmp_path / "wards.csv"
    rows = [f"Message {n} about a thing of ward {n % 10},{'ab'[n % 10 == 3]},{n % 10}" for n in range(200)]
    source.write_text("message,desk,ward\n" + "\n".join(rows) + "\n")
    app = opened(source)
    choose(app, FIRST_ROLES["answer"], "desk")
    assert not app.error
    menu = next(s for s in app.selectbox if s.label == "Keep rows together by")
    assert any(option.startswith("ward: 10 values, 160 training") for option in menu.options)
    # All of class b is one ward; in a quarter of the seeds it would be tested and never learned.
    choose(app, "Keep rows together by", "ward")
    import_button = next(b for b in app.button if b.label == "Import")
    refused = "never learned" in shown(app)
    assert import_button.disabled == refused
    assert refused or "would have no test row" in shown(app)


def test_a_refresh_keeps_what_was_chosen_of_an_import(tmp_path: Path, workspace: Workspace) -> None:
    source = clinic(tmp_path)
    app = opened(source)
    choose(app, FIRST_ROLES["answer"], "urgency")
    next(n for n in app.number_input if n.label == "Test, %").set_value(25)
    write(app, "What the model should do", "Say how urgent it is.")
    write(app, "Name of the dataset", "wards")
    app.run()
    path = str(source)
    assert path in app.query_params["path"], "the address names the file"
    again = page("data", tab="import", modality="text", path=path)
    menus = {s.label: s.value for s in again.selectbox}
    assert (menus["What is asked, or the text"], menus["The right answer"]) == ("message", "urgency")
    assert next(n.value for n in again.number_input if n.label == "Test, %") == 25
    held = {field.label: field.value for field in [*again.text_input, *again.text_area]}
    assert held["What the model should do"] == "Say how urgent it is." and held["Name of the dataset"] == "wards"
    source.write_text(source.read_text("utf-8") + "Another message,billing,low\n", "utf-8")
    other = page("data", tab="import", modality="text", path=path)
    assert {s.label: s.value for s in other.selectbox}["The right answer"] == "category", "another file, another form"


def test_an_empty_cell_is_called_so_and_295_rows_have_30_to_test_on(tmp_path: Path, workspace: Workspace) -> None:
    lines = clinic(tmp_path, rows=297).read_text("utf-8").splitlines()
    lines[1:3] = [",billing,low", "Where can I park?,,low"]
    (tmp_path / "clinic.csv").write_text("\n".join(lines), "utf-8")
    app = opened(tmp_path / "clinic.csv")
    reasons = next(d.value for d in app.dataframe if "reason" in d.value)["reason"]
    assert list(reasons) == [f"no {r}: its cell of '{c}' is empty" for r, c in READ_AS.items()]
    assert "295 rows" in text(app) and "test rows are few" not in shown(app)


def test_what_cannot_be_imported_has_no_button_and_says_so_above_the_form(tmp_path: Path, workspace: Workspace) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "totals.csv").write_text("scan,total\na.png,12.50\n", "utf-8")
    app = page("data", tab="import", modality="vision")
    write(app, PATH, str(tmp_path / "totals.csv"))
    app.run()
    assert "no question" in app.error[0].value and "add a column `question`" in app.error[0].value.replace("\\", "")
    assert not any(b.label == "Import" for b in app.button)
    menus = {s.label: s.value for s in app.selectbox}
    assert menus["The file of the picture or recording"] == "scan", "found by its values"
    assert menus["The right answer"] == "total"
    write(app, "What is asked where a row brings no question", "What is the total?")
    app.run()
    assert not app.error
    assert next(b for b in app.button if b.label == "Import").disabled is False


def test_recordings_dropped_with_a_table_of_any_headers_are_imported_as_recordings(
    tmp_path: Path, workspace: Workspace
) -> None:
    with wave.open(sound := io.BytesIO(), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(bytes(32_000))
    app = page("start")
    table = ("t.csv", b"recording,said\nmemo 1.wav,no pain\n", "text/csv")
    app.file_uploader[0].set_value([table, ("memo 1.wav", sound.getvalue(), "audio/wav")]).run()
    assert app.query_params["modality"] in ("audio", ["audio"])
    menus = {s.label: s.value for s in app.selectbox}
    assert (menus["The file of the picture or recording"], menus["What is said"]) == ("recording", "said")


def test_few_rows_get_a_larger_test_and_a_word_about_it(tmp_path: Path, workspace: Workspace) -> None:
    app = opened(clinic(tmp_path, rows=60))
    assert next(n for n in app.number_input if n.label == "Test, %").value == 30
    assert "18 test rows are few" in shown(app)
    assert "± 18 points" in shown(app)


@pytest.mark.usefixtures("at_once")
def test_two_answer_columns_are_offered_as_one_json_answer(tmp_path: Path, workspace: Workspace) -> None:
    app = opened(clinic(tmp_path))
    (offer,) = app.multiselect
    assert (offer.value, offer.options) == ([], ["category", "urgency"])
    offer.set_value(["category", "urgency"]).run()
    assert next(s for s in app.selectbox if s.label == "Kind of task").value == "extraction"
    assert not any("Not used" in e.label for e in app.expander)
    button(app, "Import")
    assert not app.exception
    made = DatasetDir(workspace.datasets / "my-data")
    assert next(made.examples("train")).scorer == "json"


@pytest.mark.usefixtures("at_once")
def test_stars_called_a_classification_before_the_import_are_its_labels(tmp_path: Path, workspace: Workspace) -> None:
    rows = "".join(f"The stay on ward {n * 37} was as told,{n % 5 + 1}\n" for n in range(60))
    (tmp_path / "stars.csv").write_text("question,answer\n" + rows)
    app = opened(tmp_path / "stars.csv")
    menu = next(s for s in app.selectbox if s.label == "Kind of task")
    assert menu.value == "question_answering"
    menu.set_value("classification").run()
    listed = next(a for a in app.text_area if a.label.startswith("Possible answers"))
    assert set(listed.value.split()) == {"1", "2", "3", "4", "5"}
    button(app, "Import")
    assert not app.exception
    assert set(DatasetDir(workspace.datasets / "my-data").task.labels) == {"1", "2", "3", "4", "5"}


# --- the task ----------------------------------------------------------------------------------------------------


def test_the_task_is_edited_and_saved_into_the_card(imported: DatasetDir) -> None:
    app = page("data", tab="task", dataset="clinic")
    assert "Nothing was changed" in text(app)
    before = imported.card.sha256
    write(app, "What the model should do", "Sort a message.")
    app.run()
    assert "Changed: Instruction" in text(app)
    button(app, "Save the task")
    assert not app.exception
    after = DatasetDir(imported.path)
    assert after.task.instruction == "Sort a message."
    changed = {name for name in after.card.sha256 if after.card.sha256[name] != before.get(name)}
    assert len(changed) == 1
    assert after.verify() == []


def test_a_label_that_rows_have_and_the_list_lacks_is_said(imported: DatasetDir) -> None:
    app = page("data", tab="task", dataset="clinic")
    menu = next(a for a in app.text_area if a.label.startswith("Possible answers"))
    menu.set_value("billing: invoices and payments\nresults").run()
    assert "which the list lacks" in shown(app)
    button(app, "Save the task")
    assert DatasetDir(imported.path).task.labels == {"billing": "invoices and payments", "results": ""}


def test_a_kind_chosen_on_the_task_page_fits_the_rows_and_brings_their_labels(imported: DatasetDir) -> None:
    labels = imported.task.labels
    set_task(imported, kind="free_text", labels={})
    app = page("data", tab="task", dataset="clinic")
    menu = next(s for s in app.selectbox if s.label == "Kind of task")
    assert "Classification" in menu.options and "Dictation" not in menu.options
    menu.set_value("classification").run()
    listed = next(a for a in app.text_area if a.label.startswith("Possible answers"))
    assert set(listed.value.splitlines()) == set(labels)
    listed.set_value("").run()
    assert "needs its possible answers" in shown(app)


# --- real rows ---------------------------------------------------------------------------------------------------


def test_pasted_lines_become_real_rows_and_the_page_says_what_they_allow(imported: DatasetDir) -> None:
    app = page("data", tab="real", dataset="clinic")
    assert "has **no real row**" in text(app) and "no promise about your own work" not in text(app)
    assert "30 imported test rows only" in text(app)
    lines = "\n".join(f"Could somebody call me, reason {n} of mine? → billing" for n in range(3))
    write(app, "Rows, one a line: “text → answer”, JSON lines, or a table with its header", lines)
    button(app, "Add the rows")
    assert not app.exception
    assert "3 rows were added; clinic has 3 real rows now" in shown(app)
    rows = list(DatasetDir(imported.path).examples("test_real"))
    assert {(row.answer, row.origin.kind) for row in rows} == {("billing", "real")}
    assert "clinic has **3 real rows**" in text(app)
    file = imported.path / "dataset.json"  # as where a demo adds rows that were written for it
    card = json.loads(file.read_text())
    file.write_text(json.dumps({**card, "origins": {**card["origins"], "test_real": {"hand": 3}}}))
    assert "clinic has **3 hand-written rows**" in text(page("data", tab="real", dataset="clinic"))


def test_a_pasted_table_is_read_by_the_columns_of_the_import(imported: DatasetDir) -> None:
    app = page("data", tab="real", dataset="clinic")
    label = "Rows, one a line: “text → answer”, JSON lines, or a table with its header"
    write(app, label, "message,category,urgency\nMy bill is wrong again,billing,low\n")
    next(r for r in app.radio if r.label.startswith("Where")).set_value("hand")
    button(app, "Add the rows")
    (row,) = DatasetDir(imported.path).examples("test_real")
    assert (row.answer, row.origin.kind) == ("billing", "hand")


@pytest.mark.parametrize(
    ("pasted", "sentence"),
    [("", "There is no row"), ("hello", "neither JSON lines"), ("a → b\nc → d\nno arrow here", "Line 3 has no text")],
)
def test_what_cannot_be_read_is_a_sentence(imported: DatasetDir, pasted: str, sentence: str) -> None:
    app = page("data", tab="real", dataset="clinic")
    write(app, "Rows, one a line: “text → answer”, JSON lines, or a table with its header", pasted)
    button(app, "Add the rows")
    assert not app.exception
    assert sentence in shown(app)
    assert not imported.path.joinpath("test_real.jsonl").exists()


def test_a_row_that_stands_in_training_is_refused(imported: DatasetDir) -> None:
    asked = next(imported.examples("train")).prompt[0].text
    app = page("data", tab="real", dataset="clinic")
    label = "Rows, one a line: “text → answer”, JSON lines, or a table with its header"
    write(app, label, f"{asked} → billing\nSomething wholly new → billing\n")
    button(app, "Add the rows")
    assert "1 row was added" in shown(app)
    (refused,) = [d.value for d in app.dataframe if "Reason" in d.value.columns]
    assert refused["Reason"].tolist() == ["the same prompt is in train"]


def test_lines_are_labelled_by_buttons_with_undo_and_skip(imported: DatasetDir) -> None:
    app = page("data", tab="real", way="label", dataset="clinic")
    write(app, "Your own lines without answers, one a line", "First line here\nSecond one\nThird one of them\n")
    app.run()
    button(app, "Label them")
    button(app, "billing")
    button(app, "results")
    button(app, "Undo")
    button(app, "symptoms")
    button(app, "Skip")
    assert any(b.label == "Add 2 rows" for b in app.button)
    button(app, "Add 2 rows")
    assert not app.exception
    rows = DatasetDir(imported.path).examples("test_real")
    assert Counter(row.answer for row in rows) == {"billing": 1, "symptoms": 1}
    assert "2 rows were added" in shown(app)


def test_a_pasted_table_answers_with_all_columns_where_the_dataset_does(tmp_path: Path, workspace: Workspace) -> None:
    options = Options(mapping={"question": "message"}, answer_columns=("category", "urgency"))
    import_data(clinic(tmp_path), "both", workspace, options)
    app = page("data", tab="real", dataset="both")
    label = "Rows, one a line: “text → answer”, JSON lines, or a table with its header"
    write(app, label, "message,category,urgency\nMy bill is wrong again,billing,low\n")
    button(app, "Add the rows")
    assert not app.exception
    (row,) = DatasetDir(workspace.datasets / "both").examples("test_real")
    assert (row.answer, row.scorer) == ('{"category": "billing", "urgency": "low"}', "json")


def test_rows_are_browsed_as_a_table_by_label(imported: DatasetDir) -> None:
    app = page("data", tab="browse", dataset="clinic")
    choose(app, "Answer", "billing")
    count = sum(row.answer == "billing" for row in imported.examples("train"))
    assert f"{count} rows match" in text(app)
    next(c for c in app.segmented_control if c.label == "Show as").set_value("table").run()
    (table,) = [d.value for d in app.dataframe if "Question" in d.value.columns]
    assert set(table["Answer"]) == {"billing"}
    assert "Tick a row to see it whole" in text(app)
