"""The gate in front of every server of ours: it answers to its own names only, and to no foreign page.

A foreign page can reach a local server in two ways: by a name of its own that it lets resolve to this machine (DNS
rebinding), which the Host header gives away, and by a request across origins, which the Origin header gives away.
Both are refused before anything else is looked at, on pages, websockets, uploads, media and APIs alike. Answers say
that they may be neither framed nor guessed at, and that no address is passed on.

With a `Door` nothing at all is served, read or stored before the password was given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Doorkeeper = Callable[[Asgi, Scope, Receive, Send], Awaitable[None]]
"""Lets a connection through to the app or answers it itself: `studio.serving.door.Door`."""

LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
)


def host_name(authority: str) -> str | None:
    """The name in a Host header, lower case, without port or final dot; None when it is no plain name and port."""
    try:
        parts = urlsplit(f"//{authority}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return None
    odd = (
        parts.username is not None or parts.path or parts.query or parts.fragment or any(c.isspace() for c in authority)
    )
    return None if odd or not name else name.rstrip(".")


def own_names() -> list[str]:
    """What this machine is called by others: its host name and the addresses of its interfaces. Asks no network."""
    import socket

    import psutil

    found = [socket.gethostname().lower()]
    for addresses in psutil.net_if_addrs().values():
        found += [one.address.partition("%")[0] for one in addresses if one.family in (socket.AF_INET, socket.AF_INET6)]
    return [*found, f"{found[0]}.local"]


def names(address: str, given: Iterable[str]) -> frozenset[str]:
    """What a server at `address` answers to: the local names, `given`, and this machine's when others reach it."""
    shared = [] if address in LOCAL_NAMES else own_names()
    wanted = [address] if address not in ("0.0.0.0", "::") else []
    return frozenset(name.lower().strip("[]").rstrip(".") for name in (*LOCAL_NAMES, *shared, *wanted, *given))


class Gate:
    """ASGI middleware: refuses foreign hosts and origins, adds protective headers, and keeps the door."""

    def __init__(self, app: Asgi, names: frozenset[str], door: Doorkeeper | None = None) -> None:
        self._app = app
        self._names = names
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        why = self._refusal(scope)
        if why:
            await refuse(scope, send, 403, why)
        elif self._door is not None:
            await self._door(self._app, scope, receive, protected(send))
        else:
            await self._app(scope, receive, protected(send))

    def _refusal(self, scope: Scope) -> str:
        """Why a request is not served, in a sentence; nothing when it is."""
        hosts, origins = header(scope, b"host"), header(scope, b"origin")
        host = host_name(hosts[0]) if len(hosts) == 1 else None
        if host not in self._names:
            return "This server does not answer to that name. Use 127.0.0.1, or start it with --name and that name."
        guarded = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if not guarded or not origins:
            return ""
        try:
            origin = urlsplit(origins[0])
            given = {origin.netloc.lower(), (origin.hostname or "").rstrip(".")}
        except ValueError:
            given = set()
        own = {hosts[0].lower(), *(self._names - frozenset(LOCAL_NAMES))}
        fits = len(origins) == 1 and bool(given & own)
        return "" if fits else "Another page asked for this; only the server's own pages may."


def protected(send: Send) -> Send:
    """`send` that adds the protective headers to the start of an answer."""

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            known = {name.lower() for name, _ in message.get("headers", ())}
            added = [pair for pair in HEADERS if pair[0] not in known or pair[0] == b"content-security-policy"]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return with_headers


def header(scope: Scope, name: bytes) -> list[str]:
    """Every value of a header."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


async def refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    """End a request with a sentence, a websocket before it was accepted."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence[:120]})
        return
    await answer(protected(send), status, sentence, "text/plain; charset=utf-8")


async def answer(send: Send, status: int, body: str, kind: str, *more: tuple[bytes, bytes]) -> None:
    """A whole answer that nobody keeps."""
    data = body.encode("utf-8")
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(data)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
