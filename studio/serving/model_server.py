"""The server of a model behind our gate: `python -P -m studio.serving.model_server FOLDER HOST PORT NAME…`.

The server is transformers'; it is started by its class, not its command, which would look for updates of itself.
"""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    """Entry point: serve until SIGTERM or Ctrl+C."""
    from transformers.cli.serve import Serve
    from transformers.cli.serving import server

    from studio.serving.gate import Gate, names

    model, host, port, *given = sys.argv[1:]
    build = server.build_server

    def gated(*arguments: Any, **options: Any) -> Any:
        app = build(*arguments, **options)
        app.add_middleware(Gate, names=names(host, given))
        return app

    server.build_server = gated
    Serve(force_model=model, host=host, port=int(port))


if __name__ == "__main__":
    main()
