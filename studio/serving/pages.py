"""The studio's web server, in this process: `python -P -m studio.serving.pages PORT ADDRESS NAME…`.

Streamlit's application behind our gate. It ends on SIGTERM and Ctrl+C, with whatever is open. `smolstudio ui` becomes
this process; the workspace and the password come by the environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from studio.serving.allowance import LARGEST_MB, Allowance, held_by_streamlit
from studio.serving.door import Door
from studio.serving.gate import LOCAL_NAMES, Gate, names
from studio.serving.rooted import Rooted
from studio.serving.sockets import bind
from synth import temporary
from synth.errors import UserError
from synth.workspace import resolve_workspace

APP = Path(__file__).resolve().parents[1] / "app.py"
PASSWORD = "SMOLSTUDIO_PASSWORD"
MIN_PASSWORD = 12
GRACE_SEC = 2
MAX_MESSAGE_BYTES = 32 << 20
CONFIG: dict[str, Any] = {
    "server.headless": True,
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.maxUploadSize": LARGEST_MB,
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": False,
    "logger.hideWelcomeMessage": True,
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    # A whole collection takes longer than most pages, and the browser waits for its end; those that Python begins by
    # itself stay.
    "runner.postScriptGC": False,
    # Streamlit's own red looks like a fault; blue is that of the plots, dark enough for white words on it.
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#1F78B4",
}


def build(address: str, port: int, given: list[str], password: str = "") -> Gate:
    """The ASGI application: Streamlit, set up, behind the gate."""
    from streamlit.starlette import App
    from streamlit.web import bootstrap

    known = names(address, given)
    hosts = [f"[{name}]" if ":" in name else name for name in sorted(known)] + [name for name in known if ":" in name]
    bootstrap.load_config_options(
        {**CONFIG, "server.address": address, "server.port": port, "server.allowedHosts": hosts}
    )
    keep_path()
    inner = Allowance(Rooted(App(APP)), held_by_streamlit)
    return Gate(inner, known, Door(password) if password else None)


def keep_path() -> None:
    """Put the pages' folder last on the path, for good.

    Else Streamlit puts it first when a session's script starts, where our module names would hide others', and takes
    it out when the script ends: an import of another session at that moment skips a folder and finds no module.
    """
    if str(APP.parent) not in sys.path:
        sys.path.append(str(APP.parent))


def serve(address: str, port: int, given: list[str], password: str = "") -> None:
    """Serve until SIGTERM or Ctrl+C. Raises EndpointError when the port is taken."""
    import gc

    import uvicorn

    sock = bind(address, port)
    temporary.sweep(resolve_workspace())
    config = uvicorn.Config(
        build(address, port, given, password),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=GRACE_SEC,
    )
    gc.freeze()  # modules and their classes stay: no collection looks through them again
    uvicorn.Server(config).run(sockets=[sock])


def refuse_open(address: str, password: str) -> None:
    """Raise UserError when others could reach the studio without a password that is hard to guess."""
    if address not in LOCAL_NAMES and len(password) < MIN_PASSWORD:
        raise UserError(
            "Whoever reaches a shared studio can train on this machine and spend on your endpoints.",
            f"Set {PASSWORD} to at least {MIN_PASSWORD} characters first, or leave --share out.",
            "ui.password",
        )


def main() -> None:
    """Entry point."""
    port, address, *given = sys.argv[1:]
    password = os.environ.pop(PASSWORD, "") if address not in LOCAL_NAMES else ""
    try:
        refuse_open(address, password)
        serve(address, int(port), given, password)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
