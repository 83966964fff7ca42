"""Starts the studio's web server for `smolstudio ui`: this machine only, unless it is shared with a password."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from studio.engines.local import PYTHON, SAFE_PATH
from studio.serving.pages import PASSWORD, refuse_open
from studio.serving.sockets import bind
from synth.workspace import ENVIRONMENT, Workspace


def command(port: int, address: str = "127.0.0.1", names: Sequence[str] = ()) -> list[str]:
    """The argv that serves the studio; `names` are those it answers to besides its own."""
    return [*PYTHON, "-m", "studio.serving.pages", str(port), address, *names]


def environment(workspace: Workspace) -> dict[str, str]:
    """The server's environment: the workspace is handed on by SMOLSTUDIO_HOME."""
    return {**os.environ, **SAFE_PATH, ENVIRONMENT: str(workspace.path)}


def run_ui(workspace: Workspace, port: int, share: bool, names: Sequence[str] = ()) -> NoReturn:
    """Become the server (this process is replaced). Raises UserError when it may not be shared or cannot start."""
    address = "0.0.0.0" if share else "127.0.0.1"
    refuse_open(address, os.environ.get(PASSWORD, ""))
    bind(address, port).close()
    print(f"smolstudio: http://127.0.0.1:{port}   workspace: {workspace.path}", flush=True)
    argv = command(port, address, names)
    os.execve(argv[0], argv, environment(workspace))
