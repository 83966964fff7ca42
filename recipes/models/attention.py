"""Which attention is faster to differentiate on a processor: the choice before a training."""

from __future__ import annotations

from typing import Any

SHORT_TOKENS = 320


def short_attention(model: Any, longest: int) -> None:
    """On a processor, let `model` compute attention plainly when rows are short: `longest` tokens at most.

    torch's fused attention is slow to differentiate there: 4 times slower than the plain form at 100 tokens, 2 times
    at 256, equal at 512, where the plain form's memory (square of the length) begins to hurt.
    """
    if model.device.type == "cpu" and longest <= SHORT_TOKENS:
        model.get_base_model().set_attn_implementation("eager")
