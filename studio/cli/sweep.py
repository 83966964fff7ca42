"""`smolstudio sweep`: other values of a recipe are tried, and the best ones repeated with three seeds."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from studio.cli.options import JsonOption, WorkspaceOption, print_json, workspace_of

if TYPE_CHECKING:
    from studio.engines.sweep import Asked, Swept

SPACE = "--space"


class Spaced(TyperCommand):
    """Lets one --space take several words: all up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread(args))


def spread(arguments: list[str]) -> list[str]:
    """`--space a b` as `--space a --space b`."""
    made: list[str] = []
    inside = False
    for word in arguments:
        if word.startswith("-"):
            inside = word == SPACE
            made += [] if inside else [word]
        else:
            made += [SPACE, word] if inside else [word]
    return made


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=Spaced)(sweep)


def sweep(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or the name of a ready recipe")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, such as data.dataset=invoices")] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(SPACE, help="key=low:high, key=low:high:log or key=a,b,c; several may follow one --space"),
    ] = None,
    trials: Annotated[int, typer.Option(help="Trainings that are tried", min=2)] = 12,
    seeds: Annotated[int, typer.Option(help="Other seeds with which the best is repeated", min=0)] = 3,
    metric: Annotated[str, typer.Option(help="Compare by this metric of val, or by `loss` [default: the task's]")] = "",
    sweep_id: Annotated[str, typer.Option("--id", help="Name of the sweep; the same name goes on")] = "",
    engine: Annotated[str, typer.Option(help="local, or ray: several trials at once")] = "local",
    address: Annotated[str, typer.Option(help="Ray cluster, host:port; empty: the cores of this machine")] = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search for better values of a recipe: trials that fall behind on val end early. Ctrl-C saves; the same again
    resumes.

    Trials are runs like any other, one after another or several at once on a Ray cluster, with a tag of the sweep's
    name. Test rows are never looked at.
    """
    from recipes.recipe.schema import load_recipe
    from recipes.recipe.space import parse_space
    from studio.cli.terminal import ProgressLine
    from studio.engines.ray_trainings import RayTrainings
    from studio.engines.rows import opened
    from studio.engines.sweep import Asked
    from studio.engines.sweep import sweep as search

    notices: list[str] = []
    chosen = load_recipe(recipe, overrides or [], notices)
    for notice in notices:
        print(notice, file=sys.stderr)
    asked = Asked(chosen, parse_space(chosen, space or []), trials, seeds, metric)
    stops: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: stops.append(number))
    try:
        with opened(workspace_of(workspace), engine, address) as cluster:
            trainings = RayTrainings(cluster.slots(model=True)) if cluster else None
            place, name = workspace_of(workspace), sweep_id or _name(asked)
            found = search(place, name, asked, ProgressLine(), lambda: bool(stops), trainings)
    finally:
        signal.signal(signal.SIGINT, before)
    if as_json:
        print_json(_plain(found))
    else:
        _show(found, asked)


def _name(asked: Asked) -> str:
    """The same for the same search, so that the same command goes on."""
    import hashlib
    import json

    from recipes.recipe.schema import recipe_hash
    from recipes.recipe.space import as_json

    what = json.dumps([recipe_hash(asked.recipe), as_json(asked.space), asked.metric], sort_keys=True)
    return f"{asked.recipe.name[:24]}-sweep-{hashlib.sha256(what.encode()).hexdigest()[:6]}"


def _plain(found: Swept) -> dict[str, Any]:
    return {
        "sweep": found.name,
        **found.objective._asdict(),
        "best": found.best._asdict(),
        "trials": [trial._asdict() for trial in found.trials],
        "repeats": [one._asdict() for one in found.repeats],
        "importance": found.importance,
    }


def _show(found: Swept, asked: Asked) -> None:
    """The trials, the best, its repetitions, and how a plan names them."""
    from studio.cli.terminal import table

    names = list(asked.space)
    metric = found.objective.metric
    rows = [[f"t{t.number:02d}", t.state, _value(t.value), *(_short(t.values[n]) for n in names)] for t in found.trials]
    print(table(["trial", "state", metric, *names], rows))
    if found.importance:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in found.importance.items())
        done = sum(trial.state == "done" for trial in found.trials)
        print(f"\nWhat explains the differences, by {done} trials that came to their end: {shares}.")
    print(f"\nBest: t{found.best.number:02d}, {metric} {found.best.value:.4g} on val. The best of many is partly luck:")
    for one in found.repeats:
        print(f"  {one.run}: {_value(one.value) or 'not measured'}")
    if found.repeats:
        print("\nFor a plan; its report gives the mean and spread over these seeds, on rows of test:\nsystems:")
        base = found.best.values.get("base_model", asked.recipe.base_model)
        for one in found.repeats:
            where = f"model: {base}, adapter: {one.run}"
            print(f"  - {{id: s{one.seed}, {where}, train_seed: {one.seed}, seed_group: {found.name}}}")


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
