"""`smolstudio push RUN|EXPORT --to hub:OWNER/NAME`: what would be sent, and with --yes, sending it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli.options import JsonOption, WorkspaceOption, print_json, workspace_of

if TYPE_CHECKING:
    from recipes.export.push import Plan


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(push)


def push(
    what: Annotated[str, typer.Argument(metavar="RUN|EXPORT", help="Folder of an export, or a finished run")],
    to: Annotated[str, typer.Option("--to", help="hub:OWNER/NAME")],
    as_: Annotated[str, typer.Option("--as", help="Target that a run is exported to first")] = "adapter",
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it; private otherwise")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send it; without this nothing leaves the machine")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an export to a model hub: private, and only said at first."""
    from evaluate.parity import parity_gate
    from evaluate.report.model_card import of_workspace
    from recipes.export.exporter import MANIFEST
    from recipes.export.push import planned
    from recipes.export.push import push as send
    from recipes.export.targets import export_run
    from studio.engines import jobs

    place = workspace_of(workspace)
    with tempfile.TemporaryDirectory(prefix="smolstudio-push-") as scratch:
        folder = Path(what)
        if not (folder / MANIFEST).is_file():
            run_id = jobs.find_run(place, what).id
            checks = parity_gate(place), of_workspace(place)
            folder = export_run(run_id, place.runs, Path(scratch) / run_id, as_, *checks)
        plan = planned(folder, to, public)
        url = send(plan) if yes else ""
    if as_json:
        print_json(
            {**plan._asdict(), "folder": plan.folder.name, "files": [f._asdict() for f in plan.files], "url": url}
        )
        return
    print(_summary(plan))
    print(f"Sent: {url}" if yes else "Nothing was sent. Add --yes to send it.")


def _summary(plan: Plan) -> str:
    from studio.cli.terminal import table

    who = "public: everybody can download it" if plan.public else "private: only you, and whom you let in on the hub"
    rows = [[file.name, f"{file.bytes:,}"] for file in plan.files]
    total = ["in all", f"{sum(file.bytes for file in plan.files):,}"]
    return "\n".join([f"To {plan.repo} ({who})", "", table(["file", "bytes"], [*rows, total]), "", *plan.said])
