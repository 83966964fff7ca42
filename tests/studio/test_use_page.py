"""The Use page: a file comes back whole with answers, a model is exported and served, a verdict is shared."""

from __future__ import annotations

import csv
import json
import shutil
import time
from pathlib import Path

import filled
import httpx
import pytest
import torch

from evaluate.predict.prediction import Prediction
from recipes.models.loading import load_trainable
from recipes.models.lora import save_adapter
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from studio.engines import jobs
from studio.serving import answer_file
from studio.serving.answer_file import _cells, answer_media, answer_table
from synth.errors import DataError
from synth.importing.importer import Options, import_data
from synth.jobdir import JobDir
from synth.progress import silent
from synth.storage import read_json
from synth.workspace import Workspace
from tests.studio.test_data_page import at_once, button
from tests.studio.test_views import page, text
from tests.synth.test_shares import clinic
from tests.tiny import tiny_llama

__all__ = ["at_once"]
pytestmark = pytest.mark.slow
RUN = "tuned-1"


@pytest.fixture
def place(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A finished run of a tiny base on the clinic's rows."""
    options = Options(mapping={"question": "message", "answer": "category"})
    import_data(clinic(tmp_path, rows=60), "clinic", workspace, options)
    base = tiny_llama(tmp_path / "base")
    recipe = load_recipe({"base_model": str(base), "data": {"dataset": "clinic", "task": True}, "lora": {"r": 4}})
    run = Run.create(workspace, recipe, run_id=RUN)
    torch.manual_seed(0)
    with run.hold():
        save_adapter(load_trainable(recipe), run.path / "adapter", run=RUN, recipe="tiny")
        run.finish("done", "Trained.")
    return workspace


def table(folder: Path, text_of_file: str) -> Path:
    file = folder / "new.csv"
    file.write_text(text_of_file, "utf-8")
    return file


def never() -> bool:
    return False


def test_every_row_of_a_file_comes_back_in_its_order_with_an_answer_or_a_note(place: Workspace, tmp_path: Path) -> None:
    source = table(tmp_path, 'id,message,answer\n1,"My bill, again",x\n2,,y\n3,Können Sie anrufen?,z\n')
    found = answer_table(place, RUN, source, "message", tmp_path / "out.csv", silent, never)
    rows = list(csv.DictReader(found.file.open(newline="", encoding="utf-8")))
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert [row["answer"] for row in rows] == ["x", "y", "z"]  # the file's own column is left as it was
    assert set(rows[0]) == {"id", "message", "answer", "model answer", "confidence", "note"}
    assert rows[1]["note"] == "no message" and rows[1]["model answer"] == ""
    assert all(0 < float(row["confidence"]) <= 1 for row in (rows[0], rows[2]))
    assert found.rows == 3


def test_what_cannot_be_answered_is_refused_with_a_remedy(place: Workspace, tmp_path: Path) -> None:
    source = table(tmp_path, "id,text\n1,hello\n")
    with pytest.raises(DataError, match=r"no column .message..*Choose one of its columns: id, text"):
        answer_table(place, RUN, source, "message", tmp_path / "out.csv", silent, never)
    with pytest.raises(DataError, match="tuned on text"):
        answer_media(place, RUN, [source], "", tmp_path / "out.csv", silent, never)
    assert not (tmp_path / "out.csv").exists()


def chats(folder: Path, name: str, turns: list[list[str]]) -> Path:
    """Rows of messages; an assistant's answer follows each user's turn."""
    lines = [
        [{"role": role, "content": f"{role} {n}"} for role in [*roles, "assistant"]] for n, roles in enumerate(turns)
    ]
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in lines), "utf-8")
    return file


@pytest.mark.parametrize(
    ("kind", "code"), [("columns", "answer.columns"), ("chats", "answer.turns"), ("systems", "answer.turns")]
)
def test_a_model_whose_rows_are_no_single_texts_answers_no_column(
    kind: str, code: str, workspace: Workspace, tmp_path: Path
) -> None:
    if kind == "columns":
        source, options = (
            clinic(tmp_path),
            Options(mapping={"question": "message", "input": "urgency", "answer": "category"}),
        )
    else:
        roles = ["user", "assistant", "user"] if kind == "chats" else ["system", "user"]
        source, options = chats(tmp_path, kind, [roles] * 40), Options()
    import_data(source, kind, workspace, options)
    Run.create(workspace, load_recipe({"base_model": "b", "data": {"dataset": kind}}), run_id="r")
    with pytest.raises(DataError) as caught:
        answer_table(workspace, "r", source, "message", tmp_path / "out.csv", silent, never)
    assert caught.value.code == code and "Serve the model" in caught.value.remedy


def test_a_table_of_too_many_rows_is_refused_before_anything_is_asked(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_file, "MOST_ROWS", 2)
    with pytest.raises(DataError, match="more than 2 rows"):
        answer_table(place, RUN, clinic(tmp_path), "message", tmp_path / "out.csv", silent, never)


def test_a_reply_that_is_no_label_is_no_answer() -> None:
    labels = ["billing", "results"]
    assert _cells(Prediction(example_id="1", text="It is Billing.", confidence=0.5), labels) == ("billing", "0.500", "")
    assert _cells(Prediction(example_id="1", text="I cannot say"), labels)[0] == ""
    assert "no label of the task: I cannot say" in _cells(Prediction(example_id="1", text="I cannot say"), labels)[2]
    assert _cells(None, labels)[2] == "no answer came"


