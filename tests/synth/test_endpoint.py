"""The endpoint client against the stub: every fault ends as it should, and nothing is paid twice."""

from __future__ import annotations

import base64
import json
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.endpoint import Ask, Endpoint, Purse, Reply, ReplyCache, Settings
from synth.endpoint.throttle import Throttle, backoff_sec, retry_after_sec
from synth.endpoint.wire import chat_payload, worst_case
from synth.errors import EndpointError, StorageError
from synth.example import AudioPart, ImagePart, user
from synth.storage import sha256_bytes
from synth.usage import Usage

pytestmark = pytest.mark.slow

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("synth.endpoint.throttle.BACKOFF_BASE_SEC", 0.01)


def asks(n: int) -> list[Ask]:
    return [Ask((user(f"What is {i} + {i}?"),)) for i in range(n)]


def client(stub: Stub, cache: ReplyCache | None = None, **settings: object) -> Endpoint:
    return Endpoint(Settings(stub.base_url, "stub-model", **settings), cache)  # type: ignore[arg-type]


def collect(endpoint: Endpoint, questions: list[Ask]) -> dict[int, Reply]:
    with endpoint:
        return dict(endpoint.ask_many(questions))


def test_many_questions_are_answered_with_usage_and_time() -> None:
    with serve_in_thread() as stub:
        replies = collect(client(stub), asks(20))
    assert sorted(replies) == list(range(20))
    assert all(r.ok and r.usage.reported and r.seconds > 0 and not r.cached for r in replies.values())
    assert stub.paid == 20


@pytest.mark.parametrize("fault", ["429", "429-date", "500", "503", "reset", "html", "cut", "no-choices"])
def test_a_passing_fault_is_retried_and_counted(fault: str) -> None:
    settings = StubSettings(script=("ok", fault, "ok"), retry_after_sec=0.05)
    with serve_in_thread(settings) as stub:
        replies = collect(client(stub, concurrency=1), asks(2))
    assert [replies[i].ok for i in (0, 1)] == [True, True]
    assert replies[1].usage.retries == 1
    billed = fault in ("cut", "no-choices")
    assert replies[1].usage.billed_retries == billed
    assert stub.paid == 2 + billed, "the answer that broke off is not billed again"
    assert replies[1].usage.output_tokens == (replies[0].usage.output_tokens or 0) * (1 + billed)


def test_an_answer_without_usage_is_kept_and_says_so() -> None:
    with serve_in_thread(StubSettings(script=("null-usage",))) as stub:
        replies = collect(client(stub), asks(1))
    assert replies[0].ok
    assert not replies[0].usage.reported


@pytest.mark.parametrize("fault", ["401", "403", "404"])
def test_a_refused_key_or_address_stops_after_one_call(fault: str) -> None:
    with serve_in_thread(StubSettings(faults={fault: 1.0})) as stub, pytest.raises(EndpointError) as caught:
        collect(client(stub), asks(50))
    assert len(stub.requests) == 1
    assert caught.value.code == f"endpoint.{fault}"
    assert caught.value.remedy


def test_a_closed_endpoint_answers_no_more_and_says_so() -> None:
    with serve_in_thread() as stub:
        endpoint = client(stub)
        endpoint.close()
        with pytest.raises(EndpointError, match="Start again") as caught:
            endpoint.ask(asks(1)[0])
    assert caught.value.code == "endpoint.closed" and stub.requests == []


def test_a_dead_server_is_given_up_after_three_questions() -> None:
    with serve_in_thread(StubSettings(faults={"500": 1.0})) as stub, pytest.raises(EndpointError) as caught:
        collect(client(stub, attempts=2), asks(50))
    assert caught.value.code == "endpoint.down"
    assert len(stub.requests) <= 10


def test_an_oversize_body_is_cut_off_and_becomes_an_error() -> None:
    with serve_in_thread() as stub:
        replies = collect(client(stub, max_body_bytes=100, attempts=2), asks(1))
    assert "larger than" in replies[0].error
    assert replies[0].usage.billed_retries == stub.paid == 1


