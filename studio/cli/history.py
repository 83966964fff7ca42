"""`smolstudio runs diff`, `delete` and `restore`, and `smolstudio export`: what is done with runs that have ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.cli.options import JsonOption, WorkspaceOption, print_json, workspace_of


def add(app: typer.Typer, runs_app: typer.Typer) -> None:
    """Add these commands to the application and to its group `runs`."""
    app.command()(export)
    runs_app.command()(diff)
    runs_app.command()(delete)
    runs_app.command()(restore)


def export(
    run_id: Annotated[str, typer.Argument(help="A finished run, or the beginning of its id")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make")],
    to: Annotated[str, typer.Option("--to", help="Target: merged, adapter … (an unknown one lists all)")] = "merged",
    report: Annotated[
        str, typer.Option("--report", help="Comparison, or report.json, for the card; else the newest of this adapter")
    ] = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a tuned model in the form that another program reads."""
    from evaluate.parity import parity_gate
    from evaluate.report.model_card import of_report, of_workspace
    from recipes.export.exporter import MANIFEST
    from recipes.export.targets import export_run
    from studio.engines import jobs
    from synth.storage import read_json

    place = workspace_of(workspace)
    measured = of_report(place, report) if report else of_workspace(place)
    path = export_run(jobs.find_run(place, run_id).id, place.runs, out, to, parity_gate(place), measured)
    parity = read_json(path / MANIFEST)["parity"]
    if as_json:
        print_json({"target": to, "path": str(path), "parity": parity})
        return
    print(f"Exported to {path} ({to}).")
    print("\n".join(parity["said"]))


def diff(
    first: Annotated[str, typer.Argument(help="Run, or the beginning of its id")],
    second: Annotated[str, typer.Argument(help="Another")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show in what two runs differ: recipe, data, libraries, machine, figures."""
    from studio.cli.terminal import table
    from studio.engines import jobs
    from studio.read.run_diff import diff as differences

    place = workspace_of(workspace)
    one, other = jobs.find_run(place, first), jobs.find_run(place, second)
    found = differences(one, other)
    if as_json:
        print_json([row._asdict() for row in found])
    elif found:
        print(table(["", "what", one.id, other.id], [list(row) for row in found]))
    else:
        print(f"{one.id} and {other.id} do not differ.")


def delete(
    run_id: Annotated[str, typer.Argument(help="Run, or the beginning of its id")],
    workspace: WorkspaceOption = None,
) -> None:
    """Move a run to the workspace's trash; `runs restore` takes that back."""
    from studio.engines import jobs
    from studio.state import trash

    place = workspace_of(workspace)
    run = jobs.find_run(place, run_id)
    trash.delete(place, "runs", run.id)
    print(f"{run.id} is in the trash of {place.path}. Take it back with: smolstudio runs restore {run.id}")


def restore(
    run_id: Annotated[str, typer.Argument(help="Id of the deleted run")],
    workspace: WorkspaceOption = None,
) -> None:
    """Take the last deletion of a run back."""
    from studio.state import trash
    from synth.errors import RunError, did_you_mean

    place = workspace_of(workspace)
    names = {trash.before(name): name for name in reversed(trash.deleted(place, "runs"))}
    if run_id not in names:
        listing = f"In the trash: {', '.join(names)}." if names else "The trash is empty."
        raise RunError(f"No run '{run_id}' is in the trash{did_you_mean(run_id, list(names))}.", listing)
    print(f"{trash.restore(place, 'runs', names[run_id])} is back.")
