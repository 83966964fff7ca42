"""Describe your task, by clicks in a real Chromium: words on Start, rows that a model wrote, a starter, a verdict.

The model that writes is the stub, so the rows are nonsense with a cue for each label; the rest is as it would be.
With SMOLSTUDIO_SHOTS=FOLDER, pictures of the pages are left there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from evaluate.cost.prices import set_price
from recipes.models.files import starters
from studio.state.endpoints import Endpoint, save_endpoints
from studio.stub.endpoint import StubSettings, serve_in_thread
from synth.dataset import DatasetDir
from tests.browser.test_clinic import to_verdict
from tests.browser.test_studio import Newcomer, Studio, page, studio, wait_for
from tests.browser.test_studio import pytestmark as browser_marks

__all__ = ["page", "studio"]
pytestmark = [pytest.mark.timeout(1200), *browser_marks]  # the first limit holds
TASK = "Messages that patients send to a practice, sorted by urgency"


def shot(at: Any, name: str) -> None:
    """A picture of the page, where somebody wants them."""
    if folder := os.environ.get("SMOLSTUDIO_SHOTS"):
        at.wait_for_timeout(1000)
        at.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.mark.skipif("starter-text" not in starters(), reason="the text starter's weights are not here")
def test_a_described_task_becomes_rows_a_model_and_a_verdict_by_clicks(studio: Studio, page: Any) -> None:
    place, newcomer = studio.workspace, Newcomer(page)
    for unit, price in (("input_mtok", 1), ("output_mtok", 4)):
        set_price(place.path, "stub-model", unit, price)
    with serve_in_thread(StubSettings(skill=0.9)) as stub:
        save_endpoints(place, [Endpoint(name="Rehearsal", base_url=stub.base_url, model="stub-model")])
        page.goto(studio.url)
        newcomer.fill("What should the model do?", TASK)
        page.get_by_label("What should the model do?").blur()
        shot(page, "describe-start")
        newcomer.press("Write rows with a model")
        page.get_by_role("heading", name="Write rows with a model").wait_for()
        wait_for(lambda: page.get_by_role("textbox", name="Your task").input_value() == TASK, 10)
        newcomer.fill("Labels", "urgent\nsoon\nroutine")
        page.get_by_role("textbox", name="Labels").blur()
        newcomer.fill("Accepted rows", "200")
        newcomer.press("Preview 20 rows")
        page.get_by_text("200 rows: about").wait_for()
        newcomer.click(page.get_by_text(re.compile(r"^\d+\. write$")).first)
        asked_so = page.locator("[data-testid=stCode]").filter(has_text="The label must follow from what the text says")
        asked_so.first.wait_for()
        shot(page, "describe-preview")
        asked = len(stub.requests)
        newcomer.press("Write the rows")
        page.get_by_text("is ready").wait_for(timeout=300_000)
        made = DatasetDir(place.datasets / "describe-a-domain-1")
        assert sum(made.card.splits.values()) == 200 and set(made.task.labels) == {"urgent", "soon", "routine"}
        assert len(stub.requests) - asked < 2 * 200 + 100  # those of the preview were not asked again
        shot(page, "describe-ready")
        newcomer.press("Look at the rows")
        page.get_by_text("rows · page 1 of").wait_for()
        shot(page, "describe-rows")
        page.go_back()
        page.get_by_text("is ready").wait_for()
        report = to_verdict(newcomer, place, "starter-text-sft")
        shot(page, "describe-verdict")
    systems = {system.id for system in report.systems}
    assert len(systems) >= 2 and newcomer.clicks <= 20
