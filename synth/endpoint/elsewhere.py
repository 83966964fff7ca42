"""The connections of a client: of this machine, or of another that sends a request for it.

    connected(headers, most_bytes)        HTTP clients whose requests leave from here
    connected(headers, most_bytes, send)  each request is handed to `send`, which has it sent by some machine

What is asked, retried, paid and kept is decided where the client is, so that one spend cap, one rate and one set of
idempotency keys hold for all machines. A machine that is lost looks like a connection that breaks: the request is
asked again with the same key. Who the other machines are is not known here (`studio.engines`).
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import httpcore
import httpx

from synth.endpoint.deadline import Until, Watch, put_under, timeout

Pairs = tuple[tuple[str, str], ...]


class Sent(NamedTuple):
    """A request to be sent by another machine, and how many seconds it may take."""

    method: str
    url: str
    headers: Pairs
    body: bytes
    seconds: float
    most_bytes: int


class Got(NamedTuple):
    """What came back: a status with its body; `fault` names the error of httpx that ended it, before or within it."""

    status: int = 0
    headers: Pairs = ()
    body: bytes = b""
    fault: str = ""


Send = Callable[[Sent, Callable[[], bool]], Got]
"""Has a request sent; the function says whether nobody waits for it any more. Raises UserError, httpx.RequestError."""


class Connections:
    """Clients of one connection each, lent to one request at a time; the one that was used last comes first.

    A client that holds all connections looks through every one of them for each request: with 64 open, that took more
    processor time than the request. How many there are is up to whoever asks.
    """

    def __init__(self, make: Callable[[], httpx.Client], cut: Callable[[], None]) -> None:
        self.cut = cut  # breaks what is under way
        self._make = make
        self._made: list[httpx.Client] = []
        self._idle: list[httpx.Client] = []

    @contextlib.contextmanager
    def lend(self) -> Iterator[httpx.Client]:
        """A client that nobody else uses meanwhile."""
        try:
            http = self._idle.pop()
        except IndexError:
            http = self._make()
            self._made.append(http)
        try:
            yield http
        finally:
            self._idle.append(http)

    def close(self) -> None:
        """Close all connections."""
        for http in self._made:
            http.close()


def connected(headers: Mapping[str, str], most_bytes: int, send: Send | None = None) -> Connections:
    """Connections with these headers, under the deadlines of `synth.endpoint.deadline`."""
    if send is not None:
        transport = _Elsewhere(send, most_bytes)
        return Connections(
            lambda: httpx.Client(headers=headers, transport=transport, follow_redirects=False), transport.cut
        )
    trusted, watch = httpx.create_ssl_context(), Watch(httpcore.SyncBackend())

    def make() -> httpx.Client:
        http = httpx.Client(headers=headers, verify=trusted, follow_redirects=False)
        put_under(watch, http)
        return http

    return Connections(make, watch.cut)


class _Elsewhere(httpx.BaseTransport):
    def __init__(self, send: Send, most_bytes: int) -> None:
        self._send, self._most_bytes = send, most_bytes
        self._cut = threading.Event()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        until = request.extensions["timeout"]["read"]
        seconds = until.left() if isinstance(until, Until) else float(until)
        headers = tuple((name, value) for name, value in request.headers.items())
        sent = Sent(request.method, str(request.url), headers, request.read(), seconds, self._most_bytes)
        got = self._send(sent, self._cut.is_set)
        if got.fault and not got.status:
            raise _fault(got.fault)
        return httpx.Response(got.status, headers=got.headers, stream=_Body(got))

    def cut(self) -> None:
        self._cut.set()


class _Body(httpx.SyncByteStream):
    """A body as it came, and the break that ended it."""

    def __init__(self, got: Got) -> None:
        self._got = got

    def __iter__(self) -> Iterator[bytes]:
        yield self._got.body
        if self._got.fault:
            raise _fault(self._got.fault)


def _fault(name: str) -> httpx.RequestError:
    kinds = {kind.__name__: kind for kind in (httpx.ConnectError, httpx.ReadTimeout, httpx.ConnectTimeout)}
    return kinds.get(name, httpx.ReadError)(f"{name} on the machine that sent it")


@functools.cache
def _client() -> httpx.Client:
    """This process's, for requests of others; the machine that asks bounds their number."""
    http = httpx.Client(follow_redirects=False, limits=httpx.Limits(max_connections=None))
    put_under(Watch(httpcore.SyncBackend()), http)
    return http


def send_for(sent: Sent) -> Got:
    """Send a request on behalf of another machine; runs there. The body comes back as it was sent, still packed."""
    ends = time.monotonic() + sent.seconds
    status, headers, parts, size = 0, Pairs(), list[bytes](), 0
    try:
        request = httpx.Request(sent.method, sent.url, headers=sent.headers, content=sent.body)
        request.extensions = {"timeout": timeout(ends).as_dict()}
        response = _client().send(request, stream=True)
        try:
            status = response.status_code
            headers = tuple((name, value) for name, value in response.headers.multi_items())
            for chunk in response.iter_raw():
                parts.append(chunk)
                size += len(chunk)
                if size > sent.most_bytes:  # the client that asked refuses it
                    break
                if time.monotonic() > ends:
                    return Got(status, headers, b"".join(parts), "ReadTimeout")
        finally:
            response.close()
    except httpx.RequestError as error:
        return Got(status, headers, b"".join(parts), type(error).__name__)
    return Got(status, headers, b"".join(parts))
