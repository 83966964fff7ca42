"""A workspace with something of everything, made without training: for the pages' tests."""

from __future__ import annotations

import time

from plausible import results

from evaluate import compare
from evaluate.report import render_html, render_md, report_json
from recipes.recipe.schema import load_recipe
from recipes.run.directory import Run
from synth.dataset import Card, DatasetWriter
from synth.example import Split, make_example, user
from synth.jobdir import JobDir
from synth.storage import atomic_dir, write_json
from synth.workspace import Workspace

HOSTILE = (
    '<script>window.owned=1</script><img src=x onerror="window.owned=1"> [click](javascript:window.owned=1) \u202eevil'
)


def dataset(workspace: Workspace, name: str = "invoices", rows: int = 60, hostile: str = "") -> None:
    """A small dataset with a rejected row; `hostile` text goes into every field of the first row."""
    with atomic_dir(workspace.datasets / name) as folder:
        writer = DatasetWriter(folder)
        splits: tuple[Split, ...] = ("train", "val", "test", "test_ood")
        for split in splits:
            for number in range(rows if split == "train" else 10):
                text = f"{hostile} {split} question {number}" if number == 0 else f"{split} question {number}"
                target = f"{hostile}\nAnswer: {number}" if number == 0 else f"Answer: {number}"
                writer.keep(
                    make_example(
                        [user(text)],
                        target,
                        answer=str(number),
                        family=hostile or "addition",
                        template="addition/t1",
                        split=split,
                        scorer="math",
                        source={"seed": 1, "note": hostile},
                    )
                )
        writer.reject({"question": hostile or "twice"}, f"duplicate {hostile}".strip())
        writer.finish(Card(name=name, generator="math", created="2026-01-01T00:00:00+00:00", seconds=1.0))


def run(workspace: Workspace, run_id: str, verdict: str | None = "done", dataset_name: str = "invoices") -> Run:
    """A run with twenty steps, ended so (`None`: its worker was lost)."""
    recipe = load_recipe("starter-text-sft", [f"data.dataset={dataset_name}"])
    made = Run.create(workspace, recipe, run_id=run_id)
    with made.hold():
        for step in range(1, 21):
            made.emit(
                "step",
                step=step,
                total_steps=20,
                loss=2 / step,
                learning_rate=1e-3,
                tokens_per_s=9000.0,
                memory_mb=900,
                seconds=step * 0.5,
            )
        if verdict == "done":
            made.finish("done", "Trained 20 steps in 10 s; final loss 0.100.")
            (made.path / "adapter").mkdir()
            write_json(made.path / "adapter" / "adapter_config.json", {})
        elif verdict == "failed":
            made.finish("failed", "The loss stopped being a number at step 20. Lower optim.learning_rate.", "run.nan")
    if verdict is None:
        import os

        old = time.time() - 120
        os.utime(made.path, (old, old))
    return made


def comparison(workspace: Workspace, name: str = "first", hostile: str = "") -> None:
    """A finished comparison with its three reports."""
    measured = results(("sft", "large-few"), small="sft", per_split=40, hostile=hostile)
    made = report_json.build(measured)
    folder = workspace.comparisons / name
    folder.mkdir(parents=True)
    compare._write_scores(measured, folder / "scores.jsonl")
    (folder / "report.json").write_text(report_json.dumps(made), "utf-8")
    (folder / "report.html").write_text(render_html.render(made), "utf-8")
    (folder / "report.md").write_text(render_md.render(made), "utf-8")
    with JobDir(folder).hold():
        JobDir(folder).finish("done")
