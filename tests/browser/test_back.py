"""The browser's Back in a real Chromium: one press leaves a page, and nothing pushes its visitor forward again."""

from __future__ import annotations

from typing import Any

from tests.browser.settling import settled
from tests.browser.test_pages import shown
from tests.browser.test_studio import Studio, page, pytestmark, wait_for

__all__ = ["page", "pytestmark", "shown"]
MENU = ("Data", "Write rows", "Train", "Runs", "Compare", "Use", "Playground", "Settings", "Glossary")
HEADINGS = {"Write rows": "Write rows with a model"}


def visits(page: Any) -> list[str]:
    """The addresses that Back and Forward know, up to the one that is shown."""
    found = page.context.new_cdp_session(page).send("Page.getNavigationHistory")
    return [entry["url"] for entry in found["entries"][: found["currentIndex"] + 1]]


def test_one_press_leaves_each_page_of_the_menu(shown: Studio, page: Any) -> None:
    page.goto(shown.url)
    settled(page)
    wrong = {}
    for title in MENU:
        before = visits(page)
        page.get_by_role("link", name=title, exact=True).first.click()
        heading = HEADINGS.get(title, title)
        page.get_by_role("heading", name=heading, exact=True).first.wait_for()
        settled(page)
        if (added := visits(page)[len(before) :]) != [page.url]:
            wrong[title] = added
        page.go_back()
        settled(page, quiet_ms=900)
        if page.url.rstrip("/") != shown.url:
            wrong[f"{title}, back"] = [page.url]
            page.goto(shown.url)
            settled(page)
    assert wrong == {}


def test_a_link_and_a_button_that_leads_on_are_one_visit_each(shown: Studio, page: Any) -> None:
    page.goto(f"{shown.url}/data?tab=browse&dataset=invoices")
    settled(page)
    for kind, name, heading in (
        ("button", "Train on it", "Train"),
        ("link", "Runs", "Runs"),
        ("button", "Compare", "Compare"),
        ("link", "Use", "Use"),
        ("button", "Try it", "Playground"),
    ):
        before = visits(page)
        page.get_by_role(kind, name=name, exact=True).last.click()
        page.get_by_role("heading", name=heading, exact=True).first.wait_for()
        settled(page)
        assert visits(page)[len(before) :] == [page.url], name
    for _ in range(5):
        page.go_back()
        settled(page, quiet_ms=900)
    assert page.url == f"{shown.url}/data?tab=browse&dataset=invoices"


def test_a_choice_on_a_page_is_one_visit(shown: Studio, page: Any) -> None:
    page.goto(f"{shown.url}/data?tab=browse&dataset=invoices&page=2&q=question")
    settled(page)
    before = visits(page)
    page.get_by_label("Search", exact=True).fill("question 4")  # also leaves the second page
    page.get_by_label("Search", exact=True).press("Enter")
    page.wait_for_url("**q=question+4*")
    settled(page)
    assert len(visits(page)) == len(before) + 1
    assert "page=" not in page.url
    page.go_back()
    wait_for(lambda: bool(page.get_by_label("Search", exact=True).input_value() == "question"), 60)
