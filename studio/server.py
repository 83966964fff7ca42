"""Starts Streamlit for `smolstudio ui`: this machine only, protections on, no telemetry."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from synth.errors import UserError
from synth.workspace import ENVIRONMENT, Workspace

APP = Path(__file__).with_name("app.py")
FLAGS = {
    "server.address": "127.0.0.1",
    "server.headless": "true",
    "server.enableXsrfProtection": "true",
    "server.enableCORS": "true",
    "server.maxUploadSize": "512",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
}


def command(port: int) -> list[str]:
    """The argv that serves the studio."""
    flags = [item for key, value in {**FLAGS, "server.port": str(port)}.items() for item in (f"--{key}", value)]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *flags]


def environment(workspace: Workspace) -> dict[str, str]:
    """The server's environment: the workspace is handed on by SMOLSTUDIO_HOME."""
    return {**os.environ, ENVIRONMENT: str(workspace.path)}


def run_ui(workspace: Workspace, port: int) -> None:
    """Serve until Ctrl-C. Raises UserError when the server cannot start."""
    print(f"smolstudio: http://127.0.0.1:{port}   workspace: {workspace.path}")
    done = subprocess.run(command(port), env=environment(workspace), check=False)
    if done.returncode not in (0, 130, -2):
        raise UserError("The studio's server could not start.", f"Is port {port} taken? Choose another with --port.")
