"""Logs of requests to models, as data: where they hold what was asked, answered, used and paid; and which rows failed.

Puts nothing together: that is `synth.importing.compose`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from statistics import median
from typing import Any, NamedTuple

from synth.importing.paths import Paths
from synth.importing.values import missing

REQUESTS = ("request", "request.body", "body", "proxy_server_request.body")
"""Where the body of a request lies."""
_ANSWERS = (
    *("response.choices", "response.body.choices", "response_body.choices", "response.message", "response.text"),
    *("response", "response_body"),
)
_MODELS = ("request.model", "request.body.model", "body.model", "request_body.model", "model", "response.model")
_COSTS = ("usage.cost", "response.usage.cost", "response.body.usage.cost", "response.cost")

_PRICES = ("usd", "cost_usd", "cost", "price", "response_cost", "total_cost", "totalCost", *_COSTS)
_TIMES = ("time", "timestamp", "created", "created_at", "start_time")
_CONVERSATIONS = ("conversation_id", "conversation", "session_id", "trace_id")
_CALLS = ("", "request.", "request.body.", "body.", "request_body.")
_RESPONSES = ("", "response.", "response.body.", "response_body.")


def _under(places: tuple[str, ...], key: str) -> Paths:
    return tuple(f"{place}{key}" for place in places)


LOGS: tuple[tuple[str, Paths, Mapping[str, Paths]], ...] = (
    (
        "openai_responses",
        ("messages", "response"),
        {
            "messages": _under(_CALLS, "input"),
            "response": _under(_RESPONSES, "output"),
            "system": (*_under(_CALLS, "instructions"), "response.instructions"),
            "tools": (*_under(_CALLS, "tools"), "response.tools"),
            "previous": (*_under(_CALLS, "previous_response_id"), "response.previous_response_id"),
            "usage": _under(_RESPONSES, "usage"),
            "model": _MODELS,
            "usd": _PRICES,
            "time": (*_TIMES, "response.created_at"),
            "conversation": ("conversation.id", *_CONVERSATIONS),
        },
    ),
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
            "messages": tuple(f"{place}.messages" for place in (*REQUESTS[:3], "request_body")),
            "tools": tuple(f"{place}.tools" for place in (*REQUESTS[:3], "request_body")),
            "response": _ANSWERS,
            "usage": ("response.usage", "response.body.usage", "response_body.usage", "usage"),
            "model": _MODELS,
            "usd": _PRICES,
            "time": _TIMES,
            "conversation": _CONVERSATIONS,
        },
    ),
)
"""Name, needed parts and keys of each layout (`layouts.Layout`); the usage and the model are looked for in all."""

FAILED = "the request failed"
_STATUS = ("status", "status_code", "statusCode", "http_status")
_FAILURES = ("failure", "failed", "incomplete", "error", "errored", "cancelled", "canceled", "expired", "timeout")
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


PRICES = "prices"
"""The note of a dataset's card that holds `Price` by model."""


class Price(NamedTuple):
    """What the kept requests of one model cost by the log's own prices: rows with a price, their sum and median."""

    rows: int
    usd: float
    usd_median: float
    usd_per_1000: float


class Prices:
    """What kept requests cost, by the model that answered. Takes 8 bytes a row."""

    def __init__(self) -> None:
        self._usd: dict[str, array[float]] = {}
        self._unpriced = 0

    def see(self, source: Mapping[str, Any]) -> None:
        """Add a row of a log, by its `source`."""
        if "usd" not in source:
            self._unpriced += 1
            return
        model = str(source.get("model") or "a model without a name")[:100]
        model = model if model in self._usd or len(self._usd) < 20 else "other models"
        self._usd.setdefault(model, array("d")).append(source["usd"])

    def of_models(self) -> dict[str, Price]:
        """The prices, of the model with most rows first."""
        ordered = sorted(self._usd.items(), key=lambda item: -len(item[1]))
        return {m: Price(len(v), math.fsum(v), median(v), 1000 * math.fsum(v) / len(v)) for m, v in ordered}

    def note(self) -> str:
        """For the report; "" when no row has a price."""
        each = "; ".join(
            f"${p.usd:,.6g} for {p.rows:,} rows of {model} (${p.usd_per_1000:,.4g} per 1,000, median "
            f"${p.usd_median:,.4g})"
            for model, p in self.of_models().items()
        )
        unpriced = f"; {self._unpriced:,} rows have no price" if self._unpriced else ""
        return f"by the log's own prices, the requests of the rows kept cost {each}{unpriced}" if each else ""
