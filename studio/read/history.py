"""The runs of a workspace at a glance, for lists and menus: each file is read again only when it has changed."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from recipes.methods import METHODS, methods_of
from recipes.recipe.schema import Recipe
from recipes.run.directory import RECIPE, Run
from studio.state.notes import FILE as NOTES
from studio.state.notes import Notes, read_notes
from synth.errors import UserError
from synth.jobdir import EXIT, UNREADABLE, JobDir, Status
from synth.storage import read_json
from synth.workspace import Workspace

REMEMBERED = 8192


class Ended(NamedTuple):
    """How a run ended; what a failed one does not know is None."""

    verdict: Status
    sentence: str
    loss: float | None
    seconds: float | None


class RunFacts(NamedTuple):
    """A run in a list. `changed` is its folder's time (s since the epoch)."""

    id: str
    status: Status
    ended: Ended | None
    recipe: Recipe
    notes: Notes
    changed: float


def history(workspace: Workspace) -> list[RunFacts]:
    """Every run that can be read, newest first."""
    found = (_facts(path, changed) for path, changed in _folders(workspace))
    return [facts for facts in found if facts]


def newest(workspace: Workspace, count: int) -> list[RunFacts]:
    """The newest runs, none that left out a fold; no more are read than that takes."""
    found = (_facts(path, changed) for path, changed in _folders(workspace))
    return list(islice((facts for facts in found if facts and not facts.recipe.data.fold), count))


def _folders(workspace: Workspace) -> list[tuple[str, float]]:
    """(path, time of its last change) of what may be a run, newest first."""
    if not workspace.runs.is_dir():
        return []
    folders = []
    with os.scandir(workspace.runs) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # a link to itself, or gone meanwhile
                if entry.is_dir() and not entry.name.startswith("."):
                    folders.append((entry.path, entry.stat().st_mtime))
    return sorted(folders, key=lambda folder: folder[1], reverse=True)


def tuned(workspace: Workspace, modality: str = "") -> list[RunFacts]:
    """The finished runs of a modality ("": of all) whose adapter is there, newest first; none that left out a fold."""
    methods, runs = methods_of(modality) if modality else tuple(METHODS), str(workspace.runs)
    return [
        run
        for run in history(workspace)
        if run.status == "done"
        and not run.recipe.data.fold
        and run.recipe.method in methods
        and os.path.exists(f"{runs}/{run.id}/adapter/adapter_config.json")  # noqa: PTH110 (of each of a thousand)
    ]


def tags_of(runs: list[RunFacts]) -> list[str]:
    """Every tag in use, sorted."""
    return sorted({tag for run in runs for tag in run.notes.tags})


def matching(
    runs: list[RunFacts], words: str = "", status: str = "", tag: str = "", shown: Callable[[str], str] = str
) -> list[RunFacts]:
    """The runs of a status and tag that have every word in id, note, tags, method, base or dataset; "" means any.

    shown: what a run is called, which may hold more than its id.
    """
    wanted = words.lower().split()
    return [
        run
        for run in runs
        if status in ("", run.status)
        and (not tag or tag in run.notes.tags)
        and (not wanted or all(word in _searched(run, shown(run.id)) for word in wanted))
    ]


def _searched(run: RunFacts, name: str) -> str:
    recipe, notes = run.recipe, run.notes
    parts = (name, notes.note, *notes.tags, recipe.method, recipe.base_model, recipe.data.dataset)
    return " ".join(parts).lower()


def _facts(path: str, changed: float) -> RunFacts | None:
    ended, notes, recipe = (_time(f"{path}/{name}") for name in (EXIT, NOTES, RECIPE))
    read = _read if recipe else _read.__wrapped__  # a recipe of an earlier version has another file
    try:
        facts = read(path, changed, ended, notes, recipe)
        if facts.status == "done":
            return facts
        run = Run(Path(path))
        if facts.ended is None or run.asked_again():
            return facts._replace(status=run.status(), ended=None)
        return facts
    except (UserError, OSError):  # no run, or one that was deleted or torn: its own page says more
        return None


def _time(file: str) -> int | None:
    try:
        found = os.stat(file)  # noqa: PTH116 (three a run, of a thousand runs)
    except OSError:
        return None
    return found.st_mtime_ns if stat.S_ISREG(found.st_mode) else None


@functools.lru_cache(REMEMBERED)
def _read(path: str, changed: float, ended_ns: int | None, notes_ns: int | None, recipe_ns: int | None) -> RunFacts:
    """What the files of these times say. Without an exit the status is still to be found out."""
    run = Run(Path(path))
    ended = _ended(run.path) if ended_ns else None
    notes = read_notes(run.path) if notes_ns else Notes()
    return RunFacts(run.id, ended.verdict if ended else "lost", ended, run.recipe, notes, changed)


def _ended(run: Path) -> Ended | None:
    ended = JobDir(run).last_exit()
    if ended is None:  # a worker took it up in between
        return None
    value = read_json(run / EXIT) if ended.code != UNREADABLE else {}
    return Ended(ended.verdict, ended.sentence, _number(value.get("final_loss")), _number(value.get("seconds")))


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and abs(value) < 1e300  # what somebody else wrote there hides no other run
    return float(value) if known else None  # type: ignore[arg-type]
