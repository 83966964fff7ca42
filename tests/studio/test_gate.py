"""The gate of our servers: own names only, no foreign page, nothing before the password."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from streamlit.runtime.scriptrunner.exec_code import modified_sys_path
from streamlit.testing.v1 import AppTest

from studio.serving import pages, server
from studio.serving.allowance import UPLOADS, Allowance, held_by_streamlit
from studio.serving.door import COOKIE, ENTER, GUESSES_ALL, GUESSES_EACH, LEAVE, SESSION_SEC, Door, Guesses
from studio.serving.gate import Gate, Message, Receive, Scope, Send, names
from studio.serving.rooted import SCRIPT, Rooted
from studio.serving.sockets import bind
from studio.stub.endpoint import serve_in_thread
from synth.errors import EndpointError, UserError
from synth.workspace import Workspace
from tests.ports import free_port

GOOD_HOSTS = [
    "127.0.0.1",
    "127.0.0.1:8501",
    "localhost",
    "LOCALHOST:1",
    "localhost.",
    "[::1]",
    "[::1]:8501",
    "lab.test",
]
BAD_HOSTS = [
    "evil.test", "evil.test:8501", "127.0.0.1.evil.test", "localhost.evil.test", "evil.test:127.0.0.1", "127.0.0.2",
    "0.0.0.0", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "[::2]", "::1", "", " ",
    "localhost/evil.test", "evil.test/localhost", "localhost@evil.test", "evil.test@localhost", "user:pw@localhost",
    "localhost?evil", "localhost#evil", "localhost:port", "localhost:99999", "localhost:-1", "[::1", "::1]",
    "localhost evil.test", "local\u0142host", "xn--localhost", "*.localhost", "*", "a.localhost",
    "lab.test.evil.test", "evillab.test",
    "192.168.0.1", "metadata.internal", "localhost,evil.test", "localhost\t.evil.test", "10.0.0.1:8501",
]  # fmt: skip
BAD_ORIGINS = [
    "http://evil.test", "https://127.0.0.1.evil.test", "null", "", "file://", "http://localhost.evil.test:8501",
    "http://127.0.0.1:9999", "http://localhost:3000", "http://localhost", "http://[::1]:8501", "127.0.0.1:8501",
    "http://evil.test:8501", "http://127.0.0.1:8501@evil.test", "http://evil.test#127.0.0.1:8501",
    "http://evil.test?127.0.0.1:8501", "http://evil.test/127.0.0.1:8501", "chrome-extension://abc", "data:", "http://[",
    "http://lab.test.evil.test",
]  # fmt: skip


class App:
    """An application that remembers what reached it."""

    def __init__(self) -> None:
        self.reached: list[Scope] = []
        self.read = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        self.read += len((await receive()).get("body", b""))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"inside"})


def ask(gate: Any, method: str = "GET", path: str = "/", kind: str = "http", body: bytes = b"", **headers: str) -> Any:
    """(status, headers, body) of one request; a websocket's status is 101 or 403."""
    sent: list[Message] = []
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "scheme": "http",
        "client": (headers.pop("client", "10.0.0.9"), 1),
        "headers": [(name.replace("_", "-").encode(), value.encode("utf-8")) for name, value in headers.items()],
    }

    async def receive() -> Message:
        if kind == "websocket" and sent:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": body} if kind == "http" else {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(gate(scope, receive, send))
    if kind == "websocket":
        return 101 if sent[0]["type"] == "websocket.accept" else 403, {}, b""
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent[1:])


@pytest.mark.parametrize("path", ["/", "/_stcore/upload_file/a/b", "/media/x.png", "/v1/chat/completions", ENTER])
def test_foreign_names_reach_nothing(path: str) -> None:
    app = App()
    gate = Gate(app, names("127.0.0.1", ["Lab.test"]))
    for host in BAD_HOSTS:
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            assert ask(gate, method, path, host=host)[0] == 403, host
        assert ask(gate, path=path, kind="websocket", host=host)[0] == 403, host
    assert ask(gate, path=path)[0] == 403
    assert app.reached == []
    for host in GOOD_HOSTS:
        assert ask(gate, path=path, host=host)[0] == 200, host


