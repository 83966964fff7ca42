"""The client: one question in, one answer out, whatever the server does.

    Endpoint.ask       one question, blocking
    Endpoint.ask_many  many questions, answers as they come
    Endpoint.stream    one question, its answer piece by piece, for whoever watches

Refusals of the key, model or address stop everything after one call. Faults of single requests are retried within
a deadline, then become replies with an error. A paid answer is on disk before anyone sees it. Each question carries an
`Idempotency-Key` that follows from its content, so that a server that honours the header bills a repeat once: after a
broken connection, and after a kill that lost the answer on its way. Other servers bill such a repeat again.
"""

from __future__ import annotations

import math
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from synth.endpoint.cache import ReplyCache
from synth.endpoint.keys import find_key
from synth.endpoint.redact import Redactor, redacted
from synth.endpoint.settings import Settings
from synth.endpoint.throttle import Budget, Price, Purse, Throttle, backoff_sec, retry_after_sec
from synth.endpoint.wire import (
    FORMS,
    Ask,
    Piece,
    Reply,
    Unreadable,
    cache_key,
    chat_payload,
    chat_reply,
    is_replay,
    lines,
    read_body,
    streamed_piece,
    transcription_file,
    transcription_reply,
    worst_case,
)
from synth.errors import DataError, EndpointError, UserError
from synth.storage import sha256_bytes
from synth.usage import Usage, total

if TYPE_CHECKING:
    import httpx

    from synth.endpoint.elsewhere import Send

FATAL = {
    401: ("does not accept the key", "Set {key} to a valid key."),
    402: ("wants to be paid first", "Check the account that the key in {key} belongs to."),
    403: ("forbids this request", "Check the rights of the key in {key}."),
    404: ("knows no such address or model", "Check base_url and model."),
}
RETRIED = frozenset({408, 409, 425, 429})
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
FAILED_BEFORE_FIRST_ANSWER = 3
FAILED_IN_A_ROW = 10
POLL_SEC = 0.5  # how often a wait looks whether it should end
GRACE_SEC = 4.0  # how long requests that are under way may go on once nobody wants more


class _Refused(Exception):
    """This request will not be answered; retrying is pointless."""


