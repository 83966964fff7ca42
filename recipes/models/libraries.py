"""Torch and what is built on it, imported without the garbage collector at work.

    imported("peft")

What such a library makes stays to the end of the process, and the collector would walk all of it again and again while
it grows: 1.4 of the 7.4 processor seconds that importing TRL takes. It loads no model and says nothing of libraries
that are not installed (`synth.extras`).
"""

from __future__ import annotations

import gc
import importlib
import sys
from types import ModuleType


def imported(name: str) -> ModuleType:
    """The module of that dotted name. Raises what importing it raises."""
    if sys.modules.get(name) is not None:
        return importlib.import_module(name)
    collecting = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        if not gc.get_freeze_count():  # the first time only: there is no model yet that would never be collected
            gc.freeze()
        if collecting:
            gc.enable()
