"""Data-parallel training: which process of how many this is, and what they say to each other.

    join()              at the start of a process that `accelerate launch` made; alone it is rank 0 of 1
    ranks().sum(t)      the sum over all processes, in place
    ranks().first()     rank 0 does the block before the others do

Every process holds the whole model (or, with FSDP, its part of the base: `recipes.models.sharding`), takes its own rows
of each batch, and adds up the adapter's gradients before the optimiser's step: with LoRA those are few, and whatever
the loss of a method does is the same with one process and many. So transformers and TRL are not told that there are
others; nothing of theirs gathers, wraps or shards. Rank 0 alone writes. It starts no processes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from synth.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
MEET = timedelta(minutes=15)  # for all to come; one whose machine was lost before never does
WAIT = timedelta(hours=3)  # rank 0 may mine pairs or answer validation rows while the others wait
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Socket Timeout", "gloo/transport")
LOST_ONE = "run.rank"
NAME_BYTES = 64
# What transformers and accelerate read to find other processes.
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


class Repeated(list[T]):
    """Rows that are of another process: whoever has none computes with these, and nothing of that counts."""


class Ranks(NamedTuple):
    """This process's number, how many there are, how many of them are on this machine, and whether each has a part
    of the base only: then all must compute together, and none answers rows alone.
    """

    rank: int = 0
    world: int = 1
    local_world: int = 1
    shards: bool = False

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors, in place."""
        if self.world > 1:
            import torch.distributed as dist

            dist.all_reduce(tensor)
        return tensor

    def told(self, number: float) -> float:
        """The number of rank 0, so that all decide the same by it."""
        if self.world == 1:
            return number
        import torch
        import torch.distributed as dist

        shared = torch.tensor(number, dtype=torch.float64)
        dist.broadcast(shared, src=0)
        return float(shared.item())

    def agree(self, flag: bool) -> bool:
        """What rank 0 says, so that all do the same after the same step."""
        return bool(self.told(float(flag)))

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """Rank 0 does the block first, the others after it."""
        if self.world == 1:
            yield
            return
        import torch.distributed as dist

        if not self.leads:
            dist.barrier()
        yield
        if self.leads:
            dist.barrier()

    def all_of(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all processes, in the order of their ranks."""
        if self.world == 1:
            return [tensor]
        import torch
        import torch.distributed as dist

        found = [torch.empty_like(tensor) for _ in range(self.world)]
        dist.all_gather(found, tensor)
        return found

    def names(self, own: str) -> list[str]:
        """A name that each process has, in the order of their ranks; cut at 64 bytes."""
        import torch

        padded = own.encode()[:NAME_BYTES].ljust(NAME_BYTES, b"\0")
        found = self.all_of(torch.tensor(list(padded), dtype=torch.uint8))
        return [bytes(one.tolist()).rstrip(b"\0").decode("utf-8", "replace") for one in found]

    def mine(self, rows: Sequence[T]) -> list[T]:
        """This process's rows of a batch; where there are fewer rows than processes, one that another one counts."""
        return list(rows[self.rank :: self.world]) or Repeated([rows[self.rank % len(rows)]])


ALONE = Ranks()
_joined = ALONE


def ranks() -> Ranks:
    """This process among the others."""
    return _joined


def join(shards: bool = False) -> Ranks:
    """Meet the other processes that `accelerate launch` made; afterwards libraries take this one to be alone.

    Raises RunError where one of them does not come.
    """
    global _joined
    world = int(os.environ.get("WORLD_SIZE") or 1)
    if world == 1:
        return _joined
    import torch
    import torch.distributed as dist

    local = int(os.environ.get("LOCAL_RANK") or 0)
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())
        # Two processes on one GPU are refused by NCCL.
        several = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE") or world)
        backend = "cpu:gloo,cuda:nccl" if several else "gloo"
    try:
        dist.init_process_group(backend, timeout=MEET)
    except RuntimeError as error:
        raise lost_one(world) from error
    dist.distributed_c10d._set_pg_timeout(WAIT)
    _joined = Ranks(dist.get_rank(), world, int(os.environ.get("LOCAL_WORLD_SIZE") or world), shards)
    for name in [*VARIABLES, *(n for n in os.environ if n.startswith(("ACCELERATE_", "TORCHELASTIC_")))]:
        os.environ.pop(name, None)
    return _joined


def leave() -> None:
    """Part from the others at the end."""
    if _joined.world > 1:
        import torch.distributed as dist

        dist.destroy_process_group()


def as_lost(error: BaseException) -> RunError | None:
    """The sentence for a failure that says another process is gone; None for any other."""
    if _joined.world > 1 and isinstance(error, RuntimeError) and any(sign in str(error) for sign in LOST):
        return lost_one(_joined.world)
    return None


def lost_one(world: int, which: str = "") -> RunError:
    """Another process of the training has ended."""
    what = f" ({which})" if which else ""
    return RunError(
        f"One of the {world} processes of this training ended before the others{what}; its checkpoints are kept.",
        "Resume it with as many processes; see worker.log for why it ended, such as memory that ran out.",
        LOST_ONE,
    )


def own_randomness(seed: int) -> None:
    """Dropout of its own for each process but the first, which draws as if it were alone."""
    if not _joined.leads:
        import torch

        torch.manual_seed(seed + _joined.rank)


def sum_gradients(parameters: Sequence[Any]) -> None:
    """Add up the gradients of all processes, as one tensor; a parameter without one counts as zero."""
    if _joined.world == 1:
        return
    import torch

    with torch.no_grad():
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1).float() for p in parameters])
        _joined.sum(flat)
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)
