"""A text starter grown to twice the width and more layers, computing the same as before."""

from typing import TYPE_CHECKING

from recipes.starters.making.growth import widen
from recipes.starters.making.text_model import Shape, new_model

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


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
) -> "LlamaForCausalLM":
    """The wide model (fp32). `shape` is that of `small`, whose embeddings are tied; `layers` must not be fewer.

    Added layers are copies of the last one that add nothing to the residual stream yet.
    """
    wide = new_model(grown_shape(shape, layers), tokenizer, seed)
    silent = {
        f"model.layers.{number}.{part}.weight"
        for number in range(shape.layers, layers)
        for part in ("self_attn.o_proj", "mlp.down_proj")
    }

    def source(name: str) -> str:
        parts = name.split(".")
        if parts[1] == "layers":
            parts[2] = str(min(int(parts[2]), shape.layers - 1))
        return ".".join(parts)

    widen(small, wide, final_norm="model.norm", source=source, silent=silent, seed=seed)
    return wide
