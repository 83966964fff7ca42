"""What each kind of task makes, in this process: its outcome, what it forgets, and what a stop or a fault leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import filled
import pytest

from recipes.export.exporter import MANIFEST
from studio.engines import crossval, jobs, task
from studio.engines.local import LocalEngine
from studio.serving import answer_file
from studio.state import titles, uploads
from synth.curation.review import record
from synth.dataset import DatasetDir
from synth.folds import FoldCount
from synth.jobdir import EXIT, JobDir
from synth.storage import read_json, write_json
from synth.workspace import Workspace


@pytest.fixture(autouse=True)
def nobody(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalEngine, "submit", lambda self, work: work.directory.expect())
    filled.dataset(workspace)


def done(workspace: Workspace, kind: str, **arguments: Any) -> dict[str, Any]:
    job = jobs.start_task(workspace, kind, arguments)
    task.work(job)
    ended: dict[str, Any] = read_json(job.path / EXIT)
    return ended


def uploaded(workspace: Workspace, rows: int = 40) -> Path:
    """A table as a page keeps it."""
    lines = [f"What is {n} + {n}?,{2 * n}" for n in range(rows)]
    return uploads.keep(workspace, [("sums.csv", "\n".join(["question,answer", *lines]).encode())]) / "sums.csv"


def test_an_import_keeps_title_task_and_shares_and_forgets_the_upload(workspace: Workspace) -> None:
    source = uploaded(workspace)
    made = done(
        workspace, "import", source=str(source), modality="text", name="sums", mapping=None, title="Sums",
        task={"instruction": "Add."}, shares={"train": 0.7, "val": 0.1, "test": 0.2},
    )  # fmt: skip
    assert (made["verdict"], made["dataset"], made["kept"], made["set_aside"]) == ("done", "sums", 40, 0), made
    dataset = DatasetDir(workspace.datasets / "sums")
    assert dataset.task.instruction == "Add." and sum(dataset.card.splits.values()) == 40
    assert titles.title_of(workspace, "datasets", "sums").title == "Sums"
    assert not source.exists(), "an upload is kept until it is imported, and no longer"


def test_an_import_that_is_stopped_leaves_no_dataset_and_keeps_the_upload(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, asked = uploaded(workspace, 200), iter([False])
    monkeypatch.setattr(JobDir, "stop_requested", lambda self: next(asked, True))
    ended = done(workspace, "import", source=str(source), modality="text", name="sums", mapping=None)
    assert (ended["verdict"], ended["code"]) == ("stopped", "run.stopped") and "nothing was kept" in ended["sentence"]
    assert source.exists() and not (workspace.datasets / "sums").exists()


def test_cleaning_and_filtering_without_a_name_make_nothing(workspace: Workspace) -> None:
    quick = {"max_prompt_chars": 17, "near": 1, "decontaminate": False}
    seen = done(workspace, "curate", dataset="invoices", rules=quick, name="")
    assert seen["verdict"] == "done" and sum(seen["kept"].values()) + sum(seen["dropped"].values()) == 90, seen
    assert seen["dropped"] == {"the question is too long": 10}
    assert all(len(rows) for rows in seen["samples"].values()) and seen["rules"] == quick
    ended = done(workspace, "filter", dataset="invoices", filter={"way": "ensemble"}, name="")
    assert ended["verdict"] == "failed" and "scorers" in ended["sentence"]
    made = done(workspace, "curate", dataset="invoices", rules=quick, name="clean")
    assert made["dataset"] == "clean"
    invoices = DatasetDir(workspace.datasets / "invoices")
    record(invoices, next(iter(invoices.examples("train"))).id, "reject", "Ada", "dull")
    reviewed = done(workspace, "review", dataset="invoices", name="reviewed", approved_only=False)
    assert reviewed["verdict"] == "done" and reviewed["dataset"] == "reviewed", reviewed
    assert sorted(folder.name for folder in workspace.datasets.iterdir()) == ["clean", "invoices", "reviewed"]


def test_answers_to_a_file_lie_with_the_task_and_the_upload_is_forgotten(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def answer(place: Workspace, run: str, source: Any, words: str, out: Path, *_: Any) -> answer_file.Answered:
        asked.append((run, source, words))
        return answer_file.Answered(out, 3, 2, 1)

    monkeypatch.setattr(answer_file, "answer_table", answer)
    monkeypatch.setattr(answer_file, "answer_media", answer)
    for column, question in (("message", ""), ("", "What is the total?")):
        source = uploaded(workspace)
        made = done(workspace, "answer", run="mine", sources=[str(source)], column=column, question=question)
        assert (made["rows"], made["answered"], made["with_note"]) == (3, 2, 1)
        assert Path(made["file"]).parent.parent == workspace.tasks and not source.exists()
        assert asked.pop() == ("mine", source if column else [source], column or question)


def test_an_export_goes_where_the_page_says_and_a_cross_validation_names_its_runs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exported(run: str, runs: Path, out: Path, to: str, gate: object, measured: object) -> Path:
        assert gate is not None and measured is not None  # the page's export is asked as the command's is
        folder = out / f"{run}-{to}"
        folder.mkdir(parents=True)
        write_json(folder / MANIFEST, {"parity": {"said": ["40 of 40 answers equal"]}})
        (folder / "README.md").write_text("# mine")
        return folder

    monkeypatch.setattr("recipes.export.targets.export_run", exported)
    made = done(workspace, "export", run="mine", name="mine-gguf", to="gguf")
    assert made["folder"] == str(workspace.path / "exports" / "mine-gguf" / "mine-gguf")
    assert made["said"] == ["40 of 40 answers equal"] and made["card"] == "# mine"

    trained = crossval.Trained("mine", ("mine-fold1", "mine-fold2"), FoldCount(2, "few rows"))
    monkeypatch.setattr(crossval, "cross_validate", lambda *_: trained)
    made = done(workspace, "crossval", recipe="starter-text-sft", name="mine", folds=0)
    assert (made["run"], made["fold_runs"], made["folds"]) == ("mine", ["mine-fold1", "mine-fold2"], 2)
    assert made["why"] == "few rows"


def test_a_comparison_or_generation_that_cannot_be_read_failed_in_a_sentence(workspace: Workspace) -> None:
    for kind, arguments in (
        ("compare", {"plan": {"dataset": "none", "systems": [{"id": "a", "model": "starter-text"}]}}),
        ("synth", {"generator": "no-such", "settings": {}, "name": "sums"}),
        ("export", {"run": "none", "name": "out", "to": "merged"}),
        ("answer", {"run": "none", "sources": ["x.csv"], "column": "a", "question": ""}),
        ("serve", {"run": "none", "port": 0}),
    ):
        ended = done(workspace, kind, **arguments)
        assert ended["verdict"] == "failed" and ended["code"] not in ("", "internal"), (kind, ended)
