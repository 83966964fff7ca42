"""An S3-compatible server on this machine: moto's, in threads of the test's process, with faults to be switched on.

moto looks for an object and writes it in two steps; a lock around conditional writes makes them one, as in S3.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

REFUSALS = {
    "503": ("503 Service Unavailable", b"<Error><Code>SlowDown</Code><Message>Please reduce.</Message></Error>"),
    "403": ("403 Forbidden", b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"),
}


@dataclass
class Fault:
    """What happens to requests for which `hits` says so: 503, 403, cut (half an upload), slow, unconditional."""

    kind: str
    hits: Callable[[str, str], bool]
    times: int = 10**9
    seconds: float = 0.0


@dataclass
class S3Server:
    url: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)

    def bucket(self, name: str) -> str:
        httpx.put(f"{self.url}/{name}").raise_for_status()
        return name

    def keys(self, bucket: str) -> list[str]:
        text = httpx.get(f"{self.url}/{bucket}?list-type=2").text
        return [part.partition("</Key>")[0] for part in text.split("<Key>")[1:]]


def _fault(server: S3Server, method: str, path: str) -> Fault | None:
    for fault in server.faults:
        if fault.times > 0 and fault.hits(method, path):
            fault.times -= 1
            return fault
    return None


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None: ...

    moto, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        server.seen.append((method, path))
        fault = _fault(server, method, path)
        if fault and fault.kind in REFUSALS:
            start(REFUSALS[fault.kind][0], [("Content-Type", "application/xml")])
            return [REFUSALS[fault.kind][1]]
        if fault and fault.kind == "cut":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        if fault and fault.kind == "slow":
            time.sleep(fault.seconds)
        if "HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ:
            if fault and fault.kind == "unconditional":
                environ.pop("HTTP_IF_NONE_MATCH", None)
            with one_at_a_time:
                return moto(environ, start)
        return moto(environ, start)

    http = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    server = S3Server(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
