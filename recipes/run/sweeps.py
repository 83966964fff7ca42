"""A sweep on disk: which runs belong to it, so that whoever uses one of them pays for all.

    sweeps/<name>/  sweep.json (what was asked) runs.jsonl (every run, before it begins) study.log result.json lock
    runs/<id>/      sweep.json (the name of its sweep, which goes with the run to where the sweep is not)

Runs of a sweep are ordinary runs. What is tried next is decided in `studio.engines.sweep`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from synth.storage import Journal, read_json, read_jsonl, write_json
from synth.workspace import Workspace

ASKED = "sweep.json"
RUNS = "runs.jsonl"
RESULT = "result.json"
STUDY = "study.log"


class Member(NamedTuple):
    """A run of a sweep: the number of its trial (from 1), and its seed: another one where it repeats a trial."""

    run: str
    trial: int
    seed: int


def trial_run(name: str, trial: int) -> str:
    """The id of the run of a trial."""
    return f"{name}-t{trial:02d}"


def seed_run(name: str, trial: int, seed: int) -> str:
    """The id of a run that repeats a trial with another seed."""
    return f"{trial_run(name, trial)}-seed{seed}"


def note_run(folder: Path, member: Member) -> None:
    """Write down that a run of the sweep in `folder` is about to begin; once."""
    if member not in members(folder):
        with Journal(folder / RUNS) as journal:
            journal.append(member._asdict())


def mark_run(run: Path, folder: Path) -> None:
    """Write down in a run which sweep it is of."""
    if not (run / ASKED).is_file():
        write_json(run / ASKED, {"sweep": folder.name})


def sweeps_elsewhere(runs: Iterable[Path], workspace: Workspace) -> list[str]:
    """The sweeps that these runs are of and that are not in this workspace: what else they trained is unknown."""
    found = set()
    for run in runs:
        if (run / ASKED).is_file():
            name = str(read_json(run / ASKED).get("sweep", ""))
            if run.name not in {member.run for member in members(workspace.sweeps / Path(name).name)}:
                found.add(name)
    return sorted(found)


def members(folder: Path) -> list[Member]:
    """The runs of the sweep in `folder`, in the order in which they began."""
    file = folder / RUNS
    lines = (line.value for line in read_jsonl(file)) if file.is_file() else ()
    return [Member(str(v["run"]), int(v["trial"]), int(v["seed"])) for v in lines if v and {*Member._fields} <= {*v}]


def swept_with(runs: set[str], workspace: Workspace) -> set[str]:
    """The other runs of the sweeps that any of these runs belong to, by id; some may be gone."""
    found: set[str] = set()
    for file in sorted(workspace.sweeps.glob(f"[!.]*/{RUNS}")):
        names = {member.run for member in members(file.parent)}
        found |= names if names & runs else set()
    return found - runs
