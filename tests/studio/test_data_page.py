"""The Data page by clicks: rows reviewed by hand, datasets cleaned by rules, tables of media with columns mapped."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import filled
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from studio.engines import jobs, task
from studio.engines.engine import Work
from studio.state import uploads
from synth.curation.review import REVIEWS, read_reviews, record, states
from synth.dataset import Card, DatasetDir, DatasetWriter
from synth.example import ImagePart, make_example, media_parts, user
from synth.jobdir import JobDir
from synth.workspace import Workspace
from tests.studio.test_views import page, text

pytestmark = pytest.mark.slow


@pytest.fixture
def made(workspace: Workspace) -> DatasetDir:
    filled.dataset(workspace)
    return DatasetDir(workspace.datasets / "invoices")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are worked in this process, before the page goes on."""

    def work(asked: Work) -> None:
        with asked.directory.hold():
            task.work(asked.directory)

    monkeypatch.setattr(jobs.ENGINE, "submit", work)


def ids(dataset: DatasetDir) -> list[str]:
    return [row.id for row in dataset.examples("train")]


def button(app: AppTest, label: str) -> AppTest:
    return next(b for b in app.button if b.label == label).click().run()


def write(app: AppTest, label: str, value: str) -> None:
    next(i for i in [*app.text_input, *app.text_area, *app.number_input] if i.label == label).set_value(value)


def choose(app: AppTest, label: str, value: str) -> AppTest:
    return next(s for s in app.selectbox if s.label == label).set_value(value).run()


# --- review ------------------------------------------------------------------------------------------------------


def test_browse_leads_to_a_row_and_back_to_its_page(made: DatasetDir) -> None:
    app = page("data", tab="browse", dataset="invoices")
    assert "0 approved, 0 rejected, 0 edited of 90" in text(app)
    write(app, "Page", 3)  # type: ignore[arg-type]
    app.run()
    next(b for b in app.button if b.label.startswith("Review ")).click().run()
    assert app.query_params["row"] in ([ids(made)[40]], ids(made)[40])
    assert "row 41 of 60" in text(app)
    assert "Nobody decided about this row yet" in text(app)
    button(app, "Back to the rows")
    assert "60 rows · page 3 of 3" in text(app)


def test_a_click_approves_and_goes_on_to_the_next_row(made: DatasetDir) -> None:
    first, second = ids(made)[:2]
    app = page("data", tab="browse", dataset="invoices", row=first)
    write(app, "Your name", "Ada")
    button(app, "Approve")
    assert not app.exception
    assert [(r.row, r.action, r.by) for r in read_reviews(made).trail(first)] == [(first, "approve", "Ada")]
    assert "row 2 of 60 · 1 approved, 0 rejected, 0 edited of 90" in text(app)
    assert next(i for i in app.text_input if i.label == "Your name").value == "Ada"
    button(app, "Previous")
    assert "approved by Ada" in text(app)
    button(app, "Take back")
    assert states(read_reviews(made).trail(first)) == ()
    assert "took back all" in text(app)
    assert second not in read_reviews(made).trails


def test_a_rejection_needs_a_reason_and_the_filter_finds_the_row(made: DatasetDir) -> None:
    first = ids(made)[0]
    app = page("data", tab="browse", dataset="invoices", row=first)
    button(app, "Reject")
    assert "A rejection needs a reason" in text(app)
    assert not (made.path / REVIEWS).exists()
    next(s for s in app.selectbox if s.label == "Reason to reject").set_value("The question is unclear")
    button(app, "Reject")
    button(app, "Back to the rows")
    choose(app, "Reviewed", "rejected")
    assert "1 rows match" in text(app)
    assert "rejected by" in text(app)
    assert "The question is unclear" in text(app)
    choose(app, "Reviewed", "open")
    assert "59 rows match" in text(app)


def test_an_edit_is_checked_and_the_person_may_insist(made: DatasetDir) -> None:
    row_id = ids(made)[7]
    app = page("data", tab="browse", dataset="invoices", row=row_id)
    write(app, "Target", "Answer: 8")
    button(app, "Save the edit")
    assert not app.exception
    assert "8 is not 7" in text(app) + str([w.value for w in app.warning])
    assert not (made.path / REVIEWS).exists()
    assert next(a for a in app.text_area if a.label == "Target").value == "Answer: 8"
    next(c for c in app.checkbox if c.label.startswith("Save it even if")).check()
    button(app, "Save the edit")
    (review,) = read_reviews(made).trail(row_id)
    assert review.changes["target"].after == "Answer: 8"
    assert review.doubts
    shown = text(app)
    assert "-Answer: 7\n+Answer: 8" in shown
    assert "edited by" in shown


