"""Parts of report.json that speak of money: bills, cost of an answer, fixed costs, break-even, sensitivity, cascade.

Shapes only; `schema` puts them together, `evaluate.cost` computes what stands in them. USD; None = unpriced, never 0.
"""

from __future__ import annotations

from typing import Literal

from evaluate.report.parts import Bounds, OpenBounds, Part
from synth.usage import Usage


class AnswersUsage(Usage):
    """Consumption of answers of one system. `answers`: how many it is shared by; `unreported`: without usage.

    `lost_attempts`: billed attempts without an answer of which nobody reported the tokens. `cost_spread`: interval of
    the mean bill per answer, as factors of the mean.
    """

    answers: int
    unreported: int
    largest_input_tokens: int
    lost_attempts: int = 0
    cost_spread: Bounds | None = None


class SpeedPart(Part):
    """Requests per second of the whole machine, measured in turns with the other local systems.

    `basis` cpu: cores × answers per second of processor time, one process per core; wall: by the clock. Where `holds`
    is false the speed carries no price, and `reason` says why. It holds at `batch_size`, where an answer takes
    `latency_p50_sec`; `single_stream_per_s` is the speed one request after the other, with the range over rounds; None
    where the rounds disagree.
    """

    low: float
    high: float
    basis: Literal["cpu", "wall"]
    holds: bool
    reason: str
    cores: int
    rounds: int
    prompts: int
    batch_size: int
    latency_p50_sec: float | None
    latency_p95_sec: float | None
    single_stream_per_s: float | None
    single_stream_range: Bounds | None = None
    load_average: float | None
    others_share: float


class BillLine(Part):
    """A line of a bill; `usd` None = unpriced."""

    unit: str
    quantity: float
    price: float | None
    usd: float | None


class Cost(Part):
    """What answers of one system cost; None = unpriced, or withheld. `basis` says how, or why not.

    `kind` withheld: it rests on a measured speed that does not hold, so no figure of it is stated; `withheld` says why.
    """

    usd_per_request: float | None
    usd_per_1k: float | None
    usd_per_1k_ci95: OpenBounds | None = None
    usd_per_1k_single: float | None = None
    usd_per_1k_single_range: OpenBounds | None = None
    usd_per_1k_batch: float | None
    usd_per_correct: float | None
    usd_per_correct_ci95: OpenBounds | None
    usd_per_audio_hour: float | None
    basis: str
    kind: Literal["machine", "usage", "unpriced", "withheld"]
    withheld: str = ""
    bill: tuple[BillLine, ...]
    wh_per_1k: float | None
    energy_usd_per_1k: float | None

    def withhold(self, reason: str) -> Cost:
        """Without any figure, because the speed that they rest on does not hold."""
        kept = {"basis": f"not stated: {reason}", "kind": "withheld", "withheld": reason, "bill": ()}
        return Cost.model_validate(dict.fromkeys(Cost.model_fields) | kept)


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
    """One fixed cost as measured; `usd` is money already known, `load` how many programs shared each core."""

    kind: str
    label: str
    seconds: float | None
    usd: float | None
    system_id: str | None
    run_id: str | None
    status: str
    load: float | None = None


class PricedLine(LedgerLine):
    money_usd: float | None


class FixedCosts(Part):
    """Everything spent before the first answer; `fixed_usd` None where one line is unpriced.

    `fixed_quiet_usd`: the least it would have been on a machine without other load. `not_stated`: costs that no machine
    sees and that the plan says nothing of.
    """

    items: tuple[PricedLine, ...]
    fixed_usd: float | None
    fixed_quiet_usd: float | None = None
    priced_usd: float
    seconds: float
    not_stated: tuple[str, ...] = ()


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
    fixed_quiet_usd: float | None = None
    fixed_seconds: float
    fixed_money_usd: float
    delta: float | None
    ci95: Bounds | None
    lower_one_sided95: float | None
    margin: float | None


class AlwaysOn(Part):
    """Machines kept on, as many as `requests_per_month` need. `capacity_per_month`: of one. `note`: why not priced."""

    months: int
    machines: int
    requests_per_month: int | None
    capacity_per_month: int | None
    note: str = ""


class BreakEvenPart(Part):
    """When tuning pays back. `price_holds`: no price of machine time rests on a speed that does not hold.

    `pay_back_holds` false (status `not_stated`): all is priced, yet no pay-back may be stated; `reason` says why.
    `requests_ci95`: upper bound None = it may never pay back. `utilisation_note`: why U* means nothing here.
    """

    status: Literal["pays_back", "never", "unpriced", "not_stated"]
    fixed_usd: float | None
    requests: int | None
    requests_ci95: tuple[int, int | None] | None = None
    price_holds: bool = True
    pay_back_holds: bool = True
    reason: str = ""
    saved_usd_per_1k: float | None
    saved_usd_per_1k_ci95: Bounds | None = None
    months_at: dict[str, float | None]
    utilisation: float | None
    utilisation_ci95: Bounds | None = None
    utilisation_note: str = ""
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
