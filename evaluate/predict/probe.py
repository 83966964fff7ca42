"""The speed measurement: local systems answer the same prompts in turns (A B C A B C …), round after round.

    measure(systems, settings, folder, on_progress, stop) -> {system id: Probe}

Taking turns gives every system its share of whatever else the machine does; wall time, processor time and what others
used are noted for each turn. On processors the process answers with one thread: threads that wait for each other burn
processor time as soon as the machine is shared, one thread does not. The result is kept in `speed.json` of the
comparison. Judges nothing (`evaluate.cost.throughput`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from evaluate.cost import throughput
from evaluate.cost.throughput import Probe, Turn
from evaluate.plan import SystemPlan
from evaluate.predict.prompts import Question
from synth.errors import RunError
from synth.progress import Meter, ProgressFn
from synth.storage import read_json, sha256_bytes, write_json

if TYPE_CHECKING:
    from evaluate.predict.prediction import Prediction

FILE = "speed.json"
MOST_PROMPTS = 32
# (seconds that an answer of the slowest system takes at most, prompts of a turn, prompts in flight at once). Throughput
# depends on the last, so it must not follow from how busy the machine happens to be: the steps are wide apart.
SIZES = ((1.0, 32, 16), (8.0, 8, 8), (float("inf"), 4, 4))
SHORTEST_TURN_SEC = 0.25  # a fast system answers the prompts again until this has passed
SPEED_SECONDS = "SMOLSTUDIO_SPEED_SECONDS"  # of all turns, in processor time, as the first round lets expect
MOST_SEC = 60.0  # the same where nobody says otherwise; beyond it systems get the fewest rounds
FEWEST_ROUNDS = 5
CLOCK = 2.5  # times that, by the clock, in which rounds are added while a speed varies too much to carry a price
MOST_ROUNDS = 25
WARMING_PROMPTS = 4
WARM = 4.0  # an answer among the few of the first turn takes so many times as long as one of a full batch, at most
SINGLE_PROMPTS, SINGLE_ROUNDS = 2, 3  # answered one at a time
SHARE_OF_MEMORY = 0.4  # of what is free; models that need more are loaded anew for each turn


def split_to_measure(splits: Container[str]) -> str:
    """The split whose rows the speed is measured on: the most real one."""
    return next((name for name in ("test_real", "test", "test_ood", "val") if name in splits), "train")


class Probed(NamedTuple):
    """A local system in the measurement; `mark` is its fingerprint, `params` its size where it is known."""

    plan: SystemPlan
    mark: str
    questions: Sequence[Question]
    params: int | None


class _Answering(NamedTuple):
    """Where a system answers, and how it answers so many questions at once."""

    device: str
    answer: Callable[[Sequence[Question], int], Iterator[Prediction]]


def measure(
    systems: Sequence[Probed],
    rounds: int,
    runs: Path,
    folder: Path,
    on_progress: ProgressFn,
    stop: Callable[[], bool],
) -> dict[str, Probe]:
    """The speed of each local system. Raises RunError run.stopped when asked to stop."""
    if not systems or not rounds or not most_seconds():
        return {}
    key = sha256_bytes("\n".join([str(rounds), *(f"{one.plan.id} {one.mark}" for one in systems)]).encode())
    if known := _known(folder / FILE, key):
        return known  # a speed that did not hold is measured anew
    with _one_thread(), _Models(systems, runs) as models:
        found = _take_turns(systems, rounds, models, on_progress, stop)
    write_json(
        folder / FILE, {"key": key, "probes": {name: one.model_dump(mode="json") for name, one in found.items()}}
    )
    return found


def _known(file: Path, key: str) -> dict[str, Probe]:
    """What was measured before, of the same systems, where all of it holds."""
    if not file.is_file():
        return {}
    with contextlib.suppress(ValidationError, KeyError, TypeError, AttributeError, ValueError):
        value = read_json(file)
        if value["key"] == key:
            probes = {name: Probe.model_validate(one) for name, one in value["probes"].items()}
            return probes if all(throughput.rate(one).holds for one in probes.values()) else {}
    return {}


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Models:
    """The models, loaded once where they fit into the memory together, else before each turn."""

    def __init__(self, systems: Sequence[Probed], runs: Path) -> None:
        import psutil
        import torch

        free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else psutil.virtual_memory().available
        self._keep = sum(4 * (one.params or 0) for one in systems) < SHARE_OF_MEMORY * free
        self._runs = runs
        self._kept: dict[str, _Answering] = {}

    def __enter__(self) -> _Models:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.clear()

    def get(self, plan: SystemPlan) -> _Answering:
        if plan.id not in self._kept:
            ready = _opened(plan, self._runs)
            if not self._keep:
                return ready
            self._kept[plan.id] = ready
        return self._kept[plan.id]


def _opened(plan: SystemPlan, runs: Path) -> _Answering:
    from evaluate.predict.exported import ExportedSystem
    from evaluate.predict.runners import runner_of
    from recipes.models.loading import load_for_inference

    if plan.artefact:
        system = ExportedSystem(plan, runs)
        return _Answering("cpu", lambda questions, at_once: system.answer(questions, _never))
    loaded = load_for_inference(plan.model, plan.adapter, runs=runs, revision=plan.revision)
    runner = runner_of(loaded)
    return _Answering(
        loaded.model.device.type,
        lambda questions, at_once: runner.answer(loaded, questions, plan.token_limit, at_once, _never),
    )


def _never() -> bool:
    return False


def _take_turns(
    systems: Sequence[Probed], rounds: int, models: _Models, on_progress: ProgressFn, stop: Callable[[], bool]
) -> dict[str, Probe]:
    warm, devices, spent = _warmed(systems, models, stop)
    _, asked, at_once = _size(list(warm.values()))
    prompts = min(*(len(one.questions) for one in systems), asked)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    meter = Meter("Measuring speed in turns", rounds * len(systems), "turns", on_progress)
    noted = {one.plan.id: _Noted([], [], []) for one in systems}
    began, done = time.monotonic(), 0
    while done < rounds:
        for place, one in enumerate(systems):
            _stop_if(stop)
            ready, kept = models.get(one.plan), noted[one.plan.id]
            turn, seconds = _turn(ready, one.questions[:prompts], _batch(one.plan, at_once, prompts))
            kept.turns.append(turn)
            kept.latencies.extend(seconds)
            if done < SINGLE_ROUNDS:
                kept.singles.append(_turn(ready, one.questions[:SINGLE_PROMPTS], 1, once=True)[0])
            del ready  # where models are not kept, one is in memory at a time
            meter.update(done * len(systems) + place + 1, "")
        done += 1
        found = {
            one.plan.id: _probe(
                devices[one.plan.id],
                _batch(one.plan, at_once, prompts),
                prompts,
                load,
                noted[one.plan.id],
                spent[one.plan.id],
            )
            for one in systems
        }
        rounds = _rounds(rounds, done, found, time.monotonic() - began)
        meter.total = rounds * len(systems)
    return found


class _Noted(NamedTuple):
    """What one system's turns gave so far."""

    turns: list[Turn]
    singles: list[Turn]
    latencies: list[float]


