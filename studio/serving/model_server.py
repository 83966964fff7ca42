"""The server of a model behind our gate: `python -P -m studio.serving.model_server FOLDER HOST PORT --called NAME…`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from synth.errors import UserError
from synth.tied import end_with_parent

GRACE_SEC = 3


def main() -> None:
    """Entry point: load the model, then serve until SIGTERM or Ctrl+C."""
    end_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--called", action="append", default=[])
    parser.add_argument("--name", action="append", default=[])
    parser.add_argument("--cascade", default="")
    given = parser.parse_args()
    try:
        serve(given.folder, given.host, given.port, tuple(given.called) or (given.folder,), given.name, given.cascade)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def serve(
    folder: str, host: str, port: int, called: tuple[str, ...], names_given: list[str], cascade: str = ""
) -> None:
    """Serve the model in `folder` under its names, before a cascade's endpoint. Raises ModelError, EndpointError."""
    import uvicorn

    from recipes.models.loading import load_for_inference
    from studio.serving.gate import Gate, names
    from studio.serving.model_app import ModelApp
    from studio.serving.sockets import bind

    if cascade:
        from studio.serving.cascade.app import CascadeApp
        from studio.serving.cascade.settings import opened

        app: ModelApp = CascadeApp(load_for_inference(folder), called, opened(Path(cascade)))
    else:
        app = ModelApp(load_for_inference(folder), called)
    sock = bind(host, port)
    config = uvicorn.Config(
        Gate(app.routes(), names(host, names_given)),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SEC,
    )
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main()
