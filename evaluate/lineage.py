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
from typing import Any, NamedTuple

from evaluate.plan import Plan, SystemPlan
from evaluate.report.results import DatasetFacts, LedgerItem, Provenance, SystemResult
from synth.dataset import DatasetDir, open_dataset
from synth.errors import UserError
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
    run: Path | None = None
    recipe: dict[str, Any] = {}


def origin(plan: SystemPlan, workspace: Workspace) -> Origin:
    """Find and hash what a local system is made of. Raises ModelError when something is missing."""
    if plan.kind != "local":
        return Origin()
    from recipes.models.files import find_adapter, resolve, weights_sha256

    ref = resolve(plan.model, plan.revision)
    found = Origin(ref.kind, ref.revision, weights_sha256(ref.path))
    if not plan.adapter:
        return found
    folder = find_adapter(plan.adapter, workspace.runs)
    run = folder.parent if (folder.parent / "recipe.yaml").is_file() else None
    return found._replace(
        adapter_sha256=weights_sha256(folder),
        adapter_name=run.name if run else folder.name,
        run=run,
        recipe=_recipe(run) if run else {},
    )


def _recipe(run: Path) -> dict[str, Any]:
    from recipes.recipe.schema import load_recipe

    return load_recipe(run / "recipe.yaml").model_dump(mode="json")


def fingerprint(plan: SystemPlan, made_of: Origin, shot_ids: Sequence[str], schema: dict[str, Any] | None) -> str:
    """SHA-256 over everything that can change a reply: equal fingerprints give equal replies to equal prompts."""
    free = {"id", "label", "batch_size", "concurrency", "spend_cap_usd", "price_model", "train_seed", "seed_group"}
    choices = plan.model_dump(mode="json", exclude=free | {"adapter", "path"})
    if plan.kind == "endpoint":
        choices["base_url"] = plan.base_url or os.environ.get("OPENAI_BASE_URL")
    file = sha256_file(Path(plan.path)) if plan.path and Path(plan.path).is_file() else ""
    numerics = {name: metadata.version(name) for name in ("torch", "transformers")} if plan.kind == "local" else {}
    parts = [choices, made_of.model_sha256, made_of.adapter_sha256, list(shot_ids), schema, file, numerics]
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
    dataset: DatasetDir, systems: Sequence[SystemResult], origins: dict[str, Origin], workspace: Workspace
) -> tuple[LedgerItem, ...]:
    """Fixed costs: the data, every run on it (failed ones and sweeps too), and this evaluation."""
    card = dataset.card
    items = [LedgerItem(kind="generation", label=f"Generating {card.name}", seconds=card.seconds or None, usd=card.usd)]
    runs = {made.run.name: made.run for made in origins.values() if made.run is not None}
    runs |= {run.name: run for run in _runs_on(dataset, workspace)}
    users = {made.run.name: system for system, made in origins.items() if made.run is not None}
    items += [_training(run, users.get(name)) for name, run in sorted(runs.items())]
    items += [_evaluation(system) for system in systems if system.kind != "predictions"]
    return tuple(items)


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
    return LedgerItem(
        kind="training",
        label=f"Training {run.name}",
        seconds=_worked_sec(events) if events else None,
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
        told = float(after.get("seconds", trained)) if after.get("kind") == "step" else trained
        worked += gap if gap < IDLE_SEC else min(gap, max(0.0, told - trained))
        trained = told
    return worked


def _evaluation(system: SystemResult) -> LedgerItem:
    """Machine time of a local system; an endpoint is billed by its usage, wherever prices are applied."""
    local = system.kind == "local"
    seconds = (system.speed.wall_seconds or 0.0) + (system.speed.load_seconds or 0.0) if local else None
    return LedgerItem(
        kind="evaluation",
        label=f"Answering the test rows: {system.label}",
        seconds=seconds,
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
        "cpu": _cpu_name(),
        "cores": str(os.cpu_count() or 1),
        "memory_gb": f"{psutil.virtual_memory().total / 2**30:.0f}",
        "os": f"{platform.system()} {platform.machine()}",
    }
    if Path("/proc/driver/nvidia/version").is_file():  # torch takes seconds to import: only where there is a GPU
        import torch

        facts |= {"gpu": torch.cuda.get_device_name(0)} if torch.cuda.is_available() else {}
    return facts


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
