"""How much memory a block of code needed at its peak: the process's on a processor, the allocator's on CUDA."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path

from recipes.models.device import device, on_gpu

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class Peak:
    """`bytes` is set when the block of `peak_memory` has ended."""

    bytes: int = 0


@contextlib.contextmanager
def peak_memory() -> Iterator[Peak]:
    """Peak memory during the block, in bytes, everything that was there before included.

    On a processor it is resident memory: its high-water mark is reset where the system allows that (Linux), and is
    that of the whole process so far elsewhere.
    """
    import torch

    peak = Peak()
    if on_gpu():
        torch.cuda.reset_peak_memory_stats(device())
    else:
        with contextlib.suppress(OSError):
            _RESET.write_text("5")
    try:
        yield peak
    finally:
        peak.bytes = torch.cuda.max_memory_allocated(device()) if on_gpu() else _resident_peak()


class Grown:
    """Peak memory since this was made, above what was there then: what a model takes that is loaded and answers.

    Libraries that are imported meanwhile are in it. On a processor it is resident memory, of which what was freed
    before is given back first.
    """

    def __init__(self) -> None:
        import psutil
        import torch

        with contextlib.suppress(OSError, AttributeError):  # glibc only
            ctypes.CDLL(None).malloc_trim(0)
        self._on_gpu = on_gpu()
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats(device())
            self._before = int(torch.cuda.memory_allocated(device()))
        else:
            with contextlib.suppress(OSError):
                _RESET.write_text("5")
            self._before = int(psutil.Process().memory_info().rss)

    def so_far(self) -> int:
        """Bytes."""
        import torch

        peak = torch.cuda.max_memory_allocated(device()) if self._on_gpu else _resident_peak()
        return max(0, int(peak) - self._before)


def available_bytes() -> int:
    """Memory that could still be had: of the GPU, or of the machine."""
    import psutil
    import torch

    if on_gpu():
        return int(torch.cuda.mem_get_info(device())[0])
    return int(psutil.virtual_memory().available)


def _resident_peak() -> int:
    try:
        lines = _STATUS.read_text("utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource
        import sys

        # macOS counts bytes, others kilobytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