def test_a_slow_drip_meets_the_total_deadline() -> None:
    with serve_in_thread(StubSettings(script=("ok", "drip"), drip_sec=20)) as stub:
        endpoint = client(stub, attempt_sec=0.5, concurrency=1)
        replies = collect(endpoint, asks(2))
    assert replies[1].ok
    assert replies[1].usage.retries == 1


def test_a_failed_answer_is_an_error_and_not_cached(tmp_path: Path) -> None:
    with serve_in_thread(StubSettings(script=("ok", "500", "500"))) as stub:
        cache = ReplyCache(tmp_path)
        replies = collect(client(stub, cache, attempts=2, concurrency=1), asks(2))
        assert "HTTP 500" in replies[1].error
        assert replies[1].text == ""
    assert len(ReplyCache(tmp_path)) == 1


def test_nothing_is_paid_twice_after_a_stop(tmp_path: Path) -> None:
    with serve_in_thread() as stub:
        first = client(stub, ReplyCache(tmp_path))
        with first:
            for seen, _ in enumerate(first.ask_many(asks(30))):
                if seen == 9:
                    break
        paid = stub.paid
        assert 10 <= paid < 30
        replies = collect(client(stub, ReplyCache(tmp_path)), asks(30))
        assert len(stub.requests) == stub.paid == 30
    assert sum(r.cached for r in replies.values()) == paid


def test_an_answer_lost_with_the_process_is_asked_again_and_not_billed_again(tmp_path: Path) -> None:
    with serve_in_thread() as stub:
        lost = client(stub, ReplyCache(tmp_path / "lost"))
        collect(lost, asks(5))
        replies = collect(client(stub, ReplyCache(tmp_path / "kept")), [*asks(5), asks(1)[0]._replace(sample=1)])
        assert len(stub.requests) == 11
        assert stub.paid == 6, "another sample is another question"
    assert [replies[i].replayed for i in range(6)] == [True] * 5 + [False]
    assert all(r.usage.billed_retries == 0 for r in replies.values())


def test_without_a_cache_each_question_is_a_new_one() -> None:
    with serve_in_thread() as stub:
        collect(client(stub), asks(3))
        collect(client(stub), asks(3))
        assert stub.paid == 6


def test_a_recording_sent_again_is_the_same_request_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    part = AudioPart(path="a.wav", sha256=sha256_bytes(b"sound"))
    ask = Ask((user("Transcribe.", part),), media_root=tmp_path, transcription=True)
    with serve_in_thread() as stub:
        first, again = (client(stub, ReplyCache(tmp_path / name)) for name in ("one", "two"))
        timeout = httpx.Timeout(1.0)
        sent = [endpoint._request(httpx.Client(), ask, "k", timeout) for endpoint in (first, again)]
        assert sent[0].read() == sent[1].read()
        assert sent[0].headers["content-type"] == sent[1].headers["content-type"]
        texts = [collect(endpoint, [ask])[0].text for endpoint in (first, again)]
        assert stub.paid == 1
    assert texts[0] == texts[1] != ""