def test_foreign_pages_reach_neither_websocket_nor_anything_that_changes() -> None:
    app = App()
    gate = Gate(app, names("127.0.0.1", ["lab.test"]))
    for origin in BAD_ORIGINS:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert ask(gate, method, host="127.0.0.1:8501", origin=origin)[0] == 403, origin
        assert ask(gate, kind="websocket", host="127.0.0.1:8501", origin=origin)[0] == 403, origin
    assert app.reached == []
    for host, origin in (
        ("127.0.0.1:8501", "http://127.0.0.1:8501"),
        ("localhost:8501", "http://localhost:8501"),
        ("[::1]:8501", "http://[::1]:8501"),
        ("127.0.0.1:8501", "https://lab.test"),  # a proxy in front, which the operator named
    ):
        assert ask(gate, "POST", host=host, origin=origin)[0] == 200, origin
    assert ask(gate, "POST", host="127.0.0.1:8501")[0] == 200, "a program, which sends no origin"


def test_two_hosts_or_two_origins_are_none() -> None:
    gate = Gate(App(), names("127.0.0.1", ()))
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}

    def status(*headers: tuple[bytes, bytes]) -> int:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(gate({**scope, "headers": list(headers)}, receive, send))
        return int(sent[0]["status"])

    host, origin = (b"host", b"localhost"), (b"origin", b"http://localhost")
    assert status(host, origin) == 200
    assert status(host, host, origin) == 403
    assert status(host, origin, (b"origin", b"http://evil.test")) == 403


def test_every_answer_is_protected() -> None:
    gate = Gate(App(), names("127.0.0.1", ()))
    for host in ("localhost", "evil.test"):
        headers = ask(gate, host=host)[1]
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"referrer-policy"] == b"no-referrer"
        assert headers[b"content-security-policy"] == b"frame-ancestors 'none'"


