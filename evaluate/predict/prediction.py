"""One reply of a system, and what is known of a system once it has run. Records only."""

from __future__ import annotations

import json
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, ValidationError
from pydantic_core import PydanticSerializationError

from synth.shelf import Shelf
from synth.usage import Usage

Stop = Callable[[], bool]


class Prediction(BaseModel):
    """One reply. With an `error` there is no reply, and the row is unscored.

    `truncated`: cut at max_new_tokens. `refused`: the model or a filter declined, which is an answer. `cached`: taken
    from the reply cache, so not part of the measured speed. `model` and `batch`: of imported batch results, the model
    that is billed and that its price is the batch's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    example_id: str
    text: str = ""
    usage: Usage = Usage()
    seconds: NonNegativeFloat | None = None
    confidence: float | None = None
    truncated: bool = False
    refused: bool = False
    cached: bool = False
    model: str = ""
    batch: bool = False
    error: str = ""


def no_predictions() -> Shelf[Prediction]:
    """Room for predictions by example id."""
    return Shelf(_as_bytes, _from_bytes)


def _as_bytes(prediction: Prediction) -> bytes:
    try:
        return prediction.model_dump_json(exclude_defaults=True).encode()
    except PydanticSerializationError:  # half of a character, as answers may hold that were cut off
        return json.dumps(prediction.model_dump(exclude_defaults=True)).encode()


def _from_bytes(data: bytes) -> Prediction:
    try:
        return Prediction.model_validate_json(data)
    except ValidationError:
        return Prediction.model_validate(json.loads(data))


class Facts(BaseModel):
    """What the report says of a system, known once it has run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    params: int | None = None
    hardware: str = ""
    revision: str | None = None
    load_seconds: float | None = None
    batch_size: int | None = None
    latency_basis: str = ""
    spent_usd: float | None = None
    stored_bytes: int | None = None
    memory_bytes: int | None = None