def test_a_transcription_endpoint_is_told_the_language_that_a_recording_names(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    part = AudioPart(path="a.wav", sha256=sha256_bytes(b"sound"))
    ask = Ask((user("Transcribe.", part),), media_root=tmp_path, transcription=True)
    with serve_in_thread() as stub, client(stub, ReplyCache(tmp_path / "one")) as endpoint:
        said, unsaid = (
            endpoint._request(httpx.Client(), one, "k", httpx.Timeout(1.0)).read()
            for one in (ask._replace(language="sv"), ask)
        )
        assert b'name="language"\r\n\r\nsv\r\n' in said
        assert b'name="language"' not in unsaid
        collect(endpoint, [ask, ask._replace(language="sv")])
        assert stub.paid == 2, "another language is another question"


def test_a_server_that_wants_the_other_limit_field_gets_another_key(tmp_path: Path) -> None:
    with serve_in_thread() as stub, client(stub, ReplyCache(tmp_path)) as endpoint:
        timeout = httpx.Timeout(1.0)
        before = endpoint._request(httpx.Client(), asks(1)[0], "k", timeout).headers["idempotency-key"]
        endpoint._limit_field = "max_completion_tokens"
        assert endpoint._request(httpx.Client(), asks(1)[0], "k", timeout).headers["idempotency-key"] != before


def test_editing_one_question_or_sample_number_issues_one_request(tmp_path: Path) -> None:
    with serve_in_thread() as stub:
        collect(client(stub, ReplyCache(tmp_path)), asks(5))
        edited = [*asks(4), Ask((user("Another?"),)), asks(1)[0]._replace(sample=1)]
        collect(client(stub, ReplyCache(tmp_path)), edited)
        assert len(stub.requests) == stub.paid == 7


def test_a_torn_cache_line_costs_one_answer(tmp_path: Path) -> None:
    with serve_in_thread() as stub:
        collect(client(stub, ReplyCache(tmp_path)), asks(3))
        segment = next(tmp_path.glob("*.jsonl"))
        segment.write_bytes(segment.read_bytes()[:-20])
        collect(client(stub, ReplyCache(tmp_path)), asks(3))
        assert len(stub.requests) == 4


def test_foreign_lines_of_a_cache_are_no_answers(tmp_path: Path) -> None:
    good = {"key": "k", "text": "a", "usage": {}, "seconds": 1, "finish_reason": "stop", "model": "m"}
    odd = [{"key": ["k"]}, {"key": {}}, {"text": 5}, {"text": None}, {"usage": []}, {"seconds": "x"}, {"model": 3}]
    odd += [{"seconds": -1}, {"finish_reason": None}]
    rows = [{**good, **one} for one in odd]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert len(ReplyCache(tmp_path)) == 0
    (tmp_path / "b.jsonl").write_text(json.dumps(good) + "\n", "utf-8")
    assert ReplyCache(tmp_path).get("k") == Reply("a", seconds=1, finish_reason="stop", model="m", cached=True)


@pytest.mark.parametrize("when", ["write", "sync"])
def test_a_full_disk_stops_instead_of_losing_paid_answers(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("Cannot write: No space left on device.", "Free some space.")

    cache = ReplyCache(tmp_path)
    monkeypatch.setattr(cache, when, full)
    with serve_in_thread() as stub, pytest.raises(StorageError):
        collect(client(stub, cache), asks(50))
    assert len(stub.requests) <= (1 if when == "write" else 1 + 8)


def test_the_spend_cap_is_never_passed() -> None:
    def price(usage: Usage) -> float | None:
        return 0.001 * ((usage.input_tokens or 0) + (usage.output_tokens or 0))

    with serve_in_thread() as stub:
        endpoint = Endpoint(Settings(stub.base_url, "stub-model"), None, price, Purse(2.0, 0.5))
        with pytest.raises(EndpointError) as caught:
            collect(endpoint, [a._replace(max_tokens=40) for a in asks(500)])
    assert caught.value.code == "endpoint.budget"
    billed = sum(r["prompt_tokens"] + r["completion_tokens"] for r in stub.requests)
    assert 0.5 < 0.5 + 0.001 * billed <= 2.0


@pytest.mark.parametrize("fault", ["no-choices", "cut"])
def test_answers_that_are_billed_and_of_no_use_never_pass_the_spend_cap(fault: str) -> None:
    def price(usage: Usage) -> float | None:
        return 0.001 * ((usage.input_tokens or 0) + (usage.output_tokens or 0))

    with serve_in_thread(StubSettings(script=("ok", *[fault] * 500))) as stub:
        endpoint = Endpoint(Settings(stub.base_url, "stub-model", concurrency=8), None, price, Purse(1.0))
        with pytest.raises(EndpointError) as caught:
            collect(endpoint, [a._replace(max_tokens=40) for a in asks(500)])
    assert caught.value.code == "endpoint.budget"
    billed = sum(r["prompt_tokens"] + r["completion_tokens"] for r in stub.requests)
    assert 0.1 < 0.001 * billed <= endpoint.spent_usd <= 1.0


def test_an_answer_that_cannot_be_unpacked_was_billed() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-encoding", "gzip")
            self.send_header("content-length", "3")
            self.end_headers()
            self.wfile.write(b"abc")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = Settings(f"http://127.0.0.1:{server.server_port}/v1", "m", attempts=3)
    try:
        with Endpoint(settings, None, lambda usage: 1e-6 * (usage.input_tokens or 0), Purse(1.0)) as endpoint:
            reply = endpoint.ask(asks(1)[0])
            spent = endpoint.spent_usd
    finally:
        server.shutdown()
        server.server_close()
    assert not reply.ok and reply.usage.billed_retries == 3
    assert spent > 0


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        ("an English sentence of many words " * 9, 60),
        ("1234567890" * 9, 90),
        ("\u0ba4\u0bae\u0bbf\u0bb4\u0bcd" * 9, 135),
    ],
    ids=["words", "digits", "script"],
)
def test_the_worst_case_of_a_prompt_holds_for_digits_and_scripts_that_take_many_tokens(said: str, tokens: int) -> None:
    found = worst_case(Ask((user(said),))).input_tokens or 0
    assert tokens <= found <= len(said.encode()) + 16
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["word"] * 100}}}
    assert (worst_case(Ask((user(said),), response_format=schema)).input_tokens or 0) > found + 200


