"""Time that a server cannot stretch: an instant until which a request may take, and a way to cut what is open.

HTTP libraries bound each read; a server that sends a byte now and then (in a header, a chunk's extension, an empty
gzip member, one 1xx answer after another) keeps every read short and a request for ever. Here the timeout of a read,
write, connect or handshake is what is left until the instant, so that their sum is bounded whatever is sent.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import typing
import weakref
from collections.abc import Iterable

import httpcore
import httpx

CONNECT_SEC = 5.0


class Until(float):
    """A timeout in seconds that is counted from when it was made, not anew for each read."""

    def __new__(cls, ends: float) -> Until:
        made = super().__new__(cls, max(0.0, ends - time.monotonic()))
        made.ends = ends
        return made

    ends: float

    def left(self) -> float:
        """Seconds until the instant (`time.monotonic`); raises ReadTimeout when it has passed."""
        seconds = self.ends - time.monotonic()
        if seconds <= 0:
            raise httpcore.ReadTimeout("the deadline passed")
        return seconds


def timeout(ends: float) -> httpx.Timeout:
    """The timeouts of a request that must be over at `ends` (`time.monotonic`)."""
    until = Until(ends)
    return httpx.Timeout(connect=until, read=until, write=until, pool=until)


def _left(given: float | None, most: float | None = None) -> float | None:
    seconds = given.left() if isinstance(given, Until) else given
    return seconds if most is None or seconds is None else min(most, seconds)


class _Stream(httpcore.NetworkStream):
    """A connection whose every operation ends by the instant in its timeout."""

    def __init__(self, inner: httpcore.NetworkStream, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch
        watch.add(inner)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), 1 << 16):
            self._inner.write(buffer[start : start + (1 << 16)], _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)), self._watch)

    def get_extra_info(self, info: str) -> typing.Any:
        return self._inner.get_extra_info(info)


class Watch(httpcore.NetworkBackend):
    """Makes the connections of a client, and can cut them all."""

    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._cut = False

    def add(self, stream: httpcore.NetworkStream) -> None:
        """Remember a connection. Raises ConnectError once everything was cut."""
        raw = stream.get_extra_info("socket")
        with self._lock:
            if self._cut:
                stream.close()
                raise httpcore.ConnectError("the endpoint was closed")
            if isinstance(raw, socket.socket):
                self._open.add(raw)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[typing.Any] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = _left(timeout, CONNECT_SEC)
        return _Stream(self._inner.connect_tcp(host, port, seconds, local_address, socket_options), self)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[typing.Any] | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.connect_unix_socket(path, _left(timeout), socket_options), self)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)

    def cut(self) -> None:
        """Break every open connection, so that threads that read or write there go on at once; open no more."""
        with self._lock:
            self._cut = True
            for raw in list(self._open):
                with contextlib.suppress(OSError):
                    raw.shutdown(socket.SHUT_RDWR)


def put_under(watch: Watch, client: httpx.Client) -> None:
    """Put the connections of a client, and of the proxies that its environment names, under a watch."""
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = watch
