"""`smolstudio storage list|push|pull s3://BUCKET/PREFIX`: what machines without a common disk share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli.options import JsonOption, WorkspaceOption, print_json, readable, workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from synth.published import Item
    from synth.shared import Outcome, Shared

storage_app = typer.Typer(no_args_is_help=True, help="Share datasets, runs and comparisons through a bucket.")
AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="s3://BUCKET/PREFIX")]
NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="NAME…", help="Such as datasets/invoices; all when none is given")
]


def add(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(storage_app, name="storage")


@storage_app.command(name="list")
def list_(address: AddressArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List what is published at an address."""
    from studio.cli.terminal import table

    shared = _shared(workspace, address)
    found = readable(shared.listed(), lambda item: (item, shared.manifest(item)[0]))
    if as_json:
        facts = ("bytes", "host", "at")
        print_json([{"name": str(item), **{fact: getattr(one, fact) for fact in facts}} for item, one in found])
        return
    rows = [[str(item), str(len(one.files)), f"{one.bytes:,}", one.host, one.at] for item, one in found]
    nothing = f"Nothing is published at {shared.address}."
    print(table(["name", "files", "bytes", "from", "at"], rows) if rows else nothing)


@storage_app.command()
def push(
    address: AddressArgument,
    names: NamesArgument = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also over what others published since; every file is sent again")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Publish folders of the workspace, each whole or not at all."""
    shared = _shared(workspace, address)
    here = shared.here()
    _each([shared.find(name, here) for name in names] if names else here, lambda item: shared.publish(item, replace))


@storage_app.command()
def pull(
    address: AddressArgument,
    names: NamesArgument = None,
    replace: Annotated[bool, typer.Option("--replace", help="Also over what was changed here")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Fetch published folders into the workspace, each whole or not at all."""
    shared = _shared(workspace, address)
    there = list(shared.listed())
    _each([shared.find(name, there) for name in names] if names else there, lambda item: shared.fetch(item, replace))


def _each(items: Sequence[Item], work: Callable[[Item], Outcome]) -> None:
    """Do it for all, and say how each ended. Raises the last UserError after trying all; those before are printed."""
    from synth.bucket import Unavailable
    from synth.errors import UserError

    faults: list[UserError] = []
    for item in items:
        try:
            print(f"{item}: {work(item)}")
        except Unavailable:
            raise
        except UserError as error:
            faults.append(error)
    for told in faults[:-1]:
        print(f"Error: {told}", file=sys.stderr)
    if faults:
        raise faults[-1]


def _shared(workspace: Path | None, text: str) -> Shared:
    from synth.bucket import address
    from synth.shared import Shared

    return Shared(workspace_of(workspace), address(text))
