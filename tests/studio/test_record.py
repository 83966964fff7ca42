"""`smolstudio record` over real HTTP: what clients get, what the journal holds, and the rows that come out of it."""

from __future__ import annotations

import functools
import gzip
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import openai
import pytest

from studio.engines.local import PYTHON
from studio.serving.record import record
from studio.serving.recorded_answers import Events, Streamed
from studio.serving.traffic import secrets_in, without
from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth.dataset import open_dataset
from synth.errors import StorageError
from synth.importing.importer import Options, import_data
from synth.storage import read_jsonl
from synth.workspace import Workspace
from tests import spare

pytestmark = pytest.mark.slow

KEY = "sk-test-0123456789abcdef"
NESTED: dict[str, Any] = functools.reduce(lambda inner, _: {"a": inner}, range(900), {})
USER = {"role": "user", "content": "How many apples are 3 and 4?"}


class Recorder(NamedTuple):
    """A running `smolstudio record`."""

    process: spare.Forked
    url: str
    journal: Path

    def client(self, **more: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=KEY, max_retries=0, **more)

    def rows(self) -> list[dict[str, Any]]:
        return [line.value for line in read_jsonl(self.journal) if line.value is not None]

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """The journal's rows, once there are so many."""
        until = time.monotonic() + 10
        while time.monotonic() < until and (not self.journal.exists() or len(self.rows()) < count):
            time.sleep(0.02)
        return self.rows()


