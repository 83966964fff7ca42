"""Counters of a served cascade as Prometheus reads them: shares, costs, what was saved.

A figure that is not known is left out, never 0. Counters begin at 0 with the server, as Prometheus expects; what was
spent counts from the journal's beginning, as the spend cap does.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Literal, NamedTuple

from evaluate.cascade import Estimate
from studio.serving.cascade.settings import Cascade

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "smolstudio_cascade_"
Who = Literal["small", "large"]


class Family(NamedTuple):
    """One metric: its kind and meaning, and its samples as (labels, value)."""

    name: str
    kind: Literal["counter", "gauge"]
    says: str
    samples: tuple[tuple[str, float], ...]

    def lines(self) -> Iterator[str]:
        yield f"# HELP {PREFIX}{self.name} {self.says}"
        yield f"# TYPE {PREFIX}{self.name} {self.kind}"
        for labels, value in self.samples:
            yield f"{PREFIX}{self.name}{f'{{{labels}}}' if labels else ''} {value:.10g}"


class Counts:
    """What has happened since the server began."""

    def __init__(self, cascade: Cascade, spent_before_usd: float = 0.0) -> None:
        self._cascade = cascade
        self._before_usd = spent_before_usd
        self._lock = threading.Lock()
        self._answered: Counter[str] = Counter()
        self._unavailable: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._handed_on = self._unwritten = self._bills = 0
        self._billed_usd = 0.0
        self._unpriced = 0

    def small(self, seconds: float) -> None:
        """The small model has answered."""
        with self._lock:
            self._seconds["small"] += seconds

    def large(self, seconds: float, usd: float | None) -> None:
        """The large model has answered."""
        with self._lock:
            self._seconds["large"] += seconds
            self._unpriced += usd is None
            self._bills += usd is not None
            self._billed_usd += usd or 0.0

    def unavailable(self, reason: str) -> None:
        """The large model gave no answer."""
        with self._lock:
            self._unavailable[reason] += 1

    def answered(self, who: Who, handed_on: bool) -> None:
        """A client has its answer."""
        with self._lock:
            self._answered[who] += 1
            self._handed_on += handed_on

    def unwritten(self) -> None:
        """An exchange that the journal did not take."""
        with self._lock:
            self._unwritten += 1

    def text(self, spent_usd: float | None) -> str:
        """All of it. spent_usd: on the large side; None = unpriced."""
        with self._lock:
            families = [*self._traffic(), *self._money(spent_usd), *self._forecast()]
        return "\n".join(line for family in families if family.samples for line in family.lines()) + "\n"

    def _traffic(self) -> Iterator[Family]:
        asked = sum(self._answered.values())
        yield Family(
            "requests_total", "counter", "Answered requests by the model whose answer it was.",
            tuple((f'answered_by="{who}"', self._answered[who]) for who in ("small", "large")),
        )  # fmt: skip
        yield Family("handed_on_total", "counter", "Requests whose small answer was unsure.", (("", self._handed_on),))
        yield Family(
            "handed_on_share", "gauge", "Share of requests that were handed on.",
            (("", self._handed_on / asked),) if asked else (),
        )  # fmt: skip
        yield Family(
            "large_unavailable_total", "counter", "Requests that the large model did not answer.",
            tuple((f'reason="{why}"', self._unavailable[why]) for why in ("down", "failed", "spend_cap")),
        )  # fmt: skip
        yield Family(
            "answer_seconds_total", "counter", "Seconds that answers took.",
            tuple((f'model="{who}"', self._seconds[who]) for who in ("small", "large")),
        )  # fmt: skip
        yield Family(
            "threshold", "gauge", "Confidence below which the large model is asked.", (("", self._cascade.threshold),)
        )
        yield Family("unwritten_total", "counter", "Exchanges that the journal did not take.", (("", self._unwritten),))

    def _money(self, spent_usd: float | None) -> Iterator[Family]:
        cascade, asked = self._cascade, sum(self._answered.values())
        if spent_usd is not None:
            yield Family("large_usd_total", "counter", "USD spent on the large model.", (("", spent_usd),))
        yield Family(
            "large_unpriced_total", "counter", "Large answers whose cost is not known.", (("", self._unpriced),)
        )
        if cascade.spend_cap_usd is not None:
            yield Family(
                "spend_cap_usd", "gauge", "Most that the large model may cost.", (("", cascade.spend_cap_usd),)
            )
        small_usd = None if cascade.small_usd is None else cascade.small_usd * asked
        if small_usd is not None:
            yield Family("small_usd_total", "counter", "USD of this machine's time, as measured.", (("", small_usd),))
        each = cascade.large_usd or (self._billed_usd / self._bills if self._bills else None)
        if each is None or self._unpriced:
            return
        helped = asked - self._handed_on + self._answered["large"]
        avoided = each * (asked - self._handed_on)
        yield Family(
            "avoided_usd", "gauge", "USD that the large model would have cost for sure answers.", (("", avoided),)
        )
        if small_usd is not None and spent_usd is not None:
            saved = each * helped - (spent_usd - self._before_usd) - small_usd
            yield Family("saved_usd", "gauge", "USD saved against asking the large model always.", (("", saved),))

    def _forecast(self) -> Iterator[Family]:
        known = (("handed_on_share", self._cascade.forecast_handed_on), ("usd_per_request", self._cascade.forecast_usd))
        for name, estimate in known:
            if estimate is not None:
                says = f"Forecast of {self._cascade.comparison} with its 95 % interval."
                yield Family(f"forecast_{name}", "gauge", says, _bounds(estimate))


def _bounds(estimate: Estimate) -> tuple[tuple[str, float], ...]:
    return tuple((f'bound="{bound}"', getattr(estimate, bound)) for bound in ("low", "value", "high"))
