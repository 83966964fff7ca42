"""Every page in a real Chromium: no word in the console, no address that is not there, nothing serious for axe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filled
import pytest

from studio.state.endpoints import Endpoint, save_endpoints
from synth.workspace import Workspace
from tests.browser.test_studio import Studio, pytestmark, studio

__all__ = ["pytestmark", "studio"]
PAGES = {
    "start": "",
    "datasets": "data",
    "generate": "data?tab=generate&task=math",
    "pictures": "data?tab=generate&task=vision",
    "import": "data?tab=import",
    "browse": "data?tab=browse&dataset=invoices",
    "task": "data?tab=task&dataset=invoices",
    "real": "data?tab=real&dataset=invoices",
    "quality": "data?tab=quality&dataset=invoices",
    "write rows": "pipelines",
    "train": "train?dataset=invoices",
    "runs": "runs?run=first",
    "compare": "compare?dataset=invoices",
    "verdict": "compare?comparison=first",
    "mistakes": "compare?comparison=first&part=mistakes",
    "rows": "compare?comparison=first&part=rows",
    "use": "use?run=first",
    "export": "use?run=first&way=export",
    "serve": "use?run=first&way=serve",
    "playground": "playground",
    "settings": "settings",
    "glossary": "glossary",
}
TOO_WIDE = """() => {
  const page = document.querySelector('[data-testid=stMain]');
  return page.scrollWidth > page.clientWidth ? [page.scrollWidth, page.clientWidth] : null;
}"""
THEIRS = ("Unrecognized feature: ", "An iframe which has both allow-scripts and allow-same-origin")
"""What Streamlit's own frame leaves in the console, whatever a page holds: permissions of a frame, by names that this
browser does not know, and how it sandboxes a frame (the one frame is our own report, in which data are inert)."""


def fill(place: Workspace) -> None:
    filled.dataset(place)
    filled.run(place, "first")
    filled.comparison(place)
    save_endpoints(place, [Endpoint(name="mine", base_url="http://127.0.0.1:9/v1", model="m")])


def settled(page: Any) -> None:
    """Once the page's script has run to its end."""
    page.get_by_role("heading").first.wait_for()
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')", timeout=60_000)
    page.wait_for_timeout(600)


def complains(message: Any) -> bool:
    """Whether a word in the console is a warning or an error, and of our pages."""
    return message.type in ("warning", "error") and not message.text.startswith(THEIRS)


@pytest.fixture
def watched(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 720})
    opened.set_default_timeout(60_000)
    opened.complaints = []
    opened.on("console", lambda message: opened.complaints.append(message.text) if complains(message) else None)
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("response", lambda r: opened.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    yield opened
    opened.close()


def test_no_page_leaves_a_word_in_the_console_or_asks_for_what_is_not_there(studio: Studio, watched: Any) -> None:
    fill(studio.workspace)
    found = {}
    for name, address in PAGES.items():
        watched.complaints.clear()
        watched.goto(f"{studio.url}/{address}")
        settled(watched)
        if watched.complaints:
            found[name] = list(watched.complaints)
    assert found == {}


def test_axe_finds_nothing_serious_in_light_or_dark(studio: Studio, browser: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text("utf-8")
    fill(studio.workspace)
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.set_default_timeout(60_000)
    found: dict[str, list[str]] = {}
    for name, address in PAGES.items():
        page.emulate_media(color_scheme="light")
        page.goto(f"{studio.url}/{address}")
        settled(page)
        page.evaluate(script)
        looks = []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(400)  # colours fade into each other
            looks.append(page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor"))
            for one in page.evaluate("axe.run(document, {iframes: false})")["violations"]:
                if one["impact"] in ("serious", "critical"):
                    nodes = [f"{node['target']} {node['html'][:160]}" for node in one["nodes"][:4]]
                    found.setdefault(f"{name} {scheme}", []).append(f"{one['id']} x{len(one['nodes'])}: {nodes}")
        assert len(set(looks)) == 2, "the page follows the scheme"
    page.close()
    assert found == {}


def test_the_first_button_of_each_step_is_above_the_fold(studio: Studio, watched: Any) -> None:
    fill(studio.workspace)
    for number in range(6):  # as many runs as somebody has after a week
        filled.run(studio.workspace, f"another-{number}")
    for address, button in {
        "": "Got it",
        "data?tab=generate&task=math": "Generate",
        "compare?dataset=invoices": "Compare",
        "train?dataset=invoices": "Start training",
        "use?run=first&way=serve": "Start serving",
        "runs?run=first": "Compare",
        "pipelines": "Write the rows",
        "data?tab=real&dataset=invoices": "Add the rows",
        "playground": "Ask",
    }.items():
        watched.goto(f"{studio.url}/{address}")
        settled(watched)
        box = watched.get_by_role("button", name=button, exact=True).last.bounding_box()
        assert box is not None and box["y"] + box["height"] <= 720, (address, box)


def test_links_and_buttons_show_that_the_keyboard_is_on_them(studio: Studio, watched: Any) -> None:
    fill(studio.workspace)
    looks = """() => {
      const at = document.activeElement;
      if (!at.matches('a, button')) return ['', true];
      const look = () => { const s = getComputedStyle(at); return s.outlineStyle + s.boxShadow + s.borderColor; };
      const focused = look();
      at.blur();
      const seen = focused !== look();
      at.focus({focusVisible: true});
      return [(at.getAttribute('aria-label') || at.innerText).slice(-40), seen];
    }"""
    unseen = set()
    for name in ("start", "browse", "train", "compare", "settings"):
        watched.goto(f"{studio.url}/{PAGES[name]}")
        settled(watched)
        watched.add_style_tag(content="* {transition: none !important}")  # the look after a blur is then there at once
        for _ in range(30):
            watched.keyboard.press("Tab")
            at, seen = watched.evaluate(looks)
            if at and not seen:
                unseen.add(f"{name}: {at}")
    assert not unseen, "\n".join(sorted(unseen))


def test_a_curve_is_drawn_and_says_the_value_under_the_pointer(studio: Studio, watched: Any) -> None:
    fill(studio.workspace)
    watched.goto(f"{studio.url}/runs?run=first")
    settled(watched)
    chart = watched.get_by_role("img", name="Loss by step: first from 2 to 0.1")
    points = chart.locator("polyline").get_attribute("points").split()
    assert len(points) == 20
    x, y = map(float, points[3].split(","))
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    watched.mouse.move(box["x"] + x + 2, box["y"] + y)
    assert watched.locator(".words:visible").inner_text().split("\n") == ["step 4", "0.5"]


def test_on_a_phone_what_starts_the_work_comes_before_its_settings_and_no_page_is_wider_than_it(
    studio: Studio, watched: Any
) -> None:
    fill(studio.workspace)
    watched.set_viewport_size({"width": 390, "height": 844})
    watched.goto(f"{studio.url}/pipelines")
    settled(watched)
    start, field = watched.get_by_role("button", name="Write the rows"), watched.get_by_label("Accepted rows")
    assert start.bounding_box()["y"] < field.bounding_box()["y"]
    wide = {}
    for name, address in PAGES.items():
        watched.goto(f"{studio.url}/{address}")
        settled(watched)
        if said := watched.evaluate(TOO_WIDE):
            wide[name] = said
    assert wide == {}
