"""A served model as a task: its worker starts the server as a child process and ends it when it is asked to stop.

The child reads a pipe that only its parent holds: when the worker dies, however that comes, the server ends too.
What answers is `studio.serving.model_server`; the address stands in the task's events (`ready`).
"""

from __future__ import annotations

import subprocess
import time
from typing import Any

from studio.serving import serve
from studio.serving.servable import servable
from studio.serving.sockets import bind
from synth.errors import ModelError
from synth.jobdir import LOG, JobDir
from synth.storage import open_to_append
from synth.tied import TIED
from synth.workspace import Workspace

HOST = "127.0.0.1"
POLL_SEC = 0.3
START_SEC = 600.0
END_SEC = 10.0
SAID = "Error: "  # before a sentence of `studio.serving.model_server`


def serve_until_stopped(job: JobDir, workspace: Workspace, run: str, port: int) -> dict[str, Any]:
    """Serve a tuned run on this machine until a stop is requested; port 0 takes a free one. Raises UserError."""
    serve.refuse_without_parts()
    with bind(HOST, port) as listening:
        port = int(listening.getsockname()[1])
    folder = servable(run, None, workspace)
    start = serve.command(folder, HOST, port, called=(run,))
    with open_to_append(job.path / LOG) as log:
        begin = log.tell()
        server = subprocess.Popen(
            start.argv,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=start.cwd,
            env={**start.env, TIED: "1"},
        )
    address = f"http://{HOST}:{port}/v1"
    try:
        _wait(job, server, f"http://{HOST}:{port}/health", begin)
        job.emit("ready", address=address, model=run)
        while not job.stop_requested():
            if server.poll() is not None:
                raise _failed("The server ended by itself.", job, begin)
            time.sleep(POLL_SEC)
    finally:
        server.terminate()
        try:
            server.wait(END_SEC)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if server.stdin:
            server.stdin.close()
    return {"address": address, "model": run}


def _failed(what: str, job: JobDir, begin: int) -> ModelError:
    """With the sentence that the server wrote to the log from `begin` (bytes) on, where it wrote one."""
    lines = (job.path / LOG).read_bytes()[begin:].decode("utf-8", "replace").splitlines()
    said = [line.removeprefix(SAID) for line in lines if line.startswith(SAID)]
    return ModelError(" ".join([what, *said[-1:]]), f"See {job.path / LOG}.", "model.serving")


def _wait(job: JobDir, server: subprocess.Popen[bytes], health: str, begin: int) -> None:
    """Return once the server answers, or a stop is requested. Raises ModelError when it ended or takes too long."""
    import httpx

    deadline = time.monotonic() + START_SEC
    while not job.stop_requested():
        if server.poll() is not None or time.monotonic() > deadline:
            raise _failed("The server did not start.", job, begin)
        try:
            if httpx.get(health, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(POLL_SEC)
