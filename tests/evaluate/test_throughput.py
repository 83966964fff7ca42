"""Claims about speed as a measurement: taking turns, processor time beside load, intervals, what carries no price."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from plausible import results

from evaluate import compare
from evaluate.cost import throughput
from evaluate.cost.throughput import Probe, Turn
from evaluate.plan import SystemPlan
from evaluate.predict import probe
from evaluate.predict.prediction import Prediction
from evaluate.predict.prompts import Question
from evaluate.report import report_json
from evaluate.report.schema import Report
from synth.errors import RunError
from synth.example import user
from synth.progress import silent
from tests.bench.bench_busy import disagreements

pytestmark = pytest.mark.slow


def turns(speeds: list[float], others: float = 0.0, slowed: float = 1.0) -> tuple[Turn, ...]:
    """Turns of 10 answers at so many answers per processor second; wall time is `slowed` times as long."""
    return tuple(
        Turn(answers=10, wall_sec=slowed * 10 / speed, cpu_sec=10 / speed, others_share=others) for speed in speeds
    )


def probed(made: tuple[Turn, ...], device: str = "cpu") -> Probe:
    return Probe(
        device=device,
        cores=2,
        threads=1,
        batch_size=10,
        prompts=10,
        load_average=1.0,
        turns=made,
        latency_p50_sec=0.1,
        latency_p95_sec=0.2,
        singles=tuple(Turn(answers=4, wall_sec=cpu, cpu_sec=cpu, others_share=0.0) for cpu in (1.0, 0.96, 1.05)),
        seconds=9.0,
    )


QUIET = [100.0, 101, 99, 102, 98, 100, 103, 97, 100]


def test_the_speed_of_a_processor_is_its_cores_times_answers_per_processor_second() -> None:
    found = throughput.rate(probed(turns(QUIET)))
    assert (found.requests_per_s, found.low, found.high) == pytest.approx((200, 196, 204))
    assert (found.basis, found.holds) == ("cpu", True)
    alone = throughput.single_stream(probed(turns(QUIET)))
    assert alone is not None
    assert (alone.requests_per_s, alone.low, alone.high) == pytest.approx((8.0, 8 / 1.05, 8 / 0.96))


def test_a_speed_noted_by_an_earlier_version_still_opens() -> None:
    earlier = probed(turns(QUIET)).model_dump(mode="json")
    first, *_ = earlier.pop("singles")
    found = Probe.model_validate({**earlier, "single": first})
    assert throughput.facts(found).single_stream_per_s == 8.0


@pytest.mark.parametrize(("rounds", "left_out"), [(5, 0), (7, 0), (8, 1), (9, 1), (12, 2), (17, 4), (25, 7)])
def test_the_interval_of_the_median_leaves_out_as_many_rounds_as_93_percent_allow(rounds: int, left_out: int) -> None:
    assert throughput._cut(rounds) == left_out


def test_one_hiccup_of_nine_rounds_does_not_widen_the_interval() -> None:
    found = throughput.rate(probed(turns([*QUIET[:-1], 5.0])))
    assert found.holds
    assert found.low > 190


def test_load_that_slows_the_clock_tenfold_leaves_the_speed_within_the_interval() -> None:
    quiet = throughput.rate(probed(turns(QUIET)))
    busy = throughput.rate(probed(turns([speed * 0.86 for speed in QUIET], others=0.95, slowed=10.0)))
    assert busy.low <= quiet.requests_per_s <= busy.high
    assert busy.holds


def test_the_speed_one_at_a_time_is_withheld_where_others_left_no_core_for_it() -> None:
    beside = probed(turns(QUIET, others=0.91))
    assert throughput.rate(beside).holds
    alone = throughput.single_stream(beside)
    assert alone is not None
    assert not alone.holds, "rounds that agree are all slowed alike"
    assert "91 %" in alone.reason
    assert throughput.facts(beside).single_stream_per_s is None
    quieter = throughput.single_stream(probed(turns(QUIET, others=0.4)))
    assert quieter is not None
    assert quieter.holds


def test_a_speed_that_jumps_from_round_to_round_carries_no_price() -> None:
    found = throughput.rate(probed(turns([20.0, 90, 30, 80, 25, 85, 40, 70, 50])))
    assert not found.holds
    assert "from round to round" in found.reason


def test_few_rounds_carry_no_price() -> None:
    assert "3 rounds only" in throughput.rate(probed(turns(QUIET[:3]))).reason


def test_a_gpu_is_measured_by_the_clock_and_not_beside_full_processors() -> None:
    alone = throughput.rate(probed(turns(QUIET, slowed=0.5), "cuda"))
    assert (alone.requests_per_s, alone.basis, alone.holds) == (pytest.approx(200), "wall", True)
    crowded = throughput.rate(probed(turns(QUIET, others=0.9), "cuda"))
    assert not crowded.holds
    assert "other programs" in crowded.reason


CPU_SEC = {"fast": 0.004, "slow": 0.016}  # of an answer


class Fake:
    """A runner that works so many seconds of processor time per answer, and notes who was asked."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def answer(self, name: str, questions: Sequence[Question], _: int) -> Iterator[Prediction]:
        self.order.append(name)
        for question in questions:
            work(CPU_SEC[name])
            yield Prediction(example_id=question.example_id, text="4", seconds=CPU_SEC[name])


