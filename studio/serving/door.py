"""The password of a shared server: before it, a page that asks for it is all there is; after it, a session that ends.

Nothing of a request is read, stored or measured before the password was given, except the few bytes of the form that
gives it. Wrong guesses are counted for each address and for all; whoever has spent theirs waits. Sessions are known by
the hash of a random token, live in memory only, and end after some hours, or when the server does. Who a visitor is
is not known: teams that want accounts put their own sign-in in front.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from studio.serving.gate import Asgi, Message, Receive, Scope, Send, answer, header, refuse

COOKIE = "smolstudio_session"
ENTER = "/_studio/enter"
LEAVE = "/_studio/leave"
HEALTH = "/_stcore/health"
SESSION_SEC = 12 * 3600.0
MAX_FORM_BYTES = 4096
MAX_SESSIONS = 1000
WINDOW_SEC = 600.0
GUESSES_EACH = 8
GUESSES_ALL = 60
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>smolstudio</title><style>body{{font:16px system-ui;max-width:22rem;margin:20vh auto;padding:0 1rem}}
input,button{{font:inherit;padding:.5rem;width:100%;box-sizing:border-box;margin:.3rem 0}}</style>
<h1>smolstudio</h1><form method="post" action="{enter}"><label>Password
<input type="password" name="password" autocomplete="current-password" autofocus required></label>
<button>Enter</button></form><p role="alert">{said}</p></html>"""


class Guesses:
    """Wrong guesses of the last minutes, of each address and of all."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wrong: deque[tuple[float, str]] = deque(maxlen=GUESSES_ALL)

    def wait_sec(self, address: str) -> float:
        """How long an address has to wait before it may guess; 0 when it may."""
        now = self._now()
        while self._wrong and now - self._wrong[0][0] > WINDOW_SEC:
            self._wrong.popleft()
        own = [at for at, who in self._wrong if who == address]
        full = [own[-GUESSES_EACH]] if len(own) >= GUESSES_EACH else []
        full += [self._wrong[0][0]] if len(self._wrong) >= GUESSES_ALL else []
        return max((at + WINDOW_SEC - now for at in full), default=0.0)

    def wrong(self, address: str) -> None:
        """Count a wrong guess."""
        self._wrong.append((self._now(), address))


class Door:
    """Lets in whoever gave the password. One object a server."""

    def __init__(self, password: str, now: Callable[[], float] = time.monotonic) -> None:
        self._password = hashlib.sha256(password.encode("utf-8")).digest()
        self._now = now
        self._guesses = Guesses(now)
        self._ends: dict[str, float] = {}

    async def __call__(self, app: Asgi, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection: to the app within a session, else to the page that asks."""
        ends = self._session_ends(scope)
        path = scope["path"]
        if path == ENTER and scope["type"] == "http" and scope["method"] == "POST":
            await self._enter(scope, receive, send)
        elif path == LEAVE and scope["type"] == "http" and scope["method"] == "POST":
            self._ends.pop(_hash(_token(scope)), None)
            await answer(send, 200, _page("You have left."), "text/html; charset=utf-8", _cookie("", 0, scope))
        elif path == HEALTH and scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            await answer(send, 200, "ok", "text/plain")
        elif ends is not None:
            await app(scope, self._until(ends, receive) if scope["type"] == "websocket" else receive, send)
        elif scope["type"] == "websocket":
            await refuse(scope, send, 403, "Give the password first.")
        else:
            await answer(send, 401, _page(""), "text/html; charset=utf-8")

    def _session_ends(self, scope: Scope) -> float | None:
        key = _hash(_token(scope))
        ends = self._ends.get(key)
        if ends is not None and ends <= self._now():
            del self._ends[key]
            return None
        return ends

    def _until(self, ends: float, receive: Receive) -> Receive:
        """`receive` of a websocket, which is over when its session is."""

        async def receive_or_end() -> Message:
            import asyncio

            try:
                message = await asyncio.wait_for(receive(), max(0.0, ends - self._now()))
            except TimeoutError:
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        return receive_or_end

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = str((scope.get("client") or ("unknown",))[0])
        given = hashlib.sha256(await _password(receive)).digest()
        wait = self._guesses.wait_sec(address)  # only now: many forms may be on their way at once
        if wait > 0:
            said = _page(f"Too many wrong passwords. Try again in {wait / 60:.0f} minutes.")
            await answer(send, 429, said, "text/html; charset=utf-8", (b"retry-after", f"{wait:.0f}".encode()))
            return
        if not hmac.compare_digest(given, self._password):
            self._guesses.wrong(address)
            await answer(send, 401, _page("That is not the password."), "text/html; charset=utf-8")
            return
        token = secrets.token_urlsafe(32)
        while len(self._ends) >= MAX_SESSIONS:
            del self._ends[min(self._ends, key=self._ends.__getitem__)]
        self._ends[_hash(token)] = self._now() + SESSION_SEC
        cookie = _cookie(token, int(SESSION_SEC), scope)
        await answer(send, 303, "", "text/plain", cookie, (b"location", b"/"))


async def _password(receive: Receive) -> bytes:
    """The password of the form, or nothing when the form is none or is too large."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MAX_FORM_BYTES or message["type"] != "http.request":
            return b""
        if not message.get("more_body"):
            break
    try:
        fields = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=4)
    except ValueError:
        return b""
    return fields.get("password", [""])[0].encode("utf-8", "replace")


def _token(scope: Scope) -> str:
    for value in header(scope, b"cookie"):
        try:
            found = SimpleCookie(value).get(COOKIE)
        except CookieError:
            continue
        if found is not None:
            return found.value
    return ""


def _cookie(token: str, seconds: int, scope: Scope) -> tuple[bytes, bytes]:
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    text = f"{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    return b"set-cookie", text.encode()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _page(said: str) -> str:
    return PAGE.format(enter=ENTER, said=said)
