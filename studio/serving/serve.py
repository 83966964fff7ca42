"""A base or tuned model behind an OpenAI-compatible HTTP endpoint: `smolstudio serve MODEL [--adapter ADAPTER]`.

The server is that of `transformers serve`, behind our gate; what is ours is the way there: a tuned model is exported
once, merged, into `served/` of the workspace, and reused as long as every byte is as it was. The model's name for
clients is its folder's name (they may also leave it out). Nothing is fetched from the hub while serving.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from studio.engines.local import PYTHON, SAFE_PATH
from studio.serving.sockets import bind
from synth.errors import ModelError
from synth.storage import sha256_file
from synth.workspace import Workspace

SERVED = "served"
EMPTY_CACHE = ".hub"  # transformers serve lists the hub's cache, and fails when there is none


class Command(NamedTuple):
    """How to start the server: arguments, environment and folder to start in."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path


def serve(
    model: str,
    adapter: str | None,
    workspace: Workspace,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    names: Sequence[str] = (),
) -> NoReturn:
    """Become the server (this process is replaced). Raises ModelError, EndpointError, StorageError before that."""
    refuse_without_parts()
    bind(host, port).close()
    folder = servable(model, adapter, workspace)
    start = command(folder, workspace, host, port, names)
    print(f"Serving {folder.name} on http://{host}:{port}/v1/chat/completions (Ctrl+C ends it).", flush=True)
    os.chdir(start.cwd)
    os.execve(start.argv[0], start.argv, start.env)


def servable(model: str, adapter: str | None, workspace: Workspace) -> Path:
    """Folder of an ordinary checkpoint: the model's own, or a merged export made or found in `served/`.

    `model` is a starter, a folder, a hub id, or the id of a finished run, which means its base with its adapter.
    """
    from recipes.export import exporter, merged
    from recipes.models.files import adapter_stamp, find_adapter, resolve
    from recipes.models.soundness import refuse_unsound_adapter, refuse_unsound_model

    name, revision = model, None
    if adapter is None and (workspace.runs / model / "adapter").is_dir():
        adapter = model
        stamp = adapter_stamp(find_adapter(adapter, workspace.runs))
        if stamp is None:
            raise ModelError(f"The adapter of {model} does not say what its base is.", "Give the base, and --adapter.")
        name, revision = stamp["base_model"], stamp["revision"]
    ref = resolve(name, revision)
    refuse_unsound_model(ref.path, ref.name)
    if adapter is None:
        return ref.path
    folder = find_adapter(adapter, workspace.runs)
    refuse_unsound_adapter(folder)
    label = (adapter_stamp(folder) or {}).get("run") or Path(name).name
    target = workspace.path / SERVED / f"{label}-{sha256_file(folder / 'adapter_model.safetensors')[:8]}"
    if not target.exists():
        return merged.export(name, str(folder), target, revision=revision)
    if faults := exporter.verify(target):
        raise ModelError(f"{target} was damaged: {' '.join(faults)}", "Delete it; it is made again.", "model.damaged")
    return target


def command(folder: Path, workspace: Workspace, host: str, port: int, names: Sequence[str] = ()) -> Command:
    """The command line that serves a folder, started beside it so that clients see its bare name."""
    cache = workspace.path / SERVED / EMPTY_CACHE
    cache.mkdir(parents=True, exist_ok=True)
    argv = [*PYTHON, "-m", "studio.serving.model_server", folder.name, host, str(port), *names]
    env = {**os.environ, **SAFE_PATH, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    return Command(argv, env, folder.parent)


def refuse_without_parts() -> None:
    """Raise ModelError when the server's own libraries are missing."""
    missing = [name for name in ("fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None]
    if missing:
        message = f"Serving needs {', '.join(missing)}, which this installation lacks."
        raise ModelError(message, 'Install it: pip install "transformers[serving]".', "model.serving")
