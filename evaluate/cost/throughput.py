"""How many requests a machine answers per second, from the turns of a speed measurement, with its interval.

    rate(probe) -> Throughput(requests_per_s=256, low=240, high=262, basis="cpu", holds=True, …)

On processors the figure is what one core answers per second of processor time, times the cores: that is what one
process per core serves, and other programs on the machine hardly move it (docs/cost.md). On a GPU it is wall time.
Pure functions over records; `evaluate.predict.probe` makes the turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import median
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt

from evaluate.report.money import SpeedPart

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
    single: Turn | None = Field(default=None, description="One prompt after the other, as earlier versions noted it.")
    singles: tuple[Turn, ...] = Field(default=(), description="One prompt after the other, the same in each round.")
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
    basis = _basis(probe)
    speeds = sorted(_speed(turn, probe.cores, basis) for turn in probe.turns)
    low, high = _bounds(probe, speeds, _cut(len(speeds)))
    others = others_share(probe)
    reason = ""
    if len(speeds) < FEWEST_ROUNDS:
        rounds = "one round" if len(speeds) == 1 else f"{len(speeds)} rounds"
        reason = f"speed was measured in {rounds} only, and {FEWEST_ROUNDS} are needed"
    elif high > MOST_SPREAD * low:
        reason = f"speed varied between {low:.3g} and {high:.3g} requests/s from round to round"
    elif basis == "wall" and others > 1 - 1 / probe.cores:
        reason = f"other programs used {100 * others:.0f} % of the processors while the GPU was measured"
    return Throughput(median(speeds), low, high, basis, not reason, reason)


def _basis(probe: Probe) -> Literal["cpu", "wall"]:
    return "cpu" if probe.device == "cpu" else "wall"


def _cut(rounds: int) -> int:
    """How many of the fastest and as many of the slowest rounds the interval of the median leaves out.

    The most that still cover it in 93 %, whatever the distribution (order statistics; from the binomial); 0 of 5.
    """
    cut, outside = 0, 2 * 0.5**rounds  # chance that the median lies beyond all rounds
    while cut + 1 < rounds / 2:
        outside += 2 * comb(rounds, cut + 1) * 0.5**rounds
        if outside > 0.0705:  # 8 rounds without the two at the ends cover 92.97 %
            break
        cut += 1
    return cut


def _bounds(probe: Probe, speeds: Sequence[float], cut: int) -> tuple[float, float]:
    """The interval of sorted speeds without `cut` at either end; beside load the upper bound is raised."""
    crowded = _basis(probe) == "cpu" and others_share(probe) > CROWDED
    return speeds[cut], speeds[-1 - cut] * (LOADED_SLOWDOWN if crowded else 1.0)


def too_wide(probe: Probe) -> bool:
    """Whether the interval carries no price, so that further rounds may help."""
    found = rate(probe)
    return found.high > MOST_SPREAD * found.low


def single_stream(probe: Probe) -> Throughput | None:
    """Requests per second of the whole machine when each process answers one request after the other.

    Its interval spans all rounds; it holds where the speed does, the rounds agree as closely, and others left it a
    core of its own: who shares a core loses the caches that a small batch lives on (measured 1.4 times slower, rounds
    agreeing).
    """
    turns = probe.singles or ((probe.single,) if probe.single is not None else ())
    if not turns:
        return None
    basis = _basis(probe)
    speeds = sorted(_speed(turn, probe.cores, basis) for turn in turns)
    low, high = _bounds(probe, speeds, 0)
    reason = ""
    if others_share(probe) > 1 - 1 / probe.cores:
        reason = f"other programs used {100 * others_share(probe):.0f} % of the processors"
    elif not rate(probe).holds or high > MOST_SPREAD * low:
        reason = f"speed varied between {low:.3g} and {high:.3g} requests/s one at a time"
    return Throughput(median(speeds), low, high, basis, not reason, reason)


def others_share(probe: Probe) -> float:
    """Median share of the machine that other processes used during the turns."""
    return median(turn.others_share for turn in probe.turns)


def slowed(probes: Sequence[Probe]) -> float | None:
    """How many times longer than its processor time the measurement took; None on a GPU, where that says nothing."""
    turns = [turn for probe in probes if probe.device == "cpu" for turn in probe.turns]
    cpu = sum(turn.cpu_sec for turn in turns)
    return sum(turn.wall_sec for turn in turns) / cpu if cpu else None


def _speed(turn: Turn, cores: int, basis: str) -> float:
    return turn.answers / turn.wall_sec if basis == "wall" else cores * turn.answers / turn.cpu_sec


def facts(probe: Probe) -> SpeedPart:
    """report.json's `systems[].speed`."""
    found, alone = rate(probe), single_stream(probe)
    return SpeedPart(
        low=found.low,
        high=found.high,
        basis=found.basis,
        holds=found.holds,
        reason=found.reason,
        cores=probe.cores,
        rounds=len(probe.turns),
        prompts=probe.prompts,
        batch_size=probe.batch_size,
        latency_p50_sec=probe.latency_p50_sec,
        latency_p95_sec=probe.latency_p95_sec,
        single_stream_per_s=alone.requests_per_s if alone and alone.holds else None,
        single_stream_range=(alone.low, alone.high) if alone and alone.holds and len(probe.singles) > 1 else None,
        load_average=probe.load_average,
        others_share=others_share(probe),
    )
