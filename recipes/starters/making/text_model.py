"""Shapes of the text starters, a fresh model, and writing one to a folder that transformers loads."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipes.starters.making.text_tokenizer import CONTEXT
from recipes.starters.making.untrained_tokens import separate_vectors

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


class Shape(NamedTuple):
    """A Llama's shape; heads are always 64 wide."""

    width: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    inner: int = 768
    tied: bool = True


def new_model(shape: Shape, tokenizer: "PreTrainedTokenizerFast", seed: int) -> "LlamaForCausalLM":
    """A Llama with fresh weights (fp32)."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=64,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=shape.tied,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def export(model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerFast", folder: Path) -> None:
    """Write bf16 safetensors (shards of at most 15 MB), tokenizer and template; the folder is replaced as a whole."""
    import copy

    import torch

    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    plain = copy.deepcopy(model).to(torch.bfloat16)
    separate_vectors(plain.get_input_embeddings().weight.data)
    plain.save_pretrained(part, max_shard_size="15MB")
    tokenizer.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
