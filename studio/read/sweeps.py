"""Sweeps as pages show them: from the files that a sweep keeps, without Optuna."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from recipes.run.sweeps import ASKED, RESULT
from synth.errors import StorageError
from synth.storage import DirLock, read_json
from synth.workspace import Workspace


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TrialFacts(_Read):
    """A trial: its number, run, values by option, how it ended ("" while open), and its metric."""

    number: int
    run: str
    values: dict[str, Any]
    state: str
    value: float | None
    looks: dict[int, float] = {}


class RepeatFacts(_Read):
    """The best trial with another seed."""

    run: str
    seed: int
    value: float | None


class SweepFacts(_Read):
    """A sweep as far as it has come. `asked` is how many trials were asked for."""

    name: str
    asked: int
    going: bool
    logarithmic: tuple[str, ...] = ()
    metric: str
    lower_is_better: bool
    trials: tuple[TrialFacts, ...]
    best: int | None
    importance: dict[str, float]
    repeats: tuple[RepeatFacts, ...]


def sweeps(workspace: Workspace) -> list[SweepFacts]:
    """The sweeps of a workspace, the last changed first; one that cannot be read hides no other."""
    files = sorted(workspace.sweeps.glob(f"[!.]*/{RESULT}"), key=lambda p: p.stat().st_mtime, reverse=True)
    found: list[SweepFacts] = []
    for file in files:
        with contextlib.suppress(StorageError, ValidationError, TypeError, KeyError, AttributeError):
            found.append(_facts(file))
    return found


def _facts(file: Path) -> SweepFacts:
    asked = read_json(file.parent / ASKED)
    more = {
        "name": file.parent.name,
        "asked": asked["trials"],
        "going": DirLock(file.parent).held_elsewhere(),
        "logarithmic": [name for name, axis in asked["space"].items() if axis[0] == "range" and axis[-1]],
    }
    return SweepFacts.model_validate({**read_json(file), **more})
