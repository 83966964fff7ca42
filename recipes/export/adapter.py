"""A tuned adapter alone, as PEFT reads it: a few MB that go beside the base that they were trained on.

The base is named as the recipe named it, never by a path of the machine that trained it. The weights are copied, not
converted; whoever loads them rounds the base as the card says, or gets other answers than were measured.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.export.exporter import Artefact, Exporter, Tuned, public_name
from recipes.modality import side
from recipes.models.files import BASE_STAMP, ModelRef, adapter_stamp, weights_sha256
from synth.errors import ModelError
from synth.storage import read_json, storage_faults, write_json

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def supports(ref: ModelRef) -> str:
    """Every base can be left out."""
    return ""


def size(tuned: Tuned) -> int:
    """Bytes of the adapter."""
    return (tuned.adapter / WEIGHTS).stat().st_size


def write(tuned: Tuned, folder: Path, name: str) -> str:
    """Copy the adapter into `folder`. Raises ModelError when it belongs to other weights than the base has."""
    stamp = adapter_stamp(tuned.adapter) or {}
    if stamp.get("sha256") not in (None, weights_sha256(tuned.ref.path)):
        message = f"The adapter of {tuned.run} was trained on other weights than {tuned.ref.name} has now."
        raise ModelError(message, "Put the base back as it was, or train again.", "model.base")
    base = public_name(tuned.ref)
    with storage_faults(folder):
        shutil.copyfile(tuned.adapter / WEIGHTS, folder / WEIGHTS)
    write_json(folder / CONFIG, {**read_json(tuned.adapter / CONFIG), "base_model_name_or_path": base})
    write_json(folder / BASE_STAMP, {**stamp, "base_model": base})
    return str(stamp.get("dtype", ""))


def artefacts(tuned: Tuned, folder: Path) -> list[Artefact]:
    """The base with the copied adapter."""
    return [Artefact("adapter", True, "peft", lambda: read_back(tuned, folder))]


def read_back(tuned: Tuned, folder: Path) -> Loaded:
    """The base with the adapter of an export, in float32."""
    import torch

    from recipes.models.loading import load_for_inference

    return load_for_inference(tuned.ref, folder, torch.float32)


def card(name: str, facts: dict[str, Any]) -> str:
    """The card as Markdown."""
    code = "\n".join(_to_load(name, facts))
    return (
        f"---\nbase_model: {facts['base_model']}\nlibrary_name: peft\n---\n\n# {name}\n\n"
        f"The adapter of run `{facts['run'] or 'unknown'}` for {facts['base_model']} "
        f"(weights SHA-256 {facts['base_sha256'][:16]}…), exported on {facts['created']} by smolstudio. It answers as "
        f"it was measured beside that base, held as in training:\n\n```python\n{code}\n```\n"
    )


def _to_load(name: str, facts: dict[str, Any]) -> list[str]:
    """Lines of Python that load base and adapter."""
    quant: dict[str, Any] = facts["quant"] or {}
    auto_class = side(facts["modality"]).auto_class_of(facts["model_type"])
    base = f'"{facts["base_model"]}"'
    if not quant.get("load_in_4bit"):
        given = [f"from transformers import {auto_class}", ""]
    else:
        given = [
            f"from transformers import {auto_class}, BitsAndBytesConfig",
            "",
            "rounded = BitsAndBytesConfig(",
            "    load_in_4bit=True,",
            f'    bnb_4bit_quant_type="{quant["bnb_4bit_quant_type"]}",',
            f"    bnb_4bit_use_double_quant={quant['bnb_4bit_use_double_quant']},",
            ")",
        ]
        base += ", quantization_config=rounded"
    return [
        "from peft import PeftModel",
        *given,
        "# the base's folder, or its name on the hub",
        f"base = {auto_class}.from_pretrained({base})",
        f'model = PeftModel.from_pretrained(base, "{name}")',
    ]


EXPORTER = Exporter("adapter", "the adapter alone, for PEFT", supports, size, write, card, artefacts)