def test_a_second_tab_is_told_and_its_text_is_not_lost(made: DatasetDir) -> None:
    row_id = ids(made)[7]
    app = page("data", tab="browse", dataset="invoices", row=row_id)
    record(made, row_id, "edit", "Bo", values={"question": "Bo asks?"}, force=True)
    write(app, "Answer", "8")
    next(c for c in app.checkbox if c.label.startswith("Save it even if")).check()
    button(app, "Save the edit")
    assert "Bo decided about this row meanwhile" in text(app)
    assert len(read_reviews(made).trail(row_id)) == 1
    values = {a.label: a.value for a in app.text_area}
    assert (values["Question"], values["Answer"]) == ("Bo asks?", "8")


@pytest.mark.slow
@pytest.mark.usefixtures("at_once")
def test_the_reviewed_dataset_is_made_by_a_click(made: DatasetDir, workspace: Workspace) -> None:
    app = page("data", tab="browse", dataset="invoices")
    assert "Make reviewed dataset" not in [b.label for b in app.button]
    record(made, ids(made)[0], "reject", "Ada", "dull")
    app = page("data", tab="browse", dataset="invoices")
    button(app, "Make reviewed dataset")
    assert not app.exception
    assert "is ready" in text(app)
    assert DatasetDir(workspace.datasets / "invoices-reviewed").card.rejected == {"rejected by hand: dull": 1}
    app = page("data", tab="browse", dataset="invoices")
    write(app, "Name of the reviewed dataset", "invoices")
    button(app, "Make reviewed dataset")
    assert "already a dataset" in text(app)


@pytest.mark.slow
def test_unknown_rows_and_torn_trails_are_sentences(made: DatasetDir) -> None:
    assert "There is no row" in text(page("data", tab="browse", dataset="invoices", row="feed"))
    (made.path / REVIEWS).write_text("{torn\n")
    assert "line 1" in text(page("data", tab="browse", dataset="invoices"))
    assert "There is no task" in text(page("data", tab="browse", dataset="invoices", made="../../x"))


def test_pictures_are_shown_where_they_are_judged(workspace: Workspace) -> None:
    folder = workspace.datasets / "shapes"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    picture = workspace.path / "p.png"
    Image.new("RGB", (8, 8)).save(picture)
    part = ImagePart(path=writer.add_media(picture.read_bytes(), ".png"), sha256="a")
    row = make_example([user(part, "How many?")], "3", answer="3", family="f", template="t")
    writer.keep(row)
    writer.finish(Card(name="shapes", modality="vision"))
    app = page("data", tab="browse", dataset="shapes", row=row.id)
    assert len(app.get("image")) == 1
    assert [a.label for a in app.text_area] == ["Question", "Answer"]
    write(app, "Answer", "4")
    button(app, "Save the edit")
    dataset = DatasetDir(folder)
    assert read_reviews(dataset).trail(row.id)[0].changes["target"].after == "4"
    assert media_parts(next(dataset.examples("train"))) == [part]


def test_hostile_reasons_and_names_stay_inert(made: DatasetDir) -> None:
    first = ids(made)[0]
    record(made, first, "reject", "[me](javascript:alert)", filled.HOSTILE)
    app = page("data", tab="browse", dataset="invoices", row=first)
    marked_up = "\n".join(str(m.value) for m in [*app.markdown, *app.caption])
    assert "<script" not in marked_up.replace("\\<script", "")
    assert "](javascript" not in marked_up.replace("\\]\\(javascript", "")


# --- menus in the address ----------------------------------------------------------------------------------------


def test_menus_can_be_changed_again_and_again(made: DatasetDir) -> None:
    app = page("data", tab="browse", dataset="invoices")
    for split, rows in (("val", 10), ("test", 10), ("train", 60), ("test_ood", 10)):
        choose(app, "Split", split)
        assert f"{rows} rows · page 1" in text(app)
    for query, found in (("question 41", 0), ("question 4", 1), ("", 10)):
        write(app, "Search", query)
        app.run()
        assert f"{found} rows" in text(app)


