"""What `smolstudio` runs, made once: typer makes its tree of commands at each call, and a sweep makes thousands."""

from __future__ import annotations

import functools
from typing import Any

import typer

from studio.cli import app


@functools.cache
def tree() -> Any:
    return typer.main.get_command(app)
