"""torch.compile where it pays: on the repeated layers of a network, for runs long enough to win the first step back.

One layer is compiled and its code serves all others of its class, which costs seconds where a whole network costs
minutes. What cannot be compiled runs as it is. It changes speed only, up to the rounding of reordered sums;
that rounding can move a score, so what decides is the size of the work, which the same recipe and seed repeat.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from recipes.models.sharding import repeated_layers

if TYPE_CHECKING:
    from recipes.recipe.options import Optim
    from recipes.train.report import PreflightReport

# Arithmetic of a training (`arithmetic`) from which compiling pays, by device. Measured on two cores, where 10^14 takes
# 4 to 10 minutes: compiling takes 30 to 90 s and saves a seventh to a quarter of each step. A GPU's is computed from a
# data sheet, for a training as long. Never the clock: a seed would then give other rounding beside other programs.
WORTH_FLOP = {"cpu": 1e14, "cuda": 3e16}


def wanted(choice: str, flop: float | None, device: str = "cpu") -> bool:
    """Whether to compile; `choice` is the recipe's optim.torch_compile, `flop` the training's arithmetic if known."""
    if choice != "auto":
        return choice == "on"
    return flop is not None and flop > WORTH_FLOP.get(device, WORTH_FLOP["cuda"]) and compiler() is not None


def arithmetic(report: PreflightReport | None, optim: Optim) -> float | None:
    """Floating-point operations of a training: six for each parameter and token (Kaplan et al. 2020)."""
    if report is None or report.probe is None:
        return None
    rows = report.steps * optim.per_device_train_batch_size * optim.gradient_accumulation_steps
    return 6.0 * (report.probe.trainable + report.probe.frozen) * report.tokens.mean * rows


def compiler() -> str | None:
    """Path of the C++ compiler that torch would use, or None."""
    return next((path for name in ("g++", "clang++", "c++") if (path := shutil.which(name))), None)


def compile_layers(model: Any) -> int:
    """Compile the repeated layers of a PEFT model in place; returns their number, 0 when the class names none."""
    import torch

    torch._dynamo.config.suppress_errors = True  # a layer that cannot be compiled falls back to plain execution
    layers = repeated_layers(model)
    for layer in layers:
        layer.compile(dynamic=True)
    return len(layers)
