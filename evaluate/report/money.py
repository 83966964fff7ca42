"""Parts of report.json that speak of money: bills, cost of an answer, fixed costs, break-even, sensitivity, cascade.

Shapes only; `schema` puts them together, `evaluate.cost` computes what stands in them. USD; None = unpriced, never 0.
"""

from __future__ import annotations

from typing import Literal

from evaluate.report.parts import Bounds, OpenBounds, Part
from synth.usage import Usage


class AnswersUsage(Usage):
    """Consumption of all answers of one system. `answers`: how many it is shared by; `unreported`: without usage."""

    answers: int
    unreported: int
    largest_input_tokens: int


class BillLine(Part):
    """A line of a bill; `usd` None = unpriced."""

    unit: str
    quantity: float
    price: float | None
    usd: float | None


class Cost(Part):
    """What answers of one system cost; None = unpriced. `basis` says how, or why not."""

    usd_per_request: float | None
    usd_per_1k: float | None
    usd_per_1k_batch: float | None
    usd_per_correct: float | None
    usd_per_correct_ci95: OpenBounds | None
    usd_per_audio_hour: float | None
    basis: str
    kind: Literal["machine", "usage", "unpriced"]
    bill: tuple[BillLine, ...]
    wh_per_1k: float | None
    energy_usd_per_1k: float | None


class MachinePart(Part):
    """The machine that local systems and runs are priced on."""

    name: str
    usd_per_hour: float | None
    from_sheet: bool
    assumed: bool
    utilisation: float
    watts: float | None
    usd_per_kwh: float | None


class LedgerLine(Part):
    """One fixed cost as measured; `usd` is money already known."""

    kind: str
    label: str
    seconds: float | None
    usd: float | None
    system_id: str | None
    run_id: str | None
    status: str


class PricedLine(LedgerLine):
    money_usd: float | None


class FixedCosts(Part):
    """Everything spent before the first answer; `fixed_usd` None where one line is unpriced."""

    items: tuple[PricedLine, ...]
    fixed_usd: float | None
    priced_usd: float
    seconds: float


class WhatIf(Part):
    """Where the sliders start: copies of figures found elsewhere."""

    small: str
    large: str | None
    usd_per_hour: float | None
    utilisation: float
    small_kind: str
    large_kind: str
    small_requests_per_s: float | None
    large_requests_per_s: float | None
    small_usd_per_request: float | None
    large_usd_per_request: float | None
    fixed_usd: float | None
    fixed_seconds: float
    fixed_money_usd: float
    delta: float | None
    ci95: Bounds | None
    lower_one_sided95: float | None
    margin: float | None


class AlwaysOn(Part):
    months: int
    machines: int
    requests_per_month: int | None
    capacity_per_month: int | None


class BreakEvenPart(Part):
    """When tuning pays back."""

    status: Literal["pays_back", "never", "unpriced", "not_stated"]
    fixed_usd: float | None
    requests: int | None
    saved_usd_per_1k: float | None
    months_at: dict[str, float | None]
    utilisation: float | None
    always_on: AlwaysOn
    error_price_usd: float | None
    p_not_worse: float | None
    p_cheaper_and_not_worse: float | None


class Swing(Part):
    assumption: str
    halved: int | None
    doubled: int | None


class Heat(Part):
    utilisation: tuple[float, ...]
    requests_per_month: tuple[int, ...]
    saving_usd_per_month: tuple[tuple[float | None, ...], ...]


class Sensitivity(Part):
    swing: float
    requests: int | None
    tornado: tuple[Swing, ...]
    heat: Heat


class Handover(Part):
    """A cascade at one threshold; `ci95` of the chosen one only."""

    threshold: float
    escalated: float
    score: float
    usd_per_request: float | None
    ci95: Bounds | None = None


class Cascade(Part):
    split: str
    n: int
    curve: tuple[Handover, ...]
    chosen_on: str | None
    chosen: Handover | None


class Price(Part):
    model: str
    unit: str
    price: float
    source: str
    checked: str
    second: str
    second_checked: str | None
    up_to_input_tokens: int | None
    note: str
