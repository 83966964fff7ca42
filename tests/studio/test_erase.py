"""Datasets, runs and comparisons are named, deleted and put back; erasing leaves no trace of a patient's rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import filled
import pytest

from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from studio.engines import jobs
from studio.state import endpoints, erase, titles, trash
from studio.state.titles import Title
from synth.curation.curate import Rules, curate_dataset
from synth.dataset import DatasetDir
from synth.errors import RunError
from synth.jobdir import QUEUED
from synth.storage import write_json
from synth.temporary import temporary
from synth.workspace import Workspace
from tests.studio.test_data_page import button, write
from tests.studio.test_views import page, text, unfold

PATIENT = "Ottilie Quarzsand"
OTHER = "another person"


@pytest.fixture
def place(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Two datasets, of which one has a patient in everything that was made of it."""
    monkeypatch.setattr(jobs.ENGINE, "submit", lambda work: None)
    filled.dataset(workspace, "patients", hostile=PATIENT)
    filled.dataset(workspace, "others", hostile=OTHER)
    curate_dataset(DatasetDir(workspace.datasets / "patients"), "patients-clean", workspace, Rules())
    for name in ("patients", "patients-clean", "others"):
        run = filled.run(workspace, f"on-{name}", dataset_name=name)
        (run.path / "checkpoints").mkdir(exist_ok=True)
        (run.path / "checkpoints" / "weights").write_text(PATIENT if "patients" in name else OTHER)
    recipe = load_recipe("starter-text-dpo", ["data.dataset=others", "adapter=on-patients"])
    went_on = Run.create(workspace, recipe, run_id="went-on")
    with went_on.hold():
        went_on.finish("done", PATIENT)
    filled.comparison(workspace, "first", hostile=PATIENT)
    report = workspace.comparisons / "first" / "report.json"
    report.write_text(report.read_text().replace('"name": "invoices"', '"name": "patients"'))
    for folder, name in (("served", "on-patients-1a2b"), ("exports", "went-on-merged-1"), ("exports", "on-others-m-1")):
        (workspace.path / folder / name).mkdir(parents=True)
        (workspace.path / folder / name / "f").write_text(OTHER if "others" in name else PATIENT)
    killed = temporary(Path("patients-clean")).name.replace(f"-{os.getpid()}-", "-999999999-")
    for file in (
        "cache/replies/a.jsonl",
        "uploads/u/table.csv",
        "playground/x.png",
        "cache/generation/patients.jsonl",
        "cache/generation/patients/0a1b/train/00000000-00000004.jsonl",
        f"datasets/{killed}/train.jsonl",
        "drafts/patients.json",
    ):
        (workspace.path / file).parent.mkdir(parents=True, exist_ok=True)
        (workspace.path / file).write_text(PATIENT)
    jobs.start_task(workspace, "import", {"name": "patients", "source": PATIENT}, "import-1")
    jobs.start_task(workspace, "import", {"name": "others", "source": OTHER}, "import-2")
    for job in ("import-1", "import-2"):
        write_json(workspace.tasks / job / "exit.json", {"verdict": "done", "code": "", "sentence": ""})
    endpoints.agree(workspace, "https://example.test/v1", "patients")
    endpoints.agree(workspace, "https://example.test/v1", "others")
    titles.set_title(workspace, "datasets", "patients", Title(PATIENT))
    titles.set_title(workspace, "runs", "on-others", Title("Andere · 其他"))
    return workspace


def traces(place: Workspace) -> list[Path]:
    return [p for p in place.path.rglob("*") if p.is_file() and PATIENT.encode() in p.read_bytes()]


def test_erasing_leaves_nothing_of_the_rows_and_says_what_it_removed(place: Workspace) -> None:
    trash.delete(place, "runs", "on-patients-clean")
    assert len(traces(place)) > 10
    found = erase.look(place, "patients")
    assert found.names == {"patients", "patients-clean"}
    assert found.runs == {"on-patients", "on-patients-clean", "went-on"}
    assert found.comparisons == {"first"}
    assert erase.erase(place, found) == []
    assert traces(place) == []
    said = " ".join(part.what for part in found.parts)
    for word in ("media", "checkpoints", "predictions", "cache of paid answers", "uploaded", "tasks", "exports"):
        assert word in said
    assert DatasetDir(place.datasets / "others").verify() == []
    assert (place.runs / "on-others" / "checkpoints" / "weights").read_text() == OTHER
    assert (place.path / "exports" / "on-others-m-1").is_dir()
    assert (place.tasks / "import-2").is_dir() and not (place.tasks / "import-1").exists()
    assert endpoints.may_leave(place, "https://example.test/v1", "others")
    assert not endpoints.may_leave(place, "https://example.test/v1", "patients")


ODD = {
    "datasets/{}/dataset.json": [
        "[1]", "7", '"x"', "{", '{"notes": 7}', '{"notes": "x"}', '{"notes": {"parent": {"name": "a", "notes": 7}}}',
    ],
    "comparisons/{}/report.json": [
        "[1]", "7", '{"provenance": [1]}', '{"provenance": {"plan": "x"}}', '{"systems": 7}', '{"systems": ["x"]}',
        '{"systems": null}', '{"dataset": "patients-x"}', '{"dataset": [1]}',
    ],
    "comparisons/{}/plan.yaml": [
        "systems: 7", "systems: [1]", "systems:", "systems: {a: b}", "dataset: [1]", "[" * 5000, "&a [*a]", "\0",
    ],
    "exports/{}/manifest.json": ["[1]", "7", '{"run": [1]}'],
    "tasks/{}/task.json": ["[1]", "7", "{}", '{"arguments": 7}', '{"arguments": {"plan": "x"}}', "{"],
    "runs/{}/recipe.yaml": ["[]", "data: 7", "[" * 3000],
}  # fmt: skip


