"""Adapters: put on a base, read from a folder, written to one; and a LoRA forward that moves less memory.

Only PEFT's safetensors format is read. Every failure is a ModelError.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from recipes.modality import side
from recipes.models.files import BASE_STAMP, ModelRef, adapter_stamp, weights_sha256
from recipes.models.loaded import Loaded
from recipes.models.soundness import refuse_unsound_adapter
from recipes.recipe.options import Lora
from synth.errors import ModelError, first_line
from synth.storage import atomic_dir, write_json

if TYPE_CHECKING:
    from torch import Tensor


def with_lora(model: Any, lora: Lora, modality: str) -> Any:
    """The base, frozen, with a fresh adapter. Raises ModelError."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules),
        exclude_modules=excluded(model, lora.exclude_modules),
        task_type=side(modality).task_type,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(
            f"LoRA cannot be put on this model: {first_line(error)}.",
            "Check lora.target_modules and lora.exclude_modules.",
        ) from error


def excluded(model: Any, chosen: str | None) -> str | None:
    """Regular expression of modules that get no adapter: what the recipe says, and those that would not learn.

    These are the last projection of state-space layers (Mamba-2), whose weight GPU kernels read directly, and the
    pooling head of a picture tower, which a language model never asks.
    """
    mixers = {name.rpartition(".")[2] for name, m in model.named_modules() if hasattr(m, "A_log")}
    pools = [name for name, m in model.named_modules() if type(m).__name__.endswith("AttentionPoolingHead")]
    own = [rf".*\.{re.escape(name)}\.out_proj" for name in sorted(mixers)]
    own += [rf"{re.escape(name)}\..*" for name in pools]
    return "|".join(f"(?:{part})" for part in [*([chosen] if chosen else []), *own]) or None if own else chosen


def with_adapter(model: Any, ref: ModelRef, folder: Path, *, trainable: bool) -> Any:
    """The base with the adapter in `folder`. Raises ModelError when it was trained on another base."""
    from peft import PeftModel

    refuse_unsound_adapter(folder)
    stamp = adapter_stamp(folder)
    if stamp and stamp["sha256"] != weights_sha256(ref.path):
        raise ModelError(
            f"The adapter {folder} was trained on {stamp['base_model']}, whose weights differ from those "
            f"of {ref.name}.",
            "Load it on its own base.",
            "model.wrong_base",
        )
    try:
        return PeftModel.from_pretrained(model, str(folder), is_trainable=trainable, local_files_only=True)
    except MemoryError:
        raise
    except Exception as error:  # PEFT's own errors have no common root
        raise ModelError(
            f"The adapter {folder} does not fit {ref.name}: {first_line(error)}.",
            "Load it on its own base.",
            "model.wrong_base",
        ) from error


def save_adapter(loaded: Loaded, folder: Path, **more: Any) -> None:
    """Write the adapter in PEFT's format, with a stamp of its base; `more` (JSON values) is added to the stamp.

    Whole or not at all; an earlier adapter in `folder` is replaced.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with atomic_dir(folder) as temporary:
        loaded.model.save_pretrained(
            temporary, safe_serialization=True, selected_adapters=["default"], save_embedding_layers=False
        )
        (temporary / "README.md").unlink(missing_ok=True)  # PEFT's template, all blanks
        ref = loaded.info.ref
        write_json(
            temporary / BASE_STAMP,
            {
                "base_model": ref.name,
                "kind": ref.kind,
                "revision": ref.revision,
                "modality": ref.modality,
                "sha256": loaded.info.sha256,
                "quant": loaded.info.quant,
                "dtype": loaded.info.dtype,
                **more,
            },
        )


def hold_statistics(model: Any) -> None:
    """Keep batch normalisation at the base's own statistics, also while training.

    Otherwise each step would change them, and an adapter carries none: the tuned model would answer with the base's
    statistics after learning with others. It would also make a row depend on those beside it.
    """
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
            module.train = lambda _mode=True, module=module: module  # type: ignore[method-assign,assignment,misc]


def lean_lora(model: Any) -> None:
    """Give the plain LoRA layers of `model` a forward with fewer passes over memory; the function is PEFT's.

    PEFT casts the input to fp32 (autocast casts it back) and scales the wide output; here the narrow middle is scaled.
    Measured on one core: about a tenth of a QLoRA step. Disabled, merged or several adapters take PEFT's own path.
    """
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer) and hasattr(module, "in_features") and not module.lora_variant:
            module.forward = MethodType(_lean_forward, module)


def _lean_forward(layer: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """x (..., in_features) -> (..., out_features)."""
    import torch

    active = layer.active_adapters
    if args or kwargs or layer.disable_adapters or layer.merged or len(active) != 1 or active[0] not in layer.lora_A:
        usual: Tensor = type(layer).forward(layer, x, *args, **kwargs)
        return usual
    name = active[0]
    narrow = layer.lora_A[name](layer.lora_dropout[name](x)) * layer.scaling[name]  # (..., r)
    wide = layer.lora_B[name]
    whole: Tensor = layer.base_layer(x) + torch.nn.functional.linear(narrow, wide.weight, wide.bias)
    return whole
