"""A tuned model as one ordinary checkpoint: base and adapter merged, to load with plain transformers and to serve.

The weights are those that were trained and evaluated (the base rounded as in training, plus the adapter), stored in the
base's own number format unless another is asked for, with tokenizer, configuration, a card and a manifest of SHA-256
hashes. Other formats start from this one; they are not made here.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recipes.export.exporter import MANIFEST, Artefact, Exporter, Tuned, merged_from
from recipes.modality import side
from recipes.models.files import ModelRef, adapter_stamp
from recipes.models.loading import load_for_inference
from synth.errors import ModelError

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

WIDTHS = {"F32": 4, "BF16": 2, "F16": 2}
UNROUNDED = "adapter merged into the base as published"
STORED = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}

Dtype = Literal["float32", "bfloat16", "float16"]


def size(tuned: Tuned, dtype: Dtype | None = None) -> int:
    """Bytes of the weights in a number format, in the base's own when None."""
    import torch

    stored, numbers = stored_weights(tuned.ref.path)
    return int(numbers * getattr(torch, dtype or STORED[stored]).itemsize)


def write(tuned: Tuned, folder: Path, name: str, dtype: Dtype | None = None) -> str:
    """Merge the adapter into its base and write the model into `folder`; returns the number format of the weights."""
    import torch

    kind = dtype or STORED[stored_weights(tuned.ref.path)[0]]
    loaded = load_for_inference(tuned.ref, tuned.adapter, torch.float32)
    loaded.model.to(getattr(torch, kind)).save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    return kind


def artefacts(tuned: Tuned, folder: Path) -> list[Artefact]:
    """The merged model, as transformers reads it, and what merging into the base as published would have given."""
    kind = STORED[stored_weights(folder)[0]]
    exact = kind != "bfloat16"  # whose eight bits turn near ties within long answers
    runtime = f"transformers {version('transformers')}"
    found = [Artefact(kind, exact, runtime, lambda: read_back(folder, tuned.ref))]
    if (adapter_stamp(tuned.adapter) or {}).get("quant"):
        found.append(Artefact(UNROUNDED, False, runtime, lambda: unrounded(tuned), handed_over=False))
    return found


def unrounded(tuned: Tuned) -> Loaded:
    """The adapter merged into the base as published, which is not what it was trained on; in float32."""
    import torch

    return load_for_inference(tuned.ref, tuned.adapter, torch.float32, rounded=False)


def read_back(folder: Path, base: ModelRef) -> Loaded:
    """The model of an export's folder, in float32."""
    import torch

    return load_for_inference(base._replace(path=folder, name=folder.name, kind="path"), None, torch.float32)


def stored_weights(path: Path) -> tuple[str, int]:
    """Storage type of most weights in a folder ("F32", "BF16" …), and how many numbers there are."""
    from safetensors import safe_open

    counts: dict[str, int] = {}
    for file in path.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (not a mapping)
                part = tensors.get_slice(name)
                size = 1
                for length in part.get_shape():
                    size *= length
                counts[part.get_dtype()] = counts.get(part.get_dtype(), 0) + size
    known = {kind: count for kind, count in counts.items() if kind in WIDTHS}
    if not known:
        raise ModelError(f"{path} holds no plain floating-point weights.", "Export from the unquantised base.")
    return max(known, key=known.__getitem__), sum(counts.values())


def card(name: str, facts: dict[str, Any]) -> str:
    """The model card as Markdown."""
    auto_class = side(facts["modality"]).auto_class_of(facts["model_type"])
    return (
        f"---\nbase_model: {facts['base_model']}\nlibrary_name: transformers\n---\n\n# {name}\n\n"
        f"{merged_from(facts)}, stored as {facts['dtype']} on {facts['created']} by smolstudio.\n\n"
        f"```python\nfrom transformers import {auto_class}\n\n"
        f'model = {auto_class}.from_pretrained("{name}")\n```\n\n'
        f"Serve it: `smolstudio serve {name}`. `{MANIFEST}` holds the SHA-256 of every file.\n"
    )


def supports(ref: ModelRef) -> str:
    """Why a base cannot be merged into; nothing when its weights are plain floating-point numbers."""
    try:
        stored_weights(ref.path)
    except ModelError as error:
        return error.message
    return ""


EXPORTER = Exporter(
    "merged", "base and adapter as one checkpoint, for transformers", supports, size, write, card, artefacts
)
