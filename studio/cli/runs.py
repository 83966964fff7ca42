"""`smolstudio train` and `smolstudio runs …`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli import history
from studio.cli.options import JsonOption, WorkspaceOption, print_json, workspace_of
from synth.errors import RecipeError

if TYPE_CHECKING:
    from pathlib import Path

    from recipes.recipe.schema import Recipe
    from recipes.run.directory import Run
    from studio.engines.launched import Launch
    from synth.workspace import Workspace

runs_app = typer.Typer(no_args_is_help=True, help="List, watch, stop and resume trainings.")


def add(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command()(train)
    history.add(app, runs_app)
    app.add_typer(runs_app, name="runs")


def train(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or the name of a ready recipe")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, such as data.dataset=invoices")] = None,
    run_id: Annotated[str, typer.Option("--id", help="Name of the run; made up when empty")] = "",
    detach: Annotated[bool, typer.Option(help="Start it and return at once")] = False,
    preflight: Annotated[bool, typer.Option("--preflight", help="Only check: memory, time, masks, gradients")] = False,
    engine: Annotated[str, typer.Option(help="local, or accelerate for several processes")] = "local",
    num_processes: Annotated[
        int, typer.Option("--num-processes", help="Processes that train together", min=1, max=1024)
    ] = 1,
    config_file: Annotated[str, typer.Option("--config-file", help="accelerate's own, for --engine accelerate")] = "",
    num_machines: Annotated[
        int, typer.Option("--num-machines", help="Machines that train together", min=1, max=512)
    ] = 1,
    machine_rank: Annotated[int, typer.Option("--machine-rank", help="Number of this machine, from 0", min=0)] = 0,
    main_process_ip: Annotated[str, typer.Option("--main-process-ip", help="Address of machine 0")] = "",
    main_process_port: Annotated[
        int, typer.Option("--main-process-port", help="A free port of machine 0", min=1, max=65535)
    ] = 29500,
    create_only: Annotated[bool, typer.Option("--create-only", help="Only make the run, for a job file")] = False,
    seeds: Annotated[int, typer.Option(help="Train this many times, with seeds from the recipe's on", min=1)] = 1,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a model. It runs in its own process; Ctrl-C asks it to save and stop."""
    at = (num_machines, machine_rank, main_process_ip, main_process_port)
    launch = _among_machines(_launch(engine, num_processes, config_file), run_id, *at)
    if seeds > 1:
        if launch:
            raise RecipeError("Several seeds are trained by one process each.", "Leave out --engine, or --seeds.")
        if detach or preflight:
            raise RecipeError("Several seeds are trained in turn and watched.", "Leave out --detach and --preflight.")
        _train_seeds(recipe, overrides or [], run_id, seeds, workspace, as_json)
        return
    from studio.engines import jobs
    from studio.presets.bases import load_fitted

    place = workspace_of(workspace)
    notices: list[str] = []
    chosen, fitted = load_fitted(recipe, overrides or [], place, notices)
    for notice in (*notices, *filter(None, [fitted])):
        print(notice, file=sys.stderr)
    if create_only:
        _only_make(place, chosen, run_id, launch)
        return
    if launch and launch.machine_rank:
        from recipes.run.directory import Run
        from studio.engines.launched import take_part

        raise typer.Exit(take_part(Run(place.runs / run_id), chosen, launch))
    _hint_at_folds(chosen, place)
    run = jobs.start_training(place, chosen, run_id or None, check_only=preflight, launch=launch)
    if detach:
        print_json({"run": run.id}) if as_json else print(f"{run.id} started: smolstudio runs logs {run.id}")
        return
    if preflight:
        _show_preflight(run, as_json)
    else:
        _watch(run, as_json)


def _only_make(place: Workspace, recipe: Recipe, run_id: str, launch: Launch | None) -> None:
    """Make the run for a job file, and print where it is. Raises RecipeError."""
    from recipes.run.directory import Run

    if launch:
        message = "A run that is only made does not keep who trains it."
        raise RecipeError(message, "Leave out --engine: the job file says how many processes.", "recipe.launch")
    print(Run.create(place, recipe, run_id or None).path)


def _launch(engine: str, num_processes: int, config_file: str) -> Launch | None:
    """What --engine and its options say; None for one process. Raises RecipeError where they contradict each other."""
    if engine not in ("local", "accelerate"):
        raise RecipeError(f"There is no engine '{engine}'.", "Choose local or accelerate.", "recipe.launch")
    if engine == "accelerate" and num_processes > 1:
        from studio.engines.launched import Launch

        return Launch(num_processes=num_processes, config_file=config_file)
    if engine == "accelerate" or num_processes > 1 or config_file:
        message = "Several processes need both --engine accelerate and --num-processes of two or more."
        raise RecipeError(message, "Give both, or neither.", "recipe.launch")
    return None


