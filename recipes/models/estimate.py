"""How much memory a training takes on a processor, from what is known before anything is loaded.

    shape_of(config, parameters)            a text network's sizes, from its config.json
    tuning(shape, rank=…, batch=…, …)       the peak of its first steps, by part
    typical(parameters)                     the sizes of a known network of about as many parameters

Each part follows from what a step keeps for its backward pass; the four constants are fitted to real peaks
(tests/bench/bench_memory.py, table in docs/models.md). It loads no model and reads no data. Towers of pictures and
sound are not in it, and GPUs have other constants: there the preflight measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# Python with torch, transformers, TRL, PEFT and bitsandbytes imported, before any model; and what of their files is
# resident besides, which counts in every training's own process and not in the bench's, forked after they were read.
LIBRARIES_BYTES, LIBRARY_FILES_BYTES = 692e6, 354e6
# Kept for the backward pass of a layer, in bytes: for each token and each value of its width and of its feed-forward
# width, and for each pair of positions of a head where attention is computed plainly.
KEPT_BYTES, PAIR_BYTES = 24.5, 7.4
LOGIT_BYTES = 11.5  # a learned position and token of the vocabulary: bf16, its fp32 copy, its gradient
ADAPTER_BYTES = 20.0  # a value, its gradient, two moments of AdamW, and the preflight's copy, each in fp32


MODALITY = "text"


class Shape(NamedTuple):
    """A text network's sizes; `inner` is the width of its feed-forward layers."""

    parameters: int
    layers: int
    width: int
    inner: int
    heads: int
    vocabulary: int


class Estimate(NamedTuple):
    """Bytes by part."""

    libraries: float
    weights: float
    adapter: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        """All parts together."""
        return float(sum(self))


def shape_of(config: Mapping[str, Any], parameters: int) -> Shape | None:
    """A text network's sizes from its config.json; None for a layout that names them otherwise."""
    text = config.get("text_config") or config
    names = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")
    found = [int(text.get(name) or 0) for name in names]
    return Shape(parameters, *found) if all(found) else None


# Layers, width, feed-forward width, heads and vocabulary of published networks, by parameters.
KNOWN = (
    Shape(134_515_008, 30, 576, 1536, 9, 49_152),  # SmolLM2-135M
    Shape(361_821_120, 32, 960, 2560, 15, 49_152),  # SmolLM2-360M
    Shape(596_049_920, 28, 1024, 3072, 16, 151_936),  # Qwen3-0.6B
    Shape(1_235_814_400, 16, 2048, 8192, 32, 128_256),  # Llama-3.2-1B
    Shape(1_711_376_384, 24, 2048, 8192, 32, 49_152),  # SmolLM2-1.7B
    Shape(4_022_468_096, 36, 2560, 9728, 32, 151_936),  # Qwen3-4B
)


def typical(parameters: int) -> Shape:
    """The sizes of the known network nearest in parameters, by ratio, with so many parameters."""
    nearest = min(KNOWN, key=lambda shape: max(shape.parameters / parameters, parameters / shape.parameters))
    return nearest._replace(parameters=parameters)


def tuning(shape: Shape, *, rank: int, batch: int, tokens: int, learned: int, plain_attention: bool) -> Estimate:
    """The peak of a training in bf16 with weights held decoded: `batch` rows of `tokens` tokens, `learned` with loss.

    Preference pairs are two rows each. `plain_attention` is what `recipes.models.attention` chooses for short rows.
    """
    kept = batch * shape.layers * tokens * (shape.width + shape.inner) * KEPT_BYTES
    if plain_attention:
        kept += batch * shape.layers * shape.heads * tokens**2 * PAIR_BYTES
    values = shape.layers * rank * (8 * shape.width + 3 * (shape.width + shape.inner))  # on seven projections a layer
    return Estimate(
        libraries=LIBRARIES_BYTES + LIBRARY_FILES_BYTES,
        weights=2.0 * shape.parameters,
        adapter=values * ADAPTER_BYTES,
        activations=kept,
        logits=batch * learned * shape.vocabulary * LOGIT_BYTES,
    )
