"""How many requests a machine answers per second, from the turns of a speed measurement, with its interval.

    rate(probe) -> Throughput(requests_per_s=256, low=240, high=262, basis="cpu", holds=True, …)

On processors the figure is what one core answers per second of processor time, times the cores: that is what one
process per core serves, and other programs on the machine hardly move it (docs/cost.md). On a GPU it is wall time.
Pure functions over records; `evaluate.predict.probe` makes the turns.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt

CROWDED = 0.2  # share of the machine that others use, above which it is not quiet
LOADED_SLOWDOWN = 1.25  # most that other load lengthens the processor time of an answer (measured: 1.1 to 1.2)
MOST_SPREAD = 1.5  # upper over lower bound, above which a speed carries no price
FEWEST_ROUNDS = 5


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Turn(_Frozen):
    """One system's turn: answers, and the seconds of wall and processor time they took."""

    answers: PositiveInt
    wall_sec: NonNegativeFloat
    cpu_sec: NonNegativeFloat
    others_share: NonNegativeFloat = Field(description="Share of all cores that other processes used meanwhile.")


class Probe(_Frozen):
    """The turns of one system, one a round, all systems on the same prompts."""

    device: str
    cores: PositiveInt
    threads: PositiveInt = Field(description="Of the answering process; one on processors.")
    batch_size: PositiveInt = Field(description="Prompts in flight at once.")
    prompts: PositiveInt
    load_average: float | None = Field(description="Of the last minute, at the start; None where there is none.")
    turns: tuple[Turn, ...]
    latency_p50_sec: float | None = Field(description="Of an answer at `batch_size`, wall time.")
    latency_p95_sec: float | None
    single: Turn | None = Field(default=None, description="One prompt after the other.")
    seconds: NonNegativeFloat = Field(description="Wall time of everything, loading excluded.")


class Throughput(NamedTuple):
    """Requests per second of the whole machine; `holds`: whether a price may stand on it, else `reason` says why."""

    requests_per_s: float
    low: float
    high: float
    basis: Literal["cpu", "wall"]
    holds: bool
    reason: str


def rate(probe: Probe) -> Throughput:
    """The median over rounds, with an interval of at least 93 % that assumes nothing about how turns vary."""
    basis: Literal["cpu", "wall"] = "cpu" if probe.device == "cpu" else "wall"
    speeds = sorted(_speed(turn, probe.cores, basis) for turn in probe.turns)
    cut = 1 if len(speeds) >= 8 else 0  # order statistics 2 to n-1 of 8 cover the median in 93 %, of 9 in 96 %
    low, high = speeds[cut], speeds[-1 - cut]
    others = others_share(probe)
    if basis == "cpu" and others > CROWDED:
        high *= LOADED_SLOWDOWN
    reason = ""
    if len(speeds) < FEWEST_ROUNDS:
        reason = f"speed was measured in {len(speeds)} rounds only, and {FEWEST_ROUNDS} are needed"
    elif high > MOST_SPREAD * low:
        reason = f"speed varied between {low:.3g} and {high:.3g} requests/s from round to round"
    elif basis == "wall" and others > 1 - 1 / probe.cores:
        reason = f"other programs used {100 * others:.0f} % of the processors while the GPU was measured"
    return Throughput(median(speeds), low, high, basis, not reason, reason)


def single_stream(probe: Probe) -> float | None:
    """Requests per second of the whole machine when each process answers one request after the other."""
    if probe.single is None:
        return None
    return _speed(probe.single, probe.cores, "cpu" if probe.device == "cpu" else "wall")


def others_share(probe: Probe) -> float:
    """Median share of the machine that other processes used during the turns."""
    return median(turn.others_share for turn in probe.turns)


def _speed(turn: Turn, cores: int, basis: str) -> float:
    return turn.answers / turn.wall_sec if basis == "wall" else cores * turn.answers / turn.cpu_sec


def facts(probe: Probe) -> dict[str, Any]:
    """report.json's `systems[].speed`."""
    found = rate(probe)
    return {
        "low": found.low,
        "high": found.high,
        "basis": found.basis,
        "holds": found.holds,
        "reason": found.reason,
        "cores": probe.cores,
        "rounds": len(probe.turns),
        "prompts": probe.prompts,
        "batch_size": probe.batch_size,
        "latency_p50_sec": probe.latency_p50_sec,
        "latency_p95_sec": probe.latency_p95_sec,
        "single_stream_per_s": single_stream(probe),
        "load_average": probe.load_average,
        "others_share": others_share(probe),
    }
