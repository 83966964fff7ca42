"""A teacher's answers: many questions at once, the answers in the order of the questions.

The order makes a run repeatable: the same seeds give the same rows, whichever answer came first, and a run that was
killed finds each answer that it paid for in the reply cache and goes on where it was. It knows no prompts.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from synth.context import Ledger, usd_in
from synth.endpoint import Ask, Endpoint, Reply
from synth.endpoint.throttle import Price
from synth.endpoint.wire import cache_key, worst_case
from synth.errors import RunError, StorageError
from synth.pipeline.candidate import Candidate
from synth.storage import JsonDict

POLL_SEC = 0.5  # how often a wait looks whether it should end
GRACE_SEC = 4.0  # how long requests that are under way may go on once nobody wants more


class Answer(NamedTuple):
    """A reply and what it costs, whenever that was paid; None where the teacher has no price."""

    reply: Reply
    usd: float | None


class Spending:
    """What a run pays: each answer that was not paid for before, by teacher. Safe for threads."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.asked = 0
        self.at_most_usd = sum(self._before(value) for value in ledger.values())
        self._lock = threading.Lock()

    def note(self, key: str, model: str, answer: Answer, at_most_usd: float) -> None:
        """Record an answer that this run paid for, or a failed question; `at_most_usd`: its bill, or the worst case."""
        with self._lock:
            self.asked += 1
            self.at_most_usd += at_most_usd
            before = self._before(self.ledger.find(key) or {"at_most_usd": 0})  # it failed, and is asked again
            value = {"model": model, "error": answer.reply.error, "at_most_usd": before + at_most_usd}
            self.ledger.record(key, value, answer.usd)

    def _before(self, value: JsonDict) -> float:
        found = usd_in(value, "at_most_usd")
        if found is None:
            message = f"{self.ledger.path} does not say of each answer what it may have cost, so no cap can hold."
            raise StorageError(message, "Restore it, or start the pipeline under a new name.", "data.torn")
        return found

    @property
    def usd(self) -> float | None:
        """Paid by this run, in this session and those before it; None where a price is unknown."""
        with self._lock:
            return self.ledger.usd if len(self.ledger) else 0.0


class Teacher:
    """A model to ask, with its price; answers come from a pool of threads."""

    def __init__(self, name: str, endpoint: Endpoint, price: Price, spending: Spending) -> None:
        self.name = name
        self.model = endpoint.settings.model
        self.concurrency = endpoint.settings.concurrency
        self._endpoint = endpoint
        self._price = price
        self._spending = spending
        self._pool = ThreadPoolExecutor(self.concurrency + self.concurrency // 4, f"teacher-{name}")
        self._open: set[Future[Answer]] = set()

    def submit(self, ask: Ask) -> Future[Answer]:
        """Ask in the background. The future raises EndpointError when going on is pointless."""
        future = self._pool.submit(self._ask, ask)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return future

    def _ask(self, ask: Ask) -> Answer:
        reply = self._endpoint.ask(ask)
        answer = Answer(reply, self._price(reply.usage) if reply.ok or reply.usage.reported else 0.0)
        if not reply.cached:
            key = cache_key(self._endpoint.settings.url, self.model, ask)
            self._spending.note(key, self.model, answer, self._at_most(ask, answer))
        return answer

    def _at_most(self, ask: Ask, answer: Answer) -> float:
        """What an answer may have cost, by the endpoint's own worst case where the server did not say."""
        reply = answer.reply
        if answer.usd is not None and (reply.ok or reply.usage.reported):
            return answer.usd
        return (self._price(worst_case(ask)) or 0.0) * (reply.usage.billed_retries + reply.ok)

    def close(self) -> None:
        """Take no more; let open requests end for some seconds, so that what they cost is kept, then cut them."""
        running = [future for future in list(self._open) if not future.cancel()]
        if running and wait(running, GRACE_SEC).not_done:
            self._endpoint.cut()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._endpoint.close()


class Asked(NamedTuple):
    """A candidate with its questions and their answers, in their order."""

    candidate: Candidate
    asks: Sequence[Ask]
    answers: tuple[Answer, ...]


class _Open(NamedTuple):
    candidate: Candidate
    asks: Sequence[Ask]
    futures: list[Future[Answer]]


Questions = Callable[[Candidate], Sequence[Ask]]


def answers_in_order(
    stream: Iterator[Candidate],
    teacher: Callable[[Candidate], Teacher],
    questions: Questions,
    wanted: Callable[[], float] = lambda: math.inf,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Asked]:
    """Each candidate of the stream with its answers, asked ahead. `teacher` says who is asked about a candidate.

    At most twice the concurrency of a teacher is asked ahead, and no more than `wanted()` candidates, so that the last
    rows of a run do not pay for answers that nobody needs. Raises RunError once `stop` says so.
    """
    ahead: deque[_Open] = deque()
    exhausted, most = False, 1
    while True:
        while not exhausted and sum(len(one.asks) for one in ahead) < most and len(ahead) < max(1.0, wanted()):
            candidate = next(stream, None)
            if candidate is None:
                exhausted = True
            else:
                asks, asked = questions(candidate), teacher(candidate)
                most = max(most, 2 * asked.concurrency)
                ahead.append(_Open(candidate, asks, [asked.submit(ask) for ask in asks]))
        if not ahead:
            return
        first = ahead.popleft()
        yield Asked(first.candidate, first.asks, tuple(_result(future, stop) for future in first.futures))


def _result(future: Future[Answer], stop: Callable[[], bool]) -> Answer:
    while True:
        if stop():  # also where every answer is there in time: the steps after it may be what takes long
            raise RunError("The pipeline was stopped.", "Resume it: nothing is paid twice.", "run.stopped")
        if future.done():
            return future.result()
        wait([future], POLL_SEC)
