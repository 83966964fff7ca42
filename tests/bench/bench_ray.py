"""What a Ray cluster of this machine's cores costs and gives: pictures, speech and answers without it and with it.

OMP_NUM_THREADS=1 PYTHONPATH=tests python tests/bench/bench_ray.py [ROWS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluate.plan import SystemPlan
from evaluate.predict import ranged
from evaluate.predict.journal import Predictor
from evaluate.predict.prompts import Question
from evaluate.predict.systems import Context, open_system
from studio.engines.on_ray import joined
from synth.build import build_dataset
from synth.progress import silent
from synth.ranges import RangeEngine
from synth.workspace import Workspace


def seconds(work: Callable[[], Any]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def main(rows: int) -> None:
    place = Workspace(Path(tempfile.mkdtemp()))
    none = {"val": 0, "test": 0, "test_ood": 0}
    build_dataset("math", {"train": rows, **none}, "sums", place)
    dataset = place.datasets / "sums"
    from synth.dataset import DatasetDir

    questions = [Question(row.id, tuple(row.prompt), dataset) for row in DatasetDir(dataset).examples("train")]
    plan = SystemPlan(id="starter", model="starter-text", max_new_tokens=48)

    def generated(key: str, name: str, engine: RangeEngine | None) -> Callable[[], Any]:
        return lambda: build_dataset(key, {"train": rows, **none}, f"{key}-{name}", place, engine=engine)

    def answered(name: str, engine: RangeEngine | None) -> None:
        journal = place.comparisons / name / "predictions" / "starter.jsonl"
        predictor = Predictor(journal, name, "Starter", place, retry_errors=False)
        if engine:
            ranged.run(predictor, questions, (plan, place), engine, silent, lambda: False)
        else:
            predictor.run(questions, lambda: open_system(plan, Context(place)), silent, lambda: False)

    works: dict[str, Callable[[str, RangeEngine | None], float]] = {
        "pictures": lambda name, engine: seconds(generated("vision", name, engine)),
        "recordings": lambda name, engine: seconds(generated("audio", name, engine)),
        "answers of starter-text": lambda name, engine: seconds(lambda: answered(name, engine)),
    }
    start = time.monotonic()
    with joined(place) as engine:
        print(f"{rows} rows, {engine.slots()} cores; joining takes {time.monotonic() - start:.1f} s", flush=True)
        for what, work in works.items():
            alone, shared = work("alone", None), work("shared", engine)
            print(f"{what}: {alone:.1f} s alone, {shared:.1f} s on Ray, {alone / shared:.2f} times", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
