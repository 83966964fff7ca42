"""Answers already paid for, on disk: one append-only JSONL segment per process, all segments read at start.

    <folder>/<16 hex digits>.jsonl   {"key", "text", "usage", "seconds", "finish_reason", "model"}

A segment has one writer, so that two processes can share a folder. Questions are stored as hashes only.
"""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, ValidationError

from synth.endpoint.wire import Reply
from synth.storage import Journal, read_jsonl
from synth.usage import Usage


class _Kept(BaseModel):
    """A line of a segment."""

    model_config = ConfigDict(strict=True)

    key: str
    text: str
    usage: Usage
    seconds: NonNegativeFloat
    finish_reason: str
    model: str


class ReplyCache:
    """Key -> Reply. Safe for threads. What is written survives the process; what is synced, the machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._journal: Journal | None = None
        self._written = self._synced = 0
        self._replies: dict[str, Reply] = {}
        for segment in sorted(folder.glob("*.jsonl")):
            self._read(segment)

    def _read(self, segment: Path) -> None:
        for line in read_jsonl(segment):
            row = line.value or {}
            try:
                kept = _Kept.model_validate(row)
            except ValidationError:
                continue  # a torn or foreign line costs one answer, never the cache
            self._replies[kept.key] = Reply(
                kept.text, kept.usage, kept.seconds, kept.finish_reason, kept.model, cached=True
            )

    def get(self, key: str) -> Reply | None:
        """The stored answer, marked as cached, or None."""
        with self._lock:
            return self._replies.get(key)

    def write(self, key: str, reply: Reply) -> int:
        """Store an answer, and return its number for `sync`. Raises StorageError when the disk refuses."""
        row = {"key": key, "text": reply.text, "usage": reply.usage.model_dump(), "seconds": reply.seconds}
        with self._lock:
            if self._journal is None:
                self._journal = Journal(self._folder / f"{secrets.token_hex(8)}.jsonl", durable=False)
            self._journal.append({**row, "finish_reason": reply.finish_reason, "model": reply.model})
            self._replies[key] = reply._replace(cached=True)
            self._written += 1
            return self._written

    def sync(self, number: int) -> None:
        """Wait until the answer of that number is on disk; one wait serves all that were written meanwhile."""
        with self._syncing:
            if self._synced < number and self._journal is not None:
                written = self._written
                self._journal.sync()
                self._synced = written

    def __len__(self) -> int:
        return len(self._replies)

    def close(self) -> None:
        """Close this process's segment."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()
                self._journal = None
