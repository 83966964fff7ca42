"""A server cannot hold a request past its deadline, nor a run that was asked to stop; and keys do not come back."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synth.endpoint import Ask, Endpoint, ReplyCache, Settings
from synth.endpoint.redact import Redactor, redacted
from synth.errors import EndpointError
from synth.example import user

pytestmark = pytest.mark.slow

KEY = "sk-very-secret-0123456789"
DEADLINE_SEC = 1.5
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Script = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def read_request(connection: socket.socket) -> None:
    """All of it: closing a connection with unread bytes would break what was answered."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(1 << 16)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1 << 16)


@contextlib.contextmanager
def server(script: Script) -> Iterator[str]:
    """A server that reads a request and then does what `script` does with its connection; its address."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)

    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            read_request(connection)
            script(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        listening.close()


def forever(connection: socket.socket, piece: bytes, pause_sec: float = 0.05) -> None:
    while True:
        connection.sendall(piece)
        time.sleep(pause_sec)


def dripping_status(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 ")
    forever(connection, b"O")


def dripping_header(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    forever(connection, b"a")


def endless_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    forever(connection, b"X-More: 1\r\n")


def endless_1xx(connection: socket.socket) -> None:
    forever(connection, b"HTTP/1.1 102 Processing\r\n\r\n")


def flood_of_1xx(connection: socket.socket) -> None:
    forever(connection, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100, 0)


def dripping_body(connection: socket.socket) -> None:
    connection.sendall(OK + b"Content-Length: 100000\r\n\r\n")
    forever(connection, b" ")


def chunk_extension(connection: socket.socket) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n5;")
    forever(connection, b"e")


def empty_gzip_members(connection: socket.socket) -> None:
    connection.sendall(OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
    member = gzip.compress(b"")
    forever(connection, f"{len(member):x}\r\n".encode() + member + b"\r\n")


def endless_trailers(connection: socket.socket) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
    forever(connection, b"X-T: 1\r\n")


def silence(connection: socket.socket) -> None:
    time.sleep(3600)


def gzip_bomb(connection: socket.socket) -> None:
    bomb = gzip.compress(b" " * (256 << 20), 9)
    connection.sendall(
        OK + b"Content-Encoding: gzip\r\nContent-Length: " + str(len(bomb)).encode() + b"\r\n\r\n" + bomb
    )
    time.sleep(3600)


def deep_json(connection: socket.socket) -> None:
    body = b"[" * 1_000_000
    connection.sendall(OK + b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)


SLOW = [
    dripping_status, dripping_header, endless_headers, endless_1xx, flood_of_1xx, dripping_body, chunk_extension,
    empty_gzip_members, endless_trailers, silence, gzip_bomb, deep_json,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("script", SLOW)
def test_whatever_a_server_sends_a_question_ends_by_its_deadline(script: Script) -> None:
    with server(script) as url:
        settings = Settings(url, "m", attempt_sec=60, deadline_sec=DEADLINE_SEC)
        began = time.monotonic()
        with Endpoint(settings) as endpoint:
            reply = endpoint.ask(Ask((user("?"),)))
        assert time.monotonic() - began < DEADLINE_SEC + 2
        assert not reply.ok and reply.text == ""


@pytest.mark.slow
@pytest.mark.parametrize("script", [*SLOW, "stream"])
def test_a_streamed_answer_ends_by_its_deadline_and_within_its_size(script: Script | str) -> None:
    def endless_stream(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        forever(connection, b'data: {"choices": [{"delta": {"content": "again "}}]}\n\n', 0)

    chosen = endless_stream if isinstance(script, str) else script
    with server(chosen) as url:
        began = time.monotonic()
        with pytest.raises(EndpointError), Endpoint(Settings(url, "m", deadline_sec=DEADLINE_SEC)) as endpoint:
            for _ in endpoint.stream(Ask((user("?"),))):
                pass
        assert time.monotonic() - began < DEADLINE_SEC + 2


@pytest.mark.slow
@pytest.mark.parametrize("script", [silence, dripping_header, dripping_body, flood_of_1xx])
def test_a_run_that_is_asked_to_stop_ends_within_ten_seconds(script: Script) -> None:
    asked: list[float] = []
    threading.Timer(1.0, lambda: asked.append(time.monotonic())).start()
    with server(script) as url, Endpoint(Settings(url, "m")) as endpoint:
        questions = [Ask((user(f"{n}?"),)) for n in range(50)]
        assert list(endpoint.ask_many(questions, lambda: bool(asked))) == []
        assert time.monotonic() - asked[0] < 10


@pytest.mark.slow
def test_whoever_leaves_early_does_not_wait_for_a_server_that_hangs(tmp_path: Path) -> None:
    first = threading.Event()

    def once(connection: socket.socket) -> None:
        if first.is_set():
            silence(connection)
        first.set()
        answer(connection, "42")

    with server(once) as url, Endpoint(Settings(url, "m"), ReplyCache(tmp_path)) as endpoint:
        replies = endpoint.ask_many([Ask((user(f"{n}?"),)) for n in range(20)])
        assert next(replies)[1].text == "42"
        began = time.monotonic()
        replies.close()  # type: ignore[attr-defined]
        assert time.monotonic() - began < 10
    assert len(ReplyCache(tmp_path)) == 1


# --- what a server says


def answer(connection: socket.socket, text: str, model: str = "m") -> None:
    message = {"role": "assistant", "content": text}
    choices = [{"message": message, "finish_reason": "stop"}]
    body = json.dumps({"choices": choices, "model": model, "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    head = f"Content-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n"
    connection.sendall(OK + head.encode() + body.encode())


def test_a_key_that_is_sent_back_is_neither_answered_nor_kept(tmp_path: Path) -> None:
    said = f"Your key is {KEY}."
    with server(lambda c: answer(c, said, f"m-{KEY}")) as url, Endpoint(Settings(url, "m"), ReplyCache(tmp_path)) as e:
        reply = e.ask(Ask((user("?"),)))
    assert (reply.text, reply.model) == ("Your key is ***.", "m-***")
    assert KEY not in "".join(f.read_text() for f in tmp_path.rglob("*.jsonl"))
    assert len(ReplyCache(tmp_path)) == 1


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_a_key_that_is_streamed_in_pieces_is_not_shown(size: int) -> None:
    said = f"It is {KEY} and sk-very and {KEY[:-1]}! sk-v"
    redactor = Redactor(KEY)
    pieces = [redactor(said[at : at + size]) for at in range(0, len(said), size)] + [redactor.rest()]
    assert "".join(pieces) == f"It is *** and sk-very and {KEY[:-1]}! sk-v"

    def stream(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for at in range(0, len(said), size):
            piece = json.dumps({"choices": [{"delta": {"content": said[at : at + size]}}]})
            connection.sendall(f"data: {piece}\r\n\r\n".encode())

    with server(stream) as url, Endpoint(Settings(url, "m")) as endpoint:
        shown = "".join(piece.text for piece in endpoint.stream(Ask((user("?"),))))
    assert shown == f"It is *** and sk-very and {KEY[:-1]}! sk-v"


def test_words_that_stand_for_no_key_stay() -> None:
    assert redacted("There is none.", "none") == "There is none."


def test_halves_of_surrogate_pairs_become_what_files_can_hold() -> None:
    with server(lambda c: answer(c, "broken \ud83d emoji")) as url, Endpoint(Settings(url, "m")) as endpoint:
        reply = endpoint.ask(Ask((user("?"),)))
    assert reply.text == "broken ? emoji"
    assert reply.text.encode("utf-8")
