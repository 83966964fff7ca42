"""A served model as a task, with pretended servers: one that never answers, ends by itself, or will not end."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from studio.engines import jobs, served, task
from studio.engines.local import LocalEngine
from studio.serving import serve
from studio.serving.servable import Command
from synth.errors import EndpointError
from synth.jobdir import JobDir
from synth.workspace import Workspace

ANSWERS = """
import http.server, os, signal, sys
from synth.tied import end_with_parent
end_with_parent()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        {then}
signal.signal(signal.SIGTERM, signal.{term})
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def job(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> JobDir:
    monkeypatch.setattr(LocalEngine, "submit", lambda self, work: work.directory.expect())
    monkeypatch.setattr(served, "POLL_SEC", 0.05)
    monkeypatch.setattr(served, "END_SEC", 0.3)
    monkeypatch.setattr(served, "servable", lambda *_: workspace.path)
    return jobs.start_task(workspace, "serve", {"run": "mine", "port": 0})


def pretend(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    def command(folder: Path, host: str, port: int, called: Any = ()) -> Command:
        return Command([sys.executable, "-c", code, str(port), "a pretended server"], dict(os.environ), folder, "mine")

    monkeypatch.setattr(serve, "command", command)


def left() -> list[int]:
    found = psutil.Process().children()
    return [process.pid for process in found if "a pretended server" in process.cmdline()]


@pytest.mark.parametrize("term", ["SIG_DFL", "SIG_IGN"])
def test_a_server_is_served_until_it_is_stopped_and_then_gone(
    job: JobDir, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    pretend(monkeypatch, ANSWERS.format(then="", term=term))
    emit = JobDir.emit

    def stopped_once_it_answers(self: JobDir, kind: str, **fields: Any) -> None:
        emit(self, kind, **fields)
        self.request_stop()

    monkeypatch.setattr(JobDir, "emit", stopped_once_it_answers)
    assert task.work(job) == 0
    (ready,) = job.events("ready")
    assert ready["model"] == "mine" and ready["address"].startswith("http://127.0.0.1:") and left() == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(1)", "The server did not start. See"),
        ("print('Error: Its base is torn. Fetch it.'); exit(1)", "did not start. Its base is torn. Fetch it. See"),
        ("import time; time.sleep(60)", "The server did not start"),
        (ANSWERS.format(then="self.wfile.flush(); os._exit(3)", term="SIG_DFL"), "The server ended by itself"),
    ],
)
def test_a_server_that_does_not_serve_is_a_sentence_and_gone(
    job: JobDir, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    monkeypatch.setattr(served, "START_SEC", 0.5 if "sleep" in code else 60.0)
    pretend(monkeypatch, code)
    assert task.work(job) == 1
    ended = job.last_exit()
    assert ended and ended.code == "model.serving" and said in ended.sentence and left() == []


def test_a_stop_while_a_server_loads_ends_it(job: JobDir, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "import time; time.sleep(60)")
    looks: list[int] = []
    monkeypatch.setattr(JobDir, "stop_requested", lambda self: bool(looks.append(1)) or len(looks) > 3)
    assert task.work(job) == 0 and left() == []


def test_a_port_that_is_taken_is_refused_before_anything_is_loaded(
    workspace: Workspace, job: JobDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "servable", lambda *_: pytest.fail("a model was made ready"))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EndpointError):
        served.serve_until_stopped(job, workspace, "mine", taken.getsockname()[1])
