"""What a run was asked for, and what it gets from whoever starts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from synth.progress import ProgressFn, silent
from synth.usage import Usage
from synth.workspace import Workspace

if TYPE_CHECKING:
    from synth.endpoint.elsewhere import Send

PriceOf = Callable[[Usage, str], float | None]
"""USD of a usage at a model's price; None where it has none."""


class TeacherPlan(BaseModel):
    """A model to ask. Its key is in the environment variable (or keyring entry) that is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = Field(default=8, ge=1, le=256)
    timeout_sec: float = Field(
        default=120.0, gt=0, le=3600, description="Longest wait for an answer; local models are slow"
    )
    price_model: str = Field(default="", description="Name in the price sheet, where it differs from the model's")


class RouteRule(BaseModel):
    """Several teachers share the writing: each is tried, then every value of a field goes to one of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(default="", description="Field whose values are told apart, such as topic; one choice without it")
    trial: int = Field(default=20, ge=5, le=1000, description="Candidates of each teacher for each value")


class RunPlan(BaseModel):
    """What a run was asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    pipeline: str
    inputs: dict[str, Any] = {}
    rows: int | None = Field(default=None, ge=1)
    cap_usd: float | None = Field(default=None, gt=0)
    teachers: dict[str, TeacherPlan] = {}
    route: RouteRule | None = None
    seed: int = 0


class Outside(NamedTuple):
    """What a run needs from whoever starts it; `send` has its requests sent by other machines."""

    workspace: Workspace
    price: PriceOf = lambda usage, model: None
    on_progress: ProgressFn = silent
    stop: Callable[[], bool] = lambda: False
    send: Send | None = None
