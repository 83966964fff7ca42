"""`smolstudio serve --engine vllm`: the command line of vLLM's server for a base with its adapter, behind our gate.

A text model is served as its base with the adapter as a LoRA module; a base that the adapter learned in 4 bits is held
in 4 bits by vLLM too, or it would be another model. Pictures and speech are served merged. vLLM itself is not installed
with smolstudio: it needs a GPU and its own torch.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio.engines.local import PYTHON, SAFE_PATH
from studio.serving.gate import Asgi, Gate, names
from studio.serving.servable import Command, Parts, parts_of, servable
from synth.errors import ModelError
from synth.modality import modality
from synth.workspace import Workspace

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as --max-lora-rank."""
MERGED = "Serve it without --engine, or export it merged and serve that."
NAMES = "SMOLSTUDIO_SERVED_NAMES"


class OwnNames(Gate):
    """The gate as vLLM adds a middleware: by its path, made with the application alone."""

    def __init__(self, app: Asgi) -> None:
        super().__init__(app, frozenset(json.loads(os.environ[NAMES])))


def refuse_without_vllm() -> None:
    """Raise ModelError when vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        remedy = "Install it on a machine with a GPU: pip install vllm; or leave --engine out."
        raise ModelError("The engine vllm is not installed.", remedy, "model.vllm")


def command(
    model: str, adapter: str | None, workspace: Workspace, host: str, port: int, given: Sequence[str] = ()
) -> Command:
    """How to start `vllm serve`. Raises ModelError for what vLLM cannot serve as it was trained."""
    parts = parts_of(model, adapter, workspace)
    if parts.adapter is not None and modality(parts.ref.modality).part is not None:
        folder, lora, called = servable(model, adapter, workspace), [], [Path(adapter or model).name]
    elif parts.adapter is not None:
        folder, lora, called = parts.ref.path, _lora(parts, adapter or model), [Path(parts.name).name]
    else:
        folder, lora, called = parts.ref.path, [], [Path(model).name]
    argv = [*PYTHON, "-m", "vllm.entrypoints.cli.main", "serve", str(folder)]
    argv += ["--host", host, "--port", str(port), "--served-model-name", *called, *lora]
    argv += ["--middleware", f"{OwnNames.__module__}.{OwnNames.__qualname__}"]
    known = json.dumps(sorted(names(host, given)))
    env = {**os.environ, **SAFE_PATH, "HF_HUB_OFFLINE": "1", NAMES: known}
    return Command(argv, env, Path(folder).parent, Path(adapter or model).name)


def _lora(parts: Parts, called: str) -> list[str]:
    """The arguments of the adapter."""
    from recipes.models.files import adapter_stamp
    from recipes.models.soundness import read_object

    assert parts.adapter is not None
    config = read_object(parts.adapter / "adapter_config.json")
    if beyond := [key for key in ("modules_to_save", "use_dora", "trainable_token_indices") if config.get(key)]:
        message = f"vLLM does not serve adapters with {', '.join(beyond)}."
        raise ModelError(
            message, "Serve it without --engine, or export it merged and serve that.", "model.vllm_adapter"
        )
    rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
    most = next((size for size in RANKS if size >= rank), None)
    if most is None:
        message = f"vLLM serves adapters up to rank {RANKS[-1]}, and this one has {rank}."
        raise ModelError(
            message, "Serve it without --engine, or export it merged and serve that.", "model.vllm_adapter"
        )
    stamp: dict[str, Any] = adapter_stamp(parts.adapter) or {}
    found = ["--enable-lora", "--lora-modules", f"{Path(called).name}={parts.adapter}", "--max-lora-rank", str(most)]
    if stamp.get("dtype"):
        found += ["--dtype", stamp["dtype"]]
    if (stamp.get("quant") or {}).get("load_in_4bit"):
        found += ["--quantization", "bitsandbytes"]
    return found