# --- cleaning ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
def test_cleaning_shows_what_it_would_drop_before_it_does(workspace: Workspace) -> None:
    folder = workspace.datasets / "raw"
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for asked in ("What is it?", "what is  it?", "What was it?"):
        writer.keep(make_example([user(asked)], "A pen.", answer="A pen.", family="f", template=asked))
    writer.finish(Card(name="raw"))
    app = page("data", tab="quality", dataset="raw")
    button(app, "See what it would drop")
    assert not app.exception
    assert "It would keep 2 train rows and drop **1**" in text(app)
    assert any("exact duplicate" in e.label for e in app.expander)
    assert "what is  it?" in text(app)
    assert [p.name for p in workspace.datasets.iterdir()] == ["raw"]
    button(app, "Make cleaned dataset")
    assert "is ready" in text(app)
    assert DatasetDir(workspace.datasets / "raw-clean").card.rejected == {"exact duplicate": 1}


# --- import ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
def test_a_table_of_pictures_is_mapped_and_its_faults_listed(tmp_path: Path, workspace: Workspace) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "rows.csv").write_text("bild,frage,label\na.png,Was?,Rot\ngone.png,Wer?,Ada\n")
    app = page("data", tab="import", modality="vision")
    assert "beside the pictures" in text(app)
    write(app, "… or a file or folder on this machine", str(tmp_path / "rows.csv"))
    app.run()
    menus = {s.label: s for s in app.selectbox}
    file, asked, answer = "The file of the picture or recording", "What is asked, or the text", "The right answer"
    assert (menus[file].value, menus[asked].value, menus[answer].value) == ("bild", "frage", "label")
    button(app, "Import")
    assert not app.exception
    assert "1 rows kept, 1 set aside" in text(app)
    faults = [d.value for d in app.dataframe if "reason" in d.value.columns]
    assert faults[0].to_dict("records") == [{"line": "3", "reason": "picture is missing"}]
    assert DatasetDir(workspace.datasets / "my-data").card.modality == "vision"


@pytest.mark.usefixtures("at_once")
def test_a_table_uploaded_with_its_pictures_is_imported(tmp_path: Path, workspace: Workspace) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    app = page("data", tab="import", modality="vision")
    table = ("rows.jsonl", json.dumps({"file_name": "a.png", "question": "Was?", "answer": "Rot"}).encode(), "")
    app.file_uploader[0].set_value([table, ("a.png", (tmp_path / "a.png").read_bytes(), "image/png")]).run()
    (upload,) = (workspace.path / "uploads").iterdir()
    button(app, "Import")
    assert not app.exception
    assert "1 rows kept, 0 set aside" in text(app)
    assert not upload.exists()


def test_uploads_that_nobody_imported_go_after_a_day(workspace: Workspace) -> None:
    left = uploads.keep(workspace, [("a.csv", b"question,answer")])
    assert [file.name for file in left.iterdir()] == ["a.csv"]
    yesterday = time.time() - uploads.KEPT_SEC - 1
    os.utime(left, (yesterday, yesterday))
    new = uploads.keep(workspace, [("b.csv", b"")])
    assert (left.exists(), new.exists()) == (False, True)
    uploads.forget(workspace, workspace.path / "mine" / "b.csv")
    uploads.forget(workspace, new / "b.csv")
    assert (workspace.path.exists(), new.exists()) == (True, False)


def test_a_failed_import_is_a_sentence(workspace: Workspace) -> None:
    job = JobDir(workspace.tasks / "import-x")
    with job.hold():
        job.finish("failed", "No row of rows.csv can be used. Fix the rows.", "data.nothing_left")
    assert "No row of rows" in text(page("data", tab="import", imported="import-x"))


@pytest.mark.usefixtures("at_once")
def test_a_task_that_failed_is_tried_again_by_a_click(tmp_path: Path, workspace: Workspace) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("question,answer\n,\n")
    arguments = {"modality": "text", "source": str(rows), "name": "mine", "mapping": None}
    jobs.start_task(workspace, "import", arguments, "import-mine")
    app = page("data", tab="import", imported="import-mine")
    rows.write_text("question,answer\nWho?,Ada\n")
    button(app, "Try again")
    assert not app.exception
    assert "1 rows kept, 0 set aside" in text(app)
    assert sorted(p.name for p in workspace.tasks.iterdir()) == ["import-mine", "import-mine~1"]
