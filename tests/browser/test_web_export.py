"""The exported page in a real Chromium, the network cut after loading: it answers as the tuned model did."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from recipes.export import npm, targets
from recipes.export.web_text import RUNTIME
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from recipes.text import text_sft
from synth.dataset import Card, DatasetWriter
from synth.errors import ModelError
from synth.example import make_example, user
from synth.scoring.names import JSON, MATH
from synth.workspace import Workspace
from tests.browser.static import opened, served
from tests.tiny_runs import nudged

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
]


def run_on(place: Workspace, name: str, rows: list[tuple[str, str]], scorer: str, epochs: int = 0) -> None:
    """A run of starter-text on these questions and answers; without epochs, hardly changed."""
    folder = place.datasets / name
    folder.mkdir(parents=True)
    writer = DatasetWriter(folder)
    for question, answer in rows:
        writer.keep(make_example([user(question)], answer, family="f", template="t", answer=answer, scorer=scorer))
    writer.finish(Card(name=name))
    learned = {
        "num_train_epochs": epochs or 1,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 4,
        "torch_compile": "off",
    }
    recipe = {"base_model": "starter-text", "data": {"dataset": name}, "optim": learned, "eval_steps": 0}
    run = Run.create(place, load_recipe(recipe), name)
    text_sft.train(run, run.recipe) if epochs else nudged(recipe, run)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two exported pages behind a static server: "sums", and "issues", whose answers are records."""
    place = Workspace(tmp_path_factory.mktemp("web"))
    run_on(
        place, "sums", [(f"What is {n} + 30?", f"{n} + 30 = {n + 30}\nAnswer: {n + 30}") for n in range(10, 20)], MATH
    )
    records = [
        {"title": f"Crash {n}", "type": "bug", "steps": ["Start"], "version": None, "hours": [n, n + 1]}
        for n in range(4)
    ]
    records[0]["version"] = "1.2"
    run_on(place, "issues", [(f"It crashes, case {n}.", json.dumps(r)) for n, r in enumerate(records)], JSON, epochs=60)
    try:
        for name in ("sums", "issues"):
            targets.export_run(name, place.runs, place.path / "pages" / name, "web")
    except ModelError as error:
        if error.code == npm.CODE:
            pytest.skip(str(error))
        raise
    with served(place.path / "pages") as url:
        yield url


def answered(page: Any, text: str) -> None:
    page.fill("#text", text)
    page.click("#go")
    page.wait_for_selector("#state:text-is('Done.')", timeout=120_000)


def copied(page: Any) -> Any:
    """The record as the page's button copies it."""
    page.click("#copy")
    page.wait_for_selector("#state:text-is('Copied.')")
    return json.loads(page.evaluate("navigator.clipboard.readText()"))


def test_the_page_answers_without_a_network_and_asks_nothing_of_others(browser: Any, pages: str) -> None:
    page = opened(browser, f"{pages}/sums/index.html", "#go")
    answered(page, "What is 15 + 30?")
    assert page.text_content("#plain") == "15 + 30 = 45\nAnswer: 45"
    assert not page.is_visible("#issue")
    assert all(url.startswith((pages, "blob:", "data:")) for url in page.fetched)
    assert page.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth <= 390")  # a phone
    page.fill("#text", "10 + 30 " * 1000)
    page.click("#go")
    page.wait_for_selector("#state:has-text('Your text is too long')", timeout=120_000)
    assert re.search(r"read \d+ tokens, and takes 1024\. Shorten it\.", page.text_content("#state"))
    page.context.close()


def test_records_are_within_the_schema_and_become_an_issue_that_is_not_sent(browser: Any, pages: str) -> None:
    page = opened(browser, f"{pages}/issues/index.html", "#go")
    answered(page, "It crashes, case 2.")
    assert page.eval_on_selector_all("#fields textarea", "all => all.map(one => one.dataset.key)") == [
        "title", "type", "steps", "version", "hours",
    ]  # fmt: skip
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    assert copied(page) == {"title": "Crash 2", "type": "bug", "steps": ["Start"], "version": None, "hours": [2, 3]}
    page.fill("#field-hours", "4\n6.5")
    assert copied(page)["hours"] == [4, 6.5]
    page.fill("#field-title", "It crashes <b>& burns</b>")
    page.fill("#field-steps", "Open it\nSee it crash")
    assert not page.is_visible("#open")
    page.fill("#repository", "somebody/something")
    href = page.get_attribute("#open", "href")
    assert href.startswith("https://github.com/somebody/something/issues/new?title=It+crashes+%3Cb%3E%26+burns")
    assert "1.+Open+it%0A2.+See+it+crash" in href
    assert all(url.startswith((pages, "blob:", "data:")) for url in page.fetched)
    assert page.complaints == []
    page.context.close()


