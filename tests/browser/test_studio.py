"""The whole way from a domain to a verdict by clicks, in a real Chromium, with a refresh and a server restart."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import filled
import pytest

from evaluate.predict.probe import SPEED_SECONDS
from recipes.models.files import starters
from studio.serving.server import command, environment
from synth.dataset import Card, DatasetWriter
from synth.example import assistant, make_example, user
from synth.storage import atomic_dir
from synth.workspace import Workspace
from tests import spare
from tests.browser.settling import settled
from tests.markup import PAYLOADS
from tests.ports import free_port

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
]


class Studio:
    """A studio server that can be restarted on the same port, forked from the spare process or started as it is.

    Of one that is forked, comparisons measure no speed: that takes longer than all the rest, and one walk is enough.
    """

    def __init__(self, workspace: Workspace, spared: bool = True) -> None:
        self.workspace, self.spared, self.speed_sec = workspace, spared, int(not spared)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | spare.Forked | None = None

    def start(self) -> None:
        self.process = (spare.fork if self.spared else subprocess.Popen)(
            command(self.port),
            env=environment(self.workspace)
            | {"SMOLSTUDIO_MODELS": str(self.workspace.path.parent / "models"), SPEED_SECONDS: str(self.speed_sec)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        wait_for(self.healthy, 60)

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


def wait_for(true: Callable[[], bool], timeout_sec: float) -> None:
    deadline = time.monotonic() + timeout_sec
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@contextlib.contextmanager
def serving(workspace: Workspace, spared: bool = True) -> Iterator[Studio]:
    """A studio on that workspace, as long as the block lasts."""
    served = Studio(workspace, spared)
    try:
        served.start()
        yield served
    finally:
        served.stop()


@pytest.fixture
def studio(workspace: Workspace) -> Iterator[Studio]:
    with serving(workspace) as served:
        yield served


@pytest.fixture
def own(workspace: Workspace) -> Iterator[Studio]:
    """A studio that is a process of its own, and so are its workers, until its test says otherwise."""
    with serving(workspace, spared=False) as served:
        yield served


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 720})
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


class Newcomer:
    """Somebody before the studio's pages, whose clicks are counted; a field that is filled in takes one too."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.clicks = 0

    def click(self, found: Any) -> None:
        found.click()
        self.clicks += 1

    def press(self, name: str) -> None:
        self.click(self.page.get_by_role("button", name=name, exact=True).last)

    def fill(self, label: str, value: str) -> None:
        box = self.page.get_by_label(label, exact=True).first
        box.fill(value)
        box.press("Enter")
        settled(self.page)
        self.clicks += 1

    def choose_task(self, title: str) -> None:
        """From Start to the form of a task."""
        card = self.page.locator("[data-testid=stColumn]").filter(has_text=title)
        self.click(card.get_by_role("button", name=f"Begin: {title}", exact=True))

    def generate(self, held_out: str) -> None:
        """Make a dataset of a few rows, go on to training; `held_out` is the form's word for the unseen test rows."""
        for label, count in {"Training rows": 32, "Validation rows": 4, "Test rows": 6, held_out: 4}.items():
            self.fill(label, str(count))
        self.press("Generate")
        self.press("Train on it")

    def train(self, steps: int) -> str:
        """Start a training of so many steps; returns the run's id."""
        self.page.get_by_text("effective batch").first.wait_for()
        self.click(self.page.get_by_text("Optimisation", exact=True))
        self.fill("Steps at most", str(steps))
        self.press("Start training")
        self.page.wait_for_url("**/runs**")
        return str(parse_qs(urlsplit(self.page.url).query)["run"][0])

    def compare(self) -> Any:
        """From the run that ended to the verdict: the frame of the report."""
        settled(self.page)
        self.press("Compare")
        self.page.get_by_text("Rows per split").wait_for()
        settled(self.page)
        self.press("Compare")
        self.page.get_by_role("button", name="Download HTML").wait_for(timeout=500_000)
        return self.page.frame_locator("iframe").first


def ended(run: Path) -> str:
    """How a run or a task ended, once it has."""
    wait_for(lambda: (run / "exit.json").exists(), 900)  # two cores that other tests use too
    return str(json.loads((run / "exit.json").read_text())["verdict"])