def work(seconds: float) -> None:
    matrix = np.ones((40, 40))
    end = time.process_time() + seconds
    while time.process_time() < end:
        matrix = matrix @ matrix / 40


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv(probe.SPEED_SECONDS, "60")  # as users have it: its answers take no time
    runner = Fake()
    ready = {name: probe._Answering("cpu", functools.partial(runner.answer, name)) for name in CPU_SEC}
    monkeypatch.setattr(probe._Models, "get", lambda self, plan: ready[plan.id])
    monkeypatch.setattr(probe, "SHORTEST_TURN_SEC", 0.05)
    return runner


def measure(folder: Path, rounds: int = 9) -> dict[str, Probe]:
    questions = [Question(str(i), (user(f"{i}?"),), Path()) for i in range(12)]
    systems = [probe.Probed(SystemPlan(id=name, model="m"), name, questions, 1000) for name in ("fast", "slow")]
    return probe.measure(systems, rounds, folder, folder, silent, lambda: False)


def rates(found: dict[str, Probe]) -> dict[str, throughput.Throughput]:
    return {name: throughput.rate(one) for name, one in found.items()}


class Clocks:
    """Time that only answers make pass: `share` of the cores is ours, and what we do not get, others use."""

    def __init__(self, share: float, jitter: float) -> None:
        self.wall = self.cpu = self.others = 0.0
        self.share, self.rng, self.jitter = share, np.random.default_rng(5), jitter
        self.answered, self.now = 0, 1.0

    def work(self, seconds: float) -> None:
        if self.answered % 12 == 0:
            self.now = float(np.exp(self.rng.normal(0.0, self.jitter)))
        self.answered += 1
        slower = 1.0 if self.share == 1.0 else 1.15  # caches and frequency are shared, too
        cpu = seconds * slower * self.now
        self.cpu, self.wall = self.cpu + cpu, self.wall + cpu / self.share
        self.others += 2 * cpu / self.share - cpu if self.share < 1.0 else 0.0

    def times(self) -> list[Any]:
        fields = ("user", "idle")
        idle = 2 * self.wall - self.cpu - self.others
        return [SimpleNamespace(_fields=fields, user=self.cpu + self.others, idle=idle)]


def clocked(monkeypatch: pytest.MonkeyPatch, folder: Path, share: float, jitter: float) -> dict[str, Probe]:
    clocks = Clocks(share, jitter)
    fake_time = SimpleNamespace(
        process_time=lambda: clocks.cpu, perf_counter=lambda: clocks.wall, monotonic=lambda: clocks.wall
    )
    monkeypatch.setattr(probe, "time", fake_time)
    monkeypatch.setattr(probe, "_times", clocks.times)
    monkeypatch.setattr(sys.modules[__name__], "work", clocks.work)
    return measure(folder)