@contextmanager
def recording(upstream: str, journal: Path, *more: str) -> Iterator[Recorder]:
    argv = [*PYTHON, "-m", "studio", "record", "--upstream", upstream, "--journal", str(journal)]
    argv = [*argv, "--port", "0", *more]
    process = spare.fork(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    first = process.stdout.readline()
    found = re.search(r"at (http://[\d.:]+/v1)", first)
    if found is None:
        process.kill()
        pytest.fail(f"{first}{process.communicate()}")
    try:
        yield Recorder(process, found[1], journal)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "traffic.jsonl"


@contextmanager
def scripted(*pieces: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> Iterator[Any]:
    """An upstream that says these pieces; `.seen` holds (path, headers, body) of what reached it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        seen: list[tuple[str, dict[str, str], bytes]] = []
        gate = threading.Event()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            self.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(status)
            self.send_header("content-type", kind)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in pieces:
                if piece == b"WAIT":
                    self.gate.wait(20)
                elif piece == b"DIE":
                    self.close_connection = True
                    return
                else:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.url = f"http://127.0.0.1:{server.server_port}/v1"  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Handler
    finally:
        Handler.gate.set()
        server.shutdown()
        server.server_close()


def event(**value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(finish: str | None = None, index: int = 0, **said: Any) -> bytes:
    return event(id="x", model="m", choices=[{"index": index, "delta": said, "finish_reason": finish}])


def chat(recorder: Recorder, **more: Any) -> httpx.Response:
    body = {"model": "m", "messages": [USER], **more}
    return httpx.post(f"{recorder.url}/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"})


def test_streamed_or_not_what_was_answered_becomes_rows_with_usage_and_price(
    journal: Path, workspace: Workspace
) -> None:
    with serve_in_thread(StubSettings(api_key=KEY)) as stub, recording(stub.base_url, journal) as recorder:
        direct = openai.OpenAI(base_url=stub.base_url, api_key=KEY)
        expected = {}
        for number in range(12):
            messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Add {number}."}]
            said = direct.chat.completions.create(model="gpt-4o-mini", messages=messages).choices[0].message.content
            expected[f"Add {number}."] = said
            if number % 2:
                stream = recorder.client().chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
                pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
                assert "".join(pieces) == said
            else:
                reply = recorder.client().chat.completions.create(model="gpt-4o-mini", messages=messages)
                assert reply.choices[0].message.content == said
        assert len(recorder.wait_for(12)) == 12
    report = import_data(journal, "own", workspace)
    assert (report.kept, report.rejected) == (12, [])
    found = open_dataset("own", workspace.datasets)
    rows = [row for split in found.splits() for row in found.examples(split)]
    assert {row.prompt[-1].text: row.target for row in rows} == expected
    assert all(row.source["usage"]["completion_tokens"] > 0 and row.source["usd"] > 0 for row in rows)
    by_time = import_data(journal, "later", workspace, Options(split_by_time="time"))
    assert by_time.splits["train"] > 0 and by_time.splits["test"] > 0


def test_a_client_that_asks_for_usage_gets_it_and_one_that_does_not_sees_nothing_new(journal: Path) -> None:
    with serve_in_thread(StubSettings(api_key=KEY)) as stub, recording(stub.base_url, journal) as recorder:
        plain = chat(recorder, stream=True)
        asked = chat(recorder, stream=True, stream_options={"include_usage": True})
        assert '"usage"' not in plain.text and '"usage": {' in asked.text
        assert plain.text.endswith("data: [DONE]\n\n")
        assert plain.headers["content-type"].startswith("text/event-stream")
        first, second = recorder.wait_for(2)
    assert first["response"]["usage"] == second["response"]["usage"]
    assert "stream_options" not in first["request"], "the journal holds the client's request, not ours"


def test_an_upstream_that_refuses_the_question_for_usage_gets_the_request_as_it_was(journal: Path) -> None:
    said = b'{"error": {"message": "unknown field stream_options"}}'
    with scripted(said, status=400) as upstream, recording(upstream.url, journal) as recorder:
        reply = chat(recorder, stream=True)
    assert (reply.status_code, reply.json()) == (400, {"error": {"message": "unknown field stream_options"}})
    bodies = [json.loads(body) for _, _, body in upstream.seen]
    assert ["stream_options" in body for body in bodies] == [True, False]


def test_events_pass_while_the_answer_is_still_being_written(journal: Path) -> None:
    pieces = (delta(content="one"), b"WAIT", delta("stop", content=" two"))
    with scripted(*pieces, kind="text/event-stream") as upstream:  # noqa: SIM117
        with recording(upstream.url, journal) as recorder:
            stream = recorder.client().chat.completions.create(model="m", messages=[USER], stream=True)  # type: ignore[call-overload]
            assert next(stream).choices[0].delta.content == "one"
            assert not recorder.rows()
            upstream.gate.set()
            assert next(stream).choices[0].delta.content == " two"
            (row,) = recorder.wait_for(1)
    assert row["response"]["choices"][0]["message"]["content"] == "one two"


def test_tool_calls_and_several_choices_are_put_together(journal: Path, workspace: Workspace) -> None:
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}}
    pieces = (
        delta(role="assistant", content=None, tool_calls=[call]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a": 3,'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ' "b": 4}'}}]),
        delta("tool_calls"),
        delta(index=1, content="Seven"),
        delta("stop", index=1, content=" apples"),
        event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}),
        b"data: [DONE]\n\n",
    )
    with scripted(*pieces, kind="text/event-stream") as upstream, recording(upstream.url, journal) as recorder:
        chat(recorder, stream=True, tools=tools, n=2)
        (row,) = recorder.wait_for(1)
    first, second = row["response"]["choices"]
    assert first["message"]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 3, "b": 4}'}
    assert first["message"]["tool_calls"][0]["id"] == "c1"
    assert second["message"]["content"] == "Seven apples"
    report = import_data(journal, "own", workspace)
    assert "response.choices[1]" in {key.key for key in report.unused}
    found = open_dataset("own", workspace.datasets)
    (example,) = [one for split in found.splits() for one in found.examples(split)]
    assert example.tool_calls[0].arguments == {"a": 3, "b": 4}
    assert example.tools[0]["function"]["name"] == "add"


def test_pictures_in_messages_come_back_as_rows_of_pictures(journal: Path, workspace: Workspace) -> None:
    import base64
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    data = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    with serve_in_thread(StubSettings(api_key=KEY)) as stub, recording(stub.base_url, journal) as recorder:
        parts = [{"type": "text", "text": "Colour?"}, {"type": "image_url", "image_url": {"url": data}}]
        recorder.client().chat.completions.create(model="m", messages=[{"role": "user", "content": parts}])  # type: ignore[list-item,misc]
        recorder.wait_for(1)
    report = import_data(journal, "seen", workspace, Options(modality="vision"))
    assert (report.kept, report.rejected) == (1, [])


ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "seven"}, "finish_reason": "stop"}]}
FAILED: list[tuple[str, tuple[bytes, ...], int, str, bool]] = [
    ("refused by the server", (b'{"error": {"message": "no"}}',), 429, "application/json", False),
    ("a login page", (b"<html>sign in</html>",), 200, "text/html", False),
    ("cut at the limit", (json.dumps(ANSWER).replace('"stop"', '"length"').encode(),), 200, "application/json", False),
    ("broken off", (json.dumps(ANSWER).encode()[:40], b"DIE"), 200, "application/json", False),
    ("a stream without an end", (delta(content="sev"), b"DIE"), 200, "text/event-stream", True),
    ("a stream that just stops", (delta(content="sev"),), 200, "text/event-stream", True),
    ("an error in a stream", (delta(content="s"), event(error="x"), delta("stop")), 200, "text/event-stream", True),
    ("an empty stream", (b"data: [DONE]\n\n",), 200, "text/event-stream", True),
    ("null", (b"null",), 200, "application/json", False),
    ("no choices", (b'{"choices": []}',), 200, "application/json", False),
]  # fmt: skip


@pytest.mark.parametrize(("what", "pieces", "status", "kind", "stream"), FAILED, ids=[one[0] for one in FAILED])
def test_what_failed_or_was_cut_never_becomes_a_row(
    what: str,
    pieces: tuple[bytes, ...],
    status: int,
    kind: str,
    stream: bool,
    journal: Path,
    workspace: Workspace,
) -> None:
    with scripted(*pieces, status=status, kind=kind) as upstream, recording(upstream.url, journal) as recorder:
        try:
            reply = chat(recorder, stream=stream)
        except httpx.RemoteProtocolError:
            assert b"DIE" in pieces, "only what broke off upstream breaks off here"
        else:
            assert b"DIE" not in pieces
            assert (reply.status_code, reply.content) == (status, b"".join(pieces))
        assert len(recorder.wait_for(1)) == 1
        good = {"messages": [{"role": "user", "content": "q"}]}
        with journal.open("a") as file:  # something that is kept, so that there is a dataset
            file.write(json.dumps({"request": good, "response": ANSWER}) + "\n")
    report = import_data(journal, "own", workspace)
    assert report.kept == 1
    assert [line for line, _ in report.rejected] == [1]


def test_keys_pass_through_and_are_nowhere_in_the_journal(journal: Path) -> None:
    query, cookie = "qkey-abcdefgh12345", "c00kie-value-12345"
    echo = {**ANSWER, "note": f"you sent {KEY}", KEY: query, "again": [{"deep": f"x{cookie}x"}]}
    headers = {"Authorization": f"Bearer {KEY}", "Cookie": f"a=1; session={cookie}", "X-Api-Key": "xk-12345678"}
    with scripted(json.dumps(echo).encode()) as upstream, recording(upstream.url, journal) as recorder:
        body = {"model": "m", "messages": [{**USER, "content": f"my key is {KEY} and xk-12345678"}]}
        reply = httpx.post(f"{recorder.url}/chat/completions?api_key={query}&v=1", json=body, headers=headers)
        assert reply.json() == echo, "the client gets what the upstream said"
        recorder.wait_for(1)
        recorder.process.terminate()
        said = "".join(recorder.process.communicate(timeout=20))
    path, sent, _ = upstream.seen[0]
    assert path == f"/v1/chat/completions?api_key={query}&v=1"
    assert sent["authorization"] == f"Bearer {KEY}" and cookie in sent["cookie"] and sent["x-api-key"] == "xk-12345678"
    kept = journal.read_text() + said
    for secret in (KEY, query, cookie, "xk-12345678", "Bearer"):
        assert secret not in kept
    assert "my key is *** and ***" in kept
    assert journal.stat().st_mode & 0o077 == 0


def test_a_key_that_is_split_between_events_is_taken_out(journal: Path) -> None:
    pieces = (delta(content=f"it is {KEY[:9]}"), delta("stop", content=KEY[9:]))
    with scripted(*pieces, kind="text/event-stream") as upstream, recording(upstream.url, journal) as recorder:
        chat(recorder, stream=True)
        (row,) = recorder.wait_for(1)
    assert row["response"]["choices"][0]["message"]["content"] == "it is ***"


def test_other_paths_pass_and_are_not_recorded(journal: Path) -> None:
    with serve_in_thread(StubSettings(api_key=KEY)) as stub, recording(stub.base_url, journal) as recorder:
        assert recorder.client().models.list().data
        wav = recorder.client().audio.speech.create(model="tts", voice="alloy", input="Hello", response_format="wav")
        text = recorder.client().audio.transcriptions.create(model="whisper-1", file=("a.wav", wav.content))
        assert text.text
        assert httpx.get(recorder.url.replace("/v1", "/health")).status_code == 404
        assert httpx.get(f"{recorder.url}/embeddings").status_code == 404, "the upstream's own answer"
        raw = socket.create_connection(("127.0.0.1", int(recorder.url.split(":")[2][:-3])))
        raw.sendall(b"GET /v1/%2e%2e/secret HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert raw.recv(64).startswith(b"HTTP/1.1 400")
        raw.close()
    assert journal.read_text() == ""


def test_foreign_hosts_and_pages_reach_no_upstream(journal: Path) -> None:
    with scripted(json.dumps(ANSWER).encode()) as upstream, recording(upstream.url, journal) as recorder:
        url = f"{recorder.url}/chat/completions"
        body = {"model": "m", "messages": [USER]}
        assert httpx.post(url, json=body, headers={"Host": "evil.test"}).status_code == 403
        assert httpx.post(url, json=body, headers={"Origin": "http://evil.test"}).status_code == 403
        assert not upstream.seen


def test_bodies_and_times_have_limits(journal: Path) -> None:
    options = ("--deadline", "1", "--max-request-mib", "1")
    pieces = (delta(content="a"), b"WAIT")
    with (
        scripted(*pieces, kind="text/event-stream") as upstream,
        recording(upstream.url, journal, *options) as recorder,
    ):
        large = chat(recorder, user="x" * (2 << 20))
        assert large.status_code == 413 and "1 MiB" in large.json()["error"]["message"]
        began = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            chat(recorder, stream=True)
        assert time.monotonic() - began < 5
        (row,) = recorder.wait_for(1)
        assert row["response"]["choices"][0]["finish_reason"] == "incomplete"
    with socket.create_server(("127.0.0.1", 0)) as silent:  # noqa: SIM117
        with recording(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", journal, *options) as recorder:
            assert chat(recorder).status_code == 504
    with recording("http://127.0.0.1:1/v1", journal) as recorder:
        gone = chat(recorder)
        assert gone.status_code == 502 and gone.json()["error"]["type"] == "recording_proxy"


def test_a_killed_client_ends_its_stream_upstream_and_leaves_no_row(journal: Path) -> None:
    many = [delta(content=f"word{n} ") for n in range(5)]
    with scripted(*many, b"WAIT", delta("stop"), kind="text/event-stream") as upstream:  # noqa: SIM117
        with recording(upstream.url, journal) as recorder:
            body = {"model": "m", "messages": [USER], "stream": True}
            with httpx.stream("POST", f"{recorder.url}/chat/completions", json=body) as reply:
                next(reply.iter_raw())
            (row,) = recorder.wait_for(1)
            assert row["response"]["choices"][0]["finish_reason"] == "incomplete"
            upstream.gate.set()
            assert chat(recorder).status_code == 200, "it goes on for others"


def test_a_whole_answer_is_recorded_though_its_client_is_gone(journal: Path) -> None:
    with scripted(b"WAIT", json.dumps(ANSWER).encode()) as upstream, recording(upstream.url, journal) as recorder:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{recorder.url}/chat/completions", json={"model": "m", "messages": [USER]}, timeout=0.5)
        upstream.gate.set()
        (row,) = recorder.wait_for(1)
    assert row["response"]["choices"][0]["message"]["content"] == "seven"


def test_32_in_flight_and_a_kill_leave_whole_lines_and_every_answer_that_was_read(
    journal: Path, workspace: Workspace
) -> None:
    with serve_in_thread(StubSettings(api_key=KEY, latency_sec=0.01)) as stub:
        answered: dict[str, str] = {}
        with recording(stub.base_url, journal) as recorder:
            client = recorder.client(timeout=10)
            plain = httpx.Client(headers={"Authorization": f"Bearer {KEY}"}, timeout=10)

            def ask(number: int) -> None:
                text = f"Question {number}?"
                messages: Any = [{"role": "user", "content": text}]
                try:
                    if number % 2:
                        body = {"model": "m", "messages": messages, "stream": True}
                        with plain.stream("POST", f"{recorder.url}/chat/completions", json=body) as raw:
                            lines = [line for line in raw.iter_lines() if line.startswith("data: {")]
                        said = "".join(
                            json.loads(line[6:])["choices"][0]["delta"].get("content") or "" for line in lines
                        )
                    else:
                        said = (
                            client.chat.completions.create(model="m", messages=messages).choices[0].message.content
                            or ""
                        )
                except (openai.APIError, httpx.HTTPError):
                    return
                answered[text] = said

            with ThreadPoolExecutor(32) as pool:
                futures = [pool.submit(ask, number) for number in range(200)]
                while len(answered) < 80:
                    time.sleep(0.01)
                recorder.process.kill()
                [future.result() for future in futures]
        assert 80 <= len(answered) < 200
        assert all(line.value is not None for line in read_jsonl(journal)), "whole lines"
        with recording(stub.base_url, journal) as recorder:  # the same journal goes on
            assert chat(recorder).status_code == 200
    report = import_data(journal, "own", workspace)
    found = open_dataset("own", workspace.datasets)
    rows = {row.prompt[-1].text: row.target for split in found.splits() for row in found.examples(split)}
    assert report.rejected == [] or {reason for _, reason in report.rejected} == {"the answer was cut off"}
    assert {text: rows.get(text) for text in answered} == answered


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_and_gives_its_port_back(number: signal.Signals, journal: Path) -> None:
    pieces = (delta(content="a"), b"WAIT")
    with scripted(*pieces, kind="text/event-stream") as upstream, recording(upstream.url, journal) as recorder:
        body = {"model": "m", "messages": [USER], "stream": True}
        with httpx.stream("POST", f"{recorder.url}/chat/completions", json=body) as reply:
            next(reply.iter_raw())
            os.kill(recorder.process.pid, number)
            out, err = recorder.process.communicate(timeout=20)
        assert recorder.process.returncode == 0, err
        assert "0 answers recorded, 1 failed or unfinished." in out
        assert "Traceback" not in err
        socket.create_server(("127.0.0.1", int(recorder.url.split(":")[2][:-3]))).close()
        (row,) = recorder.rows()
        assert row["response"]["choices"][0]["finish_reason"] == "incomplete"


def test_one_journal_has_one_recorder(journal: Path) -> None:
    with recording("http://127.0.0.1:1/v1", journal):
        argv = [*PYTHON, "-m", "studio", "record", "--upstream", "http://127.0.0.1:1/v1", "--port", "0"]
        second = spare.run([*argv, "--journal", str(journal)])
    assert second.returncode == 1 and "another recorder" in second.stderr


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_journal_that_keeps_nothing_is_refused(kind: str, tmp_path: Path, workspace: Workspace) -> None:
    place = tmp_path / "pipe" if kind == "pipe" else Path("/dev/full")
    if kind == "pipe":
        os.mkfifo(place)
    with pytest.raises(StorageError, match=r"no plain file.*--journal"):
        record("http://127.0.0.1:9/v1", place, workspace, port=0)


def test_a_compressed_answer_passes_and_is_said_to_be_unrecorded(journal: Path) -> None:
    packed = gzip.compress(json.dumps(ANSWER).encode())
    with scripted(packed, content_encoding="gzip") as upstream, recording(upstream.url, journal) as recorder:
        assert chat(recorder).json() == ANSWER
        (row,) = recorder.wait_for(1)
    assert upstream.seen[0][1]["accept-encoding"] == "identity"
    assert "compressed" in row["response"]["error"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_joined_are_the_stream(size: int) -> None:
    stream = b": ping\r\n\r\ndata: {}\n\ndata: 1\rdata: 2\r\revent: x\ndata: \xc3\xa9\n\ndata: last"
    events = Events()
    found = [one for at in range(0, len(stream), size) for one in events(stream[at : at + size])]
    assert b"".join([*found, events.rest()]) == stream


def test_a_long_event_in_small_pieces_takes_time_in_proportion() -> None:
    """Else one upstream that drips holds up every client of the recorder."""
    events, began = Events(), time.process_time()
    for _ in range(20_000):
        assert not events(b"x" * 100)
    assert events(b"\r\n\r") == [] and len(events(b"\n")[0]) == 2_000_004
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "value",
    [
        {"choices": "x"}, {"choices": [1]}, {"choices": [{"delta": 1}]}, {"choices": [{"index": "a", "delta": {}}]},
        {"choices": [{"index": 10**9, "delta": {}}]}, {"choices": [{"delta": {"tool_calls": [1, {"index": {}}]}}]},
        {"choices": [{"delta": {"tool_calls": {}}}]}, {"choices": [{"delta": {"content": {"a": 1}}}]}, {"usage": 3},
        {"choices": [{"delta": {"role": ["x"], "function_call": {"name": "a"}}}]},
        {"choices": [{"delta": {"x": {"tool_calls": ["a"]}}}]}, {"choices": [{"delta": NESTED}]},
    ],
)  # fmt: skip
def test_odd_deltas_are_taken_in_without_a_fault(value: dict[str, Any]) -> None:
    streamed = Streamed()
    for calls in (None, "x", {}, [None]):  # before the first call, as some servers say that there is none yet
        streamed.take({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}, 10)
        streamed.take({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a"}]}}]}, 10)
    for _ in range(2):
        streamed.take(value, 10)
        streamed.take({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}, 10)
    assert json.dumps(streamed.body())


def test_a_tool_call_after_a_null_is_the_call() -> None:
    streamed = Streamed()
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    for said in ({"role": "assistant", "tool_calls": None}, {"tool_calls": [call]}):
        streamed.take({"choices": [{"index": 0, "delta": said, "finish_reason": None}]}, 10)
    assert streamed.body()["choices"][0]["message"]["tool_calls"] == [call]


def test_a_request_nested_too_deeply_to_be_kept_is_answered_all_the_same(journal: Path) -> None:
    nested = {"messages": [USER], "metadata": functools.reduce(lambda inner, _: [inner], range(700), [])}
    with serve_in_thread() as stub, recording(stub.base_url, journal) as recorder:
        said = httpx.post(f"{recorder.url}/chat/completions", json={"model": "m", **nested})
        again = httpx.post(f"{recorder.url}/chat/completions", json={"model": "m", "messages": [USER]})
        assert said.status_code == again.status_code == 200
        assert said.json()["choices"] and len(recorder.rows()) == 1
        recorder.process.send_signal(signal.SIGINT)
        printed, complaint = recorder.process.communicate(timeout=20)
    assert "1 lost" in printed and "nested too deeply" in complaint and "Traceback" not in complaint


def test_a_conversation_is_what_the_client_calls_one_or_what_begins_alike(journal: Path, workspace: Workspace) -> None:
    from studio.serving.traffic import Traffic

    traffic = Traffic(journal)
    for number in range(40):
        turns: list[dict[str, str]] = []
        for turn in range(3):
            turns = [*turns, {"role": "user", "content": f"c{number} t{turn}"}]
            traffic.write({"messages": turns, "model": "m"}, ANSWER, status=200, seconds=0.1)
            turns = [*turns, {"role": "assistant", "content": "seven"}]
    given = {"messages": [USER], "metadata": {"session_id": "mine"}}
    traffic.write(given, ANSWER, status=200, seconds=0.1)
    traffic.close()
    assert [line.value["conversation"] for line in read_jsonl(journal) if line.value][-1] == "mine"
    report = import_data(journal, "own", workspace, Options(group_by="conversation"))
    found = open_dataset("own", workspace.datasets)
    splits: dict[str, set[str]] = {}
    for split in found.splits():
        for row in found.examples(split):
            splits.setdefault(row.source["conversation"], set()).add(split)
    assert report.kept == 121
    assert len(splits) == 41 and all(len(where) == 1 for where in splits.values())


def test_what_is_a_secret_is_found_in_headers_and_query() -> None:
    import base64

    basic = base64.b64encode(b"user:pass-word-1").decode()
    headers = [("authorization", f"Basic {basic}"), ("cookie", "a=abcdefghij=="), ("x-author", "somebody here")]
    found = secrets_in(headers, "key=k%2Dlong-enough&page=12345678")
    assert {basic, "user:pass-word-1", "pass-word-1", "abcdefghij==", "k-long-enough"} <= set(found)
    assert not {"12345678", "somebody"} & set(found)
    assert without({"a pass-word-1": ["user:pass-word-1"]}, found) == {"a ***": ["***"]}


def test_the_stub_logs_what_the_recorder_forwards(journal: Path) -> None:
    stub: Stub
    with serve_in_thread(StubSettings(api_key=KEY)) as stub, recording(stub.base_url, journal) as recorder:
        recorder.client().chat.completions.create(model="m", messages=[USER])  # type: ignore[list-item]
    assert [request["fault"] for request in stub.requests] == ["ok"]


def test_a_request_whose_body_is_compressed_passes_and_is_counted_as_unrecorded(journal: Path) -> None:
    with serve_in_thread(StubSettings(api_key=KEY)) as stub, recording(stub.base_url, journal) as recorder:
        body = gzip.compress(json.dumps({"model": "m", "messages": [USER]}).encode())
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        httpx.post(f"{recorder.url}/chat/completions", content=body, headers=headers)
        recorder.process.terminate()
        said, _ = recorder.process.communicate(timeout=20)
    assert "1 chat requests passed unrecorded" in said