def test_addresses_of_repositories_are_told_from_other_texts_and_a_link_fits_what_github_takes(
    browser: Any, pages: str
) -> None:
    page = opened(browser, f"{pages}/issues/index.html", "#go")
    answered(page, "It crashes, case 2.")
    for text in ("o/n", " https://github.com/o/n/issues?q=1 ", "github.com/o/n.git"):
        page.fill("#repository", text)
        assert page.get_attribute("#open", "href").startswith("https://github.com/o/n/issues/new?title=Crash+2&body=")
        assert not page.is_visible("#shorter")
    for text in ("../..", "o/..", "-o/n", "https://gitlab.com/o/n", "javascript:alert(1)//x"):
        page.fill("#repository", text)
        assert page.is_visible("#unknown") and not page.is_visible("#open"), text
    page.fill("#repository", "o/n")
    page.fill("#field-title", "Ошибка " * 100)
    page.fill("#field-steps", "Нажать 👍 " * 1000)
    href = page.get_attribute("#open", "href")
    assert len(href) <= 8191 and page.is_visible("#shorter")
    said = parse_qs(urlsplit(href).query)
    assert (len(said["title"][0]), said["title"][0][-1]) == (256, "…")
    assert said["body"][0].endswith("…") and "\ufffd" not in said["body"][0]
    page.context.close()


def test_a_text_that_leaves_no_room_for_the_answer_is_named_and_no_older_answer_stays(browser: Any, pages: str) -> None:
    page = opened(browser, f"{pages}/issues/index.html", "#go")
    answered(page, "It crashes, case 2.")
    page.fill("#text", "   ")
    page.click("#go")
    page.wait_for_selector("#state:text-is('There is no text yet.')")
    page.fill("#text", "It crashes. " * 1000)
    page.click("#go")
    page.wait_for_selector("#state:has-text('Your text is too long')", timeout=120_000)
    assert not page.is_visible("#answer"), "the answer to another text"
    read = int(re.search(r"read (\d+) tokens", page.text_content("#state"))[1])  # type: ignore[index]
    page.fill("#text", "It crashes. " * (1000 * 1014 // read))
    page.click("#go")
    page.wait_for_selector("#state:text-matches('^Cut off: your text takes .* of the 1024 tokens')", timeout=120_000)
    page.context.close()


def test_a_model_that_came_in_part_is_not_asked(browser: Any, pages: str) -> None:
    """A server that ends early and names no length: half a file of weights would load, and answer anything."""
    page = browser.new_page()
    page.route("**/model.gguf", lambda route: route.fulfill(body=route.fetch().body()[: 2 << 20]))
    page.goto(f"{pages}/sums/index.html")
    page.wait_for_selector("#state:has-text('model.gguf has 2097152 bytes instead of')")
    assert page.is_disabled("#go")
    page.unroute_all()
    page.route("**/task.json", lambda route: route.fulfill(status=404))
    page.reload()
    page.wait_for_selector("#state:has-text('task.json: 404')")
    page.route("**/app.js", lambda route: route.fulfill(body="0", content_type="text/plain"))
    page.reload()
    assert "runs from a web server" in page.text_content("#state")
    page.close()


def test_a_phone_in_the_same_network_opens_the_page_over_plain_http(browser: Any, pages: str) -> None:
    """Such pages have no storage and no clipboard of the usual kind."""
    page = browser.new_page()
    page.route(
        "http://desk.test/**",
        lambda route: route.fulfill(response=route.fetch(url=f"{pages}{urlsplit(route.request.url).path}")),
    )
    page.goto("http://desk.test/sums/index.html")
    assert page.evaluate("isSecureContext") is False
    page.wait_for_selector("#go:not([disabled])", timeout=120_000)
    answered(page, "What is 15 + 30?")
    assert page.text_content("#plain") == "15 + 30 = 45\nAnswer: 45"
    page.click("#copy")
    page.wait_for_selector("#state:text-is('Copied.')")
    page.close()


def test_without_npm_or_with_another_archive_the_export_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ModelError, match=r"npm, which fetches it, is not installed\. Install Node"):
        npm.archive(RUNTIME)
    monkeypatch.undo()
    monkeypatch.setenv("SMOLSTUDIO_MODELS", str(tmp_path / "models"))
    fake = tmp_path / "npm"
    fake.write_text('#!/bin/sh\nprintf other > "$6/x.tgz"\n')
    fake.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(fake))
    with pytest.raises(ModelError, match=r"its hash differs\. Nothing was kept"):
        npm.archive(RUNTIME)
    assert not list((tmp_path / "models").rglob("*.tgz"))
