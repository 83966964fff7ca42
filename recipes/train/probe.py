"""Two real optimiser steps on the longest batch, after which everything is as before, bit for bit.

They measure peak memory and projected time, and find adapter tensors that would not learn and frozen ones that would.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.models.memory import available_bytes, peak_memory
from recipes.train.repeatable import untouched_randomness
from recipes.train.report import Probe
from synth.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor


class Subject(NamedTuple):
    """A training about to start.

    `loss(batch)` is the training's own forward pass to a scalar with a graph, autocast included. `longest` is the
    batch with the most tokens, `longest_tokens` and `mean_tokens` count tokens of it and of an average batch, padding
    included. `steps` is the number of optimiser steps, each of `accumulation` batches.
    """

    model: Any
    loss: Callable[[Any], Tensor]
    longest: Any
    longest_tokens: int
    mean_tokens: float
    learning_rate: float
    steps: int
    accumulation: int = 1


def probe(subject: Subject) -> Probe:
    """Two AdamW steps on the longest batch; afterwards everything is as before, bit for bit.

    Two, because LoRA's B starts at zero: A gets its first gradient in the second step. No weight decay, which would
    move a tensor that has no gradient.
    """
    import torch

    model = subject.model
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    if not trainable:
        raise RunError("No tensor of the model would be trained.", "Check the lora section of the recipe.")
    before = {name: p.detach().clone() for name, p in trainable.items()}
    marks = _fingerprints(frozen)
    optimizer = torch.optim.AdamW(trainable.values(), lr=subject.learning_rate, weight_decay=0.0)
    with untouched_randomness(), peak_memory() as peak:
        seconds, losses = [], []
        try:
            for _ in range(2):
                started = time.monotonic()
                losses.append(_step(subject, optimizer))
                seconds.append(time.monotonic() - started)
            problems = _findings(trainable, before, frozen, marks, losses)
        finally:
            with torch.no_grad():
                for name, parameter in trainable.items():
                    parameter.copy_(before[name])
                    parameter.grad = None
    scale = subject.mean_tokens / subject.longest_tokens if subject.longest_tokens else 1.0
    return Probe(
        problems=tuple(problems),
        memory_bytes=peak.bytes,
        memory_available_bytes=available_bytes(),
        seconds_per_step=round(seconds[1], 4),  # the first step also warms up
        projected_sec=round(seconds[1] * scale * subject.steps, 1),
        trainable=sum(p.numel() for p in trainable.values()),
        frozen=sum(p.numel() for p in frozen.values()),
    )


def _step(subject: Subject, optimizer: Any) -> float:
    total = 0.0
    for _ in range(subject.accumulation):
        loss = subject.loss(subject.longest) / subject.accumulation
        loss.backward()
        total += float(loss.detach())
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


def _findings(
    trainable: dict[str, Tensor],
    before: dict[str, Tensor],
    frozen: dict[str, Tensor],
    marks: dict[str, int],
    losses: list[float],
) -> list[str]:
    import torch

    problems = []
    if not all(math.isfinite(loss) for loss in losses):
        problems.append(
            f"The loss is not a number ({losses[0]}, {losses[1]}): lower optim.learning_rate, or check the data."
        )
    still = [name for name, p in trainable.items() if torch.equal(p.detach(), before[name])]
    if still:
        problems.append(f"{len(still)} of {len(trainable)} adapter tensors do not learn (first: {still[0]}).")
    moved = [name for name, value in _fingerprints(frozen).items() if value != marks[name]]
    if moved:
        problems.append(f"{len(moved)} of {len(frozen)} frozen tensors changed (first: {moved[0]}).")
    bare = layers_without_adapter([*trainable], [*frozen])
    if bare:
        problems.append(f"{len(bare)} layers have no adapter (first: {bare[0]}).")
    return problems


def layers_without_adapter(trainable: Sequence[str], frozen: Sequence[str]) -> list[str]:
    """Layers ("model.layers.3") with nothing to train, in stacks of which other layers have something."""

    def layer(name: str) -> tuple[str, str] | None:
        match = re.search(r"(?:^|\.)([\w.]*?(?:layers|blocks|h))\.(\d+)\.", name)
        return (match[1], match[2]) if match else None

    adapted = {found for name in trainable if (found := layer(name))}
    stacks = {stack for stack, _ in adapted}
    bare = {found for name in frozen if (found := layer(name)) and found not in adapted and found[0] in stacks}
    return [f"{stack}.{index}" for stack, index in sorted(bare, key=lambda found: (found[0], int(found[1])))]


def _fingerprints(tensors: dict[str, Tensor]) -> dict[str, int]:
    """A sum over the bits of each tensor; in slices, because the sum widens them to 8 bytes per value."""
    import torch

    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    own = {name: (t.to_local() if hasattr(t, "to_local") else t).detach() for name, t in tensors.items()}  # of FSDP
    bits = {name: t.reshape(-1).view(kinds[t.element_size()]) for name, t in own.items()}
    return {name: sum(int(part.sum(dtype=torch.int64)) for part in b.split(1 << 22)) for name, b in bits.items()}
