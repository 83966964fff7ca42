"""Tiny random text models of the exact classes that the catalogue names, with a byte-level tokenizer and ChatML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny import tiny_tokenizer

COMMON: dict[str, Any] = {
    "vocab_size": 259, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "tie_word_embeddings": True, "max_position_embeddings": 512, "bos_token_id": 1,
    "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
MAMBA: dict[str, Any] = {
    "mamba_n_heads": 4, "mamba_d_head": 32, "mamba_n_groups": 1, "mamba_d_state": 16, "mamba_d_conv": 4,
    "mamba_chunk_size": 16,
}  # fmt: skip
# What differs from COMMON, in the forms that the published models have.
CLASSES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "SmolLM3": {"no_rope_layer_interval": 2},
    "Qwen3": {"head_dim": 32},
    "Granite": {"embedding_multiplier": 12.0, "logits_scaling": 4.0, "residual_multiplier": 0.25},
    "GraniteMoeHybrid": {
        **MAMBA, "mamba_expand": 2, "layer_types": ["mamba", "attention"], "num_local_experts": 0,
        "num_experts_per_tok": 0, "shared_intermediate_size": 128, "embedding_multiplier": 12.0, "logits_scaling": 4.0,
        "position_embedding_type": None,
    },
    "FalconH1": {**MAMBA, "mamba_d_ssm": 128, "lm_head_multiplier": 0.25, "embedding_multiplier": 4.0, "head_dim": 16},
    "Lfm2": {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
    "Gemma3": {"head_dim": 16, "layer_types": ["sliding_attention", "full_attention"], "sliding_window": 32},
}  # fmt: skip
HYBRID = ("GraniteMoeHybrid", "FalconH1", "Lfm2")


def tiny_text(kind: str, folder: Path, seed: int = 0) -> Path:
    """A random `kind`ForCausalLM in `folder`; fp32, about 0.1 M parameters."""
    import torch
    import transformers

    torch.manual_seed(seed)
    config_class = "Gemma3TextConfig" if kind == "Gemma3" else f"{kind}Config"
    config = getattr(transformers, config_class)(**{**COMMON, **CLASSES[kind]})
    getattr(transformers, f"{kind}ForCausalLM")(config).save_pretrained(folder)
    tiny_tokenizer(folder)
    return folder
