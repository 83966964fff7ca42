"""Where the compared things come from and what making them cost: adapters and their runs, hashes, versions, machine.

Reads what others wrote; runs nothing and prices nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

from evaluate.cost.payback import MONTHS_OF_USE
from evaluate.plan import Costs, Plan, SystemPlan
from evaluate.predict.runners import decoding
from evaluate.report.results import DatasetFacts, LedgerItem, Provenance, SystemResult
from recipes.run.directory import RECIPE, Run, cpu_name
from recipes.run.sweeps import sweeps_elsewhere, swept_with
from synth.dataset import DatasetDir, open_dataset
from synth.errors import ModelError, UserError
from synth.storage import read_json, sha256_bytes, sha256_file
from synth.workspace import Workspace

LIBRARIES = ("smolstudio", "torch", "transformers", "trl", "peft", "bitsandbytes", "scipy", "statsmodels", "jiwer")
IDLE_SEC = 300.0  # a longer silence between two events of a run is time when nobody worked


class Origin(NamedTuple):
    """A local system's model and adapter: hashes, and the run that made the adapter when it is known."""

    model_kind: str = ""
    revision: str | None = None
    model_sha256: str = ""
    adapter_sha256: str = ""
    adapter_name: str | None = None
    base_model: str = ""  # of an export, whose plan names its folder
    run: Path | None = None
    recipe: dict[str, Any] = {}
    decoding: int = 1


def origin(plan: SystemPlan, workspace: Workspace) -> Origin:
    """Find and hash what a local system is made of. Raises ModelError when something is missing."""
    if plan.kind != "local":
        return Origin()
    from recipes.models.files import find_adapter, resolve, weights_sha256

    if plan.artefact:
        return _of_export(plan, workspace)
    ref = resolve(plan.model, plan.revision)
    found = Origin(ref.kind, ref.revision, weights_sha256(ref.path), decoding=decoding(ref.modality))
    if not plan.adapter:
        return found
    folder = find_adapter(plan.adapter, workspace.runs)
    run = folder.parent if (folder.parent / RECIPE).is_file() else None
    return found._replace(
        adapter_sha256=weights_sha256(folder),
        adapter_name=run.name if run else folder.name,
        run=run,
        recipe=_recipe(run) if run else {},
    )


def _of_export(plan: SystemPlan, workspace: Workspace) -> Origin:
    """An export is what its run made, in other bytes; its runtime's version decides what it answers, too."""
    from recipes.export.reading import read_exported

    found = read_exported(Path(plan.model).expanduser(), plan.artefact, workspace.runs)
    if plan.held_to_schema and not found.artefact.holds:
        message = f"{plan.name} cannot be held to a schema by {found.artefact.runtime}."
        raise ModelError(message, "Set its prompting to zero_shot or few_shot.", "plan.schema")
    run = workspace.runs / found.tuned.run
    return Origin(
        model_kind="export",
        model_sha256=sha256_bytes(f"{found.sha256} {found.artefact.runtime}".encode()),
        adapter_name=run.name,
        base_model=found.base_model,
        run=run,
        recipe=_recipe(run),
        decoding=decoding(found.tuned.ref.modality),
    )


def _recipe(run: Path) -> dict[str, Any]:
    from recipes.recipe.schema import load_recipe

    return load_recipe(run / RECIPE).model_dump(mode="json")


