"""Before a command sends rows to an endpoint elsewhere: what was agreed to, a question on a terminal, or a refusal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from synth.workspace import Workspace

LEAVE = "--rows-leave-this-machine"
LeaveOption = Annotated[
    bool,
    typer.Option(
        LEAVE, help="Agree that rows are sent to the endpoint; asked once for each address and dataset, and remembered"
    ),
]


def require(workspace: Workspace, base_urls: Iterable[str], about: str, what: str, agreed: bool) -> None:
    """Raise EndpointError unless a person agreed that `what` may be sent to these addresses.

    about: the dataset, or what else the agreement is remembered under. Addresses of this machine need none.
    """
    from studio.state.endpoints import agree, may_leave, place_of
    from synth.errors import EndpointError

    for base_url in dict.fromkeys(base_urls):
        if may_leave(workspace, base_url, about):
            continue
        place = place_of(base_url)
        said = f"{what} would leave this machine: {place} is asked about it."
        if not agreed and not _asked(f"{said} Do you agree?"):
            message = f"{said} Nobody agreed to that, so nothing was sent."
            raise EndpointError(
                message, f"Give {LEAVE} to agree, once for this address and dataset.", "endpoint.consent"
            )
        agree(workspace, base_url, about)


def _asked(question: str) -> bool:
    """The answer of whoever sits at the terminal; no where nobody does."""
    return sys.stdin.isatty() and sys.stderr.isatty() and typer.confirm(question, err=True)
