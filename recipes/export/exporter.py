"""What an export target is, what it is given, and how its folder is sealed.

A target writes into a new folder that appears whole or not at all and never overwrites another; it says first when the
disk is too full. `manifest.json` holds lineage, and size and SHA-256 of every other file. Nothing is fetched.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from recipes.models.files import ModelRef, adapter_stamp, weights_sha256
from synth.errors import StorageError
from synth.storage import read_json, sha256_file, write_json

MANIFEST = "manifest.json"
SPARE_BYTES = 64 << 20  # left free beside the weights: tokenizer, card, and the file system's own needs


class Tuned(NamedTuple):
    """A base and the adapter of a run that was trained on it; `runs` is the folder that the run lies in."""

    run: str
    ref: ModelRef
    adapter: Path


class Exporter(NamedTuple):
    """A target. `supports` says why a base cannot be exported so, in a sentence, or nothing.

    `export(tuned, out)` makes the folder `out` and returns it; it raises ModelError and StorageError.
    """

    key: str
    label: str
    supports: Callable[[ModelRef], str]
    export: Callable[[Tuned, Path], Path]


def refuse_taken(target: Path) -> None:
    """Raise StorageError when there is something at `target`."""
    if target.exists() or target.is_symlink():
        raise StorageError(f"{target} exists already.", "Choose another name, or delete it first.", "storage.exists")


def refuse_full_disk(target: Path, weight_bytes: int) -> None:
    """Raise StorageError when the disk of `target` has no room for the weights."""
    existing = next(parent for parent in target.absolute().parents if parent.exists())
    free, needed = shutil.disk_usage(existing).free, weight_bytes + SPARE_BYTES
    if free < needed:
        message = f"The export needs {needed / 1e9:.2f} GB, but {existing} has only {free / 1e9:.2f} GB free."
        raise StorageError(message, "Free some space, or choose another disk.", "storage.full")


def describe(ref: ModelRef, adapter: Path, target: str, dtype: str) -> dict[str, Any]:
    """Lineage of an export: JSON values."""
    stamp = adapter_stamp(adapter) or {}
    return {
        "version": 1,
        "target": target,
        "base_model": ref.name,
        "base_revision": ref.revision,
        "base_sha256": weights_sha256(ref.path),
        "adapter_sha256": sha256_file(adapter / "adapter_model.safetensors"),
        "run": stamp.get("run"),
        "recipe": stamp.get("recipe"),
        "modality": ref.modality,
        "quant": stamp.get("quant"),
        "dtype": dtype,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")},
    }


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest: `facts`, and size and SHA-256 of every other file in the folder and below it."""
    hashes = {name: {"bytes": f.stat().st_size, "sha256": sha256_file(f)} for name, f in _files(folder)}
    write_json(folder / MANIFEST, {**facts, "files": hashes})


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
    return faults + [f"{name} was added after the export." for name, _ in _files(path) if name not in files]


def _files(folder: Path) -> list[tuple[str, Path]]:
    """(name below the folder, path) of every file but the manifest, sorted."""
    found = ((f.relative_to(folder).as_posix(), f) for f in folder.rglob("*") if f.is_file())
    return sorted((name, f) for name, f in found if name != MANIFEST)