def fingerprint(plan: SystemPlan, made_of: Origin, shot_ids: Sequence[str], schema: dict[str, Any] | None) -> str:
    """SHA-256 over everything that can change a reply: equal fingerprints give equal replies to equal prompts."""
    free = {
        "id",
        "label",
        "batch_size",
        "concurrency",
        "spend_cap_usd",
        "price_model",
        "train_seed",
        "seed_group",
        "task",
    }
    free |= {"model"} if plan.artefact else {"artefact"}  # an export is its bytes, wherever it lies
    choices = plan.model_dump(mode="json", exclude=free | {"adapter", "path"})
    if plan.kind == "endpoint":
        choices["base_url"] = plan.base_url or os.environ.get("OPENAI_BASE_URL")
    file = sha256_file(Path(plan.path)) if plan.path and Path(plan.path).is_file() else ""
    numerics = {name: metadata.version(name) for name in ("torch", "transformers")} if plan.kind == "local" else {}
    parts: list[Any] = [choices, made_of.model_sha256, made_of.adapter_sha256, list(shot_ids), schema, file, numerics]
    if made_of.decoding > 1:  # left out before, so that answers of those that never changed stay
        parts.append(made_of.decoding)
    return sha256_bytes(json.dumps(parts, sort_keys=True).encode())


def dataset_facts(dataset: DatasetDir, compared: dict[str, int], workspace: Workspace) -> DatasetFacts:
    """The dataset as the report shows it."""
    path = dataset.path.absolute()
    inside = path.is_relative_to(workspace.path)
    return DatasetFacts(
        name=dataset.name,
        path=str(path.relative_to(workspace.path)) if inside else path.name,
        splits=compared,
        available={str(split): dataset.count(split) for split in dataset.splits()},
        generator=dataset.card.generator,
        card=dataset.card.model_dump(mode="json"),
        sha256=dict(dataset.card.sha256),
    )


def ledger(
    plan: Plan,
    dataset: DatasetDir,
    systems: Sequence[SystemResult],
    origins: dict[str, Origin],
    workspace: Workspace,
) -> tuple[LedgerItem, ...]:
    """Fixed costs: the data, every run on it (failed ones and sweeps too), what those went on from, this evaluation,
    and what the plan states of costs that no machine sees.
    """
    runs = {made.run.name: made.run for made in origins.values() if made.run is not None}
    runs |= {run.name: run for run in _runs_on(dataset, workspace)}
    exports_first = sorted(origins.items(), key=lambda item: item[1].model_kind != "export")  # else theirs is the run
    users = {made.run.name: system for system, made in exports_first if made.run is not None}
    elsewhere = {made.adapter_name: system for system, made in origins.items() if made.adapter_name and not made.run}
    before = _ancestors(runs, workspace)
    swept = swept_with({*runs, *before.runs}, workspace)
    runs |= {name: folder for name in swept if (folder := workspace.runs / name).is_dir()}
    before.missing.extend(sorted(swept - {*runs}))
    names = [name for name in (_dataset_of(run) for run in (*runs.values(), *before.runs.values())) if name]
    items = _generating(dataset, names, workspace)
    items += [_training(run, users.get(name)) for name, run in sorted((runs | before.runs).items())]
    items += [_unknown(f"Training {name}, made elsewhere", "training", user) for name, user in elsewhere.items()]
    items += [_unknown(f"Training {name}, which is not in this workspace", "training") for name in before.missing]
    away = sweeps_elsewhere((runs | before.runs).values(), workspace)
    items += [
        _unknown(f"Other trainings of the sweep {name}, which is not in this workspace", "training") for name in away
    ]
    items += [_evaluation(system) for system in systems if system.kind != "predictions" or system.price_model]
    return (*items, *_stated(plan.costs))


class Ancestors(NamedTuple):
    """Runs that other runs went on from, by name; `missing`: adapters whose run is not there."""

    runs: dict[str, Path]
    missing: list[str]


def _ancestors(runs: dict[str, Path], workspace: Workspace) -> Ancestors:
    """Whatever adapters these runs continued from, and those before them, whatever data they used."""
    found: dict[str, Path] = {}
    missing: list[str] = []
    todo = list(runs.values())
    while todo:
        adapter = _recipe_or_nothing(todo.pop()).get("adapter")
        if not adapter:
            continue
        folder = Path(adapter) if Path(adapter).is_dir() else workspace.runs / adapter
        run = next((one for one in (folder, folder.parent) if (one / RECIPE).is_file()), None)
        if run is None:
            missing += [folder.name] if folder.name not in missing else []
        elif run.name not in found and run.name not in runs:
            found[run.name] = run
            todo.append(run)
    return Ancestors(found, missing)


