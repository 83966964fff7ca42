"""What one answered request consumed: tokens by kind, seconds of audio, requests and retries.

Counts are what the server or the local tokenizer reported. None means that nobody reported it: not zero.
No prices here: `evaluate.cost.formulas` turns a Usage into money.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt


class Usage(BaseModel):
    """Consumption of one request, retries included.

    `input_tokens` is the whole prompt: cached, cache-written, image and audio tokens are parts of it.
    `output_tokens` is the whole reply: `reasoning_tokens` is a part of it.
    `billed_retries` are repeats after a 200 whose body was unusable: those are billed; 429 and 5xx are not. Nobody
    reports their tokens, so each counts as many as the answer that came (see `repeated`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: NonNegativeInt | None = None
    output_tokens: NonNegativeInt | None = None
    cached_tokens: NonNegativeInt = 0
    cache_write_tokens: NonNegativeInt = 0
    reasoning_tokens: NonNegativeInt = 0
    image_tokens: NonNegativeInt = 0
    audio_tokens: NonNegativeInt = 0
    audio_sec: NonNegativeFloat = 0.0
    requests: NonNegativeInt = 1
    retries: NonNegativeInt = 0
    billed_retries: NonNegativeInt = 0

    @property
    def reported(self) -> bool:
        """Whether both token totals are known."""
        return self.input_tokens is not None and self.output_tokens is not None

    def repeated(self, billed_retries: int) -> Usage:
        """This usage with billed retries added, each with the tokens and the sound of the answer that came."""
        kept = {"requests", "retries", "billed_retries"}
        values = {name: value for name, value in self if name not in kept and value is not None}
        scaled = {name: value * (1 + billed_retries) for name, value in values.items()}
        return self.model_copy(update={**scaled, "billed_retries": billed_retries})


def total(usages: Iterable[Usage]) -> Usage:
    """Sum of many; a token total is None as soon as one term is: a hole must not pass for a small bill."""
    items = list(usages)
    sums: dict[str, int | float | None] = {}
    for name in Usage.model_fields:
        values = [getattr(item, name) for item in items]
        sums[name] = None if any(value is None for value in values) else sum(values)
    return Usage.model_validate(sums)
