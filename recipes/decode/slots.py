"""The memory of slot decoding: a key/value cache whose rows are slots, and attention that reads only what it needs.

Used by `recipes.decode.decoder`, which decides which prompt takes which slot. Works through transformers' own
interfaces for caches and attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

BAND_ROWS = 16
# First row, last row + 1 and visible columns of each band of the step that is being computed.
_bands: ContextVar[list[tuple[int, int, int]] | None] = ContextVar("bands", default=None)


class SlotPlan:
    """Where the next forward call writes. `filling`: slots being prefilled from column `start`; None = decoding."""

    def __init__(self, slots: int, capacity: int) -> None:
        self.slots = slots
        self.capacity = capacity
        self.filling: Tensor | None = None
        self.start = 0
        self.every: Tensor | None = None
        self.position: Tensor | None = None
        self.visible = 1


def make_cache(model: Any, plan: SlotPlan) -> Any:
    """A transformers cache whose layers write into slots as `plan` says."""
    from transformers.cache_utils import Cache, CacheLayerMixin

    class SlotLayer(CacheLayerMixin):  # type: ignore[misc]
        """Keys and values [slots, heads, capacity, head width]."""

        def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
            _, heads, _, width = key_states.shape
            self.keys = key_states.new_zeros(plan.slots, heads, plan.capacity, width)
            self.values = value_states.new_zeros(plan.slots, heads, plan.capacity, value_states.shape[-1])
            self.is_initialized = True

        def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            if plan.filling is None:
                self.keys[plan.every, :, plan.position] = key_states[:, :, 0]
                self.values[plan.every, :, plan.position] = value_states[:, :, 0]
                return self.keys[:, :, : plan.visible], self.values[:, :, : plan.visible]
            start, end = plan.start, plan.start + key_states.shape[2]
            self.keys[plan.filling, :, start:end] = key_states
            self.values[plan.filling, :, start:end] = value_states
            if start == 0:
                return key_states, value_states
            return self.keys[plan.filling, :, :end], self.values[plan.filling, :, :end]

        def keep(self, rows: Tensor) -> None:
            self.keys, self.values = self.keys[rows], self.values[rows]

        def spread(self, length: int) -> None:
            """Copy the first slot's beginning to all others."""
            self.keys[1:, :, :length] = self.keys[:1, :, :length]
            self.values[1:, :, :length] = self.values[:1, :, :length]

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            return self.get_seq_length() + query_length, 0

        def get_seq_length(self) -> int:
            return plan.start if plan.filling is not None else plan.visible - 1

        def get_max_length(self) -> int:
            return plan.capacity

    return Cache(layers=[SlotLayer() for _ in range(model.config.get_text_config().num_hidden_layers)])


def banded_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Torch's attention, for one new token a row on bands of rows, each with no more columns than its longest row has.

    Otherwise one long prompt among 128 short ones makes all of them attend to its length. Shapes: query [rows, heads,
    tokens, width], the result [rows, tokens, heads, width].
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def usual(first: int, last: int, visible: int) -> Tensor:
        rows = slice(first, last)
        seen = mask[rows, ..., :visible] if mask is not None else None
        kept = key[rows, :, :visible], value[rows, :, :visible]
        return sdpa_attention_forward(module, query[rows], *kept, seen, scaling=scaling, **more)[0]

    parts = _bands.get() if query.shape[2] == 1 else None
    if not parts:
        return usual(0, len(query), key.shape[2]), None
    return torch.cat([usual(*part) for part in parts]), None


@contextmanager
def in_bands(decoder: Any) -> Iterator[None]:
    """Let `decoder` attend by `banded_attention` within, where it would use torch's attention plainly.

    On a processor only: a GPU would pay for the many small calls, and nobody has measured what it gains.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    config = decoder.config.get_text_config()
    if config._attn_implementation != "sdpa" or decoder.device.type != "cpu":
        yield
        return
    AttentionInterface.register("banded", banded_attention)
    AttentionMaskInterface.register("banded", sdpa_mask)
    config._attn_implementation = "banded"
    try:
        yield
    finally:
        config._attn_implementation = "sdpa"


@contextmanager
def bands(columns: Sequence[int]) -> Iterator[None]:
    """Within, a step is computed for rows whose newest tokens are in these columns."""
    starts = range(0, len(columns), BAND_ROWS)
    before = _bands.set([(i, min(i + BAND_ROWS, len(columns)), max(columns[i : i + BAND_ROWS]) + 1) for i in starts])
    try:
        yield
    finally:
        _bands.reset(before)
