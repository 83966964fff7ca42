"""The large side of a cascade: one endpoint over hours, its spend cap, and rests while it is down.

A client of `synth.endpoint` gives up for good when going on is pointless; a service goes on: after such an end the
endpoint is left alone for a while, and then asked again by a new client with the same purse. Nothing is cached: who
asks twice is answered twice, as the forecast counts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from evaluate.cost import formulas, prices
from studio.serving.cascade.settings import Cascade
from synth.endpoint import Ask, Endpoint, Purse, Reply, Settings
from synth.errors import UserError
from synth.usage import Usage

REST_SEC = 30.0
ATTEMPTS = 3
Reason = Literal["spend_cap", "down", "failed"]


class Unavailable(Exception):
    """The large model gave no answer: a reason for counters, a sentence for people."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Large:
    """The endpoint of a cascade, which has cost `spent_usd` before. Raises EndpointError for a cap without a price."""

    def __init__(self, cascade: Cascade, spent_usd: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        side = cascade.large
        self._sheet = prices.load(workspace=Path(cascade.workspace))
        self._price_model = side.price_model
        self._settings = Settings(
            side.base_url,
            side.model,
            side.api_key_env,
            side.concurrency,
            ATTEMPTS,
            side.deadline_sec,
            side.deadline_sec,
        )
        self._purse = Purse(cascade.spend_cap_usd, spent_usd)
        self._now = now
        self._lock = threading.Lock()
        self._rests_until = 0.0
        self._why = ""
        self._endpoint: Endpoint | None = self._opened()
        self.priced = self.usd(Usage(input_tokens=1, output_tokens=1)) is not None

    def _opened(self) -> Endpoint:
        return Endpoint(self._settings, None, self.usd, self._purse)

    @property
    def spent_usd(self) -> float:
        """Priced spending, what was spent before included."""
        return self._purse.spent_usd

    def usd(self, usage: Usage) -> float | None:
        """What a usage costs; None = unpriced."""
        return formulas.bill(usage, self._price_model, self._sheet).usd

    def ask(self, ask: Ask) -> Reply:
        """The large model's answer. Raises Unavailable."""
        with self._lock:
            if self._now() < self._rests_until:
                raise Unavailable("down", self._why)
            endpoint = self._endpoint = self._endpoint or self._opened()
        try:
            reply = endpoint.ask(ask)
        except UserError as fault:
            if fault.code == "endpoint.budget":  # this client says so from now on, and what is spent stays spent
                raise Unavailable("spend_cap", fault.message) from fault
            self._rest(endpoint, fault.message)
            raise Unavailable("down", fault.message) from fault
        if not reply.ok:
            raise Unavailable("failed", reply.error)
        return reply

    def _rest(self, endpoint: Endpoint, why: str) -> None:
        """Leave the endpoint alone; requests that are under way end by themselves."""
        with self._lock:
            if self._endpoint is endpoint:
                self._endpoint = None
                self._rests_until, self._why = self._now() + REST_SEC, why

    def close(self) -> None:
        """End the connections."""
        if self._endpoint is not None:
            self._endpoint.close()
