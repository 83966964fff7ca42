"""A clinic's CSV in a real Chromium: from Start to a dataset with a sound split, a task and real rows, by clicks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from synth.dataset import DatasetDir
from tests.browser.test_studio import Newcomer, Studio, browser, page, pytestmark, studio, wait_for
from tests.synth.test_shares import clinic

__all__ = ["browser", "page", "pytestmark", "studio"]


def test_a_clinics_file_becomes_a_sound_dataset_with_real_rows(studio: Studio, page: Any, tmp_path: Path) -> None:
    newcomer = Newcomer(page)
    page.goto(studio.url)
    newcomer.choose_task("Your own data")
    page.locator("input[type=file]").first.set_input_files(str(clinic(tmp_path)))
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
        page.wait_for_timeout(300)
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
