"""What is to be served: a base as it lies, or a tuned model exported once, merged, into `served/` of the workspace."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from recipes.models.files import ModelRef
from synth.errors import ModelError
from synth.storage import sha256_file
from synth.workspace import Workspace

SERVED = "served"


class Command(NamedTuple):
    """How to start the server: arguments, environment and folder to start in."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path
    called: str


class Parts(NamedTuple):
    """A base, by the name and revision that it was asked for, and the adapter's folder where there is one."""

    name: str
    revision: str | None
    ref: ModelRef
    adapter: Path | None


def parts_of(model: str, adapter: str | None, workspace: Workspace) -> Parts:
    """What is to be served. Raises ModelError, also for files that are not sound."""
    from recipes.models.files import adapter_stamp, find_adapter, resolve
    from recipes.models.soundness import refuse_unsound_adapter, refuse_unsound_model

    name, revision = model, None
    if adapter is None and (workspace.runs / model / "adapter").is_dir():
        adapter = model
        stamp = adapter_stamp(find_adapter(adapter, workspace.runs))
        if stamp is None:
            raise ModelError(f"The adapter of {model} does not say what its base is.", "Give the base, and --adapter.")
        name, revision = stamp["base_model"], stamp.get("revision")
    ref = resolve(name, revision)
    refuse_unsound_model(ref.path, ref.name)
    folder = find_adapter(adapter, workspace.runs) if adapter is not None else None
    if folder is not None:
        refuse_unsound_adapter(folder)
    return Parts(name, revision, ref, folder)


def servable(model: str, adapter: str | None, workspace: Workspace) -> Path:
    """Folder of an ordinary checkpoint: the model's own, or a merged export made or found in `served/`.

    `model` is a starter, a folder, a hub id, or the id of a finished run, which means its base with its adapter.
    """
    from recipes.export import exporter, merged
    from recipes.models.files import adapter_stamp

    parts = parts_of(model, adapter, workspace)
    folder = parts.adapter
    if folder is None:
        return parts.ref.path
    label = (adapter_stamp(folder) or {}).get("run") or Path(parts.name).name
    target = workspace.path / SERVED / f"{label}-{sha256_file(folder / 'adapter_model.safetensors')[:8]}"
    if not target.exists():
        return exporter.export(merged.EXPORTER, exporter.Tuned(label, parts.ref, folder), target)
    if faults := exporter.verify(target):
        raise ModelError(f"{target} was damaged: {' '.join(faults)}", "Delete it; it is made again.", "model.damaged")
    return target