@pytest.mark.parametrize("jitter", [0.01, 0.05, 0.4])
@pytest.mark.usefixtures("fake")
def test_quiet_and_beside_load_costs_agree_or_are_withheld(
    jitter: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    quiet = report_at(clocked(monkeypatch, tmp_path / "quiet", 1.0, 0.01))
    busy = report_at(clocked(monkeypatch, tmp_path / "busy", 0.4, jitter))
    assert busy.small_system.speed is not None
    assert busy.small_system.speed.others_share > throughput.CROWDED
    assert disagreements(quiet, busy) == []
    assert quiet.verdict == busy.verdict
    assert all(one.cost.usd_per_1k for one in quiet.systems)
    if jitter == 0.4:
        assert busy.small_system.cost.kind == "withheld"
        assert "speed varied between" in busy.headline
    else:
        assert all(one.cost.usd_per_1k_ci95 for one in busy.systems)


def report_at(speeds: dict[str, Probe]) -> Report:
    """The report of a comparison whose small and large systems were measured so."""
    original = results(("dpo", "large-few"), large="large-few", per_split=120)
    systems = tuple(
        compare._at_speed(one, speeds[name], "test")
        for one, name in zip(original.systems, ("fast", "slow"), strict=True)
    )
    return report_json.build(original.model_copy(update={"systems": systems}))


@pytest.mark.usefixtures("fake")
def test_a_speed_that_varies_gets_more_rounds_and_is_measured_anew_when_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wild = clocked(monkeypatch, tmp_path, 1.0, 0.6)
    assert len(wild["fast"].turns) > 9
    assert not throughput.rate(wild["fast"]).holds
    calm = clocked(monkeypatch, tmp_path, 1.0, 0.01)
    assert throughput.rate(calm["fast"]).holds, "an answer is kept, a speed that does not hold is not"


def test_systems_take_turns_and_are_not_measured_again(fake: Fake, tmp_path: Path) -> None:
    found = measure(tmp_path)
    assert [len(one.turns) for one in found.values()] == [9, 9]
    in_turns = [name for name, before in zip(fake.order, ["", *fake.order], strict=False) if name != before]
    assert in_turns == ["fast", "slow"] * 10, "one round to warm up, then nine"
    asked = len(fake.order)
    assert measure(tmp_path) == found
    assert len(fake.order) == asked


def test_how_many_are_answered_at_once_does_not_follow_from_load(fake: Fake, tmp_path: Path) -> None:
    found = measure(tmp_path, rounds=1)
    assert {(one.prompts, one.batch_size) for one in found.values()} == {(12, 12)}, "all there are, 16 at most"
    assert {size for _, _, size in probe.SIZES} == {16, 8, 4}


@pytest.mark.parametrize(
    ("per_answer_sec", "allowed", "prompts"), [([0.1] * 6, "60", 32), ([0.9, 0.9], "60", 8), ([0.1] * 6, "5", 4)]
)
def test_slow_systems_answer_fewer_prompts_so_that_the_fewest_rounds_fit_the_seconds_allowed(
    monkeypatch: pytest.MonkeyPatch, per_answer_sec: list[float], allowed: str, prompts: int
) -> None:
    monkeypatch.setenv(probe.SPEED_SECONDS, allowed)
    assert probe._size(per_answer_sec)[1] == prompts


def test_no_seconds_measure_no_speed(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(probe.SPEED_SECONDS, "0")
    systems = [probe.Probed(SystemPlan(id="fast", model="m"), "x", [Question("a", (user("?"),), Path())], None)]
    assert probe.measure(systems, 9, tmp_path, tmp_path, silent, lambda: False) == {} and not fake.order


def test_a_stop_is_obeyed_between_turns(fake: Fake, tmp_path: Path) -> None:
    questions = [Question("a", (user("?"),), Path())]
    systems = [probe.Probed(SystemPlan(id="fast", model="m"), "x", questions, None)]
    with pytest.raises(RunError) as caught:
        probe.measure(systems, 9, tmp_path, tmp_path, silent, lambda: len(fake.order) > 3)
    assert caught.value.code == "run.stopped"


def test_two_busy_loops_per_core_leave_the_speed_within_the_interval(fake: Fake, tmp_path: Path) -> None:
    quiet = rates(measure(tmp_path / "quiet"))
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * probe.cores())]
    try:
        time.sleep(0.2)
        busy_probes = measure(tmp_path / "busy")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    busy = rates(busy_probes)
    assert throughput.others_share(busy_probes["fast"]) > throughput.CROWDED
    for name in ("fast", "slow"):
        if busy[name].holds and quiet[name].holds:
            assert busy[name].low <= quiet[name].high
            assert quiet[name].low <= busy[name].high
    assert busy["fast"].requests_per_s > 2 * busy["slow"].requests_per_s
