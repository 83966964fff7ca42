"""A process that has imported what trainings, tasks and pages need, and forks itself for each that is begun.

A fork does what `python -P -m MODULE …` does, 8 processor seconds sooner. There is one for all tests that run side by
side. `lend` has the engine begin its work so, in this process and in whatever is forked; that real processes are begun
is tested where nothing is lent.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "SMOLSTUDIO_TESTS_SPARE"
WORD = 16  # bytes in which the spare tells a number
IMPORTED = (
    "recipes.train.training", "datasets", "trl.trainer.sft_trainer", "bitsandbytes", "evaluate.compare",
    "studio.engines.rows", "studio.engines.writing", "studio.serving.gate", "streamlit.web.bootstrap", "uvicorn",
)  # fmt: skip


class Forked:
    """A fork that was begun; all that is here is as in subprocess.Popen."""

    def __init__(self, pid: int, line: socket.socket, pipes: list[IO[str] | None]) -> None:
        self.pid, self.returncode = pid, None
        self.stdin, self.stdout, self.stderr = pipes
        self._line = line

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal."""
        if (ended := self.poll(timeout)) is None:
            raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout or 0)
        return ended

    def poll(self, timeout: float | None = 0) -> int | None:
        """The exit code; None where it still runs after `timeout` seconds."""
        if self.returncode is None:
            self._line.settimeout(timeout)
            with contextlib.suppress(TimeoutError, BlockingIOError):
                said = self._line.recv(WORD)
                self.returncode = int(said) if said else -signal.SIGKILL  # without a word, the spare itself is gone
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that is left in its pipes, and its end."""
        if self.stdin:
            self.stdin.close()
        with ThreadPoolExecutor(2) as pool:
            out, err = (pool.submit(pipe.read if pipe else str) for pipe in (self.stdout, self.stderr))
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            return out.result(), err.result()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def fork(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path = ".",
    stdin: int = subprocess.DEVNULL,
    stdout: IO[Any] | int = subprocess.DEVNULL,
    stderr: IO[Any] | int = subprocess.STDOUT,
    text: bool = True,
    start_new_session: bool = True,
) -> Forked:
    """Begin `[python, "-P", "-m", MODULE, …]` or `[python, "-P", "-c", CODE, …]` as subprocess.Popen would.

    It has a session of its own, its pipes hold text, and -c also imports from this repository.
    """
    assert argv[1] == "-P" and argv[2] in ("-m", "-c") and text and start_new_session
    start()
    given = {**(os.environ if env is None else env), ADDRESS: os.environ[ADDRESS]}
    wish = json.dumps({"argv": argv[2:], "env": given, "cwd": str(Path(cwd).resolve())}).encode()
    line, pipes, theirs = socket.socket(socket.AF_UNIX), list[IO[str] | None](), list[int]()
    line.connect(given[ADDRESS])
    for number, wanted in enumerate((stdin, stdout, stderr)):
        pipe = None
        if wanted == subprocess.PIPE:
            read, write = os.pipe()
            pipe = open(read, encoding="utf-8") if number else open(write, "w", encoding="utf-8")  # noqa: PTH123, SIM115
            theirs.append(write if number else read)
        elif wanted == subprocess.STDOUT:
            theirs.append(os.dup(theirs[1]))
        else:
            theirs.append(os.open(os.devnull, os.O_RDWR) if isinstance(wanted, int) else os.dup(wanted.fileno()))
        pipes.append(pipe)
    socket.send_fds(line, [len(wish).to_bytes(4, "little")], theirs)
    line.sendall(wish)
    for descriptor in theirs:
        os.close(descriptor)
    return Forked(int(line.recv(WORD)), line, pipes)


def run(argv: Sequence[str], timeout: float = 120, **more: Any) -> subprocess.CompletedProcess[str]:
    """What subprocess.run(argv, capture_output=True, text=True, timeout=timeout) returns."""
    made = fork(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    out, err = made.communicate(timeout)
    return subprocess.CompletedProcess(argv, made.wait(), out, err)


def lend(begin: Callable[..., Forked] = fork) -> None:
    """From now on the local engine of this process begins its work in forks."""
    from studio.engines import local

    local.subprocess = SimpleNamespace(Popen=begin, DEVNULL=subprocess.DEVNULL, STDOUT=subprocess.STDOUT)


@functools.cache
def start() -> None:
    """See that there is a spare. It ends with pytest, or, where tests run side by side, with what started them all."""
    if ADDRESS in os.environ:
        return
    ours = "PYTEST_XDIST_WORKER" in os.environ
    owner, name = (os.getppid(), os.environ["PYTEST_XDIST_TESTRUNUID"]) if ours else (os.getpid(), str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"spare-{name}"
    folder.mkdir(exist_ok=True)
    address = folder / "s"
    with FileLock(folder / "lock"):
        if not address.exists():
            command = [sys.executable, __file__, str(address), str(owner)]
            started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until = time.monotonic() + 240
            while not address.exists():
                assert started.poll() is None and time.monotonic() < until, "the spare process did not begin"
                time.sleep(0.05)
    os.environ[ADDRESS] = str(address)


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> list[Forked]:
    """What the engine begins in this test is forked; the forks, as they are begun."""
    from studio.engines import local

    begun: list[Forked] = []

    def begin(*asked: Any, **more: Any) -> Forked:
        begun.append(fork(*asked, **more))
        return begun[-1]

    monkeypatch.setattr(local, "subprocess", None)  # put back afterwards
    lend(begin)
    return begun


def _wish(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What is to be done, and the descriptors of its input, output and errors."""
    size, standard, _, _ = socket.recv_fds(line, 4, 3)
    with line.makefile("rb") as sent:
        return json.loads(sent.read(int.from_bytes(size, "little"))), standard


def _serve(address: str, owner: int) -> list[str]:
    """Fork for whoever asks, until the process whose descriptor `owner` is ends; in a fork, return what it is to do."""
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
        for one in (asked, woken, owner):
            waiting.register(one, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in waiting.select()]
            if owner in ready:
                shutil.rmtree(Path(address).parent, ignore_errors=True)
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
                try:
                    wish, standard = _wish(line)
                except (OSError, ValueError):  # whoever asked was killed meanwhile
                    line.close()
                    continue
                pid = os.fork()
                if not pid:
                    break
                for descriptor in standard:
                    os.close(descriptor)
                lines[pid] = line
                line.send(b"%*d" % (WORD, pid))
    for open_still in (asked, line, *lines.values()):
        open_still.close()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for end in (woken, wakes, owner):
        os.close(end)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(wish["env"])
    os.chdir(wish["cwd"])
    lines_at_once = 1 if "PYTHONUNBUFFERED" in os.environ else -1
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", lines_at_once, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    return wish["argv"]


def _do(how: str, what: str, *arguments: str) -> None:
    """Be `python HOW WHAT …`, and end without taking apart all that was imported."""
    sys.argv = [how if how == "-c" else what, *arguments]
    code: Any = 0
    try:
        if how == "-c":
            exec(what, {"__name__": "__main__"})
        else:
            runpy.run_module(what, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _owner = os.pidfd_open(int(sys.argv[2]))
    sys.path[0] = str(ROOT)
    for _name in IMPORTED:
        importlib.import_module(_name)
    importlib.import_module("tests.spare").lend()
    _do(*_serve(sys.argv[1], _owner))
