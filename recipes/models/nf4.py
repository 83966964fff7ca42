"""4-bit weights: NF4 held packed by bitsandbytes or decoded once, and the guard against its silent loss of gradients.

This is the only module that imports bitsandbytes.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from recipes.models.device import on_gpu
from recipes.models.loaded import Held
from recipes.recipe.options import Quant


def choose_weights(quant: Quant, path: Path, shard: bool = False) -> Held:
    """How to hold the base: rounded weights where memory allows on a processor, packed ones on CUDA and in shards."""
    if not quant.load_in_4bit:
        return "plain"
    if quant.weights != "auto":
        return quant.weights
    import psutil

    if on_gpu() or shard:
        return "packed"
    stored = sum(f.stat().st_size for f in path.glob("*.safetensors"))
    # Half of what is free: activations, the adapter and its optimiser state need the rest.
    return "rounded" if 2 * stored < psutil.virtual_memory().available / 2 else "packed"


def packed_config(quant: Quant, dtype: Any, shard: bool = False) -> Any:
    """transformers' configuration of a base that is quantised while it loads; it computes in `dtype`.

    `shard`: the bytes are held as numbers of bf16, because FSDP2 shares out floating point only.
    """
    import torch
    import transformers

    return transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quant.bnb_4bit_quant_type,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_use_double_quant=quant.bnb_4bit_use_double_quant,
        bnb_4bit_quant_storage=torch.bfloat16 if shard else torch.uint8,
    )


def round_to_nf4(model: Any, quant: Quant) -> None:
    """Replace, in place, every weight that 4-bit loading would quantise by its NF4 value.

    The same values that `Linear4bit` decodes at each step (with double quantisation when `quant` says so), so the
    arithmetic is QLoRA's, paid with memory instead of time. Output heads stay exact, as in transformers.
    """
    import torch
    from bitsandbytes import functional

    ends = [model.get_output_embeddings()]
    with contextlib.suppress(NotImplementedError):  # a CTC model reads no tokens
        ends.append(model.get_input_embeddings())
    heads = {id(getattr(end, "weight", None)) for end in ends}
    for module in model.modules():
        if not isinstance(module, torch.nn.Linear) or id(module.weight) in heads:
            continue
        packed, state = functional.quantize_4bit(
            module.weight.data,
            quant_type=quant.bnb_4bit_quant_type,
            compress_statistics=quant.bnb_4bit_use_double_quant,
        )
        module.weight.data = functional.dequantize_4bit(packed, state).to(module.weight.dtype)


def keep_gradients(model: Any) -> None:
    """Forbid bitsandbytes to repack `model` for inference, on this and every later forward.

    On processors with AVX512-BF16 one eval-mode forward repacks a Linear4bit in place, and the packed branch has no
    autograd: what is trained after it gets no gradient, without any error (bitsandbytes 0.50, nn/modules.py).
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
