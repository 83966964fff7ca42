"""Pieces of real work for the torture: each can be begun again after any death, and its result compared.

`prepare(folder)` makes what the work needs, once; `do(folder)` does it, or goes on with it; `result(folder)` is what
must be equal however often it was killed; `whole(folder)` says what is wrong with anything that has its final name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from synth.workspace import Workspace
from tests.short_pipeline import SHORT

Facts = dict[str, Any]


class Work(NamedTuple):
    """One kind of work. `torch`: whether it needs that; `asks`: whether it pays for answers."""

    prepare: Callable[[Path], None]
    do: Callable[[Path, str], None]
    result: Callable[[Path], Facts]
    whole: Callable[[Path], list[str]]
    torch: bool = False
    asks: bool = False


def place(folder: Path) -> Workspace:
    return Workspace(folder / "ws")


def nothing(folder: Path) -> None:
    """Nothing is needed."""


# --- datasets


def dataset_facts(folder: Path) -> Facts:
    """Hashes of every file of every dataset but its card, which holds times."""
    files = sorted(f for f in place(folder).datasets.glob("[!.]*/**/*") if f.is_file())
    return {
        f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in files
        if f.name not in ("dataset.json", "README.md", "lock", "reviews.jsonl", "applied_reviews.jsonl")
    }


def dataset_faults(folder: Path) -> list[str]:
    """A dataset under its final name opens, and holds the bytes and rows that its card says."""
    from synth.dataset import DatasetDir

    faults = []
    for made in place(folder).datasets.glob("[!.]*"):
        try:
            found = DatasetDir(made)
            for split, rows in found.card.splits.items():
                if sum(1 for _ in found.examples(split)) != rows:
                    faults.append(f"{made.name}/{split} does not hold {rows} rows")
        except Exception as error:
            faults.append(f"{made.name}: {error}")
    return faults


def generate(key: str, settings: Facts) -> Callable[[Path, str], None]:
    def do(folder: Path, _: str) -> None:
        from synth.build import build_dataset

        if not (place(folder).datasets / "made").exists():
            build_dataset(key, settings, "made", place(folder))

    return do


def source(folder: Path) -> None:
    generate("math", {"seed": 3, "train": 60, "val": 5, "test": 20, "test_ood": 5})(folder, "")


def import_from(folder: Path) -> None:
    rows = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(200)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def import_rows(folder: Path, _: str) -> None:
    from synth.modality import modality

    if not (place(folder).datasets / "mine").exists():
        modality("text").import_rows()(folder / "rows.jsonl", "mine", place(folder), None)


def curate(folder: Path, _: str) -> None:
    from synth.curation.curate import Rules, curate_dataset
    from synth.dataset import DatasetDir

    if not (place(folder).datasets / "short").exists():
        rules = Rules(max_prompt_chars=120)
        curate_dataset(DatasetDir(place(folder).datasets / "made"), "short", place(folder), rules)


def review(folder: Path, _: str) -> None:
    from synth.curation import review as reviewing
    from synth.curation.review import apply_reviews, read_reviews, record
    from synth.dataset import DatasetDir

    reviewing.now_utc = lambda: "2026-01-01T00:00:00+00:00"  # decisions and rows hold their time

    dataset = DatasetDir(place(folder).datasets / "made")
    for number, row in enumerate(dataset.examples("train")):
        if number < 25 and not read_reviews(dataset).trail(row.id):
            record(dataset, row.id, "reject" if number % 3 else "approve", "ada", "wrong" if number % 3 else "")
    if not (place(folder).datasets / "reviewed").exists():
        apply_reviews(dataset, "reviewed", place(folder))


def review_facts(folder: Path) -> Facts:
    from synth.curation.review import read_reviews
    from synth.dataset import DatasetDir

    reviews = read_reviews(DatasetDir(place(folder).datasets / "made"))
    trails = {row: [r.action for r in trail] for row, trail in sorted(reviews.trails.items())}
    return {**dataset_facts(folder), "trails": trails, "faults": reviews.faults}


# --- comparisons


def compare(folder: Path, url: str) -> None:
    from evaluate.compare import run_comparison
    from evaluate.plan import Plan

    systems = [
        {"id": name, "kind": "endpoint", "model": name, "base_url": url, "concurrency": 4, "prompting": how}
        for name, how in (("one", "zero_shot"), ("two", "few_shot"))
    ]
    plan = Plan.model_validate({"dataset": "made", "systems": systems, "small": "one", "large": "two"})
    run_comparison(plan, place(folder), comparison_id="c")


def compare_facts(folder: Path) -> Facts:
    made = place(folder).comparisons / "c"
    scores = [json.loads(line) for line in (made / "scores.jsonl").read_text().splitlines()]
    report = json.loads((made / "report.json").read_text())
    return {
        "scores": sorted(json.dumps([s.get(k) for k in ("system", "example_id", "score", "text")]) for s in scores),
        "verdict": report["verdict"]["word"],
        "values": [system["splits"] for system in report["systems"]],
    }


def compare_faults(folder: Path) -> list[str]:
    faults = dataset_faults(folder)
    for report in place(folder).comparisons.glob("[!.]*/report.json"):
        try:
            json.loads(report.read_text())
        except ValueError as error:
            faults.append(f"{report}: {error}")
    return faults


# --- pipelines


def pipeline_file(folder: Path) -> None:
    (folder / "short.yaml").write_text(SHORT)
    (folder / "seeds.jsonl").write_text("".join(json.dumps({"question": f"question {n}"}) + "\n" for n in range(40)))


def pipeline(folder: Path, url: str) -> None:
    from synth.pipeline import work
    from synth.pipeline.plan import Outside, RunPlan, TeacherPlan

    outside = Outside(place(folder))
    if (place(folder).datasets / "short").exists():
        return
    if (place(folder).pipelines / "short" / work.RUN).exists():
        work.resume("short", outside)
        return
    plan = RunPlan(
        pipeline=str(folder / "short.yaml"),
        inputs={"seeds": str(folder / "seeds.jsonl")},
        teachers={"teacher": TeacherPlan(model="stub-model", base_url=url, concurrency=4)},
    )
    work.start("short", plan, outside)


# --- models


def tuned(folder: Path) -> None:
    import torch

    from recipes.models import loading, lora
    from recipes.recipe.schema import load_recipe
    from tests.tiny import tiny_llama

    base = tiny_llama(folder / "base")
    torch.manual_seed(0)
    loaded = loading.load_trainable(load_recipe({"base_model": str(base), "lora": {"r": 4}}))
    lora.save_adapter(loaded, place(folder).runs / "run-1/adapter", run="run-1", recipe="tiny")


def export(to: str) -> Callable[[Path, str], None]:
    def do(folder: Path, _: str) -> None:
        from recipes.export.targets import export_run

        if not (folder / "out").exists():
            export_run("run-1", place(folder).runs, folder / "out", to)

    return do


def export_facts(folder: Path) -> Facts:
    weights = [f for f in (folder / "out").rglob("*") if f.suffix in (".safetensors", ".gguf")]
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in weights}


def export_faults(folder: Path) -> list[str]:
    from recipes.export.exporter import verify

    return verify(folder / "out") if (folder / "out").exists() else []


def trainable(folder: Path) -> None:
    from tests.tiny import sums_dataset, tiny_llama

    tiny_llama(folder / "base")
    sums_dataset(folder / "rows")


def trainable_vision(folder: Path) -> None:
    from tests.tiny_vision import picture_dataset, tiny_vlm

    tiny_vlm(folder / "base", "SmolVLM", splitting=False)
    picture_dataset(place(folder)).path.rename(folder / "rows")


def trainable_audio(folder: Path) -> None:
    from tests.tiny_audio import tiny_whisper, tones_dataset

    tiny_whisper(folder / "base")
    tones_dataset(folder / "rows")


def train(method: str, **more: Any) -> Callable[[Path, str], None]:
    def do(folder: Path, _: str) -> None:
        from recipes.__main__ import main
        from recipes.run.directory import Run
        from tests.workers import tiny_run

        path = place(folder).runs / "t"
        if path.exists():
            run = Run(path)
        else:
            choices = {"method": method, "max_steps": 14, "save_steps": 3, "per_device_train_batch_size": 4, **more}
            made = tiny_run(place(folder), folder / "base", folder / "rows", **choices)
            run = Run(made.path.rename(path))
        if run.status() != "done":
            main([str(run.path), *(["--resume"] if run.has_checkpoints() else [])])

    return do


def train_facts(folder: Path) -> Facts:
    from recipes.run.directory import Run
    from tests.workers import losses

    run = Run(place(folder).runs / "t")
    weights = (run.adapter / "adapter_model.safetensors").read_bytes()
    return {"losses": losses(run), "adapter": hashlib.sha256(weights).hexdigest(), "status": run.status()}


def train_faults(folder: Path) -> list[str]:
    from safetensors import safe_open

    faults = []
    for weights in place(folder).runs.glob("*/adapter/adapter_model.safetensors"):
        try:
            with safe_open(weights, framework="pt") as tensors:
                assert list(tensors.keys())
        except Exception as error:
            faults.append(f"{weights}: {error}")
    return faults


SMALL = {"seed": 1, "train": 40, "val": 5, "test": 5, "test_ood": 5}
PICTURES = {"seed": 1, "train": 6, "val": 2, "test": 2, "test_ood": 2}
WORKS: dict[str, Work] = {
    "generate": Work(nothing, generate("math", SMALL), dataset_facts, dataset_faults),
    "generate-vision": Work(nothing, generate("vision", PICTURES), dataset_facts, dataset_faults),
    "import": Work(import_from, import_rows, dataset_facts, dataset_faults),
    "curate": Work(source, curate, dataset_facts, dataset_faults),
    "review": Work(source, review, review_facts, dataset_faults),
    "compare": Work(source, compare, compare_facts, compare_faults, asks=True),
    "pipeline": Work(pipeline_file, pipeline, dataset_facts, dataset_faults, asks=True),
    "export-adapter": Work(tuned, export("adapter"), export_facts, export_faults, torch=True),
    "export-merged": Work(tuned, export("merged"), export_facts, export_faults, torch=True),
    "export-gguf": Work(tuned, export("gguf"), export_facts, export_faults, torch=True),
    "train": Work(trainable, train("text_sft"), train_facts, train_faults, torch=True),
    "train-vision": Work(trainable_vision, train("vision_sft", max_length=None), train_facts, train_faults, torch=True),
    "train-audio": Work(trainable_audio, train("audio_sft"), train_facts, train_faults, torch=True),
}
