"""Two things that Streamlit's page in the browser is told, as scripts that are put into it on its way out.

Where its server is, so that it does not ask around: on `/data` it would first try `/data/_stcore/…`, which is nowhere,
and every page would leave errors in the console. Its page reads `window.__streamlit` for that.

And that one press is one visit: Streamlit pushes an address for every change of it, also for those that its own
scripts make, and twice where a button leads to another page (the old page with the new choices, then the new page).
Back would show addresses where nobody was, some of which lead forward again. So an address that comes without a press
since the last one takes its place.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from studio.serving.gate import Asgi, Message, Receive, Scope, Send

SERVER = b'<script>window.__streamlit={BACKEND_BASE_URL:location.origin+"/"}</script>'
ONE_VISIT = b"""<script>{
  let pressed = false;
  for (const kind of ["pointerdown", "keydown", "click", "change", "drop"])
    addEventListener(kind, () => { pressed = true; }, true);
  const push = history.pushState.bind(history), replace = history.replaceState.bind(history);
  history.pushState = (...address) => { (pressed ? push : replace)(...address); pressed = false; };
}</script>"""
SCRIPT = SERVER + ONE_VISIT
AFTER = b"<head>"


class Rooted:
    """ASGI middleware: adds the line to pages, and leaves everything else alone."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] != "http" or not _is_page(scope["path"]):
            await self._app(scope, receive, send)
            return
        plain = [pair for pair in scope["headers"] if pair[0].lower() != b"accept-encoding"]  # to be read, not packed
        started: list[Message] = []
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
                return
            parts.append(bytes(message.get("body", b"")))
            if message.get("more_body"):
                return
            body = b"".join(parts)
            head = started[0]
            if any(key.lower() == b"content-type" and b"text/html" in value for key, value in head["headers"]):
                body = body.replace(AFTER, AFTER + SCRIPT, 1)
                kept = [pair for pair in head["headers"] if pair[0].lower() not in (b"content-length", b"etag")]
                head = {**head, "headers": [*kept, (b"content-length", str(len(body)).encode())]}
            await send(head)
            await send({"type": "http.response.body", "body": body})

        await self._app({**scope, "headers": plain}, receive, collect)


def _is_page(path: str) -> bool:
    """Whether a path can be that of a page: no file, and none of Streamlit's own addresses."""
    return not PurePosixPath(path).suffix and not path.startswith(("/_stcore", "/_studio", "/static", "/media"))
