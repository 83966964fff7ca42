"""Erasing a dataset for good: its rows, and everything in the workspace that was made of them or saw them.

    found = look(workspace, "patients")      what would go, in sentences, with sizes
    erase(workspace, found)                  and it is gone: no trash, no undo

Goes: the dataset with its media and reviews, datasets derived from it, runs that trained on any of them (checkpoints,
adapters, logs, sample answers), runs that went on from those, their exports and served copies, comparisons on them
(predictions, scores, reports), tasks, uploads, the playground's media, and the caches, which are not kept by dataset.
What was downloaded, copied or backed up elsewhere is not known here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from studio.engines import jobs
from studio.state import drafts, titles, trash
from studio.state.endpoints import withdraw
from synth import temporary
from synth.dataset import CARD
from synth.errors import RunError, UserError
from synth.jobdir import JobDir
from synth.storage import read_json
from synth.strict import read_yaml
from synth.workspace import Workspace


class Part(NamedTuple):
    """One kind of thing that goes: what it is, and where it lies."""

    what: str
    paths: tuple[Path, ...]

    @property
    def size_bytes(self) -> int:
        """Of every file in it."""
        files = (f for path in self.paths for f in (path.rglob("*") if path.is_dir() else [path]))
        return sum(f.lstat().st_size for f in files if f.is_file() and not f.is_symlink())


class Found(NamedTuple):
    """Everything that goes with a dataset; `names` are its own and those of what was derived from it.

    `unread`: folders of which nobody can say whether they are of it, because they cannot be read. They stay.
    """

    dataset: str
    names: frozenset[str]
    runs: frozenset[str]
    comparisons: frozenset[str]
    parts: tuple[Part, ...]
    unread: tuple[Path, ...] = ()

    @property
    def by_kind(self) -> dict[titles.Kind, frozenset[str]]:
        """The names of each kind."""
        return {"datasets": self.names, "runs": self.runs, "comparisons": self.comparisons}


def look(workspace: Workspace, dataset: str) -> Found:
    """What would be erased with a dataset, also when only its trash, runs or comparisons are left of it."""
    unread: list[Path] = []
    names = _derived(workspace, dataset, unread)
    runs = _runs(workspace, names, unread)
    comparisons = _comparisons(workspace, names, runs, unread)
    place = workspace.path
    parts = [
        Part("the dataset: rows, media, reviews", tuple(_named(workspace, "datasets", [dataset]))),
        Part("datasets made from it", tuple(_named(workspace, "datasets", names - {dataset}))),
        Part("models trained on it: checkpoints, adapters, logs, answers", tuple(_named(workspace, "runs", runs))),
        Part("their exports and served copies", tuple(_copies(workspace, runs))),
        Part("comparisons: predictions, scores, reports", tuple(_named(workspace, "comparisons", comparisons))),
        Part("tasks that worked with it", tuple(_tasks(workspace, names | runs | comparisons))),
        Part("lines that were being labelled", tuple(p for n in names if (p := _draft(workspace, n)).is_file())),
        Part("uploaded files", tuple(_within(place / "uploads"))),
        Part("pictures and recordings of the playground", tuple(_within(place / "playground"))),
        Part("the cache of paid answers (later comparisons pay again)", tuple(_within(place / "cache" / "replies"))),
        Part("the run that wrote it: seeds, prompts, answers, rejected rows", tuple(_written(workspace, names))),
        Part("what generating it cost and left", tuple(p for n in names for p in _generation(workspace, n))),
        Part("what killed work left of it", tuple(_leftovers(workspace, names | runs | comparisons))),
    ]
    kept = tuple(part for part in parts if part.paths)
    gone = {path for part in kept for path in part.paths}
    return Found(
        dataset,
        frozenset(names),
        frozenset(runs),
        frozenset(comparisons),
        kept,
        tuple(p for p in unread if p not in gone),
    )


def erase(workspace: Workspace, found: Found) -> list[str]:
    """Remove it all; returns what could not be removed. Raises RunError while any of it is worked with."""
    for kind, names in found.by_kind.items():
        for name in names:
            if (trash.home(workspace, kind) / name).is_dir() and (busy := trash.user_of(workspace, kind, name)):
                raise RunError(f"{busy} Nothing was erased.", "Stop it first, then erase again.")
    for job, _ in jobs.tasks(workspace):
        if any(job.path in part.paths for part in found.parts) and job.status() in ("queued", "running"):
            raise RunError(f"{job.id} is running. Nothing was erased.", "Stop it first, then erase again.")
    left = []
    for path in (path for part in found.parts for path in part.paths):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        if path.exists():
            left.append(str(path))
    for name in found.names:
        withdraw(workspace, name)
    for kind, names in found.by_kind.items():
        for name in names:
            if titles.title_of(workspace, kind, name) != titles.Title():
                titles.set_title(workspace, kind, name, titles.Title())
    return left


def _places(workspace: Workspace, kind: titles.Kind) -> list[Path]:
    """Every folder of a kind, those in the trash too."""
    roots = [trash.home(workspace, kind), trash.folder(workspace, kind)]
    folders = (p for root in roots if root.is_dir() for p in root.iterdir() if p.is_dir())
    return [p for p in folders if not (p.parent == roots[1] and trash.MARK not in p.name)]


def _name(path: Path) -> str:
    return trash.before(path.name) or path.name


def _named(workspace: Workspace, kind: titles.Kind, names: Iterable[str]) -> list[Path]:
    wanted = set(names)
    return [path for path in _places(workspace, kind) if _name(path) in wanted]


def _read(file: Path) -> dict[str, Any]:
    """The object in a JSON or YAML file; {} where there is none that can be read."""
    try:
        return _object(read_yaml(file, "file") if file.suffix == ".yaml" else read_json(file))
    except (UserError, RecursionError):
        return {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _derived(workspace: Workspace, dataset: str, unread: list[Path]) -> set[str]:
    """The dataset, and those whose cards name it as parent or origin, through any number of steps."""
    parents: dict[str, set[str]] = {}
    for folder in _places(workspace, "datasets"):
        card = _read(folder / CARD)
        if not card:
            unread.append(folder)
        notes = _object(card.get("notes"))
        line, node = {str(notes.get("from_dataset", ""))}, notes.get("parent")
        while isinstance(node, dict):
            line.add(str(node.get("name", "")))
            node = _object(node.get("notes")).get("parent")
        parents.setdefault(_name(folder), set()).update(line)
    return _closure({dataset}, parents)


def _closure(names: set[str], sources: dict[str, set[str]]) -> set[str]:
    """The names, and all whose sources lead to them."""
    while new := {name for name, of in sources.items() if of & names} - names:
        names = names | new
    return names


def _runs(workspace: Workspace, datasets: set[str], unread: list[Path]) -> set[str]:
    """Runs that trained on the datasets, and those that went on from their adapters."""
    from recipes.recipe.schema import load_recipe

    seen: set[str] = set()
    adapters: dict[str, set[str]] = {}
    for folder in _places(workspace, "runs"):
        try:
            recipe = load_recipe(folder / "recipe.yaml")
        except (UserError, OSError):
            unread.append(folder)
            continue
        adapters.setdefault(_name(folder), set()).add(Path(recipe.adapter or "").name)
        if Path(recipe.data.dataset).name in datasets:
            seen.add(_name(folder))
    return _closure(seen, adapters) if seen else seen


def _comparisons(workspace: Workspace, datasets: set[str], runs: set[str], unread: list[Path]) -> set[str]:
    """Comparisons that asked rows of the datasets, or one of the runs."""
    found = set()
    for folder in _places(workspace, "comparisons"):
        report, plan = _read(folder / "report.json"), _read(folder / "plan.yaml")
        if not report and not plan:
            unread.append(folder)
        plan = plan or _object(_object(report.get("provenance")).get("plan"))
        of = {str(plan.get("dataset", "")), str(_object(report.get("dataset")).get("name", ""))}
        systems = [*_objects(plan.get("systems")), *_objects(report.get("systems"))]
        asked = {str(one.get("adapter") or "") for one in systems}
        if {Path(name).name for name in of} & datasets or {Path(name).name for name in asked} & runs:
            found.add(_name(folder))
    return found


def _copies(workspace: Workspace, runs: set[str]) -> list[Path]:
    """Exports and served copies, by what their manifest says of the run, or by their name."""
    found = []
    for path in (*_within(workspace.path / "exports"), *_within(workspace.path / "served")):
        run = str(_read(path / "manifest.json").get("run") or "")
        if run in runs or any(path.name.startswith(f"{name}-") for name in runs):
            found.append(path)
    return found


def _tasks(workspace: Workspace, names: set[str]) -> list[Path]:
    """Tasks whose arguments name any of it."""
    found = []
    for folder in _within(workspace.tasks):
        asked = json.dumps(_read(folder / jobs.TASK_FILE), ensure_ascii=False)
        if any(json.dumps(name, ensure_ascii=False) in asked for name in names):
            found.append(JobDir(folder).path)
    return found


def _draft(workspace: Workspace, dataset: str) -> Path:
    return drafts.folder(workspace) / f"{dataset}.json"


def _within(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _written(workspace: Workspace, names: Iterable[str]) -> list[Path]:
    """Folders of runs of pipelines under these names, which a dataset of theirs was made from."""
    return [folder for name in sorted(names) if (folder := workspace.pipelines / name).is_dir()]


def _generation(workspace: Workspace, dataset: str) -> list[Path]:
    """What was paid for it, and ranges of rows that a killed generation left."""
    made = workspace.path / "cache" / "generation"
    return [path for path in (made / f"{dataset}.jsonl", made / dataset) if path.exists()]


def _leftovers(workspace: Workspace, names: Iterable[str]) -> Iterator[Path]:
    """Folders beside these that were never finished."""
    wanted = set(names)
    for leftover in temporary.leftovers(workspace):
        found = temporary.FORMAT.fullmatch(leftover.path.name)
        if found and found["name"] in wanted:
            yield leftover.path
