"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from synth.workspace import Workspace, resolve_workspace

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", help="Workspace folder [default: $SMOLSTUDIO_HOME or ./workspace]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of text.")]


def workspace_of(option: Path | None) -> Workspace:
    """The workspace that the option, the environment or the default names."""
    return resolve_workspace(option)


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    print(json.dumps(value, ensure_ascii=False))


def key_values(pairs: list[str]) -> dict[str, Any]:
    """`key=value` settings; values are YAML. Raises RecipeError for one without '='."""
    import yaml

    from synth.errors import RecipeError

    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise RecipeError(f"'{pair}' is not a setting.", "Write settings as key=value.")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"The value of '{pair}' is not YAML.", "Put it in quotes.") from error
    return values
