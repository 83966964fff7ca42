"""What differs between two runs: choices, data, libraries and machine, and the figures that came of them.

Reads what the runs wrote (recipe.yaml, env.json, exit.json, events); judges nothing and compares no answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from recipes.recipe.schema import differences
from recipes.run.directory import Run
from synth.jobdir import EXIT
from synth.storage import read_json

FIGURES = ("steps", "seconds", "tokens", "final_loss")
NOT_KNOWN = "unknown"


class Difference(NamedTuple):
    """One thing in which two runs are not alike; `unknown` where a run did not write it down."""

    part: str
    name: str
    first: str
    second: str


def diff(first: Run, second: Run) -> list[Difference]:
    """Recipe first, then data, base weights, libraries and machine, then figures; nothing that is alike."""
    recipe = [
        Difference("recipe", name, _shown(values[0]), _shown(values[1]))
        for name, values in differences([first.recipe, second.recipe]).items()
    ]
    before, after = _environment(first), _environment(second)
    figures_before, figures_after = _figures(first), _figures(second)
    return [*recipe, *_unlike(before, after), *_unlike(figures_before, figures_after)]


def _unlike(first: dict[tuple[str, str], Any], second: dict[tuple[str, str], Any]) -> list[Difference]:
    keys = dict.fromkeys([*first, *second])
    pairs = ((key, _shown(first.get(key)), _shown(second.get(key))) for key in keys)
    return [Difference(*key, one, other) for key, one, other in pairs if one != other]


def _environment(run: Run) -> dict[tuple[str, str], Any]:
    """(part, name) -> value of env.json; empty for a run that never came so far."""
    known = _object(run.path / "env.json")
    found: dict[tuple[str, str], Any] = {}
    if "model" in known:
        found["base", "weights"] = known["model"]
    for part, key in (("data", "data"), ("library", "libraries"), ("machine", "machine")):
        values = known.get(key)
        found |= {(part, str(name)): value for name, value in (values if isinstance(values, dict) else {}).items()}
    return found


def _object(file: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none. Raises StorageError for a torn file."""
    value = read_json(file) if file.is_file() else {}
    return value if isinstance(value, dict) else {}


def _figures(run: Run) -> dict[tuple[str, str], Any]:
    """How it stands and its last figures."""
    found: dict[tuple[str, str], Any] = {("figure", "status"): run.status()}
    ended = _object(run.path / EXIT)
    found |= {("figure", name): ended.get(name) for name in FIGURES}
    losses = [event["loss"] for event in run.events("eval") if "loss" in event]
    return {**found, ("figure", "last eval loss"): losses[-1] if losses else None}


def _shown(value: Any) -> str:
    if value is None:
        return NOT_KNOWN
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:16]}…"
