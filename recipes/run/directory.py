"""A run: one training as a directory, from its recipe to its adapter.

    runs/<id>/  recipe.yaml notes.json env.json events.jsonl worker.log lock checkpoints/ adapter/ exit.json (last)

Making and reading runs needs no torch. The training itself is in the modules that `recipes.methods` names; the
process that does it is `python -m recipes RUN_DIR` (`recipes.__main__`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from recipes.recipe.schema import Recipe, dump_recipe, earlier, load_earlier
from recipes.run import checkpoints
from recipes.run.instructed import InstructedDataset
from synth.build import check_name
from synth.dataset import TASK, DatasetDir, open_dataset
from synth.errors import DataError, RunError, UserError
from synth.folds import POOL, FoldedDataset
from synth.jobdir import JobDir
from synth.storage import JsonDict, atomic_dir, atomic_write_text, sha256_file, write_json
from synth.workspace import Workspace

RECIPE = "recipe.yaml"
LIBRARIES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "tokenizers")
# Choices that change what is watched or kept, not what is learned: a resumed run may have others.
FREE = (
    "name", "save_steps", "save_total_limit", "eval_steps", "logging_steps", "sample_steps", "sample_rows",
    "score_rows", "threads",
)  # fmt: skip
DISCARDED = "run.discarded"  # code of the end of a run that was stopped without saving


class TrainResult(NamedTuple):
    """What a training did. `seconds` and `tokens` are sums over all its sessions; `final_loss` is the last logged."""

    steps: int
    seconds: float
    tokens: int
    final_loss: float


class Stopped(Exception):
    """Raised by a `train` that ended because it was asked to; its state is in the newest checkpoint."""

    def __init__(self, step: int) -> None:
        super().__init__(f"Stopped after step {step}.")
        self.step = step


def _dataset_of(recipe: Recipe, workspace: Workspace) -> DatasetDir:
    found = open_dataset(recipe.data.dataset, workspace.datasets)
    if found.card.modality != recipe.modality:
        raise DataError(
            f"{found.name} is a dataset of {found.card.modality}, but {recipe.method} learns {recipe.modality}.",
            f"Choose another dataset, or the method {found.card.modality}_{recipe.objective}.",
            "data.modality",
        )
    if recipe.data.folds:
        found = FoldedDataset(found.path, recipe.data.folds, recipe.data.fold)
    return InstructedDataset(found) if recipe.data.task else found


class Run(JobDir):
    """A run directory. Its status is derived, see `JobDir.status`."""

    @classmethod
    def create(cls, workspace: Workspace, recipe: Recipe, run_id: str | None = None) -> Run:
        """A new run directory with its recipe; checks that its dataset fits. Raises DataError, StorageError.

        `run_id` is made of the recipe's name and the time when it is not given.
        """
        _dataset_of(recipe, workspace)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        chosen = check_name(run_id or f"{recipe.name}-{stamp}-{secrets.token_hex(2)}")
        run = cls(workspace.runs / chosen)
        with atomic_dir(run.path) as made:
            atomic_write_text(made / RECIPE, dump_recipe(recipe))
        return run

    @property
    def recipe(self) -> Recipe:
        """The recipe as it is on disk now."""
        file = self.path / RECIPE
        return _recipe(file, file.stat().st_mtime_ns) if file.exists() else load_earlier(file)

    @property
    def workspace(self) -> Workspace:
        """The workspace that the run lies in."""
        return Workspace(self.path.absolute().parent.parent)

    @property
    def adapter(self) -> Path:
        """Where the tuned adapter is when the run is done."""
        return self.path / "adapter"

    def dataset(self) -> DatasetDir:
        """The dataset that the recipe names. Raises DataError, also when it is of another modality."""
        return _dataset_of(self.recipe, self.workspace)

    def checkpoint(self) -> checkpoints.Checkpoint | None:
        """The newest checkpoint that verifies."""
        return checkpoints.newest(self.path / "checkpoints")

    def has_checkpoints(self) -> bool:
        """Whether an earlier start saved anything, whole or not."""
        return checkpoints.exist(self.path / "checkpoints")

    def drop_checkpoints(self) -> None:
        """Forget everything that was learned so far."""
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)

    def resume_blocker(self) -> str:
        """Why a run that ended early cannot go on, in one sentence; empty when nothing is seen in its way.

        Compares choices, data and libraries with the newest checkpoint; the base's weights are compared on loading.
        """
        ended = self.exit()
        if ended and ended.code == DISCARDED:
            return f"{self.id} was discarded: nothing was kept to go on from."
        then = checkpoints.fingerprint(self.path / "checkpoints")
        try:
            now = self.fingerprint("")
            self.refuse_changes(now, {**then, "model": ""} if then else now)
        except UserError as error:
            return error.message
        return ""

    def fingerprint(self, model_sha256: str) -> JsonDict:
        """What the training depends on: choices, task, data, base weights, libraries. JSON values."""
        recipe, dataset = self.recipe, self.dataset()
        splits = set(POOL) if recipe.data.folds else {recipe.data.train_split, recipe.data.val_split} - {""}
        files = [dataset.path / f"{split}.jsonl" for split in sorted(splits)]
        # Where validation decides what is kept, it is no longer free when to look.
        decides = recipe.eval_steps and (recipe.load_best_model_at_end or recipe.early_stopping_patience)
        scored = decides and recipe.metric_for_best_model == "task"
        free = set(FREE) - ({"eval_steps"} if decides else set()) - ({"score_rows"} if scored else set())
        return {
            **({TASK: dataset.task.sha256()} if recipe.data.task else {}),
            "recipe": recipe.model_dump(mode="json", exclude=free),
            "data": {f.name: sha256_file(f) for f in files if f.is_file()},
            "model": model_sha256,
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        }

    def note_environment(self, fingerprint: JsonDict, threads: int) -> None:
        """Write env.json: the fingerprint and the machine."""
        machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": threads, "python": platform.python_version()}
        write_json(self.path / "env.json", {**fingerprint, "machine": machine})

    def refuse_changes(self, now: JsonDict, then: JsonDict) -> None:
        """Raise RunError that lists what differs between a checkpoint's fingerprint and today's."""
        if TASK not in then:  # of a version that did not note what the rows were told
            now = {name: value for name, value in now.items() if name != TASK}
        before, after = _flat(_as_now(then)), _flat(now)
        changed = [
            f"{key}: {_short(before.get(key))} -> {_short(after.get(key))}"
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ]
        if changed:
            raise RunError(
                f"{self.id} cannot be resumed, because what it depends on has changed: {'; '.join(changed)}.",
                "Put it back as it was, or start a new run. Its checkpoints are kept.",
                "run.changed",
            )


@functools.lru_cache(maxsize=4096)
def _recipe(file: Path, changed_ns: int) -> Recipe:
    return load_earlier(file)


def _as_now(then: JsonDict) -> JsonDict:
    """A checkpoint's fingerprint with the options that came after it, as they were done before there was a choice."""
    if not (kept := then.get("recipe")):
        return then
    free = {name for name in FREE if name not in kept}
    return {**then, "recipe": earlier(kept).model_dump(mode="json", exclude=free)}


class Follower(Run):
    """The run as all processes of a training but the first see it: they read it and write nothing."""

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        yield

    def emit(self, kind: str, **fields: Any) -> None:
        """Nothing: rank 0 says it."""

    def finish(self, *_: Any, **__: Any) -> None:
        """Nothing: rank 0 says it."""

    def note_environment(self, fingerprint: JsonDict, threads: int) -> None:
        """Nothing: rank 0 says it."""

    def request_stop(self, discard: bool = False) -> None:
        """Nothing: only what rank 0 sees counts."""


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for name, part in value.items() for k, v in _flat(part, f"{prefix}.{name}".strip(".")).items()}


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def cpu_name() -> str:
    """The processor's name as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