class Pages:
    """A page, answered in two parts with a length and a mark of its version."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers = scope["headers"]
        headers = [(b"content-type", b"text/html"), (b"content-length", b"26"), (b"etag", b"x")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<head>", "more_body": True})
        await send({"type": "http.response.body", "body": b"</head><body></body>"})


def test_a_page_is_told_where_its_server_is_and_no_file_is_touched() -> None:
    app = Pages()
    gate = Gate(Rooted(app), names("127.0.0.1", ()))
    for path in ("/", "/data"):
        _, headers, body = ask(gate, path=path, host="localhost", accept_encoding="gzip")
        assert body == b"<head>" + SCRIPT + b"</head><body></body>"
        assert headers[b"content-length"] == str(len(body)).encode() and b"etag" not in headers
        assert b"accept-encoding" not in dict(app.headers)
    for path in ("/a.html", "/_stcore/health", "/media/x", "/static/x"):
        assert ask(gate, path=path, host="localhost")[2] == b"<head></head><body></body>", path


def test_a_shared_studio_has_the_names_of_this_machine_and_no_others() -> None:
    known = names("0.0.0.0", ["lab.test"])
    assert {"localhost", "127.0.0.1", "lab.test", socket.gethostname().lower()} <= known
    assert known.isdisjoint({"evil.test", "0.0.0.0", ""})
    assert ask(Gate(App(), known), host=socket.gethostname())[0] == 200
    assert ask(Gate(App(), known), host="evil.test")[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "256.1.1.1", "::1"])
def test_a_port_that_cannot_be_had_is_a_sentence(host: str) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1] if host == "127.0.0.1" else 70_000
        with pytest.raises(EndpointError, match=f":{port}") as caught:
            bind(host, port)
    assert "--port" in caught.value.remedy


def test_without_a_running_studio_no_upload_is_held() -> None:
    assert held_by_streamlit() == 0


# --- the password


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


PASSWORD = "correct horse battery"
FORM = b"password=correct+horse+battery"


def shared(clock: Clock) -> tuple[App, Gate]:
    app = App()
    return app, Gate(app, names("127.0.0.1", ()), Door(PASSWORD, clock))


def enter(gate: Gate, body: bytes = FORM, client: str = "10.0.0.9") -> Any:
    return ask(gate, "POST", ENTER, host="localhost", body=body, client=client)


def cookie_of(answer: Any) -> str:
    return str(answer[1][b"set-cookie"].decode().split(";")[0])


def test_before_the_password_nothing_is_read_or_stored(clock: Clock) -> None:
    app, gate = shared(clock)
    for method, path in (("GET", "/"), ("PUT", "/_stcore/upload_file/a/b"), ("POST", "/data"), ("GET", "/media/a")):
        assert ask(gate, method, path, host="localhost", body=b"x" * 1000)[0] == 401
    assert ask(gate, kind="websocket", path="/_stcore/stream", host="localhost")[0] == 403
    assert ask(gate, path="/_stcore/health", host="localhost")[::2] == (200, b"ok")
    assert enter(gate, FORM + b"&more=" + b"x" * 100_000)[0] == 401
    assert app.reached == []


def test_the_password_opens_a_session_that_ends(clock: Clock) -> None:
    app, gate = shared(clock)
    answer = enter(gate)
    assert answer[0] == 303
    flags = answer[1][b"set-cookie"].decode()
    assert "HttpOnly" in flags and "SameSite=Strict" in flags
    cookie = cookie_of(answer)
    assert ask(gate, host="localhost", cookie=f"a=b; {cookie}")[2] == b"inside"
    for other in (f"{COOKIE}=x", f"{COOKIE}=", cookie[:-1], cookie.upper(), f"other{cookie}"):
        assert ask(gate, host="localhost", cookie=other)[0] == 401
    clock.now += SESSION_SEC + 1
    assert ask(gate, host="localhost", cookie=cookie)[0] == 401
    assert len(app.reached) == 1
    cookie = cookie_of(enter(gate))
    assert ask(gate, "POST", LEAVE, host="localhost", cookie=cookie)[0] == 200
    assert ask(gate, host="localhost", cookie=cookie)[0] == 401


def test_an_open_page_ends_with_its_session(clock: Clock) -> None:
    app, gate = shared(clock)
    cookie = cookie_of(enter(gate))
    clock.now += SESSION_SEC - 0.2
    began = time.monotonic()
    assert ask(gate, kind="websocket", path="/_stcore/stream", host="localhost", cookie=cookie)[0] == 101
    assert time.monotonic() - began < 5
    assert len(app.reached) == 1


def test_guesses_are_limited_from_one_address_and_from_all(clock: Clock) -> None:
    _, gate = shared(clock)
    answers = [enter(gate, b"password=guess")[0] for _ in range(40)]
    assert answers == [401] * GUESSES_EACH + [429] * (40 - GUESSES_EACH)
    assert enter(gate)[0] == 429, "the right one has to wait too"
    assert enter(gate, client="10.0.0.10")[0] == 303
    others = [enter(gate, b"password=guess", client=f"10.0.1.{n}")[0] for n in range(80)]
    assert others.count(401) == GUESSES_ALL - GUESSES_EACH
    clock.now += 601
    assert enter(gate)[0] == 303


def test_every_guess_is_compared_in_constant_time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    compared, compare = [], hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or compare(a, b))
    _, gate = shared(clock)
    guesses = ("x", PASSWORD[:-1], PASSWORD + "x", PASSWORD.upper())
    for number, guess in enumerate(guesses):
        enter(gate, f"password={guess.replace(' ', '+')}".encode(), client=f"10.0.0.{number}")
    assert compared == [hashlib.sha256(guess.encode()).digest() for guess in guesses]


def test_guesses_of_many_connections_at_once_count_one_by_one(clock: Clock) -> None:
    _, gate = shared(clock)
    statuses: list[int] = []

    async def guess(started: asyncio.Event) -> None:
        async def receive() -> Message:
            await started.wait()
            return {"type": "http.request", "body": b"password=guess"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {"type": "http", "method": "POST", "path": ENTER, "client": ("10.0.0.9", 1)}
        await gate({**scope, "headers": [(b"host", b"localhost")]}, receive, send)

    async def all_at_once() -> None:
        started = asyncio.Event()
        tasks = [asyncio.create_task(guess(started)) for _ in range(40)]
        await asyncio.sleep(0)
        started.set()
        await asyncio.gather(*tasks)

    asyncio.run(all_at_once())
    assert statuses.count(401) == GUESSES_EACH


def test_old_guesses_are_forgotten(clock: Clock) -> None:
    guesses = Guesses(clock)
    for _ in range(GUESSES_EACH):
        guesses.wrong("a")
    assert 599 <= guesses.wait_sec("a") <= 600
    assert guesses.wait_sec("b") == 0
    clock.now += 601
    assert guesses.wait_sec("a") == 0


def test_a_shared_studio_without_a_good_password_does_not_start(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMOLSTUDIO_PASSWORD", "short")
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it was started"))
    with pytest.raises(UserError, match="at least 12 characters"):
        server.run_ui(workspace, 8501, share=True)
    with pytest.raises(UserError, match="at least 12 characters"):
        pages.refuse_open("0.0.0.0", "short")


# --- room for uploads

UPLOAD = UPLOADS + "session/file"


def test_uploads_together_take_no_more_memory_than_is_allowed() -> None:
    app, held = App(), [0]
    gate = Gate(Allowance(app, lambda: held[0], most_bytes=1000), names("127.0.0.1", ()))

    def put(**headers: str) -> int:
        return int(ask(gate, "PUT", UPLOAD, host="localhost", **headers)[0])

    assert [put(content_length=size) for size in ("1000", "1001")] == [200, 413]
    held[0] = 600
    assert [put(content_length=size) for size in ("400", "401")] == [200, 413]
    assert [put(), put(content_length="-1"), put(content_length="x"), put(content_length="\u00b2")] == [411] * 4
    assert ask(gate, "DELETE", UPLOAD, host="localhost")[0] == 200
    assert ask(gate, "POST", "/elsewhere", host="localhost", content_length="5000")[0] == 200


def test_uploads_on_their_way_count_and_no_longer_than_that() -> None:
    statuses: list[int] = []
    allowed = Allowance(App(), lambda: 0, most_bytes=1000)

    async def put(started: asyncio.Event) -> None:
        async def receive() -> Message:
            await started.wait()
            return {"type": "http.request", "body": b""}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await allowed(
            {"type": "http", "method": "PUT", "path": UPLOAD, "headers": [(b"content-length", b"400")]}, receive, send
        )

    async def all_at_once() -> None:
        started = asyncio.Event()
        tasks = [asyncio.create_task(put(started)) for _ in range(5)]
        await asyncio.sleep(0)
        started.set()
        await asyncio.gather(*tasks)

    for _ in range(2):
        statuses.clear()
        asyncio.run(all_at_once())
        assert sorted(statuses) == [200, 200, 413, 413, 413]


# --- real servers


class Real:
    """A studio server of its own."""

    def __init__(self, workspace: Workspace, address: str = "127.0.0.1", **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = server.command(self.port, address)
        self.process = subprocess.Popen(command, env={**server.environment(workspace), **environment})
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/_stcore/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        self.process.kill()
        pytest.fail("the studio did not start")


@pytest.fixture
def real(workspace: Workspace) -> Iterator[Real]:
    started = Real(workspace)
    yield started
    started.process.kill()
    started.process.wait()


def upgrade(port: int, host: str, origin: str | None, cookie: str = "") -> str:
    lines = [
        "GET /_stcore/stream HTTP/1.1",
        f"Host: {host}",
        *([f"Origin: {origin}"] if origin else []),
        *([f"Cookie: {cookie}"] if cookie else []),
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall("\r\n".join([*lines, "", ""]).encode())
        return raw.recv(64).split(b"\r\n")[0].decode()


@pytest.mark.slow
def test_the_running_studio_answers_its_own_names_only_and_ends_when_asked(real: Real) -> None:
    own = f"127.0.0.1:{real.port}"
    for path in ("/", "/runs", "/_stcore/health", "/_stcore/host-config", "/media/x", "/static/x"):
        assert httpx.get(real.url + path, headers={"Host": "evil.test"}).status_code == 403, path
    upload = f"{real.url}/_stcore/upload_file/a/b"
    assert httpx.put(upload, files={"f": b"x"}, headers={"Host": "evil.test"}).status_code == 403
    assert httpx.put(upload, files={"f": b"x"}, headers={"Origin": "http://evil.test"}).status_code == 403
    with httpx.Client(headers={"Origin": real.url}) as own_page:
        assert own_page.put(upload, files={"f": b"x"}).status_code == 403, "without the token of a page of ours"
        own_page.get(f"{real.url}/_stcore/health")
        token = {"X-Xsrftoken": own_page.cookies["_streamlit_xsrf"]}
        assert own_page.put(upload, files={"f": b"x"}, headers=token).status_code == 400, "no session is called a"
    assert {each.laddr.ip for each in psutil.Process(real.process.pid).net_connections("tcp")} == {"127.0.0.1"}
    assert "403" in upgrade(real.port, "evil.test", "http://evil.test")
    assert "403" in upgrade(real.port, own, "http://evil.test")
    assert "101" in upgrade(real.port, own, real.url)
    page = httpx.get(real.url)
    assert page.status_code == 200
    assert page.headers["content-security-policy"] == "frame-ancestors 'none'"
    asked = time.monotonic()
    real.process.send_signal(signal.SIGTERM)
    real.process.wait(10)
    assert time.monotonic() - asked < 10
    with pytest.raises(httpx.ConnectError):
        httpx.get(real.url)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_and_leaves_neither_process_nor_port(
    workspace: Workspace, tmp_path: Path, number: signal.Signals
) -> None:
    from studio.engines.local import PYTHON

    port = free_port()
    argv = [*PYTHON, "-m", "studio", "ui", "--port", str(port)]
    heard = signal.signal(
        number, signal.SIG_DFL
    )  # a suite in the background of a shell ignores SIGINT, and so would this
    try:
        command = subprocess.Popen(argv, env=server.environment(workspace), stdout=subprocess.DEVNULL)
    finally:
        signal.signal(number, heard)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    family = [command.pid, *(child.pid for child in psutil.Process(command.pid).children(recursive=True))]
    command.send_signal(number)
    command.wait(10)
    assert [pid for pid in family if psutil.pid_exists(pid)] == []
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.slow
def test_a_shared_studio_shows_nothing_until_the_password_is_given(workspace: Workspace) -> None:
    started = Real(workspace, "0.0.0.0", SMOLSTUDIO_PASSWORD=PASSWORD)
    try:
        own = f"127.0.0.1:{started.port}"
        assert httpx.get(started.url).status_code == 401
        before = psutil.Process(started.process.pid).memory_info().rss
        big = b"x" * (64 << 20)
        with pytest.MonkeyPatch.context():
            for _ in range(3):
                try:
                    answer = httpx.put(f"{started.url}/_stcore/upload_file/a/b", files={"f": big}, timeout=30)
                    assert answer.status_code == 401
                except httpx.TransportError:
                    pass  # it hung up on us, which is as good
        assert psutil.Process(started.process.pid).memory_info().rss - before < 32 << 20
        assert "403" in upgrade(started.port, own, started.url)
        answer = httpx.post(started.url + ENTER, data={"password": PASSWORD}, headers={"Origin": started.url})
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"].split(";")[0]
        assert httpx.get(started.url, headers={"Cookie": cookie}).status_code == 200
        assert "101" in upgrade(started.port, own, started.url, cookie)
    finally:
        started.process.kill()
        started.process.wait()


def test_the_stub_has_the_same_gate() -> None:
    with serve_in_thread() as stub:
        assert httpx.get(f"{stub.base_url}/models").status_code == 200
        assert httpx.get(f"{stub.base_url}/models", headers={"Host": "evil.test"}).status_code == 403
        body = {"messages": [{"role": "user", "content": "hi"}]}
        url = f"{stub.base_url}/chat/completions"
        assert httpx.post(url, json=body, headers={"Origin": "http://evil.test"}).status_code == 403
        assert stub.requests == []


def test_no_session_of_the_studio_changes_where_modules_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that changes while another session imports made every page fail until the studio was started again."""
    monkeypatch.setattr("sys.path", [place for place in sys.path if place != str(pages.APP.parent)])
    before = list(sys.path)
    pages.build("127.0.0.1", 8501, [])
    assert sys.path == [*before, str(pages.APP.parent)]  # last: our names hide no library's
    with modified_sys_path(str(pages.APP)):  # as Streamlit around every session's script
        AppTest.from_file(str(pages.APP), default_timeout=60).run()
        assert sys.path == [*before, str(pages.APP.parent)]
    assert sys.path == [*before, str(pages.APP.parent)]
