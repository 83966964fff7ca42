"""The ways a stub endpoint fails on purpose: refusals, torn bodies, slow drips. No answers and no routes here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from studio.stub.answers import NOTICE

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

HEADERS = {"X-Smolstudio-Stub": "template answers, no model"}
REFUSAL = f"{NOTICE} I can't help with that."
STATUS_FAULTS = ("400", "401", "403", "404", "422", "429", "500", "502", "503", "529")
BODY_FAULTS = ("429-date", "reset", "drip", "html", "cut", "no-choices", "null-usage", "refusal", "empty", "truncated")
FAULTS = STATUS_FAULTS + BODY_FAULTS
UNPAID = (*STATUS_FAULTS, "429-date", "html")  # a provider bills the others: the answer was made


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(value, status_code=status, headers={**HEADERS, **(headers or {})})


def as_error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    kind = "invalid_request_error" if status < 429 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": str(status)}, "stub": True}
    return as_json(body, status, headers)


def refuse(fault: str, retry_after_sec: float) -> Response:
    """The answer of a request that fails before any work: an error status, or a login page with status 200."""
    from starlette.responses import HTMLResponse

    if fault == "html":
        return HTMLResponse("<html><body>Please sign in to the network.</body></html>", headers=HEADERS)
    headers = {"Retry-After": f"{retry_after_sec:g}"} if fault in ("429", "503", "529") else {}
    if fault == "429-date":
        moment = datetime.now(UTC) + timedelta(seconds=retry_after_sec)
        headers = {"Retry-After": format_datetime(moment, usegmt=True)}
    return as_error(int(fault[:3]), f"{NOTICE} A fault on purpose: {fault}.", headers)


def spoil(body: bytes, fault: str, drip_sec: float, media_type: str = "application/json") -> Response:
    """A 200 with this body: torn, dripping or cut when the fault says so."""
    from starlette.responses import Response

    if fault == "cut":
        body = body[: len(body) * 2 // 3]
    if fault not in ("reset", "drip"):
        return Response(body, media_type=media_type, headers=HEADERS)

    class Spoiled(Response):
        """Breaks off half way ("reset"), or comes a few bytes at a time ("drip")."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            import anyio

            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if fault == "reset":  # the promised length never comes: the server drops the connection
                half = body[: len(body) // 2]
                await send({"type": "http.response.body", "body": half, "more_body": True})
                return
            step = max(1, len(body) // 60)
            for start in range(0, len(body), step):
                piece = body[start : start + step]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await anyio.sleep(drip_sec * step / len(body))
            await send({"type": "http.response.body", "body": b""})

    return Spoiled(body, media_type=media_type, headers=HEADERS)
