"""A tuned text model as mlx-lm reads it on Apple hardware: one folder of safetensors, configuration and tokenizer.

mlx-lm takes the names that transformers writes. What it does not read is where transformers 5 keeps the base of the
rotary positions: most of its classes look for `rope_theta` at the top of config.json and otherwise take a default, with
which the model answers, and wrongly. So that is written there too. The weights are float16, or bfloat16 where the base
is; a 4-bit copy is one command of mlx-lm's own, which the card names. With the packages `mlx` and `mlx-lm` installed
(extra `export`; on Linux it computes on the processor) the folder is asked before it is handed over.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from recipes.export import merged
from recipes.export.exporter import Artefact, Ask, Exporter, Reply, Tuned, merged_from
from recipes.models.files import ModelRef
from synth.errors import ModelError
from synth.storage import JsonDict, read_json, write_json

PACKAGES = ("mlx", "mlx_lm")
KINDS = ("llama", "qwen3", "smollm3", "granite")
"""Classes that were asked in mlx-lm and gave what transformers gave (tests/recipes/test_mlx.py)."""


def supports(ref: ModelRef) -> str:
    """Why a base cannot be taken along; nothing when it can."""
    kind = read_json(ref.path / "config.json").get("model_type")
    if kind not in KINDS:
        return f"it is of class {kind}, and only {', '.join(KINDS)} were compared in mlx-lm."
    return merged.supports(ref)


def dtype_of(ref: ModelRef) -> merged.Dtype:
    """The number format that is written."""
    return "bfloat16" if merged.stored_weights(ref.path)[0] == "BF16" else "float16"


def size(tuned: Tuned) -> int:
    """Bytes of the weights."""
    return merged.size(tuned, dtype_of(tuned.ref))


def write(tuned: Tuned, folder: Path, name: str) -> str:
    """The merged model, and its configuration as mlx-lm looks for it."""
    kind = merged.write(tuned, folder, name, dtype_of(tuned.ref))
    write_json(folder / "config.json", with_rotary(read_json(folder / "config.json")))
    return kind


def with_rotary(config: JsonDict) -> JsonDict:
    """A configuration with base and scaling of the rotary positions at the top, where older files have them."""
    found = config.get("rope_parameters")
    if not isinstance(found, dict):
        return config
    if "rope_theta" not in found:  # by kind of layer
        full, local = found.get("full_attention"), found.get("sliding_attention")
        if full is None:
            return config
        top = {"rope_local_base_freq": local["rope_theta"]} if local else {}
        return {**with_rotary({**config, "rope_parameters": full}), **top, "rope_parameters": found}
    scaled = found.get("rope_type", "default") != "default"
    scaling = {key: value for key, value in found.items() if key != "rope_theta"} if scaled else None
    return {**config, "rope_theta": found["rope_theta"], "rope_scaling": scaling}


def artefacts(tuned: Tuned, folder: Path) -> list[Artefact]:
    """The folder as mlx-lm answers with it; nothing where that is not installed."""
    if any(importlib.util.find_spec(name) is None for name in PACKAGES):
        return []
    runtime = f"mlx-lm {metadata.version('mlx-lm')}"
    kind = dtype_of(tuned.ref)
    return [Artefact(kind, kind != "bfloat16", runtime, opened=functools.partial(opened, folder), apart=True)]


def opened(folder: Path, schema: JsonDict | None = None) -> Ask:
    """The folder as mlx-lm answers prompts (token ids) with it."""
    if schema:
        raise ValueError("mlx-lm is held to no schema here")
    return lambda prompts, most: map(Reply, answers(folder, prompts, most))


def answers(folder: Path, prompts: Sequence[list[int]], most: int) -> list[str]:
    """Greedy texts of at most `most` tokens after the prompts (token ids). Raises ModelError when mlx-lm fails.

    In a process of its own: importing mlx-lm lowers this one's limit of open files for good.
    """
    argv = [sys.executable, "-P", "-m", "recipes.export.mlx_answers", str(folder), str(most)]
    asked = json.dumps([list(prompt) for prompt in prompts])
    done = subprocess.run(argv, input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise ModelError(
            f"mlx-lm does not answer with {folder.name}: {last[:300]}", "Export it again.", "export.parity"
        )
    found: list[str] = json.loads(done.stdout)
    return found


def card(name: str, facts: dict[str, Any]) -> str:
    """The model card as Markdown."""
    return (
        f"---\nbase_model: {facts['base_model']}\nlibrary_name: mlx\npipeline_tag: text-generation\n---\n\n"
        f"# {name}\n\n{merged_from(facts)}, as {facts['dtype']} for mlx-lm, written on {facts['created']} by "
        "smolstudio.\n\n"
        f'```sh\npip install mlx-lm\nmlx_lm.generate --model {name} --max-tokens 512 --prompt "…"\n'
        f"mlx_lm.convert --hf-path {name} --mlx-path {name}-4bit -q    # a quarter of the size\n```\n"
    )


EXPORTER = Exporter("mlx", "safetensors and configuration for mlx-lm", supports, size, write, card, artefacts)
