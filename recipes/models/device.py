"""Where networks run: this process's GPU when there is one, else the processor. The one place that decides it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def device() -> torch.device:
    """The device of this process: the GPU of its LOCAL_RANK where several share a machine, as torchrun sets it."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", torch.cuda.current_device())))


def on_gpu() -> bool:
    """Whether networks run on a GPU."""
    return bool(device().type == "cuda")


def device_name() -> str:
    """What this process computes on, in words: `NVIDIA H100 (cuda:1)`, or `2 CPU threads`."""
    import torch

    if on_gpu():
        return f"{torch.cuda.get_device_name(device())} ({device()})"
    count = torch.get_num_threads()
    return f"{count} CPU thread{'' if count == 1 else 's'}"
