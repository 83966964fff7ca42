"""A model that is loaded, and what is known of it: the records that loading, training and answering hand on."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from recipes.models.files import ModelRef
from synth.storage import JsonDict

Held = Literal["packed", "rounded", "plain"]  # how a base is held: 4 bits, their values decoded, or as published


class ModelInfo(NamedTuple):
    """Facts for reports and checks. `weights`: how the base is held; `dtype`: of the frozen weights."""

    ref: ModelRef
    weights: Held
    dtype: str
    params: int
    trainable_params: int
    sha256: str
    quant: JsonDict | None


class Loaded(NamedTuple):
    """A network of transformers (or PEFT around one), and its tokenizer (text) or processor (vision, audio)."""

    model: Any
    processor: Any
    info: ModelInfo

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, of the processor where there is one."""
        return getattr(self.processor, "tokenizer", self.processor)