def earlier_runs(run: Path, workspace: Workspace) -> list[Run]:
    """The runs that this one went on from, as far as they are there."""
    return [Run(path) for path in _ancestors({run.name: run}, workspace).runs.values()]


def _recipe_or_nothing(run: Path) -> dict[str, Any]:
    try:
        return _recipe(run)
    except UserError:
        return {}


def _dataset_of(run: Path) -> str | None:
    return (_recipe_or_nothing(run).get("data") or {}).get("dataset")


def _generating(dataset: DatasetDir, names: Sequence[str], workspace: Workspace) -> list[LedgerItem]:
    """Making the data compared on, that of all runs, and those that they were derived from, each once."""
    made: dict[Path, DatasetDir] = {dataset.path.resolve(): dataset}
    items: list[LedgerItem] = []
    for name in dict.fromkeys(names):
        try:
            found = open_dataset(name, workspace.datasets)
        except UserError:
            items.append(_unknown(f"Generating {Path(name).name}, which is not in this workspace", "generation"))
            continue
        made.setdefault(found.path.resolve(), found)
    todo = list(made.values())
    while todo:
        one = todo.pop()
        parent = _parent(one, workspace)
        if parent is not None and parent.path.resolve() not in made:
            made[parent.path.resolve()] = parent
            todo.append(parent)
    return [_generation(one, _parent(one, workspace)) for one in made.values()] + items


def _parent(dataset: DatasetDir, workspace: Workspace) -> DatasetDir | None:
    """The dataset that this one was derived from, where it is still there as it was."""
    said = dataset.card.notes.get("parent")
    if not isinstance(said, dict) or not said.get("name"):
        return None
    try:
        found = open_dataset(str(said["name"]), workspace.datasets)
    except UserError:
        return None
    return found if found.card.sha256 == said.get("sha256") and found.path != dataset.path else None


def _generation(dataset: DatasetDir, parent: DatasetDir | None) -> LedgerItem:
    """A derived dataset's card counts its parent's time and money too; with the parent listed, only the rest."""
    card = dataset.card
    label = f"Generating {card.name}"
    if parent is None:
        return LedgerItem(kind="generation", label=label, seconds=card.seconds or None, usd=card.usd)
    usd = None if card.usd is None else max(0.0, card.usd - (parent.card.usd or 0.0))
    seconds = max(0.0, card.seconds - parent.card.seconds)
    return LedgerItem(kind="generation", label=f"Deriving {card.name}", seconds=seconds, usd=usd)


def _unknown(label: str, kind: Literal["generation", "training"], system_id: str | None = None) -> LedgerItem:
    """A cost that was there and that nobody knows: it makes the sum unknown, not smaller."""
    return LedgerItem(kind=kind, label=label, system_id=system_id)


def _stated(costs: Costs) -> list[LedgerItem]:
    """What the plan says of costs that no machine sees; hosting over the months that the report counts."""
    hours, hourly, hosting = costs.engineering_hours, costs.engineering_usd_per_hour, costs.hosting_usd_per_month
    engineering = 0.0 if hours == 0 else None if hours is None or hourly is None else hours * hourly
    stated = {
        "Labelling": costs.labelling_usd,
        f"Engineering, {hours:g} hours" if hours is not None else "Engineering": engineering,
        f"Hosting for {MONTHS_OF_USE} months": None if hosting is None else hosting * MONTHS_OF_USE,
        "Licences": costs.licence_usd,
    }
    return [LedgerItem(kind="stated", label=label, usd=usd) for label, usd in stated.items() if usd is not None]


