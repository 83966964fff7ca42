"""Grow a trained text starter to twice the width and more layers without changing what it computes.

Every activation of the wide model is the narrow one twice. A matrix W becomes [[W/2 + N, W/2 - N], [W/2 + M, W/2 - M]]:
N and M cancel on doubled inputs, yet give the copies different gradients, so that they part during training
(Net2Net, Chen et al. 2016, with exact noise). New layers add zero to the residual stream.
"""

from typing import TYPE_CHECKING

from recipes.starters.text_model import Shape, new_model

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


def _wide(weight: "torch.Tensor", noise: float, generator: "torch.Generator") -> "torch.Tensor":
    """[out, in] -> [2 out, 2 in]; `noise` is relative to the standard deviation of the weight."""
    import torch

    blocks = []
    for _ in range(2):
        apart = torch.randn(weight.shape, generator=generator) * weight.std() * noise
        blocks.append(torch.cat([weight / 2 + apart, weight / 2 - apart], dim=1))
    return torch.cat(blocks, dim=0)


def grown_shape(shape: Shape, layers: int) -> Shape:
    """Twice the width, heads and inner width; `layers` layers."""
    return shape._replace(
        width=2 * shape.width,
        heads=2 * shape.heads,
        kv_heads=2 * shape.kv_heads,
        inner=2 * shape.inner,
        layers=layers,
    )


def grow(
    small: "LlamaForCausalLM",
    shape: Shape,
    tokenizer: "PreTrainedTokenizerFast",
    layers: int,
    seed: int = 0,
    noise: float = 0.3,
) -> "LlamaForCausalLM":
    """The wide model (fp32). `shape` is that of `small`, whose embeddings are tied; `layers` must not be fewer."""
    import torch

    wide = new_model(grown_shape(shape, layers), tokenizer, seed)
    generator = torch.Generator().manual_seed(seed)
    source = {name: value.detach().float() for name, value in small.named_parameters()}
    with torch.no_grad():
        for name, target in wide.named_parameters():
            parts = name.split(".")
            added = parts[1] == "layers" and int(parts[2]) >= shape.layers
            if added:
                parts[2] = str(shape.layers - 1)
            weight = source[".".join(parts)]
            if added and parts[-2] in ("o_proj", "down_proj"):
                target.zero_()
            elif name == "model.embed_tokens.weight":
                target.copy_(torch.cat([weight, weight], dim=1))
            elif name == "model.norm.weight":
                target.copy_(torch.cat([weight, weight]) / 2)  # the tied head sums over both copies
            elif weight.ndim == 1:
                target.copy_(torch.cat([weight, weight]))
            else:
                target.copy_(_wide(weight, noise, generator))
    return wide
