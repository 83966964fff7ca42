"""The recipes of a cross-validation: one for each fold, and one for the model that is taken home.

    fold_recipe(recipe, 5, 2)              learns four fifths, validates on a part of them, never sees the second fold
    final_recipe(recipe, 5, kept_epochs)   learns every row, for as many epochs as the folds kept in the middle

Recipes only: `studio.engines.crossval` trains them, `evaluate.folds` asks them, `synth.folds` shares out the rows.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from recipes.recipe.plan import Plan
from recipes.recipe.schema import Recipe, load_recipe
from recipes.run.directory import Run
from synth.errors import RunError
from synth.jobdir import EXIT
from synth.storage import read_json


def fold_run(name: str, fold: int) -> str:
    """The id of the run of a fold; `name` is that of the model that is taken home."""
    return f"{name}-fold{fold}"


def fold_recipe(recipe: Recipe, folds: int, fold: int) -> Recipe:
    """The recipe of one fold. Raises RecipeError where its method has no folds."""
    values = recipe.model_dump(mode="json")
    return load_recipe({**values, "data": {**values["data"], "folds": folds, "fold": fold}})


def final_recipe(recipe: Recipe, folds: int, epochs: Sequence[float]) -> Recipe:
    """The recipe that learns every row: no row is left to validate on, so that its length is the folds' median."""
    values = recipe.model_dump(mode="json")
    changed = {
        "data": {**values["data"], "folds": folds, "fold": 0},
        "optim": {**values["optim"], "num_train_epochs": round(statistics.median(epochs), 2), "max_steps": -1},
        "eval_steps": 0,
        "early_stopping_patience": 0,
        "load_best_model_at_end": False,
        "sample_steps": 0,
    }
    return load_recipe({**values, **changed})


def kept_epochs(run: Run) -> float:
    """The passes over its rows after which a finished run had what it kept. Raises RunError where it did not say."""
    plans = [event for event in run.events("plan") if "steps" in event]
    if not plans:
        raise RunError(f"{run.id} does not say how long it was trained.", "Train this fold again under another name.")
    planned = Plan(**{name: plans[-1][name] for name in Plan._fields})
    losses = {event["step"]: event["loss"] for event in run.events("eval") if isinstance(event.get("loss"), float)}
    last = int(read_json(run.path / EXIT).get("steps") or planned.steps)
    if losses and run.recipe.load_best_model_at_end:
        found = run.events("validation")
        best = found[-1]["best_step"] if found else min(losses, key=losses.__getitem__)
        return float(planned.epochs * best / planned.steps)
    return planned.epochs * last / planned.steps
