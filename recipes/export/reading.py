"""An export's folder read again: one of its models, to be asked through its own runtime.

    exported = read_exported(Path("first-gguf"), "q4_k_m", workspace.runs)
    ask = exported.artefact.opened(None)

The folder must be as it was exported, and the run that it was made of must be in the workspace as it was: prompts are
made with that base's tokenizer. Nothing is answered here.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

from recipes.export.exporter import MANIFEST, Artefact, Tuned, verify
from recipes.export.targets import exporter, tuned
from recipes.models.soundness import read_object
from synth.errors import ModelError, did_you_mean
from synth.storage import JsonDict, sha256_bytes, sha256_file

CODE = "export.asked"


class Exported(NamedTuple):
    """One model of an export; `sha256` is of its weights and of what was tuned, `stored_bytes` of its weights."""

    tuned: Tuned
    artefact: Artefact
    target: str
    base_model: str
    sha256: str
    stored_bytes: int

    @property
    def name(self) -> str:
        """Such as "gguf q4_k_m"."""
        return f"{self.target} {self.artefact.name}"


def read_exported(folder: Path, name: str, runs: Path) -> Exported:
    """The model `name` of an export. Raises ModelError where it is not there, changed since, or cannot be asked."""
    manifest = _manifest(folder)
    source = _source(folder, manifest, runs)
    found = {one.name: one for one in exporter(manifest["target"]).artefacts(source, folder)}
    if not found:
        message = f"No program that reads {folder.name} ({manifest['target']}) is installed here."
        raise ModelError(message, 'Install them: pip install "smolstudio[export]".', CODE)
    if name not in found:
        message = f"{folder.name} holds no '{name}'{did_you_mean(name, list(found))}."
        raise ModelError(message, f"Choose one of: {', '.join(found)}.", CODE)
    artefact = found[name]
    if artefact.opened is None:
        message = f"{folder.name} ({manifest['target']}) is answered by transformers, as any model is."
        raise ModelError(message, "Leave `artefact` out; an adapter is compared as `adapter` beside its base.", CODE)
    if artefact.apart:
        message = f"{artefact.runtime} answers in a process of its own, whose time and memory are not measured."
        raise ModelError(message, "Compare an export of another target.", CODE)
    files = {file.relative_to(folder).as_posix(): file.stat().st_size for file in artefact.files}
    hashes = [manifest["files"][file]["sha256"] for file in sorted(files)]
    parts = [manifest["target"], name, manifest["base_sha256"], manifest["adapter_sha256"], *hashes]
    digest = sha256_bytes("\n".join(parts).encode())
    return Exported(source, artefact, manifest["target"], manifest["base_model"], digest, sum(files.values()))


def _manifest(folder: Path) -> JsonDict:
    """What the folder says of itself, its files as they were."""
    if not (folder / MANIFEST).is_file():
        message = f"{folder} is not an export: it has no {MANIFEST}."
        raise ModelError(message, "Give the folder that `smolstudio export` made as `model`.", CODE)
    manifest = read_object(folder / MANIFEST)
    stamp = tuple((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in sorted(folder.rglob("*")) if f.is_file())
    if faults := _faults(folder, stamp):
        raise ModelError(f"{folder} is not as it was exported: {faults[0]}", "Export it again.", CODE)
    return manifest


@functools.lru_cache(maxsize=8)
def _faults(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> tuple[str, ...]:
    """What differs from the manifest, looked at once as long as no file changes."""
    return tuple(verify(folder))


def _source(folder: Path, manifest: JsonDict, runs: Path) -> Tuned:
    """Base and adapter that the export was made of."""
    if not manifest.get("run"):
        raise ModelError(f"{folder} does not say which run it was made of.", "Export a run of this workspace.", CODE)
    found = tuned(manifest["run"], runs)
    if sha256_file(found.adapter / "adapter_model.safetensors") != manifest["adapter_sha256"]:
        message = f"The run {manifest['run']} was trained again since {folder} was made of it."
        raise ModelError(message, "Export it again.", CODE)
    return found
