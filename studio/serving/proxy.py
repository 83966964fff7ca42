"""A recording proxy in front of an OpenAI-compatible endpoint: `smolstudio record --upstream URL`.

What comes under /v1/ goes to the upstream and back as it is, keys included; of POST …/chat/completions a copy goes to
the journal (`studio.serving.traffic`), of nothing else. Streams pass event by event. To know what a stream cost, its
usage is asked for; where the client did not, the event that brings it is kept from the client, and an upstream that
refuses the question gets the request again without it. Answers are recorded before the client has the end of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx

from studio.serving.gate import Message, Receive, Scope, Send, answer
from studio.serving.recorded_answers import (
    MAX_ANSWER_BYTES,
    Events,
    Streamed,
    data_of,
    is_usage_only,
    object_of,
    whole_answer,
)
from studio.serving.traffic import Traffic, secrets_in
from synth.endpoint.settings import Settings
from synth.errors import StorageError
from synth.storage import JsonDict

PREFIX = "/v1/"
RECORDED = "/chat/completions"
CONNECT_SEC = 10.0
IN_FLIGHT = 512
# Between two neighbours only (RFC 9110, 7.6.1), or set anew for the other side.
HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "content-length", "accept-encoding", "expect",
})  # fmt: skip
Headers = list[tuple[bytes, bytes]]


class Limits(NamedTuple):
    """How much a request may take: seconds in all, bytes of its body."""

    deadline_sec: float = 600.0
    max_request_bytes: int = 64 << 20


DEFAULT_LIMITS = Limits()


class Refused(Exception):
    """The proxy's own answer: status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Exchange:
    """One request and what has been received of its answer."""

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.headers: Headers = list(scope["headers"])
        self.query = bytes(scope.get("query_string", b""))
        self.body = body
        chat = scope["method"] == "POST" and scope["path"].rstrip("/").endswith(RECORDED)
        self.request = object_of(body) if chat else None
        self.unread = chat and self.request is None
        self.began = time.monotonic()
        self.status = 0
        self.complete = False
        self.asked_usage = False
        self.events: Events | None = None
        self.streamed = Streamed()
        self.raw = bytearray()
        self.encoded = False

    def with_usage(self) -> bytes:
        """The body with the question for a stream's usage, where the client does not ask itself."""
        options = self.request.get("stream_options") if self.request else None
        asks = isinstance(options, dict) and options.get("include_usage") is not None
        if not self.request or self.request.get("stream") is not True or asks or not isinstance(options, dict | None):
            return self.body
        self.asked_usage = True
        return json.dumps({**self.request, "stream_options": {**(options or {}), "include_usage": True}}).encode()

    def start(self, response: httpx.Response) -> None:
        """The upstream's status and headers have come."""
        self.status = response.status_code
        self.encoded = response.headers.get("content-encoding", "identity").lower() != "identity"
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.events = (
            Events() if self.request is not None and kind == "text/event-stream" and not self.encoded else None
        )

    def feed(self, chunk: bytes) -> bytes:
        """What of a chunk the client gets now."""
        if self.events is None:
            if len(self.raw) <= MAX_ANSWER_BYTES:
                self.raw += chunk
            return chunk
        return b"".join(event for event in self.events(chunk) if self._read_event(event))

    def rest(self) -> bytes:
        """What is left when the upstream has ended."""
        self.complete = True
        held = self.events.rest() if self.events else b""
        return held if held and self._read_event(held) else b""

    def _read_event(self, event: bytes) -> bool:
        """Take in an event; False for one that the client did not ask for."""
        value = object_of(data_of(event))
        if value is not None:
            self.streamed.take(value, len(event))
        return not (self.asked_usage and is_usage_only(value))

    def response(self) -> JsonDict:
        """The answer for the journal."""
        if self.encoded:
            return {"error": "the upstream compressed the answer though it was asked not to"}
        if self.events is not None:
            return self.streamed.body()
        if len(self.raw) > MAX_ANSWER_BYTES:
            return {"error": f"the answer is longer than {MAX_ANSWER_BYTES >> 20} MiB"}
        return whole_answer(bytes(self.raw), self.complete)


