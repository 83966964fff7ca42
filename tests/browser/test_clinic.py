"""A clinic's CSV, receipts and recordings in a real Chromium: from Start to a true verdict on the defaults, by clicks.

The base is a starter, because a real model is fetched from a network that tests do not have; everything else is what
the pages preset. Clicks are those of `Newcomer`; choosing the starter takes two of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from synth.dataset import DatasetDir
from tests.browser.test_studio import Newcomer, Studio, browser, page, pytestmark, studio, wait_for
from tests.synth.test_shares import clinic

__all__ = ["browser", "page", "pytestmark", "studio"]
TASK = "Say which desk of the clinic a message belongs to."


def to_import(newcomer: Newcomer, url: str, files: list[Path]) -> None:
    """From Start to what an import would make of the files, which are dropped there: as a click."""
    newcomer.page.goto(url)
    newcomer.page.locator("input[type=file]").first.set_input_files([str(file) for file in files])
    newcomer.clicks += 1
    newcomer.page.wait_for_url("**/data**")


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
