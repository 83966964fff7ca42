"""How many requests may be open at once, how long to wait, how much may be spent.

`Throttle` is additive increase, multiplicative decrease; it starts with a single request, so that a wrong key or
address costs one call. `Purse` holds the worst case of each open request back, which makes its cap hard.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from synth.errors import EndpointError
from synth.usage import Usage

RETRY_AFTER_CAP_SEC = 60.0
BACKOFF_BASE_SEC = 0.5
BACKOFF_CAP_SEC = 30.0

Price = Callable[[Usage], float | None]


def retry_after_sec(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (delta seconds or HTTP date, RFC 9110), capped; None if unreadable."""
    if not header:
        return None
    seconds = _delta_seconds(header, now or datetime.now(UTC))
    return None if seconds is None or math.isnan(seconds) else min(max(seconds, 0.0), RETRY_AFTER_CAP_SEC)


def _delta_seconds(header: str, now: datetime) -> float | None:
    try:
        return float(header)
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds()


def backoff_sec(attempt: int, rng: random.Random) -> float:
    """Wait before retry number `attempt` (from 1): exponential with full jitter."""
    return rng.uniform(0.1, 1.0) * min(BACKOFF_CAP_SEC, BACKOFF_BASE_SEC * 2.0 ** (attempt - 1))


class Throttle:
    """Limits open requests to `limit`, which 429s halve and successes raise up to `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = 1.0
        self._proven = False
        self._open = 0
        self._paused_until = 0.0
        self._last_cut = float("-inf")
        self._condition = threading.Condition()
        self._closed = False

    @property
    def limit(self) -> int:
        """Requests that may be open now."""
        return int(self._limit)

    def enter(self) -> bool:
        """Wait for a place; False when the throttle was closed meanwhile."""
        with self._condition:
            while not self._closed:
                pause = self._paused_until - time.monotonic()
                if pause <= 0 and self._open < self.limit:
                    self._open += 1
                    return True
                self._condition.wait(pause if pause > 0 else None)
            return False

    def leave(self) -> None:
        """Give the place back."""
        with self._condition:
            self._open -= 1
            self._condition.notify_all()

    def succeeded(self) -> None:
        """An answer came: the first one opens the gates, later ones add one place per round of answers."""
        with self._condition:
            if not self._proven:
                self._proven = True
                self._limit = float(self._most)
            else:
                self._limit = min(float(self._most), self._limit + 1.0 / self._limit)
            self._condition.notify_all()

    def too_many(self, pause_sec: float) -> None:
        """A 429 came: halve (once per second at most, for a burst is one event) and pause everyone."""
        with self._condition:
            now = time.monotonic()
            if now - self._last_cut > 1.0:
                self._limit = max(1.0, self._limit / 2)
                self._last_cut = now
            self._paused_until = max(self._paused_until, now + pause_sec)
            self._condition.notify_all()

    def close(self) -> None:
        """Let nobody in any more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class Purse:
    """Money of one job in USD, spent and reserved, against a hard cap; endpoints of one job share it."""

    def __init__(self, cap_usd: float | None = None, spent_usd: float = 0.0) -> None:
        self.cap_usd = cap_usd
        self.spent_usd = spent_usd
        self._reserved = 0.0
        self._changed = threading.Condition()

    def reserve(self, amount: float) -> None:
        """Set money aside, and wait for open requests where their worst case is all that stands in the way.

        Raises EndpointError when the cap could be passed whatever they cost.
        """
        with self._changed:
            while self.cap_usd is not None and self.spent_usd + self._reserved + amount > self.cap_usd:
                if self._reserved < 1e-12:
                    digits = 2 if self.cap_usd >= 0.01 else 6
                    raise EndpointError(
                        f"The spend cap of ${self.cap_usd:.{digits}f} is reached (${self.spent_usd:.4f} spent); "
                        "answers are kept.",
                        "Raise `spend_cap_usd` and start again: nothing is paid twice.",
                        "endpoint.budget",
                    )
                self._changed.wait()
            self._reserved += amount

    def settle(self, reserved: float, spent: float) -> None:
        """Replace a reservation by what was spent."""
        with self._changed:
            self._reserved -= reserved
            self.spent_usd += spent
            self._changed.notify_all()


class Budget:
    """A purse as one endpoint uses it: usage in, money out, at the endpoint's price."""

    def __init__(self, purse: Purse, price: Price | None) -> None:
        if purse.cap_usd is not None and (price is None or price(Usage(input_tokens=1, output_tokens=1)) is None):
            raise EndpointError(
                "A spend cap is set, but the model has no price, so nothing can be counted against the cap.",
                "Name a `price_model` of the price sheet, or remove `spend_cap_usd`.",
                "endpoint.unpriced",
            )
        self.purse = purse
        self._price = price

    def claim(self, worst: Usage) -> Claim:
        """Set money aside for one question. Raises EndpointError when the cap could be passed."""
        return Claim(self.purse, self._cost, self._cost(worst) or 0.0)

    def _cost(self, usage: Usage) -> float | None:
        return self._price(usage) if self._price is not None else 0.0


class Claim:
    """Money of one question: the worst case of the attempt that is open, and what those before it cost.

    A question that is asked several times may be billed as often, so each attempt needs room of its own under the cap.
    Unknown usage, and usage of a kind that has no price, cost the worst case.
    """

    def __init__(self, purse: Purse, cost: Price, worst: float) -> None:
        self._purse, self._cost, self._worst = purse, cost, worst
        self._held = self._lost = 0.0
        self._is_open = False
        self.hold()

    def hold(self) -> None:
        """Set the worst case of the next attempt aside. Raises EndpointError when the cap could be passed."""
        if not self._is_open:
            self._purse.reserve(self._worst)
            self._is_open, self._held = True, self._worst

    def lose(self, usage: Usage | None) -> None:
        """An attempt was billed and gave no answer."""
        bill = self._bill(usage)
        self._purse.settle(self._held, bill)
        self._is_open, self._held = False, 0.0
        self._lost += bill

    def end(self, usage: Usage | None) -> None:
        """The question is over; `usage`: of the answer and of all attempts before it, None when there is no answer."""
        bill = self._lost if usage is None else self._bill(usage, self._lost)
        self._purse.settle(self._held, bill - self._lost)

    def _bill(self, usage: Usage | None, before: float = 0.0) -> float:
        bill = self._cost(usage) if usage is not None and usage.reported else None
        return before + self._worst if bill is None else bill
