"""`smolstudio demo`: generate, tune (SFT, then DPO), compare, report, on the embedded starters, with no network.

What differs between modalities is data (`studio.presets.demos`). Every stage has a fixed name, so that a demo that was
interrupted, or is run again, takes up what is already there.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from recipes.models.files import resolve
from recipes.recipe.schema import Recipe, load_recipe, recipe_hash
from studio.engines import jobs
from studio.presets.demos import DEMOS, DemoSpec
from synth.dataset import CARD, REAL, DatasetDir, DatasetWriter
from synth.errors import RecipeError
from synth.progress import ProgressFn
from synth.workspace import Workspace


class DemoResult(NamedTuple):
    """Where the report lies and how long everything took (s)."""

    report: Path
    seconds: float


def run_demo(modality: str, seeds: list[int], workspace: Workspace, on_progress: ProgressFn) -> DemoResult:
    """Run the demo of a modality; several seeds train several times on the same data and are compared together.

    Raises RecipeError for an unknown modality, RunError when a stage fails.
    """
    from evaluate.compare import run_comparison
    from evaluate.plan import Plan

    if modality not in DEMOS:
        raise RecipeError(f"There is no demo for '{modality}'.", f"Choose one of {', '.join(DEMOS)}.")
    demo, start = DEMOS[modality], time.monotonic()
    for starter in (demo.starter, demo.large):
        resolve(starter)  # a starter that is not there is said before anything is generated
    base = f"demo-{modality}-s{seeds[0]}"
    dataset = _dataset(demo, base, seeds[0], workspace, on_progress)
    adapters = [_tune(demo, f"demo-{modality}-s{seed}", dataset, seed, workspace, on_progress) for seed in seeds]
    plan = Plan.model_validate(demo.plan(base, str(dataset.name), seeds, adapters))
    suffix = "" if len(seeds) == 1 else f"-x{len(seeds)}"
    report = run_comparison(plan, workspace, on_progress, comparison_id=base + suffix)
    return DemoResult(report, time.monotonic() - start)


def _dataset(demo: DemoSpec, name: str, seed: int, workspace: Workspace, on_progress: ProgressFn) -> DatasetDir:
    from synth.build import build_dataset
    from synth.generators import generator, parse_spec

    settings = {**demo.settings, "seed": seed}
    folder = workspace.datasets / name
    if (folder / CARD).is_file():
        found = DatasetDir(folder)
        info = generator(demo.generator)
        wanted = (info.version(), parse_spec(info, settings).model_dump(mode="json"))
        if (found.card.generator_version, found.card.spec) == wanted:
            return _with_real(demo, found)
        raise RecipeError(f"The dataset {name} was made with other settings.", "Delete it, or use another workspace.")
    return _with_real(demo, build_dataset(demo.generator, settings, name, workspace, on_progress))


def _with_real(demo: DemoSpec, dataset: DatasetDir) -> DatasetDir:
    """The dataset with the demo's test rows that no generator of ours made, unless they are in it already."""
    from synth.curation.amend import add_real

    if not demo.real or dataset.count(REAL):
        return dataset
    module = importlib.import_module(demo.real)
    with tempfile.TemporaryDirectory(prefix="smolstudio-real-") as folder:
        media = DatasetWriter(Path(folder))
        add_real(dataset, module.real_rows(media.add_media), None, media.path, module.SAID)
    return DatasetDir(dataset.path)


def _tune(
    demo: DemoSpec, base: str, dataset: DatasetDir, seed: int, workspace: Workspace, on_progress: ProgressFn
) -> tuple[str, str]:
    """Run ids of the SFT and DPO adapters."""
    sft = load_recipe(demo.sft, [f"data.dataset={dataset.name}", f"seed={seed}", *demo.sft_overrides])
    _train(f"{base}-sft", sft, workspace, on_progress)
    overrides = [f"data.dataset={dataset.name}", f"adapter={base}-sft", f"seed={seed}", *demo.dpo_overrides]
    _train(f"{base}-dpo", load_recipe(demo.dpo, overrides), workspace, on_progress)
    return f"{base}-sft", f"{base}-dpo"


def _train(run_id: str, recipe: Recipe, workspace: Workspace, on_progress: ProgressFn) -> None:
    """Train unless the same recipe is done already; resume it when it was cut off."""

    def on_event(event: dict[str, Any]) -> None:
        if progress := jobs.progress_of(event):
            on_progress(progress)

    run = jobs.start_training(workspace, recipe, run_id)
    if recipe_hash(run.recipe) != recipe_hash(recipe):
        raise RecipeError(f"The run {run_id} was made with another recipe.", "Delete it, or use another workspace.")
    since = 0
    if run.status() in ("failed", "stopped", "lost"):
        since = jobs.events_end(run)
        jobs.resume_training(run)
    if run.status() != "done":
        jobs.raise_unless_done(run, jobs.follow(run, on_event, since))
