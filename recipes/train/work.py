"""A training that is about to begin: its run, model, rows, and the checkpoint to go on from.

The first half of every train module; the trainer is in `recipes.train.trainer`, the training in
`recipes.train.training`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from recipes.models.loaded import Loaded
from recipes.models.loading import load_trainable
from recipes.recipe.schema import Recipe
from recipes.run import checkpoints
from recipes.run.directory import Run
from recipes.train import replay
from recipes.train.ranks import ranks
from recipes.train.repeatable import seed_all
from synth.dataset import DatasetDir
from synth.errors import RunError
from synth.example import Example, Split
from synth.storage import JsonDict, sha256_bytes


class Work(NamedTuple):
    """A training that is ready to begin; `checkpoint` is where it continues, None at the start."""

    run: Run
    recipe: Recipe
    loaded: Loaded
    dataset: DatasetDir
    fingerprint: JsonDict
    checkpoint: checkpoints.Checkpoint | None


class Rows(NamedTuple):
    """Rows to learn from, and rows of the validation loss."""

    train: list[Example]
    val: list[Example]


def prepare(run: Run, recipe: Recipe) -> Work:
    """Threads, seed, data, model, and the checkpoint to continue from. Raises RunError when any of them changed."""
    import torch

    run.emit("phase", name="loading")
    threads = recipe.threads or int(os.environ.get("OMP_NUM_THREADS") or 0) or max(1, cores() // ranks().local_world)
    torch.set_num_threads(threads)
    seed_all(recipe.seed)
    dataset = run.dataset()
    loaded = load_trainable(recipe, run.workspace.runs, ranks().shards)
    fingerprint = run.fingerprint(loaded.info.sha256)
    checkpoint = run.checkpoint()
    if checkpoint:
        run.refuse_changes(fingerprint, checkpoint.fingerprint)
    _refuse_strangers([fingerprint, checkpoint.step if checkpoint else 0])
    run.note_environment(fingerprint, threads)
    return Work(run, recipe, loaded, dataset, fingerprint, checkpoint)


def _refuse_strangers(own: list[Any]) -> None:
    """Raise RunError where a process of the training found something else than the first one did."""
    found = ranks().names(sha256_bytes(json.dumps(own, sort_keys=True).encode()))
    strange = [str(rank) for rank, theirs in enumerate(found) if theirs != found[0]]
    if strange:
        which = f"Process {strange[0]}" if len(strange) == 1 else f"Processes {', '.join(strange)}"
        raise RunError(
            f"{which} of this training would learn something else than process 0: other rows, another base, "
            "checkpoint or library.",
            "Give every machine the same workspace, base and libraries.",
            "run.machine",
        )


def load_rows(work: Work) -> Rows:
    """Rows to learn from, replay mixed in, and rows of the validation loss (none unless the recipe asks for it)."""
    data, seed = work.recipe.data, work.recipe.seed
    train_rows = drawn(work.dataset, data.train_split, data.max_examples, seed)
    if data.replay_fraction:
        count = replay.replay_count(len(train_rows), data.replay_fraction)
        train_rows = replay.mix(train_rows, replay.base_rows(work.loaded.info.ref, count, seed), seed)
    if not (data.val_split and work.recipe.eval_steps):
        return Rows(train_rows, [])
    return Rows(train_rows, drawn(work.dataset, data.val_split, data.max_val_examples, seed))


def drawn(dataset: DatasetDir, split: Split, most: int | None, seed: int) -> list[Example]:
    """The rows of a split in file order; where there are more than `most`, so many of them, drawn by the seed."""
    return list(dataset.examples(split)) if most is None else dataset.draw(split, most, seed)


def cores() -> int:
    """Processor cores that this process may use, with the container's quota."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup 2, or "max": no quota
        return allowed
