"""`smolstudio crossval`: every row of a small dataset is tested, by a model that did not learn it."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from studio.cli.options import JsonOption, WorkspaceOption, print_json, workspace_of
from synth.folds import FOLDS


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(crossval)


def crossval(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or the name of a ready recipe")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, such as data.dataset=messages")] = None,
    folds: Annotated[int, typer.Option(help="Models that each leave out one part of the rows")] = FOLDS,
    run_id: Annotated[str, typer.Option("--id", help="Name of the run of all rows; the same name goes on")] = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train one model a fold and one on all rows, for fewer than 150 or so rows. Ctrl-C saves; the same again resumes.

    A comparison whose plan says `folds` then tests every row, by the model of its fold.
    """
    from recipes.recipe.schema import recipe_hash
    from studio.cli.terminal import ProgressLine
    from studio.engines.crossval import cross_validate
    from studio.presets.bases import load_fitted
    from synth.dataset import open_dataset
    from synth.folds import fold_count

    place, notices = workspace_of(workspace), list[str]()
    chosen, fitted = load_fitted(recipe, overrides or [], place, notices)
    counted = fold_count(open_dataset(chosen.data.dataset, place.datasets), folds)
    for notice in (*notices, *filter(None, [fitted, counted.why])):
        print(notice, file=sys.stderr)
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        name = run_id or f"{chosen.name}-{chosen.data.dataset}-{recipe_hash(chosen)[:6]}"
        made = cross_validate(place, chosen, name, folds, ProgressLine(), lambda: bool(asked))
    finally:
        signal.signal(signal.SIGINT, before)
    if as_json:
        print_json({"run": made.final, "folds": made.folds.folds, "fold_runs": list(made.runs)})
        return
    print(f"{made.final} learned all rows; {made.folds.folds} models that each left out a part are beside it.")
    print("For a plan, which tests every row by the model that did not learn it:")
    print(f"dataset: {chosen.data.dataset}\nfolds: {made.folds.folds}\nsystems:")
    print(f"  - {{id: tuned, model: {chosen.base_model}, adapter: {made.final}}}")
