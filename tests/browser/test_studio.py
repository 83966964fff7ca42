"""The whole way from a domain to a verdict by clicks, in a real Chromium, with a refresh and a server restart."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filled
import pytest

from recipes.model_files import starters
from studio.server import command, environment
from synth.workspace import Workspace

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


class Studio:
    """A studio server that can be restarted on the same port."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            command(self.port), env=environment(self.workspace), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
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


@pytest.fixture
def studio(workspace: Workspace) -> Iterator[Studio]:
    served = Studio(workspace)
    served.start()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 720})
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


def click(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def fill(page: Any, label: str, value: str) -> None:
    box = page.get_by_label(label, exact=True).first
    box.fill(value)
    box.press("Enter")
    page.wait_for_timeout(700)


@pytest.mark.skipif("starter-text" not in starters(), reason="the text starter's weights are not here")
def test_journey_from_start_to_verdict(studio: Studio, page: Any) -> None:
    place = studio.workspace
    page.goto(studio.url)
    click(page, "Begin")
    for label, rows in {"Training rows": "48", "Validation rows": "8", "Test rows": "12"}.items():
        fill(page, label, rows)
    fill(page, "Name of the dataset", "journey")
    click(page, "Generate")
    click(page, "Train on it")
    page.get_by_text("effective batch").wait_for()
    page.get_by_text("Optimisation", exact=True).click()
    fill(page, "Steps at most", "6")
    click(page, "Start training")
    page.wait_for_url("**/runs**")
    run = page.url.partition("run=")[2].partition("&")[0]
    page.reload()  # nothing is lost by a refresh …
    page.get_by_role("heading", name="Runs").wait_for()
    studio.stop()  # … nor by the end of the server, in the middle of the training
    studio.start()
    page.goto(f"{studio.url}/runs?run={run}")
    wait_for(lambda: (place.runs / run / "exit.json").exists(), 240)
    assert json.loads((place.runs / run / "exit.json").read_text())["verdict"] == "done"
    assert len([p for p in place.runs.iterdir() if (p / "recipe.yaml").exists()]) == 1
    page.reload()
    click(page, "Compare")
    page.get_by_text("Rows per split").wait_for()
    page.get_by_role("button", name="Compare", exact=True).last.click()
    page.get_by_role("button", name="Download HTML").wait_for(timeout=300_000)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download HTML").click()
    html = Path(download.value.path()).read_text("utf-8")
    assert "stand-in" in html or "small" in html
    assert html == next(place.comparisons.glob("*/report.html")).read_text("utf-8")


def test_hostile_names_and_cells_stay_inert(studio: Studio, page: Any) -> None:
    filled.dataset(studio.workspace, hostile=filled.HOSTILE)
    filled.comparison(studio.workspace, hostile=filled.HOSTILE)
    for address in (
        "data?tab=browse&dataset=invoices",
        "data?tab=quality&dataset=invoices",
        "compare?comparison=first",
    ):
        page.goto(f"{studio.url}/{address}")
        page.get_by_role("heading").first.wait_for()
        page.wait_for_timeout(1500)
        owned = [frame.evaluate("window.owned") for frame in page.frames]
        assert owned == [None] * len(owned)
        assert page.locator("a[href^='javascript']").count() == 0


def test_foreign_pages_cannot_talk_to_the_studio(studio: Studio) -> None:
    def status(origin: str) -> str:
        lines = (
            "GET /_stcore/stream HTTP/1.1",
            f"Host: 127.0.0.1:{studio.port}",
            f"Origin: {origin}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as raw:
            raw.sendall("\r\n".join([*lines, "", ""]).encode())
            return raw.recv(64).split(b"\r\n")[0].decode()

    assert "403" in status("http://evil.test")
    assert "101" in status(studio.url)


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_never_scroll_sideways(studio: Studio, browser: Any, width: int) -> None:
    filled.dataset(studio.workspace)
    filled.run(studio.workspace, "first")
    narrow = browser.new_page(viewport={"width": width, "height": 720})
    for name in ("start", "data", "train?dataset=invoices", "runs?run=first", "compare?dataset=invoices"):
        narrow.goto(f"{studio.url}/{name}")
        narrow.get_by_role("heading").first.wait_for()
        narrow.wait_for_timeout(1000)
        assert narrow.evaluate("document.documentElement.scrollWidth") <= width
    narrow.close()


def test_server_listens_on_this_machine_only(studio: Studio) -> None:
    assert os.environ.get("SMOLSTUDIO_SHARED") is None
    assert "127.0.0.1" in command(studio.port)
