"""What one answered request consumed: tokens by kind, seconds of audio, requests and retries.

Counts are what the server or the local tokenizer reported. None means that nobody reported it: not zero.
No prices here: `evaluate.cost.formulas` turns a Usage into money.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt


class Usage(BaseModel):
    """Consumption of one request, retries included.

    `input_tokens` is the whole prompt: cached, cache-written, image and audio tokens are parts of it;
    `cached_audio_tokens` are a part of both cached and audio tokens, `cache_write_1h_tokens` of the written ones.
    `output_tokens` is the whole reply: reasoning and spoken (`audio_output_tokens`) tokens are parts of it.
    `billed_retries` are repeats after a 200 whose body was unusable: those are billed; 429 and 5xx are not. Where
    such a body reports no usage, it counts as many tokens as the answer that came (see `with_lost`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_tokens: NonNegativeInt | None = None
    output_tokens: NonNegativeInt | None = None
    cached_tokens: NonNegativeInt = 0
    cached_audio_tokens: NonNegativeInt = 0
    cache_write_tokens: NonNegativeInt = 0
    cache_write_1h_tokens: NonNegativeInt = 0
    reasoning_tokens: NonNegativeInt = 0
    image_tokens: NonNegativeInt = 0
    audio_tokens: NonNegativeInt = 0
    audio_output_tokens: NonNegativeInt = 0
    audio_sec: NonNegativeFloat = 0.0
    requests: NonNegativeInt = 1
    retries: NonNegativeInt = 0
    billed_retries: NonNegativeInt = 0

    @property
    def reported(self) -> bool:
        """Whether both token totals are known."""
        return self.input_tokens is not None and self.output_tokens is not None

    def with_lost(self, billed_retries: int, known: Sequence[Usage] = ()) -> Usage:
        """This usage with that of billed retries: what they reported of themselves (`known`), and as many tokens and
        seconds as the answer that came for each that reported nothing.
        """
        known = known[:billed_retries] if self.reported else ()
        sums = total([self] * (1 + billed_retries - len(known)) + list(known))
        return sums.model_copy(update={"requests": self.requests, "billed_retries": billed_retries})


def total(usages: Iterable[Usage]) -> Usage:
    """Sum of many; a token total is None as soon as one term is: a hole must not pass for a small bill."""
    sums: dict[str, int | float | None] = dict.fromkeys(Usage.model_fields, 0)
    for usage in usages:
        for name, value in usage:
            before = sums[name]
            sums[name] = None if before is None or value is None else before + value
    return Usage.model_validate(sums)
