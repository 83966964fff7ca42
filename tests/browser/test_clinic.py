"""A clinic's CSV, receipts and recordings in a real Chromium: from Start to a true verdict on the defaults, by clicks.

The base is a starter, because a real model is fetched from a network that tests do not have; everything else is what
the pages preset, but that only the first training takes all its steps. Clicks are those of `Newcomer`; choosing the
starter takes two of them, fewer steps two more.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from evaluate.report.reading import read_report
from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.build import build_dataset
from synth.dataset import DatasetDir
from synth.example import media_parts
from synth.folds import SMALL
from synth.workspace import Workspace
from tests.browser.settling import settled
from tests.browser.test_studio import Newcomer, Studio, ended, page, studio, wait_for
from tests.browser.test_studio import pytestmark as browser_marks
from tests.synth.test_shares import clinic

__all__ = ["page", "studio"]
# Each of these trains, answers and measures speed, which waits for a machine that others use.
pytestmark = [pytest.mark.timeout(1200), *browser_marks]  # the first limit holds
TASK = "Say which desk of the clinic a message belongs to."
ROWS = 35  # so few that every desk has one row, or a few, for each of five folds


def to_import(newcomer: Newcomer, url: str, files: list[Path]) -> None:
    """From Start to what an import would make of the files, which are dropped there: as a click."""
    newcomer.page.goto(url)
    newcomer.page.locator("input[type=file]").first.set_input_files([str(file) for file in files])
    newcomer.clicks += 1
    newcomer.page.wait_for_url("**/data**")


def away(at: Any, place: Workspace) -> None:
    """Close the page while the task in its address is worked on, which goes on, and come back once it has ended."""
    at.wait_for_url(re.compile("[?&]job="))
    left = at.url
    at.goto("about:blank")
    ended(place.tasks / parse_qs(urlsplit(left).query)["job"][0])
    at.goto(left)


def to_verdict(newcomer: Newcomer, place: Workspace, recipe: str, folds: bool = False, steps: int | None = None) -> Any:
    """From a dataset that is ready to the verdict, on the defaults of the pages; returns the report.

    folds: the rows are so few that the defaults cross-validate. steps: where what is learned does not matter.
    """
    at = newcomer.page
    newcomer.press("Train on it")
    newcomer.click(at.get_by_label("Recipe", exact=True).first)
    newcomer.click(at.get_by_role("option", name=recipe, exact=True))
    at.get_by_text("effective batch").first.wait_for()
    settled(at)
    if steps is not None:
        newcomer.click(at.get_by_text("Optimisation", exact=True))
        newcomer.fill("Steps at most", str(steps))
    newcomer.press("Start training")
    if folds:
        away(at, place)
        at.get_by_text("models were trained without a part of the rows").wait_for()
    else:
        at.wait_for_url("**/runs**")
        left = at.url
        at.goto("about:blank")  # who need not watch the curves comes back to what was learned meanwhile
        (run,) = [path for path in place.runs.iterdir() if (path / "recipe.yaml").exists()]
        assert ended(run) == "done", (run / "worker.log").read_text()[-3000:]
        at.goto(left)
    settled(at)
    newcomer.press("Compare")
    at.get_by_text("Rows per split").wait_for()
    settled(at)
    newcomer.press("Compare")
    away(at, place)
    at.get_by_role("button", name="Download HTML").wait_for()
    return read_report(next(place.comparisons.glob("*/report.json")))


@pytest.fixture
def told() -> Iterator[tuple[Stub, list[str]]]:
    """A stub endpoint, and what it was told before each question."""
    with serve_in_thread(StubSettings(models=("rival",))) as stub:
        seen: list[str] = []
        answer = stub.book.answer

        def note(question: Any, *more: Any) -> str:
            seen.append(json.dumps(question, default=str, ensure_ascii=False))
            return answer(question, *more)

        stub.book.answer = note  # type: ignore[method-assign]
        yield stub, seen


def test_a_clinics_file_ends_in_a_true_verdict_on_the_defaults(studio: Studio, page: Any, tmp_path: Path) -> None:
    newcomer = Newcomer(page)
    to_import(newcomer, studio.url, [clinic(tmp_path, rows=SMALL)])
    newcomer.press("Import")
    page.get_by_text("is ready.").wait_for()
    report = to_verdict(newcomer, studio.workspace, "starter-text-sft")
    assert newcomer.clicks <= 10
    made = DatasetDir(studio.workspace.datasets / "my-data")
    gold = {split: {row.answer for row in made.examples(split)} for split in ("train", "test")}  # type: ignore[arg-type]
    assert gold["test"] == gold["train"] == set(made.task.labels)
    small, large = report.small_system, report.large_system
    assert small.adapter and small.splits["test"].value >= 0.9  # it can be learned, and the defaults learn it
    assert large is not None and large.stand_in
    assert report.by_class is not None
    assert report.verdict.word == "BETTER", report.verdict
    assert "No endpoint took part" in (report.stand_in_note or "")
    page.get_by_text("The tuned model is better than").wait_for()  # than a stand-in: no advice to use it


def test_35_rows_are_cross_validated_and_with_an_endpoint_the_rival_is_told_the_task(
    studio: Studio, page: Any, tmp_path: Path, told: tuple[Stub, list[str]]
) -> None:
    stub, seen = told
    newcomer = Newcomer(page)
    page.goto(f"{studio.url}/settings")
    newcomer.fill("Address", stub.base_url)
    newcomer.press("Test connection")
    page.get_by_text("offers 1 model").wait_for()
    newcomer.press("Add")
    page.get_by_text("needs no key").wait_for()
    to_import(newcomer, studio.url, [clinic(tmp_path, rows=ROWS)])
    task = page.get_by_label("What the model should do", exact=True)
    task.fill(TASK)
    task.press("Control+Enter")
    settled(page)
    newcomer.clicks += 1
    newcomer.press("Import")
    page.get_by_text("is ready.").wait_for()
    report = to_verdict(newcomer, studio.workspace, "starter-text-sft", folds=True, steps=20)
    assert newcomer.clicks <= 16
    assert (report.dataset.folds, report.dataset.splits) == (5, {"test": ROWS})
    assert report.large_system is not None and report.large_system.kind == "endpoint"
    assert report.stand_in_note is None
    assert seen and all(TASK in one and "billing" in one for one in seen)


def elsewhere(folder: Path, key: str, rows: int) -> list[Path]:
    """Pictures or recordings with a table that names them, as a person has them in a folder."""
    place = Workspace(folder / "elsewhere")
    settings: dict[str, dict[str, Any]] = {
        "vision": {"kinds": ["receipt"], "difficulty": 1, "size": 128, "model_size": 128},
        "audio": {"domains": ["medical"]},
    }
    counts = {"train": rows, "val": 0, "test": 0, "test_ood": 0}
    made = build_dataset(key, {**settings[key], **counts}, "rows", place)
    files, lines = [], []
    for row in made.examples("train"):
        (medium,) = media_parts(row)
        files.append(made.media_path(medium.path))
        name = files[-1].name
        lines.append([name, *([row.prompt[-1].text] if key == "vision" else []), row.answer or row.target])
    table = folder / "rows.csv"
    with table.open("w", newline="") as out:
        header = ["file", "question", "answer"] if key == "vision" else ["file", "transcript"]
        csv.writer(out).writerows([header, *lines])
    return [table, *dict.fromkeys(files)]


@pytest.mark.parametrize("key", ["vision", "audio"])
def test_receipts_and_recordings_end_in_a_verdict(studio: Studio, page: Any, tmp_path: Path, key: str) -> None:
    newcomer = Newcomer(page)
    to_import(newcomer, studio.url, elsewhere(tmp_path, key, rows=160))
    newcomer.press("Import")
    page.get_by_text("is ready.").wait_for()
    report = to_verdict(newcomer, studio.workspace, f"starter-{key}-sft", steps=30)
    assert newcomer.clicks <= 12
    made = DatasetDir(studio.workspace.datasets / "my-data")
    assert made.card.modality == key
    assert all(made.count(split) for split in ("train", "val", "test"))  # type: ignore[arg-type]
    assert report.small_system.adapter
    assert report.dataset.generator == "import"
    assert report.verdict.word is not None


def test_a_clinics_file_becomes_a_sound_dataset_with_real_rows(studio: Studio, page: Any, tmp_path: Path) -> None:
    newcomer = Newcomer(page)
    to_import(newcomer, studio.url, [clinic(tmp_path)])
    page.get_by_text("30 validation").wait_for()
    newcomer.press("Import")
    page.get_by_text("is ready.").wait_for()
    assert newcomer.clicks == 2
    made = DatasetDir(studio.workspace.datasets / "my-data")
    assert made.card.splits == {"train": 239, "val": 30, "test": 30}
    assert {row.answer for row in made.examples("test")} == {row.answer for row in made.examples("train")}
    assert made.task.kind == "classification"
    newcomer.press("Add real rows")
    page.get_by_text("Label lines", exact=True).click()
    lines = page.get_by_label("Your own lines without answers, one a line")
    lines.fill("Do you open on Saturday?\nMy knee hurts\nI paid the bill twice")
    lines.press("Tab")
    newcomer.press("Label them")
    for number in (1, 2, 3):
        page.get_by_text(re.compile(f"^{number - 1} of 3 lines")).wait_for()
        settled(page)
        page.keyboard.press(str(number))
    page.get_by_text("3 of 3 lines").wait_for()
    newcomer.press("Undo")
    page.get_by_text("2 of 3 lines").wait_for()
    newcomer.press("Add 2 rows")
    page.get_by_text("2 rows were added").wait_for()
    wait_for(lambda: DatasetDir(made.path).card.splits.get("test_real") == 2, 10)
    real = list(DatasetDir(made.path).examples("test_real"))
    assert [row.answer for row in real] == list(made.task.labels)[:2]
    assert {row.origin.kind for row in real} == {"real"}