def _size(warm: list[float]) -> tuple[float, int, int]:
    """The step of SIZES for systems that took so many seconds per answer when they were warmed."""
    fits = (
        step for step in SIZES if max(warm) <= step[0] and sum(warm) / WARM * step[1] * FEWEST_ROUNDS <= most_seconds()
    )
    return next(fits, SIZES[-1])


def _warmed(
    systems: Sequence[Probed], models: _Models, stop: Callable[[], bool]
) -> tuple[dict[str, float], dict[str, str], dict[str, float]]:
    """The first turns, which warm everything up and are thrown away: seconds per answer, device and wall seconds."""
    per_answer, devices, spent = {}, {}, {}
    first = min(*(len(one.questions) for one in systems), WARMING_PROMPTS)
    for one in systems:
        _stop_if(stop)
        ready = models.get(one.plan)
        turn, _ = _turn(ready, one.questions[:first], first, once=True)
        devices[one.plan.id] = device = ready.device
        per_answer[one.plan.id] = (turn.cpu_sec if device == "cpu" else turn.wall_sec) / turn.answers
        spent[one.plan.id] = turn.wall_sec
        del ready
    return per_answer, devices, spent


def most_seconds() -> float:
    """Processor seconds that measuring speed may take: SMOLSTUDIO_SPEED_SECONDS (0 measures none), or a minute."""
    with contextlib.suppress(ValueError):
        return max(0.0, float(os.environ.get(SPEED_SECONDS, MOST_SEC)))
    return MOST_SEC


