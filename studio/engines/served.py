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
from synth.tied import TIED
from synth.workspace import Workspace

HOST = "127.0.0.1"
POLL_SEC = 0.3
START_SEC = 600.0
END_SEC = 10.0


def serve_until_stopped(job: JobDir, workspace: Workspace, run: str, port: int) -> dict[str, Any]:
    """Serve a tuned run on this machine until a stop is requested; port 0 takes a free one. Raises UserError."""
    serve.refuse_without_parts()
    with bind(HOST, port) as listening:
        port = int(listening.getsockname()[1])
    folder = servable(run, None, workspace)
    start = serve.command(folder, HOST, port, called=(run,))
    with (job.path / LOG).open("ab") as log:
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
        _wait(job, server, f"http://{HOST}:{port}/health")
        job.emit("ready", address=address, model=run)
        while not job.stop_requested():
            if server.poll() is not None:
                raise ModelError("The server ended by itself.", f"See {job.path / LOG}.", "model.serving")
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


def _wait(job: JobDir, server: subprocess.Popen[bytes], health: str) -> None:
    """Return once the server answers, or a stop is requested. Raises ModelError when it ended or takes too long."""
    import httpx

    deadline = time.monotonic() + START_SEC
    while not job.stop_requested():
        if server.poll() is not None or time.monotonic() > deadline:
            raise ModelError("The server did not start.", f"See {job.path / LOG}.", "model.serving")
        try:
            if httpx.get(health, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(POLL_SEC)
