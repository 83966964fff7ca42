"""Start and end the servers again and again: is anything left? `python tests/faults/cycles.py --cycles 200 --seed 1`.

`smolstudio ui`, `serve`, `stub-endpoint` and `record`, ended in turn by SIGTERM and SIGINT: while they start, when they
listen, while a client holds a connection or waits for an answer, and a moment after one was given. Each must end by
itself within END_SEC and without a traceback, listen on this machine only, and leave no process, no port that is taken,
and no temporary file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.ports import free_port  # noqa: E402

SERVERS = ("ui", "serve", "stub-endpoint", "record")
MOMENTS = ("starting", "listening", "connected", "asked", "answered")
START_SEC = 180.0
END_SEC = 10.0
MARK = "SMOLSTUDIO_CYCLE"
ASK = {"model": "m", "messages": [{"role": "user", "content": "What is 2 + 2?"}], "max_tokens": 2000}


class Cycle(NamedTuple):
    """What was started, how and when it was ended, how long that took, and what was wrong."""

    server: str
    moment: str
    number: str
    seconds: float
    faults: list[str]


def command(server: str, port: int, scratch: Path, upstream: str) -> list[str]:
    """The command line of a server on a port."""
    own = {
        "ui": [],
        "serve": [str(scratch / "model")],
        "stub-endpoint": ["--latency-ms", "500", "--faults", "drip=0.5"],
        "record": ["--upstream", upstream],
    }
    return [sys.executable, "-P", "-m", "studio", server, *own[server], "--port", str(port)]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def client(server: str, moment: str, port: int) -> contextlib.ExitStack:
    """What a client does at the moment of the signal, until it is closed."""
    held = contextlib.ExitStack()
    address = f"http://127.0.0.1:{port}"
    if moment == "connected":
        half = held.enter_context(socket.create_connection(("127.0.0.1", port)))
        half.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode())
    elif moment in ("asked", "answered"):
        asking = threading.Thread(target=_ask, args=(server, address), daemon=True)
        asking.start()
        asking.join(1.0 if moment == "asked" else 15.0)
    return held


def _ask(server: str, address: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        if server == "ui":
            httpx.get(f"{address}/", timeout=60)
        else:
            httpx.post(f"{address}/v1/chat/completions", json=ASK, timeout=60)


def cycle(server: str, moment: str, number: signal.Signals, scratch: Path, upstream: str, rng: random.Random) -> Cycle:
    """Start a server, end it, and look what is left."""
    port, mark = free_port(), f"{os.getpid()}-{rng.random()}"
    temporary, log = scratch / "tmp", scratch / "log"
    temporary.mkdir(exist_ok=True)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), MARK: mark}
    env["SMOLSTUDIO_HOME"] = str(scratch / "workspace")
    faults: list[str] = []
    with log.open("wb") as out:
        # A background job of a shell ignores SIGINT, and so would what it starts.
        heard = signal.signal(number, signal.SIG_DFL)
        try:
            argv = command(server, port, scratch, upstream)
            process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env, cwd=temporary)
        finally:
            signal.signal(number, heard)
    began = time.monotonic()
    if moment == "starting":
        time.sleep(rng.uniform(0.3, 4.0))
    else:
        while not listens(port) and process.poll() is None and time.monotonic() - began < START_SEC:
            time.sleep(0.05)
        if not listens(port):
            faults.append("it did not start")
    if moment != "starting" and (reached := addresses(mark, port) - {"127.0.0.1"}):
        faults.append(f"it listens on {sorted(reached)}")
    with client(server, "" if faults else moment, port):
        asked = time.monotonic()
        process.send_signal(number)
        try:
            process.wait(END_SEC)
        except subprocess.TimeoutExpired:
            faults.append(f"it did not end within {END_SEC:.0f} s")
        seconds = time.monotonic() - asked
        faults += left(mark, port, temporary)
    said = log.read_text("utf-8", "replace")
    faults += [f"it said: {said[-1500:]}"] if "Traceback" in said or faults else []
    for pid in marked(mark):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    return Cycle(server, moment, number.name, round(seconds, 2), faults)


def marked(mark: str) -> list[int]:
    """Processes that a cycle started, however far away they are."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                found.append(process.pid)
    return found


def addresses(mark: str, port: int) -> set[str]:
    """The addresses on which what a cycle started listens."""
    found = set()
    for pid in marked(mark):
        with contextlib.suppress(psutil.Error):
            found |= {one.laddr.ip for one in psutil.Process(pid).net_connections("tcp") if one.laddr.port == port}
    return found


def left(mark: str, port: int, temporary: Path) -> list[str]:
    """What a server that ended left."""
    time.sleep(0.1)  # a child that ends with its parent needs a moment to hear of it
    faults = [f"left the process {pid}: {' '.join(psutil.Process(pid).cmdline())[:200]}" for pid in marked(mark)]
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        faults.append(f"left the port {port}: {error}")
    return faults + [f"left {path.relative_to(temporary)}" for path in temporary.rglob("*")]


def campaign(cycles: int, seed: int, servers: list[str], scratch: Path, say: Any = print) -> dict[str, Any]:
    """So many cycles; returns what was found."""
    from studio.stub.endpoint import StubSettings, serve_in_thread
    from tests.tiny import tiny_llama

    rng, done = random.Random(seed), list[Cycle]()
    if "serve" in servers:
        tiny_llama(scratch / "model")
    with serve_in_thread(StubSettings(latency_sec=1)) as upstream:
        for n in range(cycles):
            server = servers[n % len(servers)]
            number = (signal.SIGTERM, signal.SIGINT)[n // len(servers) % 2]
            done.append(cycle(server, rng.choice(MOMENTS), number, scratch, upstream.base_url, rng))
            say(f"{n + 1}: {' '.join(map(str, done[-1][:4]))} {done[-1].faults or ''}")
    return {
        "seed": seed,
        "cycles": len(done),
        "by_server": dict(Counter(one.server for one in done)),
        "by_moment": dict(Counter(one.moment for one in done)),
        "slowest_end_sec": max(one.seconds for one in done),
        "faults": [one._asdict() for one in done if one.faults],
    }


def main() -> int:
    """Entry point; exit code 1 when anything was left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--server", action="append", choices=SERVERS, help="only these; may be repeated")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = campaign(chosen.cycles, chosen.seed, chosen.server or list(SERVERS), Path(scratch))
    print(json.dumps(found))
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
