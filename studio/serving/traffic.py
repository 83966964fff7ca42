"""The journal of `smolstudio record`: each chat request with its answer, one line of JSON, appended and never changed.

    {"time", "conversation", "request": {…}, "response": {…}, "status", "seconds", "stream", "usd"}

`smolstudio data import` reads it as a log (layout `request_log`). No header and no query is written, and a key that a
server sends back in an answer, or a client repeats in its request, is taken out. Failed and unfinished answers stand
there too, in a form that never becomes a row.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from studio.serving.recorded_answers import BROKEN_OFF
from synth.endpoint.redact import MIN_SECRET, redacted
from synth.endpoint.reported_usage import read_usage
from synth.errors import StorageError
from synth.storage import Journal, JsonDict, sha256_bytes, storage_faults

SECRET_NAMES = ("authorization", "key", "token", "secret", "cookie", "password", "signature", "credential")
NO_SECRETS = frozenset({"idempotency-key", "sec-websocket-key"})
_OF_PARTS = ("authorization", "cookie")  # a scheme before the key; names before the values
_CONVERSATION = ("conversation_id", "conversation", "session_id", "thread_id")


def secrets_in(headers: Iterable[tuple[str, str]], query: str) -> tuple[str, ...]:
    """Every value of headers and query that lets somebody in, longest first."""
    found: set[str] = set()
    for name, value in [*headers, *parse_qsl(query, keep_blank_values=True)]:
        low = name.lower()
        if low in NO_SECRETS or not any(word in low for word in SECRET_NAMES):
            continue
        found.add(value.strip())
        if low.endswith(_OF_PARTS):
            parts = value.replace(";", " ").replace(",", " ").split()
            found.update([*parts, *(part.partition("=")[2] for part in parts)])
        if value.lower().startswith("basic "):
            found.update(_basic(value[6:].strip()))
    return tuple(sorted((one for one in found if len(one) >= MIN_SECRET), key=len, reverse=True))


def _basic(value: str) -> list[str]:
    try:
        pair = base64.b64decode(value, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return []
    return [pair, pair.partition(":")[2]]


def without(value: Any, secrets: Sequence[str]) -> Any:
    """A JSON value whose texts, keys included, hold none of the secrets."""
    if isinstance(value, str):
        for secret in secrets:
            value = redacted(value, secret)
        return value
    if isinstance(value, list):
        return [without(one, secrets) for one in value]
    if isinstance(value, dict):
        return {without(key, secrets): without(one, secrets) for key, one in value.items()}
    return value


def conversation_of(request: JsonDict, header: str = "") -> str:
    """What the requests of one conversation share: the name that the client gives it, else its first turns' hash."""
    metadata = request.get("metadata")
    named = [header, *((metadata.get(key) for key in _CONVERSATION) if isinstance(metadata, dict) else ())]
    if given := next((one for one in named if isinstance(one, str) and one), ""):
        return given[:200]
    turns = request.get("messages")
    opening: list[Any] = []
    for turn in turns if isinstance(turns, list) else []:
        opening.append(turn)
        if isinstance(turn, dict) and turn.get("role") == "user":
            break
    return sha256_bytes(repr(opening).encode("utf-8", "replace"))[:16]


def _unfinished(choice: Any) -> bool:
    return not isinstance(choice, dict) or choice.get("finish_reason") in (BROKEN_OFF, "length", "content_filter")


class Traffic:
    """The journal under one writer. Raises StorageError where the file is another recorder's, or cannot be written."""

    def __init__(self, path: Path, workspace: Path | None = None) -> None:
        from filelock import FileLock, Timeout

        from evaluate.cost import prices

        self.path = path
        self.answers = self.failures = self.lost = self.unread = 0
        self._prices = prices.load(workspace=workspace)
        with storage_faults(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(f"{path}.lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                message = f"{path} is being written by another recorder."
                raise StorageError(message, "Give each recorder its own --journal.", "storage.locked") from error
            # Prompts of a company are nobody else's on this machine.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        self._journal = Journal(path)

    def write(
        self,
        request: JsonDict,
        response: JsonDict,
        *,
        status: int,
        seconds: float,
        secrets: Sequence[str] = (),
        conversation: str = "",
        usd: float | None = None,
        more: JsonDict | None = None,
    ) -> None:
        """Append one exchange; on disk when this returns. Raises StorageError, and counts what was lost.

        usd: what it cost, where the price sheet is not to be asked. more: further keys of the line.
        """
        failed = status >= 400 or bool(response.get("error")) or any(map(_unfinished, response.get("choices") or []))
        row: JsonDict = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "conversation": conversation_of(request, conversation),
            "request": request,
            "response": response,
            "status": status,
            "seconds": round(seconds, 4),
            "stream": bool(request.get("stream")),
        }
        usd = usd if usd is not None else self._usd(request, response)
        row |= ({"usd": usd} if usd is not None else {}) | (more or {})
        try:
            self._journal.append(without(row, secrets))
        except StorageError:
            self.lost += 1
            raise
        except RecursionError as error:
            self.lost += 1
            raise StorageError("An exchange is nested too deeply to be kept.", "Send flatter requests.") from error
        self.failures, self.answers = self.failures + failed, self.answers + (not failed)

    def _usd(self, request: JsonDict, response: JsonDict) -> float | None:
        """What the answer cost by the price sheet, None where the model has no price or nobody counted."""
        from evaluate.cost import formulas

        usage = read_usage(response.get("usage"))
        for name in (response.get("model"), request.get("model")):
            if usage.reported and isinstance(name, str):
                bill = formulas.bill(usage, name, self._prices)
                if bill.usd is not None:
                    return bill.usd
        return None

    def close(self) -> None:
        """Close the journal and let another recorder have it."""
        self._journal.close()
        self._lock.release()
