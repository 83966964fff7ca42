"""From twenty examples to a tuned starter: what do rows that a teacher wrote add, on messages that a person wrote?

    PYTHONPATH=. python tests/bench/bench_domain.py RESULTS stub                # a teacher right in 90 %
    PYTHONPATH=. python tests/bench/bench_domain.py RESULTS smollm2 [SECONDS]   # SmolLM2-135M-Instruct

Examples: `examples/pipelines/patients.csv`, through `describe-a-domain`. Test: the 66 messages, written by hand, of
`patients-test.csv`, which no teacher sees. Compared: the starter tuned on the twenty examples alone, and on those and
the rows that were written (as many as SECONDS allow). All of it by the commands that a user would give.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

from synth.dataset import DatasetDir
from synth.errors import UserError
from synth.pipeline import work
from synth.pipeline.plan import Outside, RunPlan, TeacherPlan
from synth.workspace import Workspace
from tests.bench.bench_pipeline import stub
from tests.bench.bench_teacher import CLINIC, EXAMPLES, MODEL, OPEN, served

ROOT = Path(__file__).resolve().parents[2]
ROWS, SKILL = 300, 0.9
EXAMPLES_ONLY = "examples"
COLUMNS = ("--map", "question=text", "--map", "answer=label")
SECONDS = 900.0


def command(results: Path, *argv: str) -> None:
    """A `smolstudio` command in the workspace of the bench."""
    print("$ smolstudio " + " ".join(argv), flush=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SMOLSTUDIO_HOME": str(results)}
    subprocess.run([sys.executable, "-m", "studio", *argv], cwd=ROOT, env=environment, check=True)


def written(results: Path, teacher: str, seconds: float) -> str:
    """The name of a dataset of the examples and a teacher's rows; one that is there already stays."""
    place = Workspace(results)
    if (place.datasets / teacher).exists():
        return teacher
    with contextlib.ExitStack() as stack:
        if teacher == "stub":
            url = stack.enter_context(stub(results, 8467, skill=SKILL)).url
            plan = TeacherPlan(model="stub-model", base_url=url, concurrency=OPEN)
        else:
            plan = TeacherPlan(
                model=MODEL, base_url=stack.enter_context(served(results, MODEL)), concurrency=OPEN, timeout_sec=900
            )
        end = time.monotonic() + seconds
        inputs = {"task": CLINIC, "examples": str(EXAMPLES / "patients.csv")}
        run = RunPlan(pipeline="describe-a-domain", inputs=inputs, rows=ROWS, teachers={"teacher": plan})
        outside = Outside(place, stop=lambda: time.monotonic() > end)
        try:
            if (place.pipelines / teacher / work.RUN).exists():
                work.resume(teacher, outside)
            else:
                work.start(teacher, run, outside)
        except UserError as error:
            print(error)
            work.take(teacher, place)
    return teacher


def tuned(results: Path, dataset: str) -> None:
    """A starter tuned on a dataset, under the dataset's name; one that is there already stays."""
    if (results / "runs" / f"on-{dataset}" / "adapter").exists():
        return
    given = [f"data.dataset={dataset}", "data.val_split=", "optim.num_train_epochs=auto", "optim.max_length=768"]
    command(results, "train", "starter-text-sft", *given, "--id", f"on-{dataset}")


def main() -> None:
    """The whole way for one teacher."""
    results, teacher = Path(sys.argv[1]).absolute(), sys.argv[2]
    results.mkdir(parents=True, exist_ok=True)
    if not (results / "datasets" / EXAMPLES_ONLY).exists():
        given = ["--name", EXAMPLES_ONLY, "--shares", "100,0,0", *COLUMNS]
        command(results, "data", "import", str(EXAMPLES / "patients.csv"), *given)
    tuned(results, EXAMPLES_ONLY)
    dataset = written(results, teacher, float(sys.argv[3]) if len(sys.argv) > 3 else SECONDS)
    if not DatasetDir(results / "datasets" / dataset).count("test_real"):
        test = str(EXAMPLES / "patients-test.csv")
        command(results, "data", "real", dataset, test, "--origin", "hand", *COLUMNS)
    tuned(results, dataset)
    systems = [
        {"id": "examples-only", "model": "starter-text", "adapter": f"on-{EXAMPLES_ONLY}"},
        {"id": "tuned", "model": "starter-text", "adapter": f"on-{dataset}"},
    ]
    plan = {"version": 1, "name": dataset, "dataset": dataset, "splits": ["test_real"], "systems": systems}
    (results / f"{dataset}.yaml").write_text(yaml.safe_dump({**plan, "small": "tuned", "large": "examples-only"}))
    command(results, "compare", str(results / f"{dataset}.yaml"), "--id", dataset)


if __name__ == "__main__":
    main()
