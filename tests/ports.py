"""Ports for servers that tests begin: of a range from which the system gives none out to others on its own.

Between the moment in which a port of port 0 is let go and that in which a server takes it, a stub of another test that
runs side by side may get it, and answers in the server's place.
"""

from __future__ import annotations

import contextlib
import random
import socket

RANGE = range(20_000, 32_000)
_chance = random.SystemRandom()  # whatever seed a test sets


def free_port() -> int:
    """A port on which nobody listens."""
    while True:
        port = _chance.choice(RANGE)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
