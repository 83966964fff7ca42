"""Several processes that train one starter together: each computes its own batches, gradients are averaged.

    torchrun --nproc-per-node 2 -m recipes.starters.making.text --threads 1 ...

With one core for each process no core waits while another one draws pictures or text. A plan's `batch` counts for one
process. The same seed and the same number of processes give the same loss curve.
"""

import atexit
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class Team(NamedTuple):
    """This process's number and how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def average(self, parameters: Iterable["torch.nn.Parameter"]) -> None:
        """Give every process the mean of all their gradients."""
        if self.size == 1:
            return
        import torch

        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def agree(self, number: int | None) -> int | None:
        """What the leading process holds."""
        if self.size == 1:
            return number
        import torch

        agreed = torch.tensor([-1 if number is None else number])
        torch.distributed.broadcast(agreed, 0)
        return None if agreed.item() < 0 else int(agreed.item())


def join() -> Team:
    """Meet the other processes that torchrun has started; alone without torchrun."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team()
    import torch

    torch.distributed.init_process_group("gloo")
    atexit.register(torch.distributed.destroy_process_group)  # a process that leaves without it may abort the other
    return Team(torch.distributed.get_rank(), size)
