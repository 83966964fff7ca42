"""A listening socket, or a sentence why there is none."""

from __future__ import annotations

import socket

from synth.errors import EndpointError


def bind(host: str, port: int, backlog: int = 512) -> socket.socket:
    """A socket that listens there. Raises EndpointError; found before minutes of loading, not after."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=backlog)
    except (OSError, OverflowError) as error:
        message = f"Cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}."
        remedy = "Choose another port with --port, or stop the program that uses it."
        raise EndpointError(message, remedy, "endpoint.port") from error
    # Accepted connections inherit it. Without it, header and body wait 40 ms for each other on a kept connection.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