@pytest.mark.skipif("starter-text" not in starters(), reason="the text starter's weights are not here")
def test_journey_from_start_to_verdict(own: Studio, page: Any) -> None:
    studio, place, newcomer = own, own.workspace, Newcomer(page)
    page.goto(studio.url)
    newcomer.choose_task("Math problems")
    newcomer.generate("Test rows, unseen families")
    run = newcomer.train(steps=6)
    page.reload()  # nothing is lost by a refresh …
    page.get_by_role("heading", name="Runs").wait_for()
    studio.stop()  # … nor by the end of the server, in the middle of the training
    studio.spared = True  # server, generation and training were processes of their own
    studio.start()
    page.goto(f"{studio.url}/runs?run={run}")
    assert ended(place.runs / run) == "done"
    assert len([p for p in place.runs.iterdir() if (p / "recipe.yaml").exists()]) == 1
    page.reload()
    newcomer.compare()
    assert newcomer.clicks <= 12  # six of them to make everything small
    assert list(place.comparisons.glob("*/speed.json"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download HTML").click()
    html = Path(download.value.path()).read_text("utf-8")
    assert html == next(place.comparisons.glob("*/report.html")).read_text("utf-8")


@pytest.mark.parametrize(
    ("modality", "title", "held_out"),
    [("vision", "Charts and receipts", "Held-out test rows"), ("audio", "Dictated speech", "Held-out rows")],
)
def test_journey_with_media(studio: Studio, page: Any, modality: str, title: str, held_out: str) -> None:
    if f"starter-{modality}" not in starters():
        pytest.skip(f"the {modality} starter's weights are not here")
    place, newcomer = studio.workspace, Newcomer(page)
    page.goto(studio.url)
    newcomer.choose_task(title)
    newcomer.generate(held_out)
    run = newcomer.train(steps=2)
    assert ended(place.runs / run) == "done"
    report = newcomer.compare()
    made = json.loads(next(place.comparisons.glob("*/report.json")).read_text("utf-8"))
    report.get_by_text(made["verdict"]["word"], exact=True).first.wait_for()
    assert f"Tuned: {run}" in [system["label"] for system in made["systems"]]
    assert newcomer.clicks <= 12


def test_hostile_names_and_cells_stay_inert(studio: Studio, page: Any) -> None:
    filled.dataset(studio.workspace, hostile=filled.HOSTILE)
    filled.comparison(studio.workspace, hostile=filled.HOSTILE)
    for address in (
        "data?tab=browse&dataset=invoices",
        "data?tab=quality&dataset=invoices",
        "compare?comparison=first",
    ):
        page.goto(f"{studio.url}/{address}")
        settled(page, quiet_ms=1500)
        owned = [frame.evaluate("window.owned") for frame in page.frames]
        assert owned == [None] * len(owned)
        assert page.locator("a[href^='javascript']").count() == 0


def of_payloads(folder: Path, turns: int) -> list[str]:
    """A dataset whose turns, answers and reasons of rejection are each a payload of their own; the ids of its rows."""
    writer, ids = DatasetWriter(folder), []
    for start in range(0, len(PAYLOADS), turns):
        said = PAYLOADS[start : start + turns]
        chat = [(assistant if place % 2 else user)(text) for place, text in enumerate(said[: turns - 1])]
        row = make_example(chat, f"{said[-1]}\nAnswer: {start}", answer=f"{start}", family=said[0], template="t")
        writer.keep(row)
        ids.append(row.id)
    for text in PAYLOADS:
        writer.reject({"question": text}, text)
    writer.finish(Card(name=folder.name, generator="math", created="2026-01-01T00:00:00+00:00", seconds=1.0))
    return ids


def test_no_payload_runs_on_a_page_of_rows(studio: Studio, page: Any) -> None:
    assert len(PAYLOADS) > 80
    with atomic_dir(studio.workspace.datasets / "payloads") as folder:
        ids = of_payloads(folder, 17)
    address = f"{studio.url}/data?tab=browse&dataset=payloads&split="
    seen = ""
    for shown in (*(f"train&row={row}" for row in ids), "rejected", "train"):
        page.goto(f"{address}{shown}")
        settled(page, quiet_ms=1500)
        assert [frame.evaluate("window.owned") for frame in page.frames] == [None] * len(page.frames), shown
        assert (
            page.locator("a[href^='javascript' i], a[href^='data' i], form, base, meta[http-equiv=refresh]").count()
            == 0
        )
        seen += page.inner_text("body")
    assert sum("owned=1" in line for line in seen.splitlines()) > 60, "they are shown as they are"
