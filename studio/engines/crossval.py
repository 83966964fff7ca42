"""A cross-validation: its runs, one after another, each an ordinary one, and then the model that learns every row.

    trained = cross_validate(workspace, recipe, "messages-1", 5, on_progress, stop)

Runs that are done are kept, those that ended early go on: the same call again takes up where a stopped or killed one
was. Compares nothing: a plan with `folds` does (`evaluate.folds`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from studio.engines import jobs
from synth.dataset import open_dataset
from synth.errors import RecipeError, RunError
from synth.folds import FoldCount, fold_count
from synth.progress import Progress, ProgressFn
from synth.workspace import Workspace

if TYPE_CHECKING:
    from recipes.recipe.schema import Recipe
    from recipes.run.directory import Run


class Trained(NamedTuple):
    """The run to take home, those of the folds in order, and how many folds there are, with the reason."""

    final: str
    runs: tuple[str, ...]
    folds: FoldCount


def cross_validate(
    workspace: Workspace,
    recipe: Recipe,
    name: str,
    wanted: int,
    on_progress: ProgressFn,
    stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train every fold, then all rows. Raises DataError, RecipeError, RunError; code run.stopped when `stop` says so.

    The final run's length follows from the folds', which is why it comes last.
    """
    from recipes.run.folds import final_recipe, fold_recipe, fold_run, kept_epochs

    _refuse_what_leaks(recipe)
    folds = fold_count(open_dataset(recipe.data.dataset, workspace.datasets), wanted)
    epochs, names = [], []
    for fold in range(1, folds.folds + 1):
        label = f"fold {fold} of {folds.folds}"
        run = _finished(
            workspace, fold_recipe(recipe, folds.folds, fold), fold_run(name, fold), label, on_progress, stop
        )
        epochs.append(kept_epochs(run))
        names.append(run.id)
    final = _finished(workspace, final_recipe(recipe, folds.folds, epochs), name, "all rows", on_progress, stop)
    return Trained(final.id, tuple(names), folds)


def _refuse_what_leaks(recipe: Recipe) -> None:
    """Raise RecipeError for what would let a fold know its rows, or the last model not all of them."""
    if recipe.adapter:
        message = "A cross-validation begins with a new adapter: an earlier one may have learned the rows it is asked."
        raise RecipeError(message, "Leave `adapter` empty.")
    if recipe.data.max_examples:
        message = (
            "The model that a cross-validation makes learns every row, and data.max_examples would leave some out."
        )
        raise RecipeError(message, "Leave data.max_examples empty.")


def _finished(
    workspace: Workspace, recipe: Recipe, run_id: str, label: str, on_progress: ProgressFn, stop: Callable[[], bool]
) -> Run:
    """The run of that id when it is done: started, gone on with, or found so."""
    from recipes.recipe.schema import recipe_hash
    from recipes.run.directory import Run

    run = Run(workspace.runs / run_id)
    if not run.path.exists():
        jobs.start_training(workspace, recipe, run_id)
    elif recipe_hash(run.recipe) != recipe_hash(recipe):
        message = f"There is a run {run_id} already, with other settings; nothing was trained."
        raise RunError(message, "Give the cross-validation another name.")
    elif run.status() in ("stopped", "failed", "lost"):
        jobs.resume_training(run)
    _follow(run, label, on_progress, stop)
    return run


def _follow(run: Run, label: str, on_progress: ProgressFn, stop: Callable[[], bool]) -> None:
    """Wait for the run's end. Raises RunError unless it is done."""
    asked, offset = False, jobs.events_end(run)
    while (status := run.status()) in ("queued", "running"):
        events, offset = jobs.read_new(run.path / "events.jsonl", offset)
        for progress in filter(None, map(jobs.progress_of, events)):
            on_progress(Progress(label, *progress[1:]))
        if stop() and not asked:
            asked = True
            jobs.ENGINE.cancel(run)
        time.sleep(jobs.POLL_SEC)
    if status == "stopped" or (asked and status != "done"):
        message = f"The cross-validation was stopped at {label} ({run.id}); what was trained is kept."
        raise RunError(message, "Start it again to go on.", "run.stopped")
    if status != "done":
        message = f"{run.id} ({label}) {status}: {jobs.how_it_ended(run)}"
        raise RunError(message, "Start the cross-validation again to go on.")
    if asked:
        raise RunError(f"The cross-validation was stopped after {label}.", "Start it again to go on.", "run.stopped")
