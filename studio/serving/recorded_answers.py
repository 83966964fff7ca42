"""A chat answer as it passes by, whole or as server-sent events, put together into one response body.

Reads a copy; what the client gets is not touched here. An answer that broke off keeps what was said, under a finish
reason that no importer takes for an end.
"""

from __future__ import annotations

import json
import re
from typing import Any

from synth.storage import JsonDict

BROKEN_OFF = "incomplete"
MAX_ANSWER_BYTES = 16 << 20
MAX_CHOICES = 128
_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_WHOLE = ("id", "role", "type", "index")  # of a delta: said once, or the same each time


class Events:
    """Cuts a stream into events, each with the blank line that ends it; joined they are the stream, byte for byte."""

    def __init__(self) -> None:
        self._held = bytearray()

    def __call__(self, chunk: bytes) -> list[bytes]:
        """The events that this chunk completes."""
        seen = max(0, len(self._held) - 3)  # a boundary may have begun; what lies before was looked at
        self._held += chunk
        found, start = [], 0
        for end in [match.end() for match in _BOUNDARY.finditer(self._held, seen)]:
            found.append(bytes(self._held[start:end]))
            start = end
        del self._held[:start]
        if len(self._held) > MAX_ANSWER_BYTES:  # no event of a chat is that long: hand it on as it is
            found.append(self.rest())
        return found

    def rest(self) -> bytes:
        """What no blank line ended."""
        held, self._held = bytes(self._held), bytearray()
        return held


def data_of(event: bytes) -> str:
    """The data of an event, "" when it has none (a comment, a ping)."""
    lines = event.decode("utf-8", "replace").splitlines()
    return "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))


def object_of(text: str | bytes) -> JsonDict | None:
    """The JSON object in a text, None when it is something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_usage_only(value: JsonDict | None) -> bool:
    """Whether an event's object is the one that brings the usage and nothing else."""
    return value is not None and value.get("choices") == [] and isinstance(value.get("usage"), dict)


class Streamed:
    """A streamed chat answer, put together from its deltas."""

    def __init__(self) -> None:
        self._head: JsonDict = {}
        self._choices: dict[int, JsonDict] = {}
        self._usage: Any = None
        self._error: Any = None
        self._bytes = 0

    def take(self, value: JsonDict, size: int) -> None:
        """One event's object of `size` bytes."""
        self._bytes += size
        if self._bytes > MAX_ANSWER_BYTES:
            self._error = self._error or f"the answer is longer than {MAX_ANSWER_BYTES >> 20} MiB"
            return
        if value.get("error"):
            self._error = value["error"]
        if isinstance(value.get("usage"), dict):
            self._usage = value["usage"]
        for key, one in value.items():
            if key not in ("choices", "usage", "error") and one is not None:
                self._head.setdefault(key, one)
        choices = value.get("choices")
        try:
            for choice in choices if isinstance(choices, list) else []:
                if isinstance(choice, dict):
                    self._take_choice(choice)
        except RecursionError:
            self._error = self._error or "the answer is nested too deeply"

    def _take_choice(self, choice: JsonDict) -> None:
        index = choice.get("index", 0)
        if not isinstance(index, int) or not 0 <= index < MAX_CHOICES:
            self._error = self._error or "a choice has no index"
            return
        kept = self._choices.setdefault(
            index, {"index": index, "message": {"role": "assistant"}, "finish_reason": None}
        )
        if isinstance(choice.get("delta"), dict):
            _merge(kept["message"], choice["delta"])
        if choice.get("finish_reason") is not None:
            kept["finish_reason"] = choice["finish_reason"]

    def body(self) -> JsonDict:
        """The response as if it had not been streamed. Choices that never finished say so."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        for choice in choices:
            choice["message"].setdefault("content", None)
            if choice["finish_reason"] is None or self._error:
                choice["finish_reason"] = BROKEN_OFF
        body = {**self._head, "object": "chat.completion", "choices": choices}
        if self._usage is not None:
            body["usage"] = self._usage
        if self._error or not choices:
            body["error"] = self._error or "the stream held no answer"
        return body


def _merge(kept: JsonDict, delta: JsonDict) -> None:
    """Add a delta: texts grow, tool calls by their index, everything else is the newest."""
    for key, value in delta.items():
        before = kept.get(key)
        if value is None:
            kept.setdefault(key, None)
        elif key == "tool_calls" and isinstance(value, list):
            kept[key] = before if isinstance(before, list) else []  # None and other things before the first call
            _merge_calls(kept[key], value)
        elif isinstance(value, dict) and isinstance(before, dict):
            _merge(before, value)
        elif isinstance(value, str) and isinstance(before, str) and key not in _WHOLE:
            kept[key] = before + value
        elif key not in _WHOLE or before is None or key == "role":
            kept[key] = value


def _merge_calls(kept: list[Any], calls: list[Any]) -> None:
    for place, call in enumerate(calls):
        if not isinstance(call, dict):
            continue
        index = call.get("index", place)
        known = next((one for one in kept if isinstance(one, dict) and one.get("index") == index), None)
        if known is None:
            known = {"index": index}
            kept.append(known)
        _merge(known, call)


def whole_answer(raw: bytes, complete: bool) -> JsonDict:
    """The response body of an answer that was not streamed; an `error` says what is wrong with it."""
    if not complete:
        return {"error": "the answer broke off"}
    body = object_of(raw)
    if body is None:
        return {"error": "the answer is no JSON object"}
    return body if isinstance(body.get("choices"), list) or body.get("error") else {**body, "error": "no choices"}
