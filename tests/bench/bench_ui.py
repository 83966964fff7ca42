"""Time of each page of the studio with 1,000 finished runs, 50 comparisons and a dataset of 100,000 rows.

    python tests/bench/bench_ui.py [RUNS] [ROWS]        # default: 1000 100000

Measured is the server's side: one run of a page's script through Streamlit's AppTest in this process, from the click to
the last element, after one run that warms the caches (shown as "first"). Drawing in the browser is not in it. Wall time
counts what else the machine does; CPU time of this process does not, and decides. Exit code 1 above the goal.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from itertools import zip_longest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import filled
import numpy as np
from streamlit.testing.v1 import AppTest

from recipes.recipe.schema import dump_recipe, load_recipe
from synth.dataset import Card, DatasetWriter
from synth.example import make_example, user
from synth.storage import atomic_dir
from synth.workspace import ENVIRONMENT, Workspace

GOAL_MS = 300
REPEATS, FEWEST = 20, 5
SECONDS_PER_PAGE = 9.0
COMPARISONS = 50
STEPS = 200
APP = str(Path(__file__).resolve().parents[2] / "studio" / "app.py")
PAGES: dict[str, dict[str, str]] = {
    "start": {},
    "data: browse": {"tab": "browse", "dataset": "large"},
    "data: search": {"tab": "browse", "dataset": "large", "q": "question 77"},
    "data: quality": {"tab": "quality", "dataset": "large"},
    "train": {"dataset": "large"},
    "runs": {"run": "run-0500"},
    "runs: 4 overlaid": {"run": "run-0500", "over": "run-0001,run-0002,run-0003"},
    "runs: filtered": {"find": "run-07", "tag": "sweep"},
    "compare": {"dataset": "large"},
    "compare: report": {"comparison": "comparison-0"},
    "playground": {},
    "settings": {},
}


def make_runs(place: Workspace, count: int) -> None:
    """Finished runs with curves, adapters and tags; their files are written plainly, which is quick."""
    recipe = dump_recipe(load_recipe("starter-text-sft", ["data.dataset=large"]))
    figures = {"total_steps": STEPS, "learning_rate": 1e-3, "tokens_per_s": 9000.0, "memory_mb": 900, "epoch": 1.0}
    steps = [
        {"at": step, "kind": "step", "step": step, "loss": 2 / step, "seconds": step / 2, **figures}
        for step in range(1, STEPS + 1)
    ]
    events = "".join(json.dumps(step) + "\n" for step in steps)
    for number in range(count):
        folder = place.runs / f"run-{number:04}"
        (folder / "adapter").mkdir(parents=True)
        (folder / "recipe.yaml").write_text(recipe.replace("seed: 0", f"seed: {number}"))
        (folder / "events.jsonl").write_text(events)
        (folder / "adapter" / "adapter_config.json").write_text("{}")
        (folder / "notes.json").write_text(json.dumps({"note": f"try {number}", "tags": ["sweep"] * (number % 3 == 0)}))
        ended = {"verdict": "done", "code": "", "sentence": "Trained.", "final_loss": 0.01, "seconds": 100.0}
        (folder / "exit.json").write_text(json.dumps(ended))


def make_dataset(place: Workspace, rows: int) -> None:
    """A dataset whose rows are made through the project's own types."""
    with atomic_dir(place.datasets / "large") as folder:
        writer = DatasetWriter(folder)
        for number in range(rows + 400):
            split = "train" if number < rows else ("val" if number < rows + 200 else "test")
            text = f"{split} question {number}: a shop sells {number} plates at $3 each. What is the total?"
            answer = str(3 * number)
            example = make_example(
                [user(text)], f"{number} x 3 = {answer}\nAnswer: {answer}", answer=answer, split=split, scorer="math",
                family=f"family-{number % 9}", template=f"t{number % 50}", source={"seed": number},
            )  # fmt: skip
            writer.keep(example)
        writer.finish(Card(name="large", generator="math", created="2026-01-01T00:00:00+00:00", seconds=1.0))


def one_run(app: AppTest) -> tuple[float, float]:
    """(wall, CPU) milliseconds of one run of the script."""
    wall, cpu = time.perf_counter(), time.process_time()
    app.run()
    spent = 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)
    assert not app.exception, app.exception
    return spent


def measure(name: str, address: dict[str, str]) -> tuple[tuple[float, float], list[tuple[float, float]]]:
    """The first run of a page, and the runs after it: as many as its share of time allows."""
    app = AppTest.from_file(APP, default_timeout=900)  # of a busy machine
    page = name.partition(":")[0]
    app.run()
    if page != "start":
        app.switch_page(f"views/{page}.py")
    for key, value in address.items():
        app.query_params[key] = value
    first, found = one_run(app), []
    until = time.perf_counter() + SECONDS_PER_PAGE
    while len(found) < FEWEST or (len(found) < REPEATS and time.perf_counter() < until):
        found.append(one_run(app))
    return first, found


def main() -> int:
    """Print one line a page; 1 when a page's CPU time misses the goal."""
    runs, rows = (int(given or usual) for given, usual in zip_longest(sys.argv[1:3], (1000, 100_000)))
    slow = []
    with tempfile.TemporaryDirectory() as folder:
        place = Workspace(Path(folder) / "workspace")
        os.environ[ENVIRONMENT] = str(place.path)
        make_runs(place, runs)
        make_dataset(place, rows)
        filled.comparison(place, "comparison-0")
        for number in range(1, COMPARISONS):
            shutil.copytree(place.comparisons / "comparison-0", place.comparisons / f"comparison-{number}")
        print(f"{runs:,} runs, {rows:,} rows, {COMPARISONS} comparisons; milliseconds for one run of a page's script")
        print(f"{'page':18} {'runs':>4} {'first':>7} {'wall p50':>9} {'wall p95':>9} {'CPU p50':>9} {'CPU p95':>9}")
        for name, address in PAGES.items():
            first, found = measure(name, address)
            (wall, slow_wall), (cpu, slow_cpu) = (np.percentile(part, [50, 95]) for part in zip(*found, strict=True))
            figures = f"{first[1]:7.0f} {wall:9.0f} {slow_wall:9.0f} {cpu:9.0f} {slow_cpu:9.0f}"
            print(f"{name:18} {len(found):4} {figures}", flush=True)
            slow += [name] if slow_cpu > GOAL_MS else []
    print(f"goal: p95 below {GOAL_MS} ms of CPU: {'missed by ' + ', '.join(slow) if slow else 'reached by every page'}")
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
