"""Requests that the machines of a Ray cluster send for a pipeline: one process on each, which keeps its connections.

    with sending() as send: Endpoint(settings, …, send=send)

The machine with the fewest open requests sends the next one. An address such as http://127.0.0.1:8000/v1 is thus that
of the model which each machine serves itself. Nothing is decided or kept there (`synth.endpoint.elsewhere`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from synth.endpoint.elsewhere import Got, Send, Sent, send_for
from synth.errors import RunError, first_line

AT_ONCE = 256  # requests of one process
POLL_SEC = 0.5
SLACK_SEC = 10.0  # for the way there and back, and for a process that begins


class _Sender:
    """The process of a machine."""

    def send(self, sent: Sent) -> Got:
        return send_for(sent)


class _Senders:
    """All machines, as `synth.endpoint.elsewhere.Send`."""

    def __init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._lock = threading.Lock()
        self._open: dict[Any, int] = {}
        for node in ray.nodes():
            if node["Alive"]:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                made = ray.remote(_Sender).options(num_cpus=0, max_concurrency=AT_ONCE, scheduling_strategy=there)
                self._open[made.remote()] = 0

    def __call__(self, sent: Sent, nobody_waits: Callable[[], bool]) -> Got:
        """Raises httpx.RequestError where the request is over, and RunError when no machine is left."""
        import httpx
        import ray
        from ray.exceptions import RayError

        with self._lock:
            if not self._open:
                message = "No machine is left in the cluster; answers that came are kept."
                raise RunError(message, "Add machines, and go on with it: nothing is paid twice.", "engine.lost")
            sender = min(self._open, key=lambda one: self._open[one])
            self._open[sender] += 1
        ends = time.monotonic() + sent.seconds + SLACK_SEC
        try:
            ref = sender.send.remote(sent)
            while not ray.wait([ref], timeout=POLL_SEC)[0]:
                if nobody_waits():
                    raise httpx.ConnectError("the endpoint was closed")
                if time.monotonic() > ends:
                    raise httpx.ReadTimeout("the machine that sent it does not answer")
            got: Got = ray.get(ref)
            return got
        except RayError as error:  # the machine or its process was lost: others go on
            with self._lock:
                self._open.pop(sender, None)
            raise httpx.ReadError(f"the machine that sent it was lost: {first_line(error)}") from error
        finally:
            with self._lock:
                if sender in self._open:
                    self._open[sender] -= 1

    def close(self) -> None:
        """End the processes."""
        import ray

        for sender in self._open:
            ray.kill(sender)


@contextlib.contextmanager
def sending() -> Iterator[Send]:
    """The machines of the cluster that this process has joined."""
    senders = _Senders()
    try:
        yield senders
    finally:
        senders.close()