class _Again(Exception):
    """This attempt failed; another may not."""

    def __init__(
        self,
        why: str,
        wait_sec: float | None = None,
        *,
        billed: bool = False,
        complete: bool = False,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(why)
        self.wait_sec = wait_sec
        self.billed = billed
        self.usage = usage if billed and usage is not None and usage.reported else None
        self.complete = complete  # the whole answer came and is of no use: asking for the same one is pointless


class Endpoint:
    """A model behind HTTP. Use as a context manager, or call `close`."""

    def __init__(
        self,
        settings: Settings,
        cache: ReplyCache | None = None,
        price: Price | None = None,
        purse: Purse | None = None,
        send: Send | None = None,
    ) -> None:
        from synth.endpoint.elsewhere import connected

        self.settings = settings
        self._url = settings.url
        self._cache = cache
        self._budget = Budget(purse or Purse(), price)
        self._throttle = Throttle(settings.concurrency)
        self._limit_field = "max_tokens"
        self._formats = True  # until the server refuses one
        self._key = find_key(settings.api_key_env)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._http = connected(headers, settings.max_body_bytes, send)
        self._rng = random.Random()
        self._fatal: UserError | None = None
        self._lock = threading.Lock()
        self._answered = 0
        self._failed_in_a_row = 0
        self._closed = threading.Event()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def spent_usd(self) -> float:
        """Priced spending so far, retries that were billed included; that of the whole purse where it is shared."""
        return self._budget.purse.spent_usd

    def close(self) -> None:
        """Let open requests end and take no more."""
        self._closed.set()
        self._throttle.close()
        self._http.close()
        if self._cache is not None:
            self._cache.close()

    def cut(self) -> None:
        """Take no more, and break what is under way; such an answer may have been made and billed."""
        self._closed.set()
        self._throttle.close()
        self._http.cut()

    def ask_many(self, asks: Iterable[Ask], stop: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, Reply]]:
        """(index, reply) as answers come. `asks` is read lazily, at most 2 x concurrency ahead.

        Once `stop` says so, or the caller leaves, requests that are under way have some seconds to end; then they are
        cut. Raises EndpointError when going on is pointless, after the answers that were under way then.
        """
        queue = enumerate(asks)
        pending: dict[Future[Reply], int] = {}
        fatal: UserError | None = None
        with ThreadPoolExecutor(self.settings.concurrency, "endpoint") as pool:
            try:
                exhausted, give_up_at = False, math.inf
                while (pending or not exhausted) and time.monotonic() < give_up_at:
                    while not exhausted and len(pending) < 2 * self.settings.concurrency:
                        item = None if stop() else next(queue, None)
                        if item is None:
                            exhausted = True
                        else:
                            pending[pool.submit(self.ask, item[1])] = item[0]
                    for future in wait(pending, POLL_SEC, FIRST_COMPLETED).done:
                        index = pending.pop(future)
                        try:
                            reply = future.result()
                        except UserError as error:
                            fatal = fatal or error
                        else:
                            yield index, reply
                    if give_up_at == math.inf and (fatal or stop()):
                        exhausted, give_up_at = True, time.monotonic() + GRACE_SEC
                        for future in [future for future in pending if future.cancel()]:
                            del pending[future]
            finally:
                running = [future for future in pending if not future.cancel()]
                if running and (fatal or stop() or wait(running, GRACE_SEC).not_done):
                    self.cut()
        if fatal is not None:
            raise fatal

    def ask(self, ask: Ask) -> Reply:
        """The answer, from the cache if it was paid before. Raises EndpointError when going on is pointless."""
        key = cache_key(self._url, self.settings.model, ask)
        known = self._cache.get(key) if self._cache is not None else None
        if known is not None:
            return known
        if not self._throttle.enter():
            raise self._fatal or EndpointError("The endpoint was closed.", "Start again.", "endpoint.closed")
        try:
            try:
                reply = self._ask_until_answered(ask, key if self._cache is not None else secrets.token_hex(16))
                written = self._cache.write(key, reply) if reply.ok and self._cache is not None else 0
            finally:
                self._throttle.leave()
            if written and self._cache is not None:  # the next question goes out while this waits for the disk
                self._cache.sync(written)
        except UserError as error:
            self._stop(error)
            raise
        self._give_up_when_hopeless(reply)
        return reply

    def stream(self, ask: Ask) -> Iterator[Piece]:
        """The pieces of an answer as the server sends them. It is asked once: neither cached nor tried again.

        A server that does not stream gives one piece. Raises EndpointError.
        """
        import httpx

        from synth.endpoint.deadline import timeout

        payload = {**chat_payload(self.settings.model, ask, self._limit_field), **STREAMED}
        ends, url = time.monotonic() + self.settings.deadline_sec, f"{self._url}/chat/completions"
        said = Redactor(self._key)
        try:
            with (
                self._http.lend() as http,
                http.stream("POST", url, json=payload, timeout=timeout(ends)) as response,
            ):
                if response.status_code != 200:
                    self._judge_status(response.status_code, response.headers, self._body(response, ends))
                if "event-stream" not in response.headers.get("content-type", ""):
                    reply = chat_reply(read_body(self._body(response, ends)))
                    yield Piece(redacted(reply.text, self._key), reply.usage)
                    return
                for piece in filter(None, map(streamed_piece, lines(self._chunks(response, ends)))):
                    yield piece._replace(text=said(piece.text) + (said.rest() if piece.usage else ""))
                if rest := said.rest():
                    yield Piece(rest)
        except (_Again, _Refused, Unreadable, DataError) as error:
            raise EndpointError(f"There is no answer: {error}", "Ask again, or check the endpoint.") from error
        except httpx.HTTPError as error:
            message = f"The connection broke ({type(error).__name__})."
            raise EndpointError(message, "Check that the server runs, and its address.", "endpoint.down") from error

    def _ask_until_answered(self, ask: Ask, key: str) -> Reply:
        """Attempts until an answer, a refusal, or the end of patience."""
        give_up_at = time.monotonic() + self.settings.deadline_sec
        attempt = billed = useless = 0
        lost: list[Usage] = []  # what billed attempts without an answer say of themselves
        claim = self._budget.claim(worst_case(ask))
        usage: Usage | None = None
        why = "the deadline passed"
        try:
            for attempt in range(1, self.settings.attempts + 1):
                if self._closed.is_set() or time.monotonic() >= give_up_at:
                    break
                try:
                    claim.hold()
                except EndpointError as full:  # the attempts before this one must still be answered for
                    why = full.message
                    break
                try:
                    reply = self._attempt(ask, f"{key} {useless}", give_up_at)
                except _Refused as refused:
                    return Reply("", Usage(retries=attempt - 1), error=str(refused))
                except _Again as again:
                    why, billed, useless = str(again), billed + again.billed, useless + again.complete
                    lost += [again.usage] if again.usage else []
                    if again.billed:
                        claim.lose(again.usage)
                    pause = again.wait_sec if again.wait_sec is not None else backoff_sec(attempt, self._rng)
                    if attempt == self.settings.attempts or time.monotonic() + pause >= give_up_at:
                        break
                    self._closed.wait(pause)
                    continue
                bills = max(1, billed + (not reply.replayed))  # a replay was billed when it was made
                usage = reply.usage.with_lost(bills - 1, lost).model_copy(update={"retries": attempt - 1})
                self._throttle.succeeded()
                return reply._replace(usage=usage)
            known = total(lost) if billed and len(lost) == billed else Usage()
            failed = known.model_copy(update={"requests": 1, "retries": attempt - 1, "billed_retries": billed})
            return Reply("", failed, error=f"No answer after {attempt} attempts: {why}.")
        finally:
            claim.end(usage)

    def _attempt(self, ask: Ask, key: str, give_up_at: float) -> Reply:
        import httpx

        started = time.monotonic()
        ends = min(started + self.settings.attempt_sec, give_up_at)
        try:
            status, headers, body = self._exchange(ask, key, ends)
        except DataError as error:
            raise _Refused(str(error)) from error
        except httpx.TimeoutException as error:
            raise _Again("the server did not answer in time") from error
        except httpx.HTTPError as error:
            raise _Again(f"the connection failed ({type(error).__name__})") from error
        if status in (400, 422) and ask.response_format and not ask.format_needed and FORMS.search(self._excerpt(body)):
            self._formats = False
            raise _Again("the server takes no such response format", 0.0)
        if status != 200:
            self._judge_status(status, headers, body)
        replayed = is_replay(headers)
        try:
            value = read_body(body)
            reply = transcription_reply(value) if ask.transcription else chat_reply(value)
        except Unreadable as error:
            billed = error.billed and not replayed
            raise _Again(str(error), billed=billed, complete=error.billed, usage=error.usage) from error
        text, finish, model = (redacted(said, self._key) for said in (reply.text, reply.finish_reason, reply.model))
        reply = reply._replace(text=text, finish_reason=finish, model=model)
        return reply._replace(seconds=time.monotonic() - started, replayed=replayed)

    def _request(self, http: httpx.Client, ask: Ask, key: str, timeout: httpx.Timeout) -> httpx.Request:
        """The request of an attempt; the same key always goes with the same bytes."""
        limit_field, formats = self._limit_field, self._formats  # another thread may learn better meanwhile
        once = sha256_bytes(f"{key} {limit_field}{'' if formats else ' free'}".encode())
        headers = {"Idempotency-Key": once}
        if ask.transcription:
            headers["Content-Type"] = f"multipart/form-data; boundary={once}"
            spoken = {"language": ask.language} if ask.language else {}
            form = {"model": self.settings.model, "response_format": "json", **spoken}
            files = {"file": transcription_file(ask)}
            url = f"{self._url}/audio/transcriptions"
            return http.build_request("POST", url, data=form, files=files, headers=headers, timeout=timeout)
        payload, url = chat_payload(self.settings.model, ask, limit_field, formats), f"{self._url}/chat/completions"
        return http.build_request("POST", url, json=payload, headers=headers, timeout=timeout)

    def _exchange(self, ask: Ask, key: str, ends: float) -> tuple[int, httpx.Headers, bytes]:
        """Send, and read the body under the deadline and the size cap."""
        import httpx

        from synth.endpoint.deadline import timeout

        with self._http.lend() as http:
            response = http.send(self._request(http, ask, key, timeout(ends)), stream=True)
            # An answer that is under way was made and will be billed, unless it was made and billed before.
            billed = response.is_success and not is_replay(response.headers)
            try:
                return response.status_code, response.headers, self._body(response, ends, billed)
            except httpx.RequestError as error:  # also what cannot be unpacked
                raise _Again(f"the answer broke off ({type(error).__name__})", billed=billed) from error
            finally:
                response.close()

    def _body(self, response: httpx.Response, ends: float, billed: bool = False) -> bytes:
        """The whole body. Raises _Again when it is too large or takes too long."""
        return b"".join(self._chunks(response, ends, billed))

    def _chunks(self, response: httpx.Response, ends: float, billed: bool = False) -> Iterator[bytes]:
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self.settings.max_body_bytes:
                raise _Again(f"the body is larger than {self.settings.max_body_bytes:,} bytes", billed=billed)
            if time.monotonic() > ends:
                raise _Again("the answer dripped in too slowly", billed=billed)
            yield chunk

    def _judge_status(self, status: int, headers: httpx.Headers, body: bytes) -> None:
        """Raise what a status other than 200 means: stop, refuse this request, or try again."""
        said = self._excerpt(body)
        if status in FATAL or 300 <= status < 400:
            what, remedy = FATAL.get(status, ("sends the request elsewhere", "Set base_url to the final address."))
            remedy = remedy.format(key=self.settings.api_key_env)
            raise EndpointError(f"The endpoint {what} (HTTP {status}). {said}", remedy, f"endpoint.{status}")
        if status == 429:
            pause = retry_after_sec(headers.get("retry-after"))
            self._throttle.too_many(pause or 0.0)
            raise _Again("the server says: too many requests", pause)
        if status in RETRIED or status >= 500:
            raise _Again(f"the server failed (HTTP {status})", retry_after_sec(headers.get("retry-after")))
        if status == 400 and "max_completion_tokens" in said and self._limit_field == "max_tokens":
            self._limit_field = "max_completion_tokens"
            raise _Again("the server wants max_completion_tokens", 0.0)
        raise _Refused(f"The endpoint refused the request (HTTP {status}). {said}")

    def _excerpt(self, body: bytes) -> str:
        """The start of what the server said, without our key, on one line."""
        said = " ".join(body[:2000].decode("utf-8", "replace").split())
        said = redacted(said, self._key)
        return f"It says: {said[:300]}" if said and not said.startswith("<") else ""

    def _give_up_when_hopeless(self, reply: Reply) -> None:
        """Stop when nothing works: three questions fail before any answer, or ten in a row later."""
        with self._lock:
            self._failed_in_a_row = 0 if reply.ok else self._failed_in_a_row + 1
            self._answered += reply.ok
            patience = FAILED_IN_A_ROW if self._answered else FAILED_BEFORE_FIRST_ANSWER
            hopeless = self._failed_in_a_row >= patience
        if hopeless and not self._closed.is_set():
            error = EndpointError(
                f"The endpoint failed {patience} questions in a row; the last time: {reply.error} "
                f"{self._answered} answers are kept.",
                "Check the server, then start again: answers that came are not asked for twice.",
                "endpoint.down",
            )
            self._stop(error)
            raise error

    def _stop(self, error: UserError) -> None:
        self._fatal = self._fatal or error
        self._closed.set()
        self._throttle.close()