def _among_machines(
    launch: Launch | None, run_id: str, num_machines: int, machine_rank: int, ip: str, port: int
) -> Launch | None:
    """The launch as one of several machines. Raises RecipeError where something is missing for that."""
    if num_machines == 1 and not machine_rank and not ip:
        return launch
    if launch is None or num_machines == 1:
        message = "Several machines need --engine accelerate, --num-processes and --num-machines."
        raise RecipeError(message, "Give all of them, or none.", "recipe.launch")
    if not run_id or not ip:
        message = "Several machines need a name for their run, and the address of the first."
        raise RecipeError(message, "Give --id and --main-process-ip, the same on each.", "recipe.launch")
    where = {"machine_rank": machine_rank, "main_process_ip": ip, "main_process_port": port}
    return launch.model_copy(update={"num_machines": num_machines, **where})


def _hint_at_folds(recipe: Recipe, workspace: Workspace) -> None:
    """Say where a person's own rows are too few for a test split."""
    from studio.presets.bases import is_own
    from synth.dataset import open_dataset
    from synth.folds import is_small

    card = open_dataset(recipe.data.dataset, workspace.datasets).card
    if recipe.objective == "sft" and not recipe.data.folds and is_own(card) and is_small(card.splits):
        tested = f"{card.splits.get('test', 0)} test rows tell hardly anything"
        print(f"{card.name}: {tested}; `smolstudio crossval` with the same words tests all.", file=sys.stderr)


def _train_seeds(
    recipe: str, overrides: list[str], name: str, seeds: int, workspace: Path | None, as_json: bool
) -> None:
    """Train one after another, and print how a plan names the systems whose spread a comparison shows."""
    from studio.engines import jobs
    from studio.presets.bases import load_fitted

    place, notices, trained = workspace_of(workspace), list[str](), []
    chosen, fitted = load_fitted(recipe, overrides, place, notices)
    for notice in (*notices, *filter(None, [fitted])):
        print(notice, file=sys.stderr)
    for seed in range(chosen.seed, chosen.seed + seeds):
        once = chosen.model_copy(update={"seed": seed})
        run = jobs.start_training(place, once, f"{name}-s{seed}" if name else None)
        trained.append((seed, run.id))
        if _watch(run, as_json) != "done":
            return
    if not as_json:
        print("\nFor a plan; its report gives the mean and spread over these seeds:\nsystems:")
        for seed, run_id in trained:
            group = name or trained[0][1]
            print(f"  - {{id: s{seed}, model: {chosen.base_model}, adapter: {run_id}, ", end="")
            print(f"train_seed: {seed}, seed_group: {group}}}")


def _show_preflight(run: Run, as_json: bool) -> None:
    """Print what the preflight found; exit code 1 when the training would not start."""
    from recipes.recipe.words import in_words
    from recipes.train.report import read_report
    from studio.cli.terminal import duration
    from studio.engines import jobs

    ended = jobs.follow(run, lambda _: None)
    report = read_report(run.path)
    if report is None:
        jobs.raise_unless_done(run, ended)
        return
    if as_json:
        print_json({"run": run.id, **report.model_dump(mode="json")})
    else:
        print(f"{in_words(run.recipe)}\n\n{report.sample_text}")
        for problem in report.problems:
            print(f"Problem: {problem}")
        print("\nReady." if report.ok else "\nNot ready.")
        if probe := report.probe:
            peak, took = f"{probe.memory_bytes / 2**30:.2f} GiB", duration(probe.projected_sec)
            print(f"At most {peak} of memory, and about {took} for {report.steps} steps.")
        if report.ok:
            print(f"Begin with: smolstudio runs resume {run.id}")
    if not report.ok:
        raise typer.Exit(1)


def _watch(run: Run, as_json: bool, since: int = 0) -> str:
    """Show a run until it ends, and say how; Ctrl-C asks it to stop and keeps watching until it has saved."""
    from studio.cli.terminal import ProgressLine
    from studio.engines import jobs

    show = ProgressLine()

    def on_event(event: dict[str, Any]) -> None:
        if progress := jobs.progress_of(event):
            show(progress)

    try:
        ended = jobs.follow(run, on_event, since)
    except KeyboardInterrupt:
        jobs.ENGINE.cancel(run)
        print("\nAsked it to save and stop …")
        ended = jobs.follow(run, on_event, jobs.events_end(run))
    if as_json:
        print_json({"run": run.id, "verdict": ended.verdict, "sentence": ended.sentence, "path": str(run.path)})
    else:
        print(f"{run.id}: {ended.verdict}. {ended.sentence}")
        if ended.verdict == "stopped":
            print(f"Go on with: smolstudio runs resume {run.id}")
    if ended.verdict == "failed":
        raise typer.Exit(1)
    return ended.verdict


