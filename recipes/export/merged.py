"""A tuned model as one ordinary checkpoint: base and adapter merged, to load with plain transformers and to serve.

The weights are those that were trained and evaluated (the base rounded as in training, plus the adapter), stored in the
base's own number format unless another is asked for, with tokenizer, configuration, a card and a manifest of SHA-256
hashes. The folder appears whole or not at all and never
overwrites another. Other formats (GGUF …) start from this one; they are not made here.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from recipes.models import loading
from recipes.models.files import ModelRef, adapter_stamp, find_adapter, resolve, weights_sha256
from synth.errors import ModelError, StorageError
from synth.storage import atomic_dir, atomic_write_text, read_json, sha256_file, write_json

MANIFEST = "manifest.json"
SPARE_BYTES = 64 << 20  # left free beside the weights: tokenizer, card, and the file system's own needs
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
    import torch

    if target.exists():
        raise StorageError(f"{target} exists already.", "Choose another name, or delete it first.", "storage.exists")
    ref = resolve(base_model, revision)
    folder = find_adapter(adapter, runs)
    stored, numbers = stored_weights(ref.path)
    kind = dtype or STORED[stored]
    refuse_full_disk(target, numbers * getattr(torch, kind).itemsize)
    loaded = loading.load_for_inference(ref, folder, torch.float32)
    model = loaded.model.to(getattr(torch, kind))
    with atomic_dir(target) as temporary:
        model.save_pretrained(temporary)
        loaded.processor.save_pretrained(temporary)
        facts = describe(ref, folder, kind)
        atomic_write_text(temporary / "README.md", card(target.name, facts))
        write_manifest(temporary, facts)
    return target


def export_run(run_id: str, runs: Path, target: Path, dtype: Dtype | None = None) -> Path:
    """`export` of a finished run; its base is read from the adapter's stamp."""
    stamp = adapter_stamp(find_adapter(run_id, runs))
    if stamp is None:
        raise ModelError(f"The adapter of {run_id} does not say what its base is.", "Name the base yourself.")
    return export(stamp["base_model"], run_id, target, revision=stamp["revision"], runs=runs, dtype=dtype)


def verify(path: Path) -> list[str]:
    """What differs from the manifest, as sentences; empty when every byte is as it was exported."""
    if not (path / MANIFEST).is_file():
        return [f"{path} has no {MANIFEST}: it is not an export, or was damaged."]
    faults = []
    files = read_json(path / MANIFEST)["files"]
    for name, facts in files.items():
        file = path / name
        if not file.is_file():
            faults.append(f"{name} is missing.")
        elif file.stat().st_size != facts["bytes"] or sha256_file(file) != facts["sha256"]:
            faults.append(f"{name} changed since the export.")
    extra = sorted(f.name for f in path.iterdir() if f.name not in files and f.name != MANIFEST)
    return faults + [f"{name} was added after the export." for name in extra]


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


def refuse_full_disk(target: Path, weight_bytes: int) -> None:
    """Raise StorageError when the disk of `target` has no room for the weights."""
    existing = next(parent for parent in target.absolute().parents if parent.exists())
    free, needed = shutil.disk_usage(existing).free, weight_bytes + SPARE_BYTES
    if free < needed:
        message = f"The export needs {needed / 1e9:.2f} GB, but {existing} has only {free / 1e9:.2f} GB free."
        raise StorageError(message, "Free some space, choose another disk, or export in bfloat16.", "storage.full")


def describe(ref: ModelRef, folder: Path, dtype: str) -> dict[str, Any]:
    """Lineage of an export: JSON values."""
    stamp = adapter_stamp(folder) or {}
    return {
        "version": 1,
        "base_model": ref.name,
        "base_revision": ref.revision,
        "base_sha256": weights_sha256(ref.path),
        "adapter_sha256": sha256_file(folder / "adapter_model.safetensors"),
        "run": stamp.get("run"),
        "recipe": stamp.get("recipe"),
        "modality": ref.modality,
        "quant": stamp.get("quant"),
        "dtype": dtype,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")},
    }


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest: `facts`, and size and SHA-256 of every other file."""
    files = sorted(f for f in folder.iterdir() if f.name != MANIFEST)
    hashes = {f.name: {"bytes": f.stat().st_size, "sha256": sha256_file(f)} for f in files}
    write_json(folder / MANIFEST, {**facts, "files": hashes})


def card(name: str, facts: dict[str, Any]) -> str:
    """The model card as Markdown."""
    rounded = " rounded to NF4 as in training" if facts["quant"] else ""
    classes = {
        "text": "AutoModelForCausalLM",
        "vision": "AutoModelForImageTextToText",
        "audio": "AutoModelForSpeechSeq2Seq",
    }
    return (
        f"---\nbase_model: {facts['base_model']}\nlibrary_name: transformers\n---\n\n# {name}\n\n"
        f"{facts['base_model']}{rounded}, with the adapter of run `{facts['run'] or 'unknown'}` merged in, "
        f"stored as {facts['dtype']} on {facts['created']} by smolstudio.\n\n"
        f"```python\nfrom transformers import {classes[facts['modality']]}\n\n"
        f'model = {classes[facts["modality"]]}.from_pretrained("{name}")\n```\n\n'
        f"Serve it: `smolstudio serve {name}`. `{MANIFEST}` holds the SHA-256 of every file.\n"
    )
