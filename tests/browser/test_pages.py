"""Every page in a real Chromium: no word in the console, no address elsewhere or not there, nothing serious for axe.

One server shows them all to every test of this file: they look, and change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import filled
import pytest

from studio.state.endpoints import Endpoint, save_endpoints
from synth.workspace import Workspace
from tests.browser.settling import settled
from tests.browser.test_studio import Studio, pytestmark, serving

__all__ = ["pytestmark"]
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
  const wide = [document.querySelector('[data-testid=stMain]'), document.documentElement]
    .filter((one) => one.scrollWidth > one.clientWidth);
  return wide.length ? wide.map((one) => [one.tagName, one.scrollWidth, one.clientWidth]) : null;
}"""
FIRST_BUTTONS = {
    "start": "Got it",
    "generate": "Generate",
    "compare": "Compare",
    "train": "Start training",
    "serve": "Start serving",
    "runs": "Compare",
    "write rows": "Write the rows",
    "real": "Add the rows",
    "playground": "Ask",
}
THEIRS = ("Unrecognized feature: ", "An iframe which has both allow-scripts and allow-same-origin")
"""What Streamlit's own frame leaves in the console, whatever a page holds: permissions of a frame, by names that this
browser does not know, and how it sandboxes a frame (the one frame is our own report, in which data are inert)."""

# The colours are all that differs in the dark: axe's two rules on them.
LOOKED_AT = {
    "light": "{iframes: false, resultTypes: ['violations']}",
    "dark": "{iframes: false, resultTypes: ['violations'], runOnly: ['color-contrast', 'link-in-text-block']}",
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio that is looked at: with something of everything, and as many runs as somebody has after a week."""
    place = Workspace(tmp_path_factory.mktemp("shown") / "workspace")
    filled.dataset(place)
    filled.comparison(place)
    for number in range(6):
        filled.run(place, f"another-{number}")
    filled.run(place, "first")
    save_endpoints(place, [Endpoint(name="mine", base_url="http://127.0.0.1:9/v1", model="m")])
    with serving(place) as served:
        yield served


def complains(message: Any) -> bool:
    """Whether a word in the console is a warning or an error, and of our pages."""
    return message.type in ("warning", "error") and not message.text.startswith(THEIRS)


@pytest.fixture
def at(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 720})
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


class Walk(NamedTuple):
    """What was found on one way through all pages, by page; and the addresses that were asked for.

    complaints: words in the console. serious: faults that axe finds. wide: what is wider than the window. buttons: the
    boxes of FIRST_BUTTONS.
    """

    asked: list[str]
    complaints: dict[str, list[str]]
    serious: dict[str, list[str]]
    wide: dict[str, Any]
    buttons: dict[str, Any]


@pytest.fixture(scope="module")
def walk(shown: Studio, browser: Any) -> Walk:
    """Each page once: what it says and asks for, how it lies, and then, in light and in dark, what axe says of it."""
    axe = pytest.importorskip("axe_playwright_python")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text("utf-8")
    opened = browser.new_page(viewport={"width": 1280, "height": 720})
    opened.set_default_timeout(60_000)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if complains(message) else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("response", lambda r: complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    found = Walk([], {}, {}, {}, {})
    opened.on("request", lambda request: found.asked.append(request.url))
    opened.on("websocket", lambda socket: found.asked.append(socket.url))
    for name, address in PAGES.items():
        complaints.clear()
        opened.emulate_media(color_scheme="light")
        opened.goto(f"{shown.url}/{address}")
        settled(opened)
        found.complaints[name] = list(complaints)
        if said := opened.evaluate(TOO_WIDE):
            found.wide[name] = said
        if button := FIRST_BUTTONS.get(name):
            found.buttons[name] = opened.get_by_role("button", name=button, exact=True).last.bounding_box()
        opened.evaluate(script)
        looks = [look(opened, scheme, f"{name} {scheme}", found.serious) for scheme in LOOKED_AT]
        assert len(set(looks)) == 2, "the page follows the scheme"
    opened.close()
    return found


def look(page: Any, scheme: str, place: str, serious: dict[str, list[str]]) -> str:
    """Note what axe finds in a colour scheme; returns the colour behind it all."""
    page.emulate_media(color_scheme=scheme)
    settled(page, scheme)
    for one in page.evaluate(f"axe.run(document, {LOOKED_AT[scheme]})")["violations"]:
        if one["impact"] in ("serious", "critical"):
            nodes = [f"{node['target']} {node['html'][:160]}" for node in one["nodes"][:4]]
            serious.setdefault(place, []).append(f"{one['id']} x{len(one['nodes'])}: {nodes}")
    return str(page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor"))


def test_no_page_leaves_a_word_in_the_console_or_asks_for_what_is_not_there(walk: Walk) -> None:
    assert walk.complaints == {name: [] for name in PAGES}


def test_the_browser_is_sent_nowhere_else(shown: Studio, walk: Walk) -> None:
    own = (shown.url, shown.url.replace("http", "ws"), "data:", "blob:", "about:")
    assert [url for url in walk.asked if not url.startswith(own)] == []
    assert len(walk.asked) > 50


def test_axe_finds_nothing_serious_in_light_or_dark(walk: Walk) -> None:
    assert walk.serious == {}


def test_pages_never_scroll_sideways(walk: Walk) -> None:
    assert walk.wide == {}


def test_the_first_button_of_each_step_is_above_the_fold(walk: Walk) -> None:
    assert walk.buttons.keys() == FIRST_BUTTONS.keys()
    low = {name: box for name, box in walk.buttons.items() if box is None or box["y"] + box["height"] > 720}
    assert low == {}


def test_links_and_buttons_show_that_the_keyboard_is_on_them(shown: Studio, at: Any) -> None:
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
        at.goto(f"{shown.url}/{PAGES[name]}")
        settled(at)
        at.add_style_tag(content="* {transition: none !important}")  # the look after a blur is then there at once
        for _ in range(30):
            at.keyboard.press("Tab")
            focused, seen = at.evaluate(looks)
            if focused and not seen:
                unseen.add(f"{name}: {focused}")
    assert not unseen, "\n".join(sorted(unseen))


def test_a_curve_is_drawn_and_says_the_value_under_the_pointer(shown: Studio, at: Any) -> None:
    at.goto(f"{shown.url}/runs?run=first")
    settled(at)
    chart = at.get_by_role("img", name="Loss by step: first from 2 to 0.1")
    points = chart.locator("polyline").get_attribute("points").split()
    assert len(points) == 20
    x, y = map(float, points[3].split(","))
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    at.mouse.move(box["x"] + x + 2, box["y"] + y)
    assert at.locator(".words:visible").inner_text().split("\n") == ["step 4", "0.5"]


def test_on_a_phone_what_starts_the_work_comes_before_its_settings_and_no_page_is_wider_than_it(
    shown: Studio, at: Any
) -> None:
    at.set_viewport_size({"width": 390, "height": 844})
    at.goto(f"{shown.url}/pipelines")
    settled(at)
    start, field = at.get_by_role("button", name="Write the rows"), at.get_by_label("Accepted rows")
    assert start.bounding_box()["y"] < field.bounding_box()["y"]
    wide = {}
    for name, address in PAGES.items():
        at.goto(f"{shown.url}/{address}")
        settled(at)
        if said := at.evaluate(TOO_WIDE):
            wide[name] = said
    assert wide == {}
