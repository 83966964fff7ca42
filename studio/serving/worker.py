"""One thread that owns the model: requests wait for it, and those that came meanwhile are answered together.

Text prompts of several requests share a batch where the model allows it, and those that come later join it between two
tokens; everything else is answered one request at a time. A request whose client is gone leaves its batch at the next
token.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.decode.decoder import fits
from studio.serving.generation import Row, generate, nobody, padded

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

MAX_ROWS = 32
MAX_WAITING = 256
ALIKE = 2
"""Prompts are read together where none is more than so many times as long as another: the shorter ones are padded."""


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
                for job in filter(_going, jobs):
                    job.fail(error)

    def _next(self) -> list[Job]:
        first = self._left or self._jobs.get()
        self._left, jobs = None, [first]
        while first.prompt and self._together:
            job = self._waiting(sum(len(one.rows) for one in jobs), len(first.prompt))
            if job is None:
                break
            jobs.append(job)
        return jobs

    def _waiting(self, rows: int, tokens: int) -> Job | None:
        """The next job where it can share a batch with so many rows, and a prefill with prompts of so many tokens.

        One that cannot is the next to be answered: nobody who came after it is taken before.
        """
        if self._left is None:
            try:
                self._left = self._jobs.get_nowait()
            except queue.Empty:
                return None
        job, length = self._left, len(self._left.prompt)
        alike = tokens <= ALIKE * length and length <= ALIKE * tokens if tokens else bool(length)
        if not job.prompt or not alike or rows + len(job.rows) > MAX_ROWS:
            return None
        self._left = None
        return job

    def _join(self, jobs: list[Job], live: int) -> list[tuple[tuple[int, ...], Row]]:
        """Prompts that came meanwhile, for a batch with `live` rows; their jobs share its fate."""
        jobs[:] = filter(_going, jobs)
        found: list[tuple[tuple[int, ...], Row]] = []
        while job := self._waiting(live + len(found), len(found[0][0]) if found else 0):
            jobs.append(job)
            found += [(job.prompt, row) for row in job.rows]
        return found

    def _do(self, jobs: list[Job]) -> None:
        import torch

        first = jobs[0]
        if first.call is not None:
            first.call()
            return
        rows = [row for job in jobs for row in job.rows]
        if first.feed is not None:
            feed = {key: torch.cat([value] * len(rows)) for key, value in first.feed.items()}
            generate(self.loaded, feed, rows, self.limit)
            return
        prompts = [job.prompt for job in jobs for _ in job.rows]
        feed = padded(prompts, self.loaded.tokenizer.pad_token_id or 0, self.loaded.model.device)
        join = partial(self._join, jobs) if self._together else nobody
        generate(self.loaded, feed, rows, self.limit, join)


def _going(job: Job) -> bool:
    """Whether somebody still waits for an answer of it."""
    return job.call is not None or any(not row.over and row.wanted() for row in job.rows)
