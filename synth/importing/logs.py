"""Logs of requests to models, as data: where they hold what was asked, answered, used and paid; and which rows failed.

Puts nothing together: that is `synth.importing.compose`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from synth.importing.paths import Paths
from synth.importing.values import missing

REQUESTS = ("request", "request.body", "body", "proxy_server_request.body")
"""Where the body of a request lies."""
_COSTS = ("usage.cost", "response.usage.cost", "response.body.usage.cost", "response.cost")

LOGS: tuple[tuple[str, Paths, Mapping[str, Paths]], ...] = (
    (
        "openai_stored",
        ("messages", "response"),
        {
            "messages": ("messages", "input", "request.messages"),
            "response": ("choices",),
            "usd": ("usage.cost", "response_cost", "cost"),
            "time": ("created",),
        },
    ),
    (
        "litellm",
        ("messages", "response"),
        {
            "messages": ("messages", "proxy_server_request.body.messages"),
            "response": ("response",),
            "usage": ("response.usage", "usage"),
            "tools": ("tools", "functions", "proxy_server_request.body.tools"),
            "usd": ("response_cost", "spend", "response.usage.cost", "usage.cost", "cost"),
            "time": ("startTime", "start_time"),
            "conversation": ("session_id", "trace_id"),
        },
    ),
    (
        "langfuse",
        ("request", "response", "conversation"),
        {
            "request": ("input",),
            "response": ("output",),
            "usage": ("usageDetails", "usage"),
            "usd": (
                "calculatedTotalCost",
                "totalCost",
                "totalPrice",
                "costDetails.total",
                "usage.totalCost",
                "usage.cost",
            ),
            "time": ("startTime", "start_time", "timestamp"),
            "conversation": ("sessionId", "session_id", "traceId", "trace_id"),
        },
    ),
    (
        "request_log",
        ("messages", "response"),
        {
            "messages": ("request.messages", "request.body.messages", "body.messages"),
            "tools": ("request.tools", "request.body.tools", "body.tools"),
            "response": ("response.choices", "response.body.choices", "response.message", "response.text", "response"),
            "usage": ("response.usage", "response.body.usage", "usage"),
            "model": ("request.model", "request.body.model", "body.model", "model", "response.model"),
            "usd": ("usd", "cost", "price", "response_cost", "total_cost", "totalCost", *_COSTS),
            "time": ("time", "timestamp", "created", "created_at", "start_time"),
            "conversation": ("conversation_id", "conversation", "session_id", "trace_id"),
        },
    ),
)
"""Name, needed parts and keys of each layout (`layouts.Layout`); the usage and the model are looked for in all."""

FAILED = "the request failed"
_STATUS = ("status", "status_code", "statusCode", "http_status")
_FAILURES = ("failure", "failed", "error", "errored", "cancelled", "canceled", "expired", "timeout")
_ERRORS = ("error", "error_message", "errorMessage", "error_str", "error_information", "exception")
_SAID = ("message", "error_message", "type", "error_class", "code", "error_code")


def failure(row: Mapping[str, Any]) -> str:
    """Why a request has no answer, with the status and the error that its log names; "" where it names none."""
    status = error = ""
    response = row.get("response")
    places = [row, response, response.get("body") if isinstance(response, dict) else None, row.get("output")]
    for place in places:
        if not isinstance(place, dict):
            continue
        status = status or next((str(place[key])[:20] for key in _STATUS if _is_failure(place.get(key))), "")
        error = error or next((said for key in _ERRORS if (said := _error(place.get(key)))), "")
        if str(place.get("level")).upper() == "ERROR":  # Langfuse
            error = error or _error(place.get("statusMessage")) or "level ERROR"
    if not status and not error:
        return ""
    return FAILED + (f" (status {status})" if status else "") + (f": {error}" if error else "")


def _is_failure(value: Any) -> bool:
    word = str(value).strip().lower()
    return word in _FAILURES or (word.isdecimal() and len(word) == 3 and int(word) >= 400)


def _error(value: Any) -> str:
    if isinstance(value, dict):
        found = (value[key] for key in _SAID if not missing(value.get(key)))
        value = next(found, None)
        return "" if value is None else _error(value) or "unknown error"
    said = "" if missing(value) or value is False or value is True else " ".join(str(value).split())
    return said if len(said) <= 80 else f"{said[:79]}…"


def price(value: Any) -> float | None:
    """What a log says that a request cost, in US dollars; None for what is no amount."""
    try:
        usd = float(str(value).strip().removeprefix("$")) if not isinstance(value, bool | dict | list) else -1.0
    except ValueError:
        return None
    return usd if math.isfinite(usd) and usd >= 0 else None


class Prices:
    """What kept requests cost, by the model that answered."""

    def __init__(self) -> None:
        self._usd: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()

    def see(self, source: Mapping[str, Any]) -> None:
        """Add a row's price, by its `source`."""
        model = str(source.get("model") or "a model without a name")[:100]
        model = model if model in self._rows or len(self._rows) < 20 else "other models"
        self._usd[model] += source["usd"]
        self._rows[model] += 1

    def note(self) -> str:
        """For the report; "" when no row has a price."""
        if not self._rows:
            return ""
        each = "; ".join(f"${self._usd[m]:,.6g} for {rows:,} rows of {m}" for m, rows in self._rows.most_common())
        return f"by the log's own prices, the requests of the rows kept cost {each}"
