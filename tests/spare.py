"""A process that has imported what trainings, tasks and pages need, and forks itself for each that is begun.

A fork does what `python -P -m MODULE …` does, 8 processor seconds sooner. `lend` has the engine begin its work so, in
this process and in whatever is forked; that real processes are begun is tested where nothing is lent.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "SMOLSTUDIO_TESTS_SPARE"
WORD = 16  # bytes in which the spare tells a number
IMPORTED = (
    "recipes.train.training", "datasets", "trl.trainer.sft_trainer", "bitsandbytes", "evaluate.compare",
    "studio.engines.rows", "studio.engines.writing", "studio.serving.gate", "streamlit.web.bootstrap", "uvicorn",
)  # fmt: skip


class Forked:
    """A fork that was begun; `poll`, `wait`, `kill` as those of subprocess.Popen."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid, self.returncode = pid, None
        self._line = line

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, negative for a signal; None where it still runs after `timeout` seconds."""
        if self.returncode is None:
            self._line.settimeout(timeout)
            with contextlib.suppress(TimeoutError, BlockingIOError):
                said = self._line.recv(WORD)
                self.returncode = int(said) if said else -signal.SIGKILL  # without a word, the spare itself is gone
        return self.returncode

    def poll(self) -> int | None:
        return self.wait(0)

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


def fork(
    argv: list[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.STDOUT,
    start_new_session: bool = True,
) -> Forked:
    """Begin `[python, "-P", "-m", MODULE, …]` as subprocess.Popen would: nothing to read, in a session of its own."""
    assert argv[1:3] == ["-P", "-m"]
    given = dict(os.environ if env is None else env)
    line = socket.socket(socket.AF_UNIX)
    line.connect(given[ADDRESS])
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        out = nowhere.fileno() if isinstance(stdout, int) else stdout.fileno()
        wish = json.dumps({"argv": argv[3:], "env": given, "cwd": os.getcwd()}).encode()  # noqa: PTH109
        socket.send_fds(line, [len(wish).to_bytes(4, "little")], [out])
        line.sendall(wish)
        return Forked(int(line.recv(WORD)), line)


def lend() -> None:
    """From now on the local engine of this process begins its work in forks."""
    from studio.engines import local

    local.subprocess = SimpleNamespace(Popen=fork, DEVNULL=subprocess.DEVNULL, STDOUT=subprocess.STDOUT)


@functools.cache
def start() -> subprocess.Popen[bytes]:
    """Start the spare of this process, once; it ends when it sees the end of what it reads, with us."""
    address = str(Path(tempfile.mkdtemp(prefix="spare-")) / "s")
    started = subprocess.Popen([sys.executable, __file__, address], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240
    while not Path(address).exists():
        assert started.poll() is None and time.monotonic() < until, "the spare process did not begin"
        time.sleep(0.05)
    os.environ[ADDRESS] = address
    return started


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the engine begins in this test is forked."""
    from studio.engines import local

    start()
    monkeypatch.setattr(local, "subprocess", None)  # put back afterwards
    lend()


def _wish(line: socket.socket) -> tuple[dict[str, Any], int]:
    size, (out,), _, _ = socket.recv_fds(line, 4, 1)
    with line.makefile("rb") as sent:
        return json.loads(sent.read(int.from_bytes(size, "little"))), out


def _serve(address: str) -> list[str]:
    """Fork for whoever asks, until the process that started us ends; in a fork, return what it is to do."""
    asked, lines = socket.socket(socket.AF_UNIX), {}
    asked.bind(f"{address}.new")
    asked.listen(64)
    woken, wakes = os.pipe()
    for end in (woken, wakes):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    gc.freeze()
    Path(f"{address}.new").rename(address)
    with selectors.DefaultSelector() as waiting:
        for one in (asked, woken, sys.stdin):
            waiting.register(one, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in waiting.select()]
            if sys.stdin in ready:
                Path(address).unlink(missing_ok=True)
                Path(address).parent.rmdir()
                os._exit(0)
            if woken in ready:
                os.read(woken, 4096)
                with contextlib.suppress(ChildProcessError):
                    while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                        with contextlib.suppress(OSError):
                            lines[ended[0]].send(b"%*d" % (WORD, os.waitstatus_to_exitcode(ended[1])))
                        lines.pop(ended[0]).close()
            if asked in ready:
                line, _ = asked.accept()
                wish, out = _wish(line)
                pid = os.fork()
                if not pid:
                    break
                os.close(out)
                lines[pid] = line
                line.send(b"%*d" % (WORD, pid))
    for open_still in (asked, line, *lines.values()):
        open_still.close()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for end in (woken, wakes):
        os.close(end)
    os.setsid()
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    for standard in (1, 2):
        os.dup2(out, standard)
    os.close(out)
    os.environ.clear()
    os.environ.update(wish["env"])
    os.chdir(wish["cwd"])
    return wish["argv"]


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    for _name in IMPORTED:
        importlib.import_module(_name)
    importlib.import_module("tests.spare").lend()
    sys.argv = _serve(sys.argv[1])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
