"""GPUs that people name, with their memory and compute capability: `named("rtx 4090")`, `named("24GiB")`.

Memory is what makers state, or what is left of it where error correction or the driver keep a part for themselves.
Nothing here was run on any of them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from synth.errors import ModelError, did_you_mean

BF16_FROM = 8.0  # compute capability from which bfloat16 is computed by the hardware
CODE = "model.gpu"
MOST_GIB = 512.0  # of one card; `1070` and `24576` are a card and MiB, and would hold anything
IN_GIB = "Give its memory instead, such as --memory 24GiB."
_UNITS = {"": 1.0, "g": 1.0, "gib": 1.0, "gb": 1e9 / 2**30, "mib": 1 / 1024, "mb": 1e6 / 2**30}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
# What of a name tells no cards apart, and what stands between its words.
_IDLE = re.compile(
    r"nvidia|geforce|rtx|gtx|tesla|quadro|gpu|graphics|card|generation|edition|workstation|server|blackwell"
    r"|sxm\d?|pcie|hbm\d?e?|[^a-z0-9]"
)


class Gpu(NamedTuple):
    """A card: GiB of memory, and its compute capability (0 where nobody said)."""

    name: str
    gib: float
    capability: float = 0.0

    @property
    def bf16(self) -> bool:
        """Whether it computes in bfloat16, or nobody said that it does not."""
        return not self.capability or self.capability >= BF16_FROM

    @property
    def label(self) -> str:
        """Name and memory; "a GPU" where only the memory is known."""
        return f"{self.name or 'a GPU'} ({round(self.gib, 1):g} GiB)"


# fmt: off
GPUS = (
    # Consumer
    Gpu("GTX 1080", 8, 6.1), Gpu("GTX 1080 Ti", 11, 6.1), Gpu("GTX 1660 Ti", 6, 7.5),
    Gpu("RTX 2060", 6, 7.5), Gpu("RTX 2070", 8, 7.5), Gpu("RTX 2080", 8, 7.5), Gpu("RTX 2080 Ti", 11, 7.5),
    Gpu("RTX 3050", 8, 8.6), Gpu("RTX 3060", 12, 8.6), Gpu("RTX 3060 Ti", 8, 8.6), Gpu("RTX 3070", 8, 8.6),
    Gpu("RTX 3070 Ti", 8, 8.6), Gpu("RTX 3080", 10, 8.6), Gpu("RTX 3080", 12, 8.6), Gpu("RTX 3080 Ti", 12, 8.6),
    Gpu("RTX 3090", 24, 8.6), Gpu("RTX 3090 Ti", 24, 8.6),
    Gpu("RTX 4060", 8, 8.9), Gpu("RTX 4060 Ti", 8, 8.9), Gpu("RTX 4060 Ti", 16, 8.9), Gpu("RTX 4070", 12, 8.9),
    Gpu("RTX 4070 Super", 12, 8.9), Gpu("RTX 4070 Ti", 12, 8.9), Gpu("RTX 4070 Ti Super", 16, 8.9),
    Gpu("RTX 4080", 16, 8.9), Gpu("RTX 4080 Super", 16, 8.9), Gpu("RTX 4090", 24, 8.9),
    Gpu("RTX 4060 Laptop", 8, 8.9), Gpu("RTX 4070 Laptop", 8, 8.9), Gpu("RTX 4080 Laptop", 12, 8.9),
    Gpu("RTX 4090 Laptop", 16, 8.9),
    Gpu("RTX 5060", 8, 12.0), Gpu("RTX 5060 Ti", 8, 12.0), Gpu("RTX 5060 Ti", 16, 12.0), Gpu("RTX 5070", 12, 12.0),
    Gpu("RTX 5070 Ti", 16, 12.0), Gpu("RTX 5080", 16, 12.0), Gpu("RTX 5090", 32, 12.0),
    Gpu("RTX 5090 Laptop", 24, 12.0),
    # Workstation
    Gpu("RTX 8000", 48, 7.5), Gpu("RTX 6000", 24, 7.5), Gpu("RTX A2000", 12, 8.6), Gpu("RTX A4000", 16, 8.6),
    Gpu("RTX A5000", 24, 8.6), Gpu("RTX A6000", 48, 8.6), Gpu("RTX 4000 Ada", 20, 8.9), Gpu("RTX 5000 Ada", 32, 8.9),
    Gpu("RTX 6000 Ada", 48, 8.9), Gpu("RTX Pro 6000", 95, 12.0),
    # Datacenter
    Gpu("P100", 16, 6.0), Gpu("V100", 16, 7.0), Gpu("V100", 32, 7.0), Gpu("T4", 15, 7.5),
    Gpu("A2", 15, 8.6), Gpu("A10", 22, 8.6), Gpu("A10G", 22, 8.6), Gpu("A16", 15, 8.6), Gpu("A30", 24, 8.0),
    Gpu("A40", 45, 8.6), Gpu("A100", 40, 8.0), Gpu("A100", 80, 8.0), Gpu("L4", 22, 8.9), Gpu("L40", 45, 8.9),
    Gpu("L40S", 45, 8.9), Gpu("H100", 80, 9.0), Gpu("H100 NVL", 94, 9.0), Gpu("GH200", 96, 9.0),
    Gpu("H200", 140, 9.0), Gpu("B200", 179, 10.0), Gpu("B300", 268, 10.3),
)
# fmt: on


def names() -> list[str]:
    """What to offer, each by a name that `find` knows."""
    several = {gpu.name for gpu in GPUS if sum(other.name == gpu.name for other in GPUS) > 1}
    return [f"{gpu.name} {gpu.gib:g}GB" if gpu.name in several else gpu.name for gpu in GPUS]


def find(text: str) -> Gpu:
    """The card that people mean: `4090`, `NVIDIA GeForce RTX 4090`, `a100-80gb`, `A100 SXM4 80GB`.

    Raises ModelError for one that is not in the table, or that comes with several sizes of memory and names none.
    """
    key, amount = _key(text)
    named = [gpu for gpu in GPUS if _key(gpu.name)[0] == key]
    if not named:
        near = did_you_mean(text, [gpu.name for gpu in GPUS])
        raise ModelError(f"No GPU '{text[:60]}' is known here{near}.", IN_GIB, CODE)
    if amount is None and len(named) == 1:
        return named[0]
    sizes = " or ".join(f"{gpu.gib:g}" for gpu in named)
    if amount is None:
        message = f"The {named[0].name} comes with {sizes} GiB."
        raise ModelError(message, f"Name it with its memory: {named[-1].name} {named[-1].gib:g}GB.", CODE)
    # "T4 16GB" is what makers print, of which a sixteenth is not to be had.
    fitting = [gpu for gpu in named if 0.9 * amount <= gpu.gib <= amount + 1]
    if not fitting:
        raise ModelError(f"The {named[0].name} has {sizes} GiB here, not {amount:g}.", IN_GIB, CODE)
    return fitting[-1]


def _key(text: str) -> tuple[str, float | None]:
    """What tells a card from others, and how many GB stand beside it."""
    lowered = text.lower()
    amount = re.search(r"(?<![a-z0-9])(\d{1,3})\s*gi?b\b", lowered)
    bare = lowered.replace(amount[0], " ") if amount else lowered
    return _IDLE.sub("", bare), float(amount[1]) if amount else None


def named(text: str) -> Gpu:
    """A card by its name, or any card of so much memory: `RTX 4090`, `24GiB`. Raises ModelError."""
    return find(text) if _is_card(text) or not _AMOUNT.fullmatch(text.strip()) else Gpu("", gib_of(text))


def _is_card(text: str) -> bool:
    """Whether it is a card's name, or a number beyond any memory, which can be nothing else: `1070`."""
    bare = text.strip()
    return any(_key(gpu.name)[0] == _key(text)[0] for gpu in GPUS) or (bare.isdecimal() and float(bare) > MOST_GIB)


def gib_of(text: str) -> float:
    """GiB of `24GiB`, `24`, `24 GB` (powers of ten) or `24576MiB`. Raises ModelError for anything else."""
    found = _AMOUNT.fullmatch(text.strip())
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None or not 0 < float(found[1]) * unit <= MOST_GIB:
        message = f"'{text[:40]}' is no amount of memory of a card, which is up to {MOST_GIB:g} GiB."
        raise ModelError(message, "Write it as 24GiB.", CODE)
    return float(found[1]) * unit
