"""torch.compile where it pays: on the repeated layers of a network, for runs long enough to win the first step back.

One layer is compiled and its code serves all others of its class, which costs seconds where a whole network costs
minutes. What cannot be compiled runs as it is. It changes speed only, up to the rounding of reordered sums.
"""

from __future__ import annotations

import shutil
from typing import Any

# Measured on two cores: compiling takes 30 to 90 s and saves a seventh to a quarter of each step.
WORTH_SEC = 360.0


def wanted(choice: str, projected_sec: float | None) -> bool:
    """Whether to compile; `choice` is the recipe's optim.torch_compile, `projected_sec` the training's length."""
    if choice != "auto":
        return choice == "on"
    return projected_sec is not None and projected_sec > WORTH_SEC and compiler() is not None


def compiler() -> str | None:
    """Path of the C++ compiler that torch would use, or None."""
    return next((path for name in ("g++", "clang++", "c++") if (path := shutil.which(name))), None)


def compile_layers(model: Any) -> int:
    """Compile the repeated layers of a PEFT model in place; returns their number, 0 when the class names none."""
    import torch

    torch._dynamo.config.suppress_errors = True  # a layer that cannot be compiled falls back to plain execution
    names = set(getattr(model.get_base_model(), "_no_split_modules", None) or ())
    layers = [module for module in model.modules() if type(module).__name__ in names]
    for layer in layers:
        layer.compile(dynamic=True)
    return len(layers)
