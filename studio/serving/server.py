"""Starts Streamlit for `smolstudio ui`: this machine only, protections on, no telemetry."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from studio.engines.local import PYTHON, SAFE_PATH
from synth.errors import UserError
from synth.workspace import ENVIRONMENT, Workspace

PASSWORD = "SMOLSTUDIO_PASSWORD"
SHARED = "SMOLSTUDIO_SHARED"
MIN_PASSWORD = 12
APP = Path(__file__).parents[1] / "app.py"
FLAGS = {
    "server.headless": "true",
    "server.enableXsrfProtection": "true",
    "server.enableCORS": "true",
    "server.maxUploadSize": "500",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    # Streamlit's own red looks like a fault; blue is that of the plots, dark enough for white words on it.
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#2480BE",
}


def command(port: int, address: str = "127.0.0.1") -> list[str]:
    """The argv that serves the studio."""
    options = {**FLAGS, "server.address": address, "server.port": str(port)}
    flags = [item for key, value in options.items() for item in (f"--{key}", value)]
    return [*PYTHON, "-m", "streamlit", "run", str(APP), *flags]


def environment(workspace: Workspace) -> dict[str, str]:
    """The server's environment: the workspace is handed on by SMOLSTUDIO_HOME."""
    return {**os.environ, **SAFE_PATH, ENVIRONMENT: str(workspace.path)}


def run_ui(workspace: Workspace, port: int, share: bool) -> None:
    """Serve until Ctrl-C. Raises UserError when it may not be shared or cannot start."""
    if share and len(os.environ.get(PASSWORD, "")) < MIN_PASSWORD:
        raise UserError(
            "Whoever reaches a shared studio can train on this machine and spend on your endpoints.",
            f"Set {PASSWORD} to at least {MIN_PASSWORD} characters first, or leave --share out.",
        )
    where = {**environment(workspace), **({SHARED: "1"} if share else {})}
    address = "0.0.0.0" if share else "127.0.0.1"
    print(f"smolstudio: http://127.0.0.1:{port}   workspace: {workspace.path}")
    done = subprocess.run(command(port, address), env=where, check=False)
    if done.returncode not in (0, 130, -2):
        raise UserError("The studio's server could not start.", f"Is port {port} taken? Choose another with --port.")
