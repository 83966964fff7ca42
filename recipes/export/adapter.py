"""A tuned adapter alone, as PEFT reads it: a few MB that go beside the base that they were trained on.

The base is named as the recipe named it, never by a path of the machine that trained it. The weights are copied, not
converted; whoever loads them rounds the base as the card says, or gets other answers than were measured.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from recipes.export.exporter import Exporter, Tuned, describe, refuse_full_disk, refuse_taken, write_manifest
from recipes.models.files import BASE_STAMP, ModelRef, adapter_stamp, weights_sha256
from synth.errors import ModelError
from synth.storage import atomic_dir, atomic_write_text, read_json, storage_faults, write_json

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def supports(ref: ModelRef) -> str:
    """Every base can be left out."""
    return ""


def export(tuned: Tuned, out: Path) -> Path:
    """Copy the adapter to `out`. Raises ModelError when it belongs to other weights than the base has, StorageError."""
    refuse_taken(out)
    stamp = adapter_stamp(tuned.adapter) or {}
    if stamp.get("sha256") not in (None, weights_sha256(tuned.ref.path)):
        message = f"The adapter of {tuned.run} was trained on other weights than {tuned.ref.name} has now."
        raise ModelError(message, "Put the base back as it was, or train again.", "model.base")
    weights = tuned.adapter / WEIGHTS
    refuse_full_disk(out, weights.stat().st_size)
    name = tuned.ref.path.name if tuned.ref.kind == "path" else tuned.ref.name
    with atomic_dir(out) as folder:
        with storage_faults(out):
            shutil.copyfile(weights, folder / WEIGHTS)
        write_json(folder / CONFIG, {**read_json(tuned.adapter / CONFIG), "base_model_name_or_path": name})
        write_json(folder / BASE_STAMP, {**stamp, "base_model": name})
        facts = {**describe(tuned.ref, tuned.adapter, EXPORTER.key, str(stamp.get("dtype", ""))), "base_model": name}
        atomic_write_text(folder / "README.md", card(out.name, facts))
        write_manifest(folder, facts)
    return out


def card(name: str, facts: dict[str, Any]) -> str:
    """The card as Markdown."""
    rounded = "rounded to NF4 with double quantisation, as in training" if facts["quant"] else "as it is"
    return (
        f"---\nbase_model: {facts['base_model']}\nlibrary_name: peft\n---\n\n# {name}\n\n"
        f"The adapter of run `{facts['run'] or 'unknown'}` for {facts['base_model']} "
        f"(weights SHA-256 {facts['base_sha256'][:16]}…), exported on {facts['created']} by smolstudio.\n\n"
        f"Load the base {rounded}, then `PeftModel.from_pretrained(base, {name!r})`.\n"
    )


EXPORTER = Exporter("adapter", "the adapter alone, for PEFT", supports, export)
