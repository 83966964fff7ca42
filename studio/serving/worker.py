"""One thread that owns the model: requests wait for it, and those that came meanwhile are answered together.

Text prompts of several requests share a batch where the model allows it; everything else is answered one request at a
time. A request whose client is gone leaves its batch at the next token.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.decode.decoder import fits
from studio.serving.generation import Row, generate, padded

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

MAX_ROWS = 32
MAX_WAITING = 256


class Full(Exception):
    """More requests wait than will be answered soon."""


class Job(NamedTuple):
    """Rows of one request: a prompt of tokens, or whole model inputs of one row. `fail` is told why none will come."""

    rows: tuple[Row, ...]
    fail: Callable[[Exception], None]
    prompt: tuple[int, ...] = ()
    feed: dict[str, Any] | None = None
    call: Callable[[], None] | None = None


class Worker:
    """Runs jobs in the order they came."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        limit = getattr(loaded.model.config.get_text_config(), "max_position_embeddings", None)
        self.limit = int(limit or 1 << 30)
        self._together = fits(loaded.model)
        self._jobs: queue.Queue[Job] = queue.Queue(MAX_WAITING)
        self._left: Job | None = None
        threading.Thread(target=self._run, name="model", daemon=True).start()

    def submit(self, job: Job) -> None:
        """Have a job done. Raises Full."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise Full from None

    def _run(self) -> None:
        while True:
            jobs = self._next()
            try:
                self._do(jobs)
            except Exception as error:  # whatever a model raises ends these requests, never the server
                logging.getLogger(__name__).exception("a request failed")
                for job in jobs:
                    job.fail(error)

    def _next(self) -> list[Job]:
        first = self._left or self._jobs.get()
        self._left, jobs = None, [first]
        while first.prompt and self._together:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if not job.prompt or sum(len(one.rows) for one in [*jobs, job]) > MAX_ROWS:
                self._left = job
                break
            jobs.append(job)
        return jobs

    def _do(self, jobs: list[Job]) -> None:
        import torch

        first = jobs[0]
        if first.call is not None:
            first.call()
            return
        rows = [row for job in jobs for row in job.rows]
        if first.feed is not None:
            feed = {key: torch.cat([value] * len(rows)) for key, value in first.feed.items()}
        else:
            prompts = [job.prompt for job in jobs for _ in job.rows]
            feed = padded(prompts, self.loaded.tokenizer.pad_token_id or 0, self.loaded.model.device)
        generate(self.loaded, feed, rows, self.limit)
