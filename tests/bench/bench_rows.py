"""Ten times the rows: time and memory of generating, importing, cleaning and evaluating 10,000 to 1,000,000 rows.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/bench/bench_rows.py [ROWS …]      # the table of docs/scaling.md

Each step is a process of its own: its processor seconds (what else the machine does hardly counts) and its peak memory.
Evaluated are two files of answers, right in some 70 and 60 % of the rows, up to the written report; of more than
100,000 also rows of train, since no generator makes more for testing. Promised: at most eleven times the seconds for
ten times the rows; the exit code is 1 where a step takes longer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from synth.workspace import Workspace

SIZES = (10_000, 100_000, 1_000_000)
MOST = 11.0  # times the seconds, for ten times the rows
TESTED = 0.9  # of the rows: an evaluation reads test rows
MOST_TESTED = 100_000


def generating(place: Workspace, rows: int) -> None:
    from synth.build import build_dataset

    tested = min(MOST_TESTED, int(rows * TESTED))
    build_dataset("math", {"train": rows - tested, "val": 0, "test": tested, "test_ood": 0}, "made", place)


def importing(place: Workspace, rows: int) -> None:
    from synth.importing.importer import Options, import_data

    assert import_data(place.path / "rows.jsonl", "imported", place, Options("text")).kept == rows


def cleaning(place: Workspace, rows: int) -> None:
    from synth.curation.curate import Rules, curate_dataset
    from synth.dataset import DatasetDir

    curate_dataset(DatasetDir(place.datasets / "imported"), "clean", place, Rules())


def evaluating(place: Workspace, rows: int) -> None:
    from evaluate.compare import run_comparison
    from evaluate.plan import Plan

    systems = [{"id": name, "kind": "predictions", "path": str(place.path / f"{name}.jsonl")} for name in "ab"]
    plan = {"version": 1, "dataset": "made", "systems": systems, "small": "a", "large": "b", "baselines": False}
    plan["splits"] = splits_of(rows)
    run_comparison(Plan.model_validate(plan), place, comparison_id="all")


def splits_of(rows: int) -> list[str]:
    """What is evaluated."""
    return ["test"] if rows * TESTED <= MOST_TESTED else ["test", "train"]


STEPS: dict[str, Callable[[Workspace, int], None]] = {
    "generating": generating,
    "importing": importing,
    "cleaning": cleaning,
    "evaluating": evaluating,
}


def write_inputs(place: Workspace, rows: int) -> None:
    """What is imported, and what two systems answered."""
    from synth.dataset import DatasetDir
    from tests.bench.bench_import import write_rows

    write_rows(place.path / "rows.jsonl", rows)
    with (place.path / "a.jsonl").open("w") as a, (place.path / "b.jsonl").open("w") as b:
        made = DatasetDir(place.datasets / "made")
        for number, row in enumerate(row for split in splits_of(rows) for row in made.examples(split)):
            for file, wrong in ((a, number * 7919 % 10 < 3), (b, number * 104729 % 10 < 4)):
                file.write(json.dumps({"example_id": row.id, "text": "no idea" if wrong else row.target}) + "\n")


def measured(step: str, folder: Path, rows: int) -> tuple[float, float]:
    """Processor seconds and peak MiB of a step."""
    said = subprocess.run([sys.executable, __file__, step, str(folder), str(rows)], stdout=subprocess.PIPE, check=True)
    seconds, peak = said.stdout.decode().splitlines()[-1].split()
    return float(seconds), float(peak)


def main() -> int:
    """Print the table."""
    sizes = [int(given) for given in sys.argv[1:]] or list(SIZES)
    before: dict[str, tuple[int, float]] = {}
    slow = False
    print("| rows | " + " | ".join(STEPS) + " |\n|---|" + "---|" * len(STEPS), flush=True)
    for rows in sizes:
        cells = []
        with tempfile.TemporaryDirectory() as folder:
            for step in STEPS:
                seconds, peak = measured(step, Path(folder), rows)
                cells.append(f"{seconds:,.1f} s, {peak:,.0f} MiB")
                if step in before:
                    times, grown = seconds / before[step][1], rows / before[step][0]
                    cells[-1] += f" ({times:.1f} x)"
                    slow |= times > grown * MOST / 10
                before[step] = rows, seconds
                if step == "generating":
                    write_inputs(Workspace(Path(folder)), rows)
        print(f"| {rows:,} | {' | '.join(cells)} |", flush=True)
    return int(slow)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in STEPS:
        began = time.process_time()
        STEPS[sys.argv[1]](Workspace(Path(sys.argv[2])), int(sys.argv[3]))
        used = time.process_time() - began
        status = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss begins with that of who started it
        peak_mib = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
        print(f"\n{used} {peak_mib}")
    else:
        sys.exit(main())
