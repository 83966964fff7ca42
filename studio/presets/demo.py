"""`smolstudio demo`: generate, tune (SFT, then DPO), compare, report: on the embedded starters, with no network, or on
a published model, which is fetched when it is not here.

What differs between demos is data (`studio.presets.demos`). Every stage has a fixed name, so that a demo that was
interrupted, or is run again, takes up what is already there.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from recipes.models.adding import Say, add
from recipes.models.files import resolve, starters
from recipes.recipe.schema import Recipe, load_recipe
from studio.engines import jobs
from studio.presets.demos import DEMOS, DemoSpec
from synth.dataset import CARD, REAL, DatasetDir, DatasetWriter
from synth.errors import ModelError, RecipeError
from synth.progress import ProgressFn
from synth.workspace import Workspace


class DemoResult(NamedTuple):
    """Where the report lies and how long everything took (s)."""

    report: Path
    seconds: float


def run_demo(name: str, seeds: list[int], workspace: Workspace, on_progress: ProgressFn, say: Say) -> DemoResult:
    """Run a demo of DEMOS; several seeds train several times on the same data and are compared together.

    Raises RecipeError for an unknown demo, ModelError when its base cannot be had, RunError when a stage fails.
    """
    from evaluate.compare import run_comparison
    from evaluate.plan import Plan

    demo, start = DEMOS[name], time.monotonic()
    _have(demo.base, say)
    large = _rival(demo, say)
    base = f"demo-{name}-s{seeds[0]}"
    dataset = _dataset(demo, base, seeds[0], workspace, on_progress)
    adapters = [_tune(demo, f"demo-{name}-s{seed}", dataset, seed, workspace, on_progress) for seed in seeds]
    plan = Plan.model_validate(demo.plan(base, str(dataset.name), seeds, adapters, large))
    suffix = "" if len(seeds) == 1 else f"-x{len(seeds)}"
    report = run_comparison(plan, workspace, on_progress, comparison_id=base + suffix)
    return DemoResult(report, time.monotonic() - start)


def choose(modality: str, base: str, task: str = "") -> str:
    """The name of the first demo that is of this modality, task and base, where they are given. Raises RecipeError."""
    wanted = {"modality": modality, "base": base, "task": task}
    asked = {field: value for field, value in wanted.items() if value}
    for name, demo in DEMOS.items():
        default = bool(base) or demo.base in starters()
        if default and all(getattr(demo, field) == value for field, value in asked.items()):
            return name
    there = "; ".join(f"--task {demo.task} ({demo.modality}) on {demo.base}" for demo in DEMOS.values())
    said = " and ".join(f"the {field} '{value}'" for field, value in asked.items())
    raise RecipeError(f"There is no demo for {said}.", f"Choose one of: {there}.")


def _have(model: str, say: Say) -> None:
    """See that a model is here, before anything is generated; fetch it when the catalogue knows from where."""
    try:
        resolve(model)
    except ModelError as error:
        if error.code != "model.to_fetch":
            raise
        add(model, say=say)


def _rival(demo: DemoSpec, say: Say) -> str:
    """The larger model that is prompted beside the base, "" where none can be had."""
    if not demo.large:
        say("No larger published model is prompted beside it: no package holds one under an open licence.")
        return ""
    try:
        _have(demo.large, say)
    except ModelError as error:
        say(f"{demo.large} is not prompted beside it: {error.message}")
        return ""
    return demo.large


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
    """Run ids of the SFT and DPO adapters, "" for one that is left out."""
    common = [f"base_model={demo.base}", f"data.dataset={dataset.name}", f"seed={seed}"]
    sft = load_recipe(demo.sft, [*common, *demo.sft_overrides])
    _train(f"{base}-sft", sft, workspace, on_progress)
    if not demo.dpo:
        return f"{base}-sft", ""
    dpo = load_recipe(demo.dpo, [*common, f"adapter={base}-sft", *demo.dpo_overrides])
    _train(f"{base}-dpo", dpo, workspace, on_progress)
    return f"{base}-sft", f"{base}-dpo"


def _train(run_id: str, recipe: Recipe, workspace: Workspace, on_progress: ProgressFn) -> None:
    """Train unless the same recipe is done already; resume it when it was cut off."""

    def on_event(event: dict[str, Any]) -> None:
        if progress := jobs.progress_of(event):
            on_progress(progress)

    run = jobs.start_training(workspace, recipe, run_id)
    since = 0
    if run.status() in ("failed", "stopped", "lost"):
        since = jobs.events_end(run)
        jobs.resume_training(run)
    if run.status() != "done":
        jobs.raise_unless_done(run, jobs.follow(run, on_event, since))
