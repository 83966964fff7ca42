"""A tuned text model as a static web page that answers without a server: GGUF in wllama (llama.cpp as WebAssembly).

The folder holds the page, the model as q8_0, the WebAssembly runtime with its licence, and `task.json`: the task in
words, what every row's system message said, the JSON schema of the answers, and its grammar, which decoding is held to.
`recipes.export.web` is the target.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from recipes.decode.answer_schema import record_schema
from recipes.export import gguf_model, gguf_tower, llama_cpp, npm
from recipes.export.exporter import Artefact, Tuned, learned_rows, system_of
from recipes.export.gbnf import gbnf
from recipes.models import loading
from recipes.models.files import ModelRef
from synth.storage import read_json, write_json

PAGE = Path(__file__).parent / "page"
MODEL, TASK = "model.gguf", "task.json"
KIND = "q8_0"
RUNTIME = npm.Package(
    "@wllama/wllama",
    "3.13.0",
    "66fa11750027f84fb5f04bd0f6a4b4dfa82e76223dadb651049806fea34808f3"
    "f0ac0d18e9230c75bce2cff8fb2bfd16c5c6c9961691ada54862c9c4cbbdf634",
)
RUNTIME_FILES = ("esm/index.min.js", "esm/wasm/wllama.wasm", "LICENCE")
LICENCE = "wllama/LICENCE"
RUNTIME_BYTES = 12 << 20
DOES = "The model answers inside the page; what is typed there leaves it nowhere."
SPARE_TOKENS = 64
LONGEST_CONTEXT = 4096  # tokens: a phone's memory


def supports(ref: ModelRef) -> str:
    """Why a base cannot be in a page; nothing when it can."""
    if gguf_tower.has_tower(ref):
        return "it sees pictures, and the page takes texts only."
    return gguf_model.supports(ref)


def size(tuned: Tuned) -> int:
    """Bytes of the model and the runtime."""
    from recipes.export.merged import stored_weights

    numbers = stored_weights(tuned.ref.path)[1]
    return numbers + (numbers >> 3) + RUNTIME_BYTES


def write(tuned: Tuned, folder: Path, name: str) -> str:
    """Write page, model, runtime and task. Raises ModelError, also when the runtime cannot be fetched."""
    import torch

    runtime = folder / "wllama"
    runtime.mkdir()
    npm.take_out(RUNTIME, RUNTIME_FILES, runtime)
    words = gguf_model.vocabulary(tuned.ref.path)
    loaded = loading.load_for_inference(tuned.ref, tuned.adapter, torch.float32)
    gguf_model.write(loaded.model, loaded.tokenizer, words, folder / MODEL, KIND)
    for file in ("index.html", "app.js", "common.js", "style.css"):
        shutil.copyfile(PAGE / file, folder / file)
    about = {
        "name": name,
        "context": min(gguf_model.context_of(tuned.ref), LONGEST_CONTEXT),
        "bytes": (folder / MODEL).stat().st_size,
    }
    write_json(folder / TASK, {**about, **task_of(tuned, loaded.tokenizer)})
    return KIND


def task_of(tuned: Tuned, tokenizer: Any) -> dict[str, Any]:
    """What the page asks, and how: `instruction` in words, `system`, `tokens`, and `schema` with its `grammar`, which
    are None for plain text.
    """
    rows, instruction = learned_rows(tuned)
    schema = record_schema(rows, bounded=True)
    longest = max((len(ids) for ids in tokenizer([row.target for row in rows] or ["-"])["input_ids"]), default=0)
    return {
        "instruction": instruction,
        "system": system_of(rows),
        "schema": schema,
        "grammar": gbnf(schema) if schema else None,
        "tokens": int(longest * 1.5) + SPARE_TOKENS,
    }


def artefacts(tuned: Tuned, folder: Path) -> list[Artefact]:
    """The page's model as llama.cpp answers with it outside a browser."""
    if not llama_cpp.installed():
        return []
    return [gguf_model.artefact(KIND, folder / MODEL, int(read_json(folder / TASK)["context"]))]
