"""The export targets there are, and a run exported to one of them."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import recipes.export
from recipes.export.exporter import Exporter, Gate, Measured, Tuned, export, refuse_taken
from recipes.models.files import adapter_stamp, find_adapter, resolve
from recipes.models.soundness import refuse_unsound_adapter, refuse_unsound_model
from synth.errors import ModelError, did_you_mean

DEFAULT = "merged"


def exporters() -> dict[str, Exporter]:
    """Every target by its key: the `EXPORTER` of each module in `recipes/export/` that defines one."""
    names = sorted(module.name for module in pkgutil.iter_modules(recipes.export.__path__))
    modules = [importlib.import_module(f"{recipes.export.__name__}.{name}") for name in names]
    return {module.EXPORTER.key: module.EXPORTER for module in modules if hasattr(module, "EXPORTER")}


def exporter(key: str) -> Exporter:
    """The target of that key. Raises ModelError with the nearest one."""
    known = exporters()
    if key not in known:
        listing = ", ".join(f"{one.key} ({one.label})" for one in known.values())
        message = f"There is no export target '{key}'{did_you_mean(key, list(known))}."
        raise ModelError(message, f"Choose one of: {listing}.", "export.target")
    return known[key]


def tuned(run_id: str, runs: Path) -> Tuned:
    """The adapter of a finished run, and its base as the adapter's stamp names it. Nothing is fetched."""
    adapter = find_adapter(run_id, runs)
    refuse_unsound_adapter(adapter)
    stamp = adapter_stamp(adapter)
    if stamp is None:
        raise ModelError(f"The adapter of {run_id} does not say what its base is.", "Train it again, or merge by hand.")
    ref = resolve(stamp["base_model"], stamp.get("revision"), fetch=False)
    refuse_unsound_model(ref.path, ref.name)
    return Tuned(run_id, ref, adapter, runs)


def export_run(
    run_id: str,
    runs: Path,
    out: Path,
    to: str = DEFAULT,
    gate: Gate | None = None,
    measured: Measured | None = None,
) -> Path:
    """Export a finished run to the target `to` in the new folder `out`. Raises ModelError, StorageError."""
    target = exporter(to)
    refuse_taken(out)
    found = tuned(run_id, runs)
    if why := target.supports(found.ref):
        raise ModelError(f"{found.ref.name} cannot be exported to {to}: {why}", "Choose another target.", "export.base")
    return export(target, found, out, gate, measured)