def _rounds(planned: int, done: int, found: dict[str, Probe], seconds: float) -> int:
    """How many rounds there are to be: fewer where they are long, more while a speed varies too much for a price.

    Whether they are long is told from processor time, so that load does not decide.
    """
    if done == 1:
        first = [probe.turns[0] for probe in found.values()]
        cpu = all(probe.device == "cpu" for probe in found.values())
        a_round = sum(turn.cpu_sec if cpu else turn.wall_sec for turn in first)
        return min(planned, FEWEST_ROUNDS) if a_round * planned > most_seconds() else planned
    if FEWEST_ROUNDS <= planned == done < MOST_ROUNDS and seconds < CLOCK * most_seconds():
        return planned + any(map(throughput.too_wide, found.values()))
    return planned


def _batch(plan: SystemPlan, at_once: int, prompts: int) -> int:
    return 1 if plan.artefact else min(plan.batch_size or at_once, prompts)


def _stop_if(stop: Callable[[], bool]) -> None:
    if stop():
        message = "The comparison was stopped while speed was measured; all answers are kept."
        raise RunError(message, "Run it again to resume.", "run.stopped")


def _turn(
    ready: _Answering, questions: Sequence[Question], batch: int, *, once: bool = False
) -> tuple[Turn, list[float]]:
    """Answer the questions, again and again until the shortest turn has passed; and the latency of each answer."""
    latencies: list[float] = []
    answers = 0
    before, own, began = _times(), time.process_time(), time.perf_counter()
    while True:
        for prediction in ready.answer(questions, batch):
            answers += 1
            if prediction.seconds is not None:
                latencies.append(prediction.seconds)
        wall = time.perf_counter() - began
        if once or wall >= SHORTEST_TURN_SEC:
            break
    cpu, after = time.process_time() - own, _times()
    return Turn(
        answers=max(1, answers), wall_sec=wall, cpu_sec=cpu, others_share=_others(before, after, cpu)
    ), latencies


def _times() -> list[Any]:
    """Times of the cores that this process may use."""
    import psutil

    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return [times for core, times in enumerate(psutil.cpu_times(percpu=True)) if mine is None or core in mine]


def _others(before: Sequence[Any], after: Sequence[Any], own: float) -> float:
    """Share of these cores' time that neither this process used nor nobody; what a host took from a guest counts."""
    spent: dict[str, float] = {}
    for was, now in zip(before, after, strict=True):
        for name in now._fields:
            spent[name] = spent.get(name, 0.0) + getattr(now, name) - getattr(was, name)
    whole = sum(value for name, value in spent.items() if not name.startswith("guest"))  # those are in user already
    idle = spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    return max(0.0, whole - idle - own) / whole if whole > 0 else 0.0


def _probe(device: str, batch: int, prompts: int, load: float | None, noted: _Noted, warming_sec: float) -> Probe:
    import numpy as np
    import torch

    middle, slow = np.percentile(noted.latencies, [50, 95]).tolist() if noted.latencies else (None, None)
    return Probe(
        device=device,
        cores=cores(),
        threads=torch.get_num_threads(),
        batch_size=batch,
        prompts=prompts,
        load_average=load,
        turns=tuple(noted.turns),
        latency_p50_sec=middle,
        latency_p95_sec=slow,
        singles=tuple(noted.singles),
        seconds=warming_sec + sum(turn.wall_sec for turn in (*noted.singles, *noted.turns)),
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
