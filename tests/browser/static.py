"""Exported pages behind a static server, opened in a browser."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server that hands out the files of a folder, and nothing once the block is left."""
    handler = functools.partial(Silent, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def opened(browser: Any, url: str, ready: str) -> Any:
    """The page once the element `ready` can be used; from then on it has no network."""
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.complaints, page.fetched = [], []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.fetched.append(request.url))
    page.goto(url)
    page.wait_for_selector(f"{ready}:not([disabled])", timeout=120_000)
    context.set_offline(True)
    return page
