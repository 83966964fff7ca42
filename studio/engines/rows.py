"""Who makes and answers rows in this workspace: this process, or a Ray cluster; `engine.json`, set on Settings.

A setting is for what can be shared between machines, and passes over what cannot. An engine that was asked for by name
(`--engine ray`) is refused there instead.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.engines.local import PYTHON
from synth.errors import RunError, StorageError, did_you_mean
from synth.ranges import RangeEngine
from synth.storage import read_json, write_json
from synth.workspace import Workspace

FILE = "engine.json"
ENGINES = ("local", "ray")
TEST_SEC = 120.0


class Setting(BaseModel):
    """The engine for rows and, for Ray, the address of its head; without one, the cores of this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["local", "ray"] = "local"
    address: str = Field(default="", max_length=200)


def setting(workspace: Workspace) -> Setting:
    """What the workspace says. Raises StorageError when its file cannot be read."""
    file = workspace.path / FILE
    if not file.is_file():
        return Setting()
    try:
        return Setting.model_validate(read_json(file))
    except ValidationError as error:
        raise StorageError(
            f"{file} names no engine.", "Set it again on the Settings page.", "engine.setting"
        ) from error


def save(workspace: Workspace, chosen: Setting) -> None:
    """Keep a setting. Raises StorageError."""
    write_json(workspace.path / FILE, chosen.model_dump())


@contextlib.contextmanager
def opened(workspace: Workspace, engine: str = "", address: str = "") -> Iterator[RangeEngine | None]:
    """The engine of that name, or of the setting; None where this process does the work. Raises RunError."""
    if engine and engine not in ENGINES:
        hint = did_you_mean(engine, list(ENGINES))
        raise RunError(f"There is no engine '{engine}' for rows{hint}.", "Choose local or ray.", "engine.name")
    if address and engine != "ray":
        raise RunError("An address is one of a Ray cluster.", "Give --engine ray with it.", "engine.name")
    chosen = Setting(engine=engine, address=address) if engine else setting(workspace)  # type: ignore[arg-type]
    if chosen.engine == "local":
        yield None
        return
    from studio.engines.on_ray import joined

    with joined(workspace, chosen.address) as cluster:
        yield cluster


@contextlib.contextmanager
def for_generation(
    workspace: Workspace, generator: str, engine: str = "", address: str = ""
) -> Iterator[RangeEngine | None]:
    """`opened` for a generator: the setting passes over one whose rows cannot be shared."""
    from synth.generators import GENERATORS

    known = GENERATORS.get(generator)
    if known is not None and not known.apart and not engine:
        yield None
        return
    with opened(workspace, engine, address) as cluster:
        yield cluster


class Seen(NamedTuple):
    """A machine that the connection test met; `fault` says why it cannot take part."""

    name: str
    cpus: int
    gpus: int
    fault: str


def connection(workspace: Workspace, address: str) -> list[Seen]:
    """The machines of the cluster at an address. Raises RunError where none can be joined.

    In a process of its own: Ray takes over whoever joins it, and ends it when the cluster does.
    """
    command = [*PYTHON, "-m", "studio.engines.on_ray", str(workspace.path), address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TEST_SEC, check=False)
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    except (subprocess.TimeoutExpired, ValueError, RecursionError) as error:
        message = f"Ray did not answer within {TEST_SEC:.0f} s."
        raise RunError(message, "Look at `ray status` on the head.", "engine.address") from error
    if found and "error" in found[0]:
        raise RunError(found[0]["error"], found[0]["remedy"], "engine.address")
    if not found:
        said = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1][:200]
        raise RunError(f"The connection test failed: {said}", "Look at `ray status` on the head.", "engine.address")
    return [Seen(**one) for one in found]
