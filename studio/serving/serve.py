"""A base or tuned model behind an OpenAI-compatible HTTP endpoint: `smolstudio serve MODEL [--adapter ADAPTER]`.

A tuned model is exported once, merged, into `served/` of the workspace, and reused as long as every byte is as it was.
The model's names for clients are its folder's name and what it was called on the command line (they may also leave it
out). Nothing is fetched from the hub while serving. With the engine vllm the server is vLLM's, see `serving.vllm`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from studio.engines.local import PYTHON, SAFE_PATH
from studio.serving import vllm
from studio.serving.servable import Command, servable
from studio.serving.sockets import bind
from synth.errors import ModelError
from synth.workspace import Workspace

if TYPE_CHECKING:
    from studio.serving.cascade.settings import Cascade

ENGINES = ("transformers", "vllm")


def serve(
    model: str,
    adapter: str | None,
    workspace: Workspace,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    names: Sequence[str] = (),
    engine: str = "transformers",
    cascade: Cascade | None = None,
) -> NoReturn:
    """Become the server (this process is replaced). Raises ModelError, EndpointError, StorageError before that."""
    (vllm.refuse_without_vllm if engine == "vllm" else refuse_without_parts)()
    bind(host, port).close()
    if engine == "vllm":
        start = vllm.command(model, adapter, workspace, host, port, names)
    else:
        folder = servable(model, adapter, workspace)
        start = command(folder, host, port, names, (adapter or model,))
        if cascade is not None:
            from studio.serving.cascade.settings import kept

            start.argv.extend(("--cascade", str(kept(cascade, workspace).absolute())))
    print(f"Serving {start.called} on http://{host}:{port}/v1 (Ctrl+C ends it).", flush=True)
    os.chdir(start.cwd)
    os.execve(start.argv[0], start.argv, start.env)


def command(folder: Path, host: str, port: int, names: Sequence[str] = (), called: Sequence[str] = ()) -> Command:
    """The command line that serves a folder; clients call it by its folder's name, or one of `called`."""
    known = list(dict.fromkeys([folder.name, *(Path(name).name for name in called), *called]))
    argv = [*PYTHON, "-m", "studio.serving.model_server", str(folder), host, str(port)]
    argv += [part for name in known for part in ("--called", name)]
    argv += [part for name in names for part in ("--name", name)]
    return Command(argv, {**os.environ, **SAFE_PATH, "HF_HUB_OFFLINE": "1"}, folder.parent, folder.name)


def refuse_without_parts() -> None:
    """Raise ModelError when the server's own libraries are missing."""
    missing = [name for name in ("starlette", "uvicorn", "python_multipart") if importlib.util.find_spec(name) is None]
    if missing:
        message = f"Serving needs {', '.join(missing)}, which this installation lacks."
        raise ModelError(message, 'Install it: pip install "smolstudio[serve]".', "model.serving")