def test_odd_neighbours_stop_no_erasing_and_are_named_where_nothing_is_known_of_them(place: Workspace) -> None:
    for place_of, texts in ODD.items():
        for number, said in enumerate(texts):
            file = place.path / place_of.format(f"odd-{place_of[-4:]}-{number}")
            file.parent.mkdir(parents=True)
            file.write_text(said)
    os.mkfifo(place.path / "comparisons" / "odd-yaml-0" / "report.json")
    found = erase.look(place, "patients")
    assert found.names == {"patients", "patients-clean"} and found.comparisons == {"first"}
    unread = {f"{path.parent.name}/{path.name}" for path in found.unread}
    assert {"datasets/odd-json-0", "comparisons/odd-json-0", "comparisons/odd-yaml-5", "runs/odd-yaml-0"} <= unread
    assert not any("patients" in one for one in unread)
    assert erase.erase(place, found) == []
    assert traces(place) == []
    assert all(path.exists() for path in found.unread)
    trash.delete(place, "datasets", "others")


def test_nothing_is_erased_while_a_run_trains_on_the_rows(place: Workspace) -> None:
    run = place.runs / "on-patients-clean"
    (run / "exit.json").unlink()
    (run / QUEUED).touch()
    before = len(traces(place))
    with pytest.raises(RunError, match="Nothing was erased"):
        erase.erase(place, erase.look(place, "patients"))
    assert len(traces(place)) == before
    with pytest.raises(RunError, match="is training on patients-clean"):
        trash.delete(place, "datasets", "patients-clean")


@pytest.mark.parametrize("arguments", [{"dataset": "others"}, {"plan": {"dataset": "ws/datasets/others", "seed": 1}}])
def test_nothing_is_deleted_while_a_task_works_with_it(arguments: dict[str, Any], place: Workspace) -> None:
    job = jobs.start_task(place, "compare", arguments, "now")
    job.expect()
    with pytest.raises(RunError, match="now is working with others"):
        trash.delete(place, "datasets", "others")


@pytest.mark.slow
def test_the_page_erases_only_after_the_name_was_typed(place: Workspace) -> None:
    app = page("data", tab="list")
    next(t for t in app.toggle if t.key == "erase.patients").set_value(True).run()
    assert "checkpoints" in text(app)
    erase_now = "erase.now.patients"
    next(b for b in app.button if b.key == erase_now).click().run()
    assert traces(place)
    write(app, "Type patients to confirm", "patients")
    next(b for b in app.button if b.key == erase_now).click().run()
    assert not app.exception, app.exception
    assert traces(place) == []
    assert "patients was erased. Removed: the dataset" in text(app).replace("\\", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "view", "noun"),
    [("datasets", "others", "data", "dataset"), ("comparisons", "first", "compare", "comparison")],
)
def test_what_was_deleted_is_put_back_by_undo(
    place: Workspace, kind: titles.Kind, name: str, view: str, noun: str
) -> None:
    where = {"tab": "list"} if view == "data" else {"comparison": name}
    app = page(view, **where)
    next(b for b in app.button if b.key == f"delete.{kind}.{name}").click().run()
    assert not (trash.home(place, kind) / name).exists()
    assert f"{name} is in the trash" in text(app).replace("\\", "")
    button(app, "Undo")
    assert not app.exception, app.exception
    assert (trash.home(place, kind) / name).is_dir()
    assert trash.deleted(place, kind) == []


@pytest.mark.slow
def test_a_name_in_any_script_is_shown_and_changes_no_folder(place: Workspace) -> None:
    app = page("data", tab="list")
    field = next(i for i in app.text_input if i.key == "title.datasets.others")
    field.set_value("Überweisungen · 紹介状 · إحالات").run()
    next(b for b in app.button if b.key == "save.datasets.others").click().run()
    assert titles.shown(place, "datasets", "others") == "Überweisungen · 紹介状 · إحالات (others)"
    assert "紹介状" in text(page("data", tab="list"))
    for where in ("train", "compare"):
        menu = next(s for s in page(where, dataset="others").selectbox if s.label == "Dataset")
        assert "Überweisungen · 紹介状 · إحالات (others)" in menu.options
    assert DatasetDir(place.datasets / "others").verify() == []


@pytest.mark.slow
def test_a_dataset_can_be_managed_however_many_there_are(workspace: Workspace) -> None:
    for number in range(13):
        filled.dataset(workspace, f"set-{number:02}", rows=1)
    app = unfold(page("data", tab="list"), "datasets.older")
    assert not app.exception, app.exception
    assert {f"delete.datasets.set-{number:02}" for number in range(13)} <= {button.key for button in app.button}


def test_the_run_that_wrote_a_dataset_is_erased_with_it(workspace: Workspace) -> None:
    from studio.stub.endpoint import StubSettings, serve_in_thread
    from synth.pipeline import work
    from synth.pipeline.plan import Outside, RunPlan, TeacherPlan

    given = {"task": "Sort messages of Mrs Harbottle", "labels": "a,b"}
    with serve_in_thread(StubSettings(skill=1.0)) as stub:
        teachers = {"teacher": TeacherPlan(model="stub-model", base_url=stub.base_url)}
        plan = RunPlan(pipeline="describe-a-domain", inputs=given, rows=5, teachers=teachers)
        work.start("letters", plan, Outside(workspace))
    erase.erase(workspace, erase.look(workspace, "letters"))
    for file in workspace.path.rglob("*"):
        assert not file.is_file() or b"Harbottle" not in file.read_bytes(), file