class Proxy:
    """The ASGI application. Give it to `studio.serving.gate.Gate`; `close` when the server has ended."""

    def __init__(self, upstream: str, traffic: Traffic, limits: Limits = DEFAULT_LIMITS) -> None:
        self._base = httpx.URL(Settings(upstream, "").url)
        self._traffic = traffic
        self._limits = limits
        self._usage_refused = False
        pool = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
        # The deadline is a total and held outside; a client of ours may talk to itself through proxies of the system.
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(None, connect=CONNECT_SEC), limits=pool)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is recorded")
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self._limits.deadline_sec):
                await self._serve(scope, receive, noting)
        except TimeoutError:
            if started:
                raise  # the server cuts the connection: a half answer must not look whole
            await refuse(send, 504, f"The upstream did not answer within {self._limits.deadline_sec:g} s.")
        except Refused as fault:
            if started:
                raise
            await refuse(send, fault.status, str(fault))

    async def close(self) -> None:
        """Close the connections to the upstream."""
        await self._client.aclose()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("raw_path") or scope["path"].encode()
        plain = scope["path"]
        if not plain.startswith(PREFIX):
            raise Refused(
                404, f"Requests go to {PREFIX}…: set the client's base_url to this address and {PREFIX[:-1]}."
            )
        if {".", ".."} & set(plain.split("/")):
            raise Refused(400, "The path steps out of itself.")
        exchange = Exchange(scope, await self._read(receive))
        self._traffic.unread += exchange.unread
        try:
            response = await self._ask(scope["method"], path, exchange)
            exchange.start(response)
            try:
                await self._relay(response, exchange, receive, send)
            finally:
                with contextlib.suppress(Exception):
                    await asyncio.shield(response.aclose())
        except httpx.HTTPError as error:
            exchange.status = exchange.status or 502
            raise Refused(502, f"The upstream cannot be reached or broke off: {type(error).__name__}.") from error
        finally:
            if not exchange.complete:
                self._record(exchange)

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise Refused(499, "The client went away.")
            body += message.get("body", b"")
            if len(body) > self._limits.max_request_bytes:
                raise Refused(413, f"The request is larger than {self._limits.max_request_bytes >> 20} MiB.")
            if not message.get("more_body"):
                return bytes(body)

    async def _ask(self, method: str, path: bytes, exchange: Exchange) -> httpx.Response:
        body = exchange.body if self._usage_refused else exchange.with_usage()
        response = await self._send(method, path, exchange, body)
        if exchange.asked_usage and response.status_code in (400, 422):
            refused = await response.aread()
            again = await self._send(method, path, exchange, exchange.body)
            if again.status_code not in (400, 422):
                self._usage_refused = True
                exchange.asked_usage = False
                print("The upstream refuses stream_options: streams are recorded without usage.", file=sys.stderr)
            del refused
            return again
        return response

    async def _send(self, method: str, path: bytes, exchange: Exchange, body: bytes) -> httpx.Response:
        target = self._base.raw_path.rstrip(b"/") + b"/" + path[len(PREFIX) :]
        url = self._base.copy_with(raw_path=target + (b"?" + exchange.query if exchange.query else b""))
        headers = [*_passing(exchange.headers), (b"accept-encoding", b"identity")]
        request = httpx.Request(method, url, headers=headers, content=body if body or method != "GET" else None)
        return await self._client.send(request, stream=True)

    async def _relay(self, response: httpx.Response, exchange: Exchange, receive: Receive, send: Send) -> None:
        """Hand the answer on. A client that leaves a stream ends it, as it would without us."""
        pump = asyncio.ensure_future(self._pump(response, exchange, send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done() or exchange.events is None:  # a whole answer is made and paid, whoever waits for it
                await pump
        finally:
            for task in (pump, gone):
                task.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)

    async def _pump(self, response: httpx.Response, exchange: Exchange, send: Send) -> None:
        headers = _passing(response.headers.raw, keep_length=exchange.events is None)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        held = b""
        async for chunk in _chunks(response):
            ready = exchange.feed(chunk)
            if exchange.events is None:  # the last piece waits for the journal
                held, ready = ready, held
            if ready:
                await send({"type": "http.response.body", "body": ready, "more_body": True})
        held += exchange.rest()
        self._record(exchange)
        await send({"type": "http.response.body", "body": held})

    def _record(self, exchange: Exchange) -> None:
        if exchange.request is None or not exchange.status:
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.headers]
        given = dict(headers).get("x-conversation-id", "")
        try:
            self._traffic.write(
                exchange.request,
                exchange.response(),
                status=exchange.status,
                seconds=time.monotonic() - exchange.began,
                secrets=secrets_in(headers, exchange.query.decode("latin-1")),
                conversation=given,
            )
        except StorageError as error:  # the answer is the client's all the same
            print(f"Not recorded: {error}", file=sys.stderr)


def _passing(headers: Headers, keep_length: bool = False) -> Headers:
    """The headers that go on to the other side."""
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for word in value.decode("latin-1").split(",")
    }
    dropped = (HOP_BY_HOP | named) - ({"content-length"} if keep_length else set())
    return [(name.lower(), value) for name, value in headers if name.decode("latin-1").lower() not in dropped]


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    async for chunk in response.aiter_raw():
        yield chunk


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def refuse(send: Send, status: int, sentence: str) -> None:
    """An answer of the proxy itself, in OpenAI's shape."""
    error: dict[str, Any] = {"message": sentence, "type": "recording_proxy", "param": None, "code": str(status)}
    await answer(send, status, json.dumps({"error": error}), "application/json")
