"""Every button of a page has a name of its own, so that a screen reader, a test and a person tell them apart."""

from __future__ import annotations

from collections import Counter

import filled
import pytest

from studio.state.endpoints import Endpoint, save_endpoints
from studio.state.trash import delete
from synth.curation.amend import set_task
from synth.dataset import DatasetDir
from synth.workspace import Workspace
from tests.studio.test_views import page

pytestmark = pytest.mark.slow
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "start": ("start", {}),
    "datasets": ("data", {"tab": "datasets"}),
    "browse": ("data", {"tab": "browse", "dataset": "invoices"}),
    "task": ("data", {"tab": "task", "dataset": "invoices"}),
    "real": ("data", {"tab": "real", "dataset": "invoices"}),
    "train": ("train", {"dataset": "invoices"}),
    "runs": ("runs", {"run": "first"}),
    "compare": ("compare", {"dataset": "invoices"}),
    "verdict": ("compare", {"comparison": "first"}),
    "use": ("use", {"run": "first"}),
    "playground": ("playground", {}),
    "settings": ("settings", {}),
}


@pytest.mark.parametrize("name", PAGES)
def test_no_two_buttons_of_a_page_have_one_name(workspace: Workspace, name: str) -> None:
    for dataset in ("invoices", "second", "third", "fourth"):
        filled.dataset(workspace, dataset, rows=4)
    set_task(DatasetDir(workspace.datasets / "invoices"), instruction="Work out the amount.")
    set_task(DatasetDir(workspace.datasets / "invoices"), instruction="Work it out.")
    for run in ("first", "second", "third", "fourth"):
        filled.run(workspace, run)
        filled.comparison(workspace, run)
        if run in ("third", "fourth"):
            delete(workspace, "runs", run)
            delete(workspace, "comparisons", run)
            delete(workspace, "datasets", run)
    known = [Endpoint(name=name, base_url="http://127.0.0.1:9/v1", model="m") for name in ("mine", "other")]
    save_endpoints(workspace, known)
    where, address = PAGES[name]
    app = page(where, **address)
    assert not app.exception, app.exception
    twice = [label for label, count in Counter(button.label for button in app.button).items() if count > 1]
    assert not twice