def test_usage_of_a_kind_without_a_price_costs_its_worst_case() -> None:
    def price(usage: Usage) -> float | None:
        return None if usage.cached_tokens else 0.001 * ((usage.input_tokens or 0) + (usage.output_tokens or 0))

    long = [user(f"{'word ' * 300}{number}") for number in range(50)]
    with serve_in_thread() as stub:
        endpoint = Endpoint(Settings(stub.base_url, "stub-model"), None, price, Purse(8.0))
        with pytest.raises(EndpointError, match="cap of"):
            collect(endpoint, [Ask((message,), max_tokens=40) for message in long])
    assert any(row["cached_tokens"] for row in stub.requests)
    assert sum(row["prompt_tokens"] + row["completion_tokens"] for row in stub.requests) <= 8000


def test_a_cap_without_a_price_is_refused() -> None:
    with pytest.raises(EndpointError, match="no price"):
        Endpoint(Settings("http://127.0.0.1:9/v1", "m"), None, lambda _: None, Purse(1.0))


@pytest.mark.parametrize("url", ["ftp://host/v1", "http://me:pw@host/v1", "host/v1", "http://host/v1?key=1"])
def test_an_address_that_could_hold_a_secret_is_refused(url: str) -> None:
    with pytest.raises(EndpointError, match="must look like"):
        Endpoint(Settings(url, "m"))


def serve_bodies(*bodies: dict[str, Any]) -> tuple[ThreadingHTTPServer, list[bytes]]:
    """A server that gives these bodies one after the other, the last one for ever, and the questions it was asked."""
    asked: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["content-length"])))
            said = json.dumps(bodies[min(len(asked), len(bodies)) - 1]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, asked


def body_of(content: str | None, finish: str, asked: int, said: int) -> dict[str, Any]:
    usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    return {"choices": [{"message": {"content": content}, "finish_reason": finish}], "usage": usage}


def collect_from(bodies: list[dict[str, Any]], **settings: object) -> tuple[Reply, int]:
    server, asked = serve_bodies(*bodies)
    try:
        address = f"http://127.0.0.1:{server.server_port}/v1"
        reply = collect(Endpoint(Settings(address, "m", **settings)), asks(1))[0]  # type: ignore[arg-type]
    finally:
        server.shutdown()
        server.server_close()
    return reply, len(asked)


def test_an_answer_that_a_filter_withheld_is_a_refused_answer_and_asked_for_once() -> None:
    reply, asked = collect_from([body_of(None, "content_filter", 40, 0)])
    assert (reply.ok, reply.refused, reply.text, asked) == (True, True, "", 1)
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.billed_retries) == (40, 0, 0)


