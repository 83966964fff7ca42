"""What makes a training repeatable: the order of rows, and the state of every random generator.

Nothing here depends on how long a process has lived, so a resumed training goes on as if it had never ended.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

from recipes.models.device import on_gpu
from recipes.train.ranks import ALONE, Ranks

# Rows are sorted by length inside windows of this many batches: padding shrinks, chance stays.
WINDOW = 50


class Batches:
    """Batch sampler: lists of row numbers, an order for each `epoch` that follows from seed and epoch alone.

    With `group`, the rows of a batch have similar `lengths`; the order of the batches is random again. Several
    processes share out each batch of `batch_size` rows, so that together they read what one would.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, group: bool, team: Ranks = ALONE) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.group = group
        self.team = team
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        return (self.team.mine(batch) for batch in self.whole())

    def whole(self) -> Iterator[list[int]]:
        """The batches of all processes together."""
        chance = random.Random(f"{self.seed}/{self.epoch}")
        rows = list(range(len(self.lengths)))
        chance.shuffle(rows)
        if self.group:
            window = WINDOW * self.batch_size
            parts = (rows[i : i + window] for i in range(0, len(rows), window))
            rows = [row for part in parts for row in sorted(part, key=self.lengths.__getitem__)]
        batches = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        if self.group:
            chance.shuffle(batches)
        return iter(batches)


def seed_all(seed: int) -> None:
    """Seed Python's, numpy's and torch's generators."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_state() -> tuple[dict[str, Any], dict[str, Any]]:
    """State of all generators: torch's as tensors, the others as JSON values."""
    import numpy as np
    import torch

    tensors = {"cpu": torch.get_rng_state()}
    if on_gpu():
        tensors |= {f"cuda{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    kind, keys, *rest = np.random.get_state(legacy=True)
    return tensors, {"python": random.getstate(), "numpy": [kind, np.asarray(keys).tolist(), *rest]}


def restore_random_state(tensors: dict[str, Any], plain: dict[str, Any]) -> None:
    """Undo what happened since `random_state`; accepts `plain` after a round trip through JSON."""
    import numpy as np
    import torch

    version, internal, gauss = plain["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = plain["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(tensors["cpu"])
    if on_gpu():
        torch.cuda.set_rng_state_all([tensors[f"cuda{i}"] for i in range(len(tensors) - 1)])


@contextlib.contextmanager
def in_eval_mode(model: Any) -> Iterator[None]:
    """The model without dropout for the block; afterwards each module is in the mode that it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextlib.contextmanager
def untouched_randomness() -> Iterator[None]:
    """Whatever is drawn inside the block leaves no trace: for evaluation and sampling in the middle of a training."""
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(*state)