def _runs_on(dataset: DatasetDir, workspace: Workspace) -> list[Path]:
    found = []
    for file in sorted(workspace.runs.glob("[!.]*/recipe.yaml")):
        try:
            used = open_dataset(_recipe(file.parent)["data"]["dataset"], workspace.datasets)
        except UserError:  # a recipe or dataset that is gone or broken cannot be this dataset's
            continue
        if used.path.resolve() == dataset.path.resolve():
            found.append(file.parent)
    return found


def _training(run: Path, system_id: str | None) -> LedgerItem:
    from synth.jobdir import JobDir

    job = JobDir(run)
    events = job.events()
    if (run / "exit.json").is_file():
        ended = read_json(run / "exit.json")
        events += [{"at": ended["at"]}] if "at" in ended else []
    machines = max((len({*event["machines"]}) for event in events if event.get("kind") == "ranks"), default=1)
    return LedgerItem(
        kind="training",
        label=f"Training {run.name}",
        seconds=machines * _worked_sec(events) if events else None,
        load=_load(events),
        system_id=system_id,
        run_id=run.name,
        status=job.status(),
    )


def _worked_sec(events: Sequence[dict[str, Any]]) -> float:
    """Seconds that somebody worked on a run. A long silence counts as far as steps say that it was spent on training:
    between two steps of a large model on a processor many minutes may pass.
    """
    worked, trained = 0.0, 0.0
    for before, after in itertools.pairwise(events):
        gap = max(0.0, float(after["at"]) - float(before["at"]))
        trained_now = float(after.get("seconds", trained)) if after.get("kind") == "step" else trained
        worked += gap if gap < IDLE_SEC else min(gap, max(0.0, trained_now - trained))
        trained = trained_now
    return worked


def _load(events: Sequence[dict[str, Any]]) -> float | None:
    """Threads that wanted each core while somebody worked, on average over time; None where no event notes it."""
    noted = [
        (float(after["load"]), min(IDLE_SEC, max(0.0, float(after["at"]) - float(before["at"]))))
        for before, after in itertools.pairwise(events)
        if "load" in after
    ]
    whole = sum(seconds for _, seconds in noted)
    return sum(load * seconds for load, seconds in noted) / whole if whole else None


def _evaluation(system: SystemResult) -> LedgerItem:
    """Machine time of a local system; an endpoint is billed by its usage, wherever prices are applied."""
    local = system.kind == "local"
    seconds = (system.speed.wall_seconds or 0.0) + (system.speed.load_seconds or 0.0) if local else None
    return LedgerItem(
        kind="evaluation",
        label=f"Answering the test rows: {system.label}",
        seconds=seconds,
        load=system.speed.load if local else None,
        system_id=system.id,
    )


def provenance(comparison_id: str, plan: Plan, dataset: DatasetDir, origins: dict[str, Origin]) -> Provenance:
    """When, with what, on what."""
    hashes = {f"dataset/{name}": value for name, value in dataset.card.sha256.items()}
    for system, made in origins.items():
        pairs = (("model", made.model_sha256), ("adapter", made.adapter_sha256))
        hashes |= {f"{system}/{what}": value for what, value in pairs if value}
    hashes["plan"] = sha256_bytes(plan.model_dump_json().encode())
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        comparison_id=comparison_id,
        versions={"python": platform.python_version(), **_versions()},
        machine=machine(),
        recipes={system: dict(made.recipe) for system, made in origins.items() if made.recipe},
        hashes=hashes,
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """Processor, cores, memory, GPU and system of this machine; no names of hosts or users."""
    import psutil

    facts = {
        "cpu": cpu_name(),
        "cores": str(os.cpu_count() or 1),
        "memory_gb": f"{psutil.virtual_memory().total / 2**30:.0f}",
        "os": f"{platform.system()} {platform.machine()}",
    }
    if Path("/proc/driver/nvidia/version").is_file():  # torch takes seconds to import: only where there is a GPU
        import torch

        facts |= {"gpu": torch.cuda.get_device_name(0)} if torch.cuda.is_available() else {}
    return facts
