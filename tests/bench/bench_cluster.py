"""A Ray cluster of two machines against one process: pictures generated, rows cleaned, questions answered.

    OMP_NUM_THREADS=1 PYTHONPATH=.:tests python tests/bench/bench_cluster.py [ROWS [pictures|cleaning|answers …]]

Both machines are processes of this one, each with one core. One of them is taken away when half of the pictures are
made, and comes back for the next step. Small pictures, and a tiny random model of one token per answer: what is
measured is what spreading rows costs and gives, not a model. The exit code is 1 where the rows differ.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from evaluate.plan import SystemPlan
from evaluate.predict import ranged
from evaluate.predict.journal import Predictor
from evaluate.predict.prompts import Question
from evaluate.predict.systems import Context, open_system
from studio.engines.on_ray import OnRay, joined
from synth.build import build_dataset
from synth.curation.curate import Rules, preview_curation
from synth.example import user
from synth.progress import silent
from synth.ranges import Range, RangeEngine, Work
from synth.storage import sha256_file
from synth.workspace import Workspace
from tests.tiny import tiny_llama

SMALL = {"val": 0, "test": 0, "test_ood": 0, "size": 96, "model_size": 96}


class Losing:
    """The cluster, which loses a machine when half of the ranges are done."""

    def __init__(self, engine: OnRay, lose: Callable[[], None]) -> None:
        self._engine, self._lose = engine, lose
        self.slots, self.sending = engine.slots, engine.sending

    def each(
        self, work: Work, ranges: Iterable[Range], stop: Callable[[], bool], model: bool = False
    ) -> Iterator[Range]:
        cut = list(ranges)
        for number, one in enumerate(self._engine.each(work, cut, stop, model)):
            if number == len(cut) // 2 and number:
                self._lose()
                self._lose = lambda: None
            yield one


def timed(what: str, rows: int, alone: Callable[[], Any], spread: Callable[[], Any]) -> bool:
    """Run both, print their seconds, and say whether their results are equal."""
    start = time.monotonic()
    one = alone()
    middle = time.monotonic()
    other = spread()
    end = time.monotonic()
    first, second, same = middle - start, end - middle, one == other
    ratio = f"{first / second:.2f} times as fast"
    print(
        f"{what}: {rows:,} rows, {first:.1f} s alone, {second:.1f} s on two machines, {ratio}, equal: {same}",
        flush=True,
    )
    return same


def main(rows: int, steps: list[str]) -> int:
    from ray.cluster_utils import Cluster

    place = Workspace(Path(tempfile.mkdtemp()))
    start = time.monotonic()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    print(f"two machines begin in {time.monotonic() - start:.1f} s", flush=True)
    plan = SystemPlan(id="tiny", model=str(tiny_llama(place.path / "model")), max_new_tokens=1)
    questions = [Question(str(i), (user(f"word {i}?"),), Path()) for i in range(rows)]

    def pictures(name: str, engine: RangeEngine | None) -> dict[str, str]:
        made = build_dataset("vision", {"train": rows, **SMALL}, name, place, engine=engine)
        return {
            str(f.relative_to(made.path)): sha256_file(f)
            for f in made.path.rglob("*")
            if f.suffix in (".jsonl", ".png")
        }

    def answers(name: str, engine: RangeEngine | None) -> list[tuple[str, str]]:
        journal = place.comparisons / name / "predictions" / "tiny.jsonl"
        predictor = Predictor(journal, name, "Tiny", place, retry_errors=False)
        if engine:
            found = ranged.run(predictor, questions, (plan, place), engine, silent, lambda: False)
        else:
            found = predictor.run(questions, lambda: open_system(plan, Context(place)), silent, lambda: False)
        return sorted((p.example_id, p.text) for p in found.predictions.values())

    same = []
    with joined(place, cluster.address) as engine:
        losing = Losing(engine, lambda: cluster.remove_node(second, allow_graceful=False))
        if "pictures" in steps:
            what = "pictures, one machine lost"
            same.append(timed(what, rows, lambda: pictures("a", None), lambda: pictures("b", losing)))
            cluster.add_node(num_cpus=1)
        if "cleaning" in steps:
            made = build_dataset("math", {"train": rows, "val": 0, "test": 0, "test_ood": 0}, "sums", place)

            def cleaned(engine: RangeEngine | None) -> Any:
                return preview_curation(made, Rules(), engine=engine)

            same.append(timed("cleaning", rows, lambda: cleaned(None), lambda: cleaned(engine)))
        if "answers" in steps:
            same.append(timed("answers", rows, lambda: answers("a", None), lambda: answers("b", engine)))
    cluster.shutdown()
    return 0 if all(same) else 1


if __name__ == "__main__":
    asked = sys.argv[2:] or ["pictures", "cleaning", "answers"]
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, asked))
