"""Options that several commands share."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from synth.workspace import ENVIRONMENT, Workspace, is_address, resolve_workspace

if TYPE_CHECKING:
    from synth.dataset import DatasetDir
    from synth.shared import Shared

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", help="Workspace folder, or s3://BUCKET/PREFIX [default: $SMOLSTUDIO_HOME or ./workspace]"
    ),
]
EngineOption = Annotated[
    str, typer.Option("--engine", help="local, or ray for a cluster [default: what the Settings page says, else local]")
]
AddressOption = Annotated[
    str, typer.Option("--address", help="host:port of the Ray cluster's head; without it, this machine's cores")
]
Source = TypeVar("Source")
Found = TypeVar("Found")
_shared: dict[str, Shared] = {}  # at which addresses this command works
JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of text.")]


def workspace_of(option: Path | None) -> Workspace:
    """The workspace that the option, the environment or the default names.

    Of an address in a bucket it is the working copy of this machine: what is new there is fetched now, and what the
    command makes is published when it ends, however it ends.
    """
    text = str(option or os.environ.get(ENVIRONMENT) or "")
    if not is_address(text):
        return resolve_workspace(option)
    if text not in _shared:
        from synth.bucket import address
        from synth.shared import Shared, working_copy

        place = address(text)
        shared = Shared(working_copy(place), place)
        shared.fetch_new(_tell)
        _shared[text] = shared
    return _shared[text].workspace


def publish_made() -> None:
    """Publish what this command made at an address. Raises StorageError."""
    for shared in _shared.values():
        shared.publish_made(_tell)


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    print(json.dumps(value, ensure_ascii=False))


def readable(files: Iterable[Source], read: Callable[[Source], Found]) -> list[Found]:
    """What `read` makes of each file; one that it refuses is named on stderr, and hides no other."""
    from synth.errors import UserError

    found = []
    for file in files:
        try:
            found.append(read(file))
        except UserError as error:
            print(f"Left out: {error.message}", file=sys.stderr)
    return found


def key_values(pairs: list[str]) -> dict[str, Any]:
    """`key=value` settings; values are YAML. Raises RecipeError for one without '='."""
    import yaml

    from synth.errors import RecipeError
    from synth.strict import parse_yaml

    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise RecipeError(f"'{pair}' is not a setting.", "Write settings as key=value.")
        try:
            values[key.strip()] = parse_yaml(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"The value of '{pair}' is not YAML.", "Put it in quotes.") from error
    return values


def describe_dataset(dataset: DatasetDir, as_json: bool) -> None:
    """Print what a dataset that was just made holds."""
    from synth.curation.leakage import EXTRACTS

    card = dataset.card
    if as_json:
        print_json(
            {
                "dataset": dataset.name,
                "path": str(dataset.path),
                **card.model_dump(include={"splits", "rejected", "rows_in"}),
            }
        )
        return
    print(f"{dataset.name}: {', '.join(f'{n} {s}' for s, n in card.splits.items())} rows in {card.seconds:.1f} s")
    for reason, count in card.rejected.items():
        print(f"  rejected {count}: {reason}")
    if said := card.notes.get(EXTRACTS, {}).get("said"):
        print(f"  {said}")
    for fault in card.notes.get("variety", {}).get("faults", ()):
        print(f"  little variety: {fault}")
    print(f"  {dataset.path}")