@runs_app.command(name="list")
def list_(
    tag: Annotated[str, typer.Option(help="Only runs with this tag")] = "",
    status: Annotated[str, typer.Option(help="Only runs with this status, such as done or failed")] = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List trainings, newest first."""
    from studio.cli.terminal import table
    from studio.read import history as past
    from synth.errors import RunError, did_you_mean

    runs = past.history(workspace_of(workspace))
    if tag and tag not in (known := past.tags_of(runs)):
        listing = (
            f"Tags in use: {', '.join(known)}." if known else "Give one with `smolstudio runs note RUN --tag TAG`."
        )
        raise RunError(f"No run has the tag '{tag}'{did_you_mean(tag, known)}.", listing)
    chosen = past.matching(runs, status=status, tag=tag)
    if as_json:
        print_json([{"run": r.id, "status": r.status, "method": r.recipe.method, **r.notes._asdict()} for r in chosen])
    elif not runs:
        print("There is no run yet. Start one: smolstudio train starter-text-sft data.dataset=NAME")
    else:
        rows = [[r.id, r.status, r.recipe.method, r.recipe.base_model, ", ".join(r.notes.tags)] for r in chosen]
        print(table(["run", "status", "method", "base", "tags"], rows))


@runs_app.command()
def note(
    run_id: Annotated[str, typer.Argument(help="Run, or the beginning of its id")],
    text: Annotated[str | None, typer.Argument(help="The note; replaces what was there")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Add a tag; may be repeated")] = None,
    untag: Annotated[list[str] | None, typer.Option(help="Take a tag away; may be repeated")] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a note or tags on a run; without any, show them."""
    from studio.engines import jobs
    from studio.state.notes import read_notes, write_notes

    run = jobs.find_run(workspace_of(workspace), run_id)
    notes = read_notes(run.path)
    if text is not None or tag or untag:
        tags = [word for word in (*notes.tags, *(tag or ())) if word not in (untag or ())]
        notes = write_notes(run, notes.note if text is None else text, tags)
    if as_json:
        print_json({"run": run.id, **notes._asdict()})
    else:
        print(f"{run.id} [{', '.join(notes.tags) or 'no tags'}]\n{notes.note or 'no note'}")


@runs_app.command()
def show(run_id: str, workspace: WorkspaceOption = None) -> None:
    """Show how a run stands, its notes, its recipe and its last figures."""
    from recipes.recipe.schema import dump_recipe
    from studio.engines import jobs
    from studio.state.notes import Notes, read_notes

    run = jobs.find_run(workspace_of(workspace), run_id)
    ended, notes = run.exit(), read_notes(run.path)
    print(f"{run.id}: {run.status()}. {ended.sentence if ended else ''}\n")
    if notes != Notes():
        print(f"[{', '.join(notes.tags)}] {notes.note}\n")
    steps = run.events("step")
    if steps:
        print("last step: " + ", ".join(f"{k} {v}" for k, v in steps[-1].items() if k not in ("at", "kind")) + "\n")
    print(dump_recipe(run.recipe, comments=False))


@runs_app.command()
def logs(
    run_id: str, follow: Annotated[bool, typer.Option("--follow", "-f")] = False, workspace: WorkspaceOption = None
) -> None:
    """Print the worker's log; with --follow, watch the run."""
    from studio.engines import jobs

    run = jobs.find_run(workspace_of(workspace), run_id)
    print(jobs.log_tail(run))
    if follow:
        _watch(run, as_json=False)


@runs_app.command()
def stop(
    run_id: str,
    discard: Annotated[bool, typer.Option("--discard", help="Stop without saving, and forget its checkpoints")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Ask a run to save a checkpoint and stop."""
    from studio.engines import jobs
    from synth.errors import RunError

    run = jobs.find_run(workspace_of(workspace), run_id)
    if run.status() not in ("running", "queued"):
        raise RunError(f"{run.id} is {run.status()}; there is nothing to stop.", "See `smolstudio runs list`.")
    jobs.ENGINE.cancel(run, discard)
    print(f"{run.id} will stop and be discarded." if discard else f"{run.id} will save and stop.")


@runs_app.command()
def resume(
    run_id: str,
    detach: Annotated[bool, typer.Option(help="Start it and return at once")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on from the newest checkpoint that verifies."""
    from studio.engines import jobs

    run = jobs.find_run(workspace_of(workspace), run_id)
    since = jobs.events_end(run)
    jobs.resume_training(run)
    if not detach:
        _watch(run, as_json, since)