@pytest.mark.parametrize(
    ("said", "formula"),
    [
        ("=1+1", True), ('=HYPERLINK("http://x","y")', True), ("@SUM(A1)", True), ("\t=1", True),
        ("+cmd|' /C x'!A0", True),
        ("-2+3+cmd|' /C x'!A0", True), ("-5", False), ("-1,250.50 %", False), ("+49 30 1234", False),
        ("- milk\n- bread", False), ("a=b", False), ('{"a": "=1"}', False),
    ],
)  # fmt: skip
def test_an_answer_that_a_spreadsheet_would_run_stands_behind_an_apostrophe(said: str, formula: bool) -> None:
    answer, _, note = _cells(Prediction(example_id="1", text=said), [])
    assert answer == ("'" + said if formula else said)
    assert bool(note) == formula


def test_rows_with_long_cells_can_be_shown(tmp_path: Path) -> None:
    limit = csv.field_size_limit(131_072)  # Python's own
    try:
        answered = answer_file._write(tmp_path / "a.csv", ["text"], [({"text": "x" * 200_000}, "a", "1", "")] * 3)
        shown = answer_file.first_rows(answered.file, 2)
    finally:
        csv.field_size_limit(limit)
    assert [(len(row["text"]), row["answer"]) for row in shown] == [(200_000, "a")] * 2


def test_a_model_is_asked_as_it_was_tuned(place: Workspace) -> None:
    dataset, asked = answer_file.asked_as(place, RUN)
    assert [message.text for message in asked.before] == [dataset.task.in_words()]
    assert set(asked.labels) == set(dataset.task.labels)


@pytest.mark.usefixtures("at_once")
def test_the_page_answers_a_file_and_offers_it_for_download(place: Workspace) -> None:
    app = page("use", run=RUN)
    content = b"message,extra\nMy bill is wrong,1\nI feel ill,2\n"
    app.file_uploader[0].set_value(("new.csv", content, "text/csv")).run()
    assert next(s for s in app.selectbox if s.label == "Column with the text").value == "message"
    button(app, "Answer them")
    assert not app.exception, app.exception
    (said,) = (str(s.value) for s in app.warning)  # the model was not trained: no success is shown for that
    assert said.startswith("2 rows, 0 answered") and "another column may hold the texts" in said
    (shown,) = [d.value for d in app.dataframe]
    assert list(shown["extra"]) == ["1", "2"]
    assert not list((place.path / "uploads").iterdir())  # the upload is forgotten


def test_the_column_with_the_text_is_found_where_it_has_another_name(place: Workspace) -> None:
    app = page("use", run=RUN)
    app.file_uploader[0].set_value(("new.csv", b"nr,mitteilung\n1,My bill is wrong\n2,I feel ill\n", "text/csv")).run()
    assert next(s for s in app.selectbox if s.label == "Column with the text").value == "mitteilung"


def test_of_a_cross_validation_only_the_model_of_all_rows_is_offered(place: Workspace) -> None:
    folder = place.runs / f"{RUN}-fold1"
    shutil.copytree(place.runs / RUN, folder)
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("folds: 0", "folds: 5").replace("fold: 0", "fold: 1"))
    assert next(s for s in page("use").selectbox if s.label == "Tuned model").options == [RUN]
    assert f"{RUN}-fold1" not in text(page("start"))


@pytest.mark.usefixtures("at_once")
def test_each_export_target_is_a_button_and_says_why_it_cannot(place: Workspace) -> None:
    app = page("use", run=RUN, way="export")
    assert {b.label for b in app.button if b.label.startswith("Export ")} >= {"Export merged", "Export adapter"}
    button(app, "Export adapter")
    assert not app.exception, app.exception
    (made,) = (place.path / "exports").iterdir()
    assert str(made) in text(app)
    assert "answers equal in" in text(app), (
        "an export from the page is asked before it is handed over, as the command's"
    )
    assert read_json(made / "manifest.json")["parity"]["artefacts"]


@pytest.mark.usefixtures("lent")
def test_a_model_is_served_until_it_is_stopped_and_ends_with_its_worker(place: Workspace) -> None:
    app = page("use", run=RUN, way="serve")
    next(n for n in app.number_input if n.label == "Port").set_value(18_431).run()
    button(app, "Start serving")
    (folder,) = place.tasks.iterdir()
    job, deadline = JobDir(folder), time.monotonic() + 240
    while not (ready := job.events("ready")):
        assert job.status() in ("queued", "running"), (job.exit(), jobs.log_tail(job))
        assert time.monotonic() < deadline
        time.sleep(0.3)
    health = ready[0]["address"].removesuffix("/v1") + "/health"
    assert httpx.get(health).status_code == 200
    shown = text(page("use", run=RUN, way="serve"))
    assert ready[0]["address"] in shown and "curl" in shown and "from openai import OpenAI" in shown
    button(page("use", run=RUN, way="serve"), "Stop serving")
    while job.status() == "running":
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert job.status() == "done"
    with pytest.raises(httpx.TransportError):
        httpx.get(health)


def test_a_verdict_is_shared_as_one_file(place: Workspace) -> None:
    assert "No verdict yet" in text(page("use", run=RUN, way="share"))
    filled.comparison(place, "first")
    report = place.comparisons / "first" / "report.json"
    report.write_text(report.read_text().replace('"2026-11-25-sft"', f'"{RUN}"'))
    app = page("use", run=RUN, way="share")
    assert "No verdict yet" not in text(app)
    assert any("Download first as HTML" in str(b.label) for b in app.get("download_button"))
    assert "small stand-in made by this project" in text(app).replace("\\", ""), (
        "before it is sent, its sender knows what it is"
    )