def test_an_unusable_answer_costs_what_it_says_of_itself() -> None:
    reply, asked = collect_from([body_of(None, "stop", 40, 7), body_of("four", "stop", 40, 2)])
    assert (reply.text, asked, reply.usage.billed_retries) == ("four", 2, 1)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (80, 9)


def test_a_row_that_failed_after_billed_attempts_has_their_usage() -> None:
    reply, asked = collect_from([body_of(None, "stop", 40, 7)], attempts=2)
    assert (reply.ok, asked, reply.usage.billed_retries) == (False, 2, 2)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (80, 14)


def test_zero_usage_beside_an_answer_is_not_reported() -> None:
    reply, _ = collect_from([body_of("four", "stop", 0, 0)])
    assert reply.ok
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (None, None)


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that answers 401 and repeats the Authorization header, as careless proxies do."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = f"bad key: {self.headers['authorization']}".encode()
            self.send_response(401)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def test_the_key_never_stands_in_an_error_or_a_cache(echo: str, tmp_path: Path) -> None:
    with pytest.raises(EndpointError) as caught:
        collect(Endpoint(Settings(echo, "m"), ReplyCache(tmp_path)), asks(1))
    assert "bad key" in str(caught.value)
    assert KEY not in repr(caught.value) + str(caught.value)
    with serve_in_thread() as stub:
        collect(client(stub, ReplyCache(tmp_path)), asks(2))
    assert KEY not in "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())


def test_images_travel_as_data_urls_and_missing_files_are_row_errors(tmp_path: Path) -> None:
    data = b"\x89PNG fake"
    (tmp_path / "a.png").write_bytes(data)
    good = Ask((user("What?", ImagePart(path="a.png", sha256=sha256_bytes(data))),), media_root=tmp_path)
    gone = Ask((user("What?", ImagePart(path="b.png", sha256="0")),), media_root=tmp_path)
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    outside = Ask((user("What?", ImagePart(path="link.png", sha256="1")),), media_root=tmp_path)
    url = chat_payload("m", good, "max_tokens")["messages"][0]["content"][1]["image_url"]["url"]
    assert url == "data:image/png;base64," + base64.b64encode(data).decode()
    with serve_in_thread() as stub:
        replies = collect(client(stub), [good, gone, outside])
    assert [replies[i].ok for i in range(3)] == [True, False, False]
    assert "outside" in replies[2].error
    assert stub.requests[0]["images"] == 1


def test_a_429_halves_the_limit_and_answers_raise_it_again() -> None:
    throttle = Throttle(16)
    assert throttle.limit == 1
    throttle.succeeded()
    assert throttle.limit == 16
    throttle.too_many(0.0)
    throttle.too_many(0.0)
    assert throttle.limit == 8
    for _ in range(9):
        throttle.succeeded()
    assert throttle.limit == 9


def test_too_many_at_once_still_ends_with_every_answer() -> None:
    settings = StubSettings(max_concurrent=3, latency_sec=0.02, retry_after_sec=0.02)
    with serve_in_thread(settings) as stub:
        replies = collect(client(stub, concurrency=12, attempts=12), asks(60))
    assert all(r.ok for r in replies.values())
    assert stub.paid == 60


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        *[("3", 3.0), ("9999", 60.0), ("-1", 0.0), ("soon", None), (None, None)],
        *[(f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT", None), (f"Mon, 01 Jan 2026 {'9' * 11}:00:00 GMT", None)],
        (f"Mon, 01 Jan 2026 00:00:00 +{'9' * 17}", None),
    ],
)
def test_retry_after_in_seconds_is_honoured_and_capped(header: str | None, expected: float | None) -> None:
    assert retry_after_sec(header) == expected


def test_retry_after_as_a_date_is_honoured() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    header = (now + timedelta(seconds=7)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert retry_after_sec(header, now) == 7.0


def test_backoff_grows_and_is_jittered() -> None:
    waits = [backoff_sec(attempt, random.Random(attempt)) for attempt in range(1, 30)]
    assert max(waits) <= 30.0
    assert len(set(waits)) == len(waits)
