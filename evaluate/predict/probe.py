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

from evaluate.cost.throughput import Probe, Turn
from evaluate.plan import SystemPlan
from evaluate.predict.prompts import Question
from synth.errors import RunError
from synth.progress import Meter, ProgressFn
from synth.storage import read_json, sha256_bytes, write_json

if TYPE_CHECKING:
    from evaluate.predict.runners import Runner
    from recipes.models.loaded import Loaded

FILE = "speed.json"
MOST_PROMPTS = 32
# (seconds that an answer of the slowest system takes at most, prompts of a turn, prompts in flight at once). Throughput
# depends on the last, so it must not follow from how busy the machine happens to be: the steps are wide apart.
SIZES = ((1.0, 32, 16), (8.0, 8, 8), (float("inf"), 4, 4))
SHORTEST_TURN_SEC = 0.25  # a fast system answers the prompts again until this has passed
MOST_SEC = 120.0  # of all turns, as the first ones let expect; beyond it they get the fewest rounds
FEWEST_ROUNDS = 5
WARMING_PROMPTS = 4
SINGLE_PROMPTS = 4
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
    loaded: Loaded
    runner: Runner


def measure(
    systems: Sequence[Probed],
    rounds: int,
    runs: Path,
    folder: Path,
    on_progress: ProgressFn,
    stop: Callable[[], bool],
) -> dict[str, Probe]:
    """The speed of each local system. Raises RunError run.stopped when asked to stop."""
    if not systems or not rounds:
        return {}
    key = sha256_bytes("\n".join([str(rounds), *(f"{one.plan.id} {one.mark}" for one in systems)]).encode())
    if known := _known(folder / FILE, key):
        return known
    with _one_thread(), _Models(systems, runs) as models:
        found = _take_turns(systems, rounds, models, on_progress, stop)
    write_json(
        folder / FILE, {"key": key, "probes": {name: one.model_dump(mode="json") for name, one in found.items()}}
    )
    return found


def _known(file: Path, key: str) -> dict[str, Probe]:
    """What was measured before, of the same systems."""
    if not file.is_file():
        return {}
    with contextlib.suppress(ValidationError, KeyError, TypeError, AttributeError, ValueError):
        value = read_json(file)
        if value["key"] == key:
            return {name: Probe.model_validate(one) for name, one in value["probes"].items()}
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
        from evaluate.predict.runners import runner_of
        from recipes.models.loading import load_for_inference

        if plan.id not in self._kept:
            loaded = load_for_inference(plan.model, plan.adapter, runs=self._runs, revision=plan.revision)
            ready = _Answering(loaded, runner_of(loaded))
            if not self._keep:
                return ready
            self._kept[plan.id] = ready
        return self._kept[plan.id]


def _take_turns(
    systems: Sequence[Probed], rounds: int, models: _Models, on_progress: ProgressFn, stop: Callable[[], bool]
) -> dict[str, Probe]:
    began = {one.plan.id: 0.0 for one in systems}
    # The first turns warm everything up, are thrown away, and tell how large a turn can be.
    few = min(len(one.questions) for one in systems)
    first = min(few, WARMING_PROMPTS)
    warm, devices = [], {}
    for one in systems:
        _stop_if(stop)
        ready = models.get(one.plan)
        turn, _ = _turn(ready, one.plan, one.questions[:first], first, once=True)
        devices[one.plan.id] = device = ready.loaded.model.device.type
        warm.append((turn.cpu_sec if device == "cpu" else turn.wall_sec) / turn.answers)
        began[one.plan.id] += turn.wall_sec
        del ready  # where models are not kept, one is in memory at a time
    size = next(step for step in SIZES if max(warm) <= step[0])
    prompts, at_once = min(few, size[1]), size[2]
    if sum(began.values()) / first * prompts * rounds > MOST_SEC:
        rounds = min(rounds, FEWEST_ROUNDS)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    meter = Meter("Measuring speed in turns", rounds * len(systems), "turns", on_progress)
    turns: dict[str, list[Turn]] = {one.plan.id: [] for one in systems}
    latencies: dict[str, list[float]] = {one.plan.id: [] for one in systems}
    singles: dict[str, Turn] = {}
    for done in range(rounds):
        for place, one in enumerate(systems):
            _stop_if(stop)
            ready = models.get(one.plan)
            turn, seconds = _turn(ready, one.plan, one.questions[:prompts], _batch(one.plan, at_once, prompts))
            turns[one.plan.id].append(turn)
            latencies[one.plan.id] += seconds
            if done == 0:
                singles[one.plan.id], _ = _turn(ready, one.plan, one.questions[:SINGLE_PROMPTS], 1, once=True)
            del ready
            meter.update(done * len(systems) + place + 1, "")
    return {
        one.plan.id: _probe(
            devices[one.plan.id],
            _batch(one.plan, at_once, prompts),
            prompts,
            load,
            turns[one.plan.id],
            latencies[one.plan.id],
            singles[one.plan.id],
            began[one.plan.id],
        )
        for one in systems
    }


def _batch(plan: SystemPlan, at_once: int, prompts: int) -> int:
    return min(plan.batch_size or at_once, prompts)


def _stop_if(stop: Callable[[], bool]) -> None:
    if stop():
        message = "The comparison was stopped while speed was measured; all answers are kept."
        raise RunError(message, "Run it again to resume.", "run.stopped")


def _turn(
    ready: _Answering, plan: SystemPlan, questions: Sequence[Question], batch: int, *, once: bool = False
) -> tuple[Turn, list[float]]:
    """Answer the questions, again and again until the shortest turn has passed; and the latency of each answer."""
    import psutil

    latencies: list[float] = []
    answers = 0
    before, own, began = psutil.cpu_times(), time.process_time(), time.perf_counter()
    while True:
        for prediction in ready.runner.answer(ready.loaded, questions, plan.token_limit, batch, lambda: False):
            answers += 1
            if prediction.seconds is not None:
                latencies.append(prediction.seconds)
        wall = time.perf_counter() - began
        if once or wall >= SHORTEST_TURN_SEC:
            break
    cpu, after = time.process_time() - own, psutil.cpu_times()
    return Turn(
        answers=max(1, answers), wall_sec=wall, cpu_sec=cpu, others_share=_others(before, after, cpu)
    ), latencies


def _others(before: Any, after: Any, own: float) -> float:
    """Share of all cores' time that neither this process used nor nobody."""
    spent = {name: getattr(after, name) - getattr(before, name) for name in before._fields}
    whole = sum(value for name, value in spent.items() if not name.startswith("guest"))  # those are in user already
    idle = spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    return max(0.0, whole - idle - own) / whole if whole > 0 else 0.0


def _probe(
    device: str,
    batch: int,
    prompts: int,
    load: float | None,
    turns: list[Turn],
    latencies: list[float],
    single: Turn,
    warming_sec: float,
) -> Probe:
    import numpy as np
    import torch

    middle, slow = np.percentile(latencies, [50, 95]).tolist() if latencies else (None, None)
    return Probe(
        device=device,
        cores=cores(),
        threads=torch.get_num_threads(),
        batch_size=batch,
        prompts=prompts,
        load_average=load,
        turns=tuple(turns),
        latency_p50_sec=middle,
        latency_p95_sec=slow,
        single=single,
        seconds=warming_sec + single.wall_sec + sum(turn.wall_sec for turn in turns),
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
