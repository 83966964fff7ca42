"""Whether a training fits: into what this machine has free, or into a GPU that somebody names.

    room = here() | on(gpus.find("RTX 4090"))
    verdict(gib(network, batch, choices, room), room)      "fits", "tight", "does not fit"

Everything here is computed (`recipes.models.estimate`). What a training really takes is for its preflight to say.
"""

from __future__ import annotations

from typing import NamedTuple

from recipes.models import estimate
from recipes.models.estimate import CUDA, PROCESSOR, Batch, Choices, Estimate, Machine, Network
from recipes.models.gpus import BF16_FROM, Gpu

COMFORTABLE = 0.7  # of what is free: the estimate may be a sixth off, and a long training grows


class Room(NamedTuple):
    """GiB that a training may take, and where: on a processor, or on that card."""

    gib: float
    machine: Machine
    gpu: Gpu | None = None

    @property
    def label(self) -> str:
        """Where, in a few words."""
        return self.gpu.label if self.gpu else f"this machine ({self.gib:.0f} GiB free)"

    @property
    def sentence(self) -> str:
        """What its figures rest on, where that is not a training's own peak: for recipes that choose as usual."""
        return self.sentence_of(Choices(0))

    def sentence_of(self, choices: Choices) -> str:
        """The same for a recipe with these choices."""
        if self.gpu is None:
            return ""
        weights = "in 4 bits (NF4, double quantisation)"
        if not choices.in_4bit or choices.weights == "rounded":
            weights = f"in {'16' if self.gpu.bf16 and choices.bf16 else '32'} bits, as the recipe says"
        said = (
            f"Computed for {self.gpu.label}, not measured: weights {weights}, activations in "
            f"{'bf16' if self.gpu.bf16 and choices.bf16 else '32 bits'}, the optimiser in 32 bits, "
            f"{CUDA.fixed / 2**30:g} GiB for CUDA. Nothing of it was tried on a GPU; run the preflight there."
        )
        if self.gpu.bf16 or not choices.bf16:
            return said
        return (
            f"{said} {self.gpu.name} has no bf16 arithmetic (compute capability {self.gpu.capability}; it begins with "
            f"{BF16_FROM}): set optim.bf16=false, as is computed here."
        )


def here() -> Room:
    """What this machine's processor has free."""
    import psutil

    return Room(psutil.virtual_memory().available / 2**30, PROCESSOR)


def on(gpu: Gpu) -> Room:
    """A card with nothing else on it."""
    return Room(gpu.gib, CUDA, gpu)


def parts(network: Network, batch: Batch, choices: Choices, room: Room) -> Estimate:
    """Bytes by part. Weights are held as the recipe says, else as `recipes.models.nf4` chooses: packed on a GPU, and on
    a processor where memory is short."""
    if room.gpu and not room.gpu.bf16:
        choices = choices._replace(bf16=False)
    short = 2 * 2 * network.parameters > room.gib * 2**30 / 2
    packed = room.machine.packs or short if choices.weights == "auto" else choices.weights == "packed"
    return estimate.tuning(network, batch, choices, room.machine, packed=packed)


def gib(network: Network, batch: Batch, choices: Choices, room: Room) -> float:
    """GiB at the peak."""
    return parts(network, batch, choices, room).total / 2**30


def verdict(needed_gib: float, room: Room) -> str:
    """ "fits", "tight" or "does not fit"."""
    return "fits" if needed_gib < COMFORTABLE * room.gib else "tight" if needed_gib < room.gib else "does not fit"
