"""A tuned model as one ordinary checkpoint: base and adapter merged, to load with plain transformers and to serve.

The weights are those that were trained and evaluated (the base rounded as in training, plus the adapter), stored in the
base's own number format unless another is asked for, with tokenizer, configuration, a card and a manifest of SHA-256
hashes. Other formats start from this one; they are not made here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from recipes.export.exporter import MANIFEST, Exporter, Tuned, describe, refuse_full_disk, refuse_taken, write_manifest
from recipes.modality import side
from recipes.models.files import ModelRef, find_adapter, resolve
from recipes.models.loading import load_for_inference
from synth.errors import ModelError
from synth.storage import atomic_dir, atomic_write_text

WIDTHS = {"F32": 4, "BF16": 2, "F16": 2}
STORED = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}

Dtype = Literal["float32", "bfloat16", "float16"]


def export(
    base_model: str,
    adapter: str,
    target: Path,
    *,
    revision: str | None = None,
    runs: Path | None = None,
    dtype: Dtype | None = None,
) -> Path:
    """Merge `adapter` (a folder, or a run id in `runs`) into its base and write the model to `target`.

    `dtype` of the saved weights: the base's own when None. Raises ModelError when the adapter belongs to another base,
    StorageError when `target` exists or the disk is too full; both before anything is written.
    """
    refuse_taken(target)
    return merge(resolve(base_model, revision), find_adapter(adapter, runs), target, dtype)


def merge(ref: ModelRef, adapter: Path, target: Path, dtype: Dtype | None = None) -> Path:
    """`export` of files that were found already."""
    import torch

    stored, numbers = stored_weights(ref.path)
    kind = dtype or STORED[stored]
    refuse_full_disk(target, numbers * getattr(torch, kind).itemsize)
    loaded = load_for_inference(ref, adapter, torch.float32)
    model = loaded.model.to(getattr(torch, kind))
    with atomic_dir(target) as temporary:
        model.save_pretrained(temporary)
        loaded.processor.save_pretrained(temporary)
        facts = describe(ref, adapter, EXPORTER.key, kind)
        atomic_write_text(temporary / "README.md", card(target.name, facts))
        write_manifest(temporary, facts)
    return target


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
    rounded = " rounded to NF4 as in training" if facts["quant"] else ""
    auto_class = side(facts["modality"]).auto_class
    return (
        f"---\nbase_model: {facts['base_model']}\nlibrary_name: transformers\n---\n\n# {name}\n\n"
        f"{facts['base_model']}{rounded}, with the adapter of run `{facts['run'] or 'unknown'}` merged in, "
        f"stored as {facts['dtype']} on {facts['created']} by smolstudio.\n\n"
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


def _export(tuned: Tuned, out: Path) -> Path:
    return merge(tuned.ref, tuned.adapter, out)


EXPORTER = Exporter("merged", "base and adapter as one checkpoint, for transformers", supports, _export)
