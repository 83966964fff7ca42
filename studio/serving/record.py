"""`smolstudio record`: the recording proxy on a port of this machine, until SIGTERM or Ctrl+C."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from studio.serving.gate import Gate, Receive, Scope, Send, names
from studio.serving.proxy import DEFAULT_LIMITS, Limits, Proxy
from studio.serving.sockets import bind
from studio.serving.traffic import Traffic
from synth.endpoint.settings import Settings
from synth.errors import StorageError
from synth.workspace import Workspace

RECORDINGS = "recordings"
GRACE_SEC = 3


def default_journal(upstream: str, workspace: Workspace) -> Path:
    """Where the traffic of an upstream is kept unless --journal says otherwise."""
    return workspace.path / RECORDINGS / f"{urlsplit(upstream).hostname}.jsonl"


def application(proxy: Proxy, known: frozenset[str]) -> Gate:
    """The proxy behind the gate; its connections end with the server."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await proxy(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await proxy.close()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    return Gate(app, known)


def record(
    upstream: str,
    journal: Path,
    workspace: Workspace,
    *,
    host: str = "127.0.0.1",
    port: int = 8400,
    given: Sequence[str] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Serve until it is told to end. Raises EndpointError (address, port) and StorageError (journal) before that."""
    import uvicorn

    url = Settings(upstream, "").url
    if journal.exists() and not journal.is_file():  # a pipe would be waited for, and a device keeps nothing
        raise StorageError(f"{journal} is no plain file.", "Give another --journal.")
    sock = bind(host, port)
    traffic = Traffic(journal, workspace.path)
    port = sock.getsockname()[1]
    print(f"Recording {url} at http://{host}:{port}/v1: give your client that as base_url. Ctrl+C ends it.")
    print(f"Chat requests and answers go to {journal}; all other paths pass unrecorded.", flush=True)
    config = uvicorn.Config(
        application(Proxy(url, traffic, limits), names(host, given)),
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=GRACE_SEC,
    )
    # uvicorn ends its work at a signal and then raises it again, which by default would end us before the summary.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        with _summary(traffic):
            uvicorn.Server(config).run(sockets=[sock])
    finally:
        sock.close()


@contextlib.contextmanager
def _summary(traffic: Traffic) -> Iterator[None]:
    """Close the journal and say what is in it, also when a signal ends the block."""
    try:
        yield
    finally:
        traffic.close()
        lost = f", {traffic.lost} lost" if traffic.lost else ""
        lost += (
            f"; {traffic.unread} chat requests passed unrecorded, because their bodies are compressed or no JSON"
            if traffic.unread
            else ""
        )
        print(f"\n{traffic.answers} answers recorded, {traffic.failures} failed or unfinished{lost}.")
        if traffic.answers:
            print(f"Next: smolstudio data import {traffic.path} --name mine --group-by conversation", flush=True)
