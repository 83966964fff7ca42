"""A training by several processes: `accelerate launch` starts them, and this worker waits for them and tells the end.

    choose(run, Launch(num_processes=2))    before the run is submitted: it keeps that, and resumes so
    main(RUN_DIR, options)                  the worker of such a run, instead of `recipes.__main__`

    take_part(run, recipe, launch)          on every machine but the first, where there are several

What the processes say to each other is in `recipes.train.ranks`, how machines meet in `studio.engines.machines`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recipes.__main__ import CODES, LEFT, check_start
from recipes.recipe.schema import Recipe, recipe_hash
from recipes.run.directory import Run, Stopped
from recipes.train.ranks import LOST_ONE, lost_one
from recipes.train.work import cores
from studio.engines import machines
from studio.engines.local import PYTHON, SAFE_PATH
from studio.engines.turns import turn
from synth.errors import RecipeError, RunError, StorageError, UserError
from synth.jobdir import EVENTS, EXIT, LOG, QUEUED, STOP
from synth.storage import DirLock, read_json, sha256_bytes, write_json
from synth.strict import read_yaml, validated
from synth.tied import TIED

FILE = "engine.json"
END_SEC = 10.0
POLL_SEC = 0.1
HUNG_SEC = 300.0  # after a stop was asked, without a sign of work; a step, and answers on val, may take minutes
PARALLEL = ("NO", "MULTI_GPU", "MULTI_CPU", "MULTI_XPU")


class Launch(BaseModel):
    """How many processes train one run together, and accelerate's own configuration file for more.

    `shards`: each process holds a part of the base (FSDP), as the file said when it was chosen. `num_processes` are
    those of all machines; the others meet the first one, whose process of rank 0 writes, at its address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str = "accelerate"
    num_processes: int = Field(ge=2, le=1024)
    config_file: str = ""
    shards: bool = False
    num_machines: int = Field(default=1, ge=1, le=512)
    machine_rank: int = Field(default=0, ge=0)
    main_process_ip: str = "127.0.0.1"
    main_process_port: int = Field(default=29500, ge=1, le=65535)

    @property
    def place(self) -> machines.Place:
        """This machine among the others."""
        return machines.Place(self.machine_rank, self.num_machines, self.main_process_ip, self.main_process_port)


def launch_of(run: Run) -> Launch | None:
    """What was chosen for a run; None for one process. Raises RunError when it cannot be read."""
    file = run.path / FILE
    if not file.is_file():
        return None
    try:
        return Launch.model_validate(read_json(file))
    except ValidationError as error:
        raise RunError(f"{file} does not say how many processes train.", "Start a new run.", "run.launch") from error


def choose(run: Run, launch: Launch) -> None:
    """Keep the choice with the run, where its file lies, and what that says of sharing out the base."""
    if launch.config_file:
        file = Path(launch.config_file).absolute()  # it may be resumed from another folder
        launch = launch.model_copy(update={"config_file": str(file), "shards": _kind(file) == "FSDP"})
    write_json(run.path / FILE, launch.model_dump())


def check(recipe: Recipe, launch: Launch) -> None:
    """Raise RecipeError for what several processes cannot do together."""
    if launch.num_processes % launch.num_machines:
        message = f"{launch.num_processes} processes cannot be shared out evenly over {launch.num_machines} machines."
        raise RecipeError(message, "Give a multiple of --num-machines.", "recipe.launch")
    if launch.machine_rank >= launch.num_machines:
        message = f"There is no machine {launch.machine_rank}: {launch.num_machines} are numbered from 0."
        raise RecipeError(message, "Give each machine its own --machine-rank.", "recipe.launch")
    if not launch.config_file or _kind(Path(launch.config_file)) != "FSDP":
        return
    if recipe.score_rows:
        message = "With FSDP no process has the whole base, so none can answer rows of val meanwhile."
        raise RecipeError(message, "Set score_rows to 0, or train data-parallel.", "recipe.launch")


class _Configuration(BaseModel):
    """What is looked at in accelerate's own configuration."""

    distributed_type: str = "NO"
    num_machines: int | None = 1
    fsdp_config: dict[str, Any] | None = None


def _kind(file: Path) -> str:
    """The way of sharing that accelerate's configuration names. Raises RecipeError where it cannot be followed."""
    if not file.is_file():
        raise RecipeError(f"There is no file {file}.", "Make one with `accelerate config`.", "recipe.launch")
    said = validated(_Configuration, read_yaml(file, "configuration"), "configuration")
    kind = said.distributed_type
    if kind not in (*PARALLEL, "FSDP"):
        message = f"{file.name} says distributed_type {kind}, which trainings here cannot follow."
        raise RecipeError(message, f"Use one of {', '.join(PARALLEL)} or FSDP.", "recipe.launch")
    if (said.num_machines or 1) > 1:
        message = f"{file.name} says num_machines, which is given with the command."
        raise RecipeError(message, "Leave it out there, and give --num-machines.", "recipe.launch")
    options = said.fsdp_config or {}
    if kind == "FSDP" and (options.get("fsdp_version") != 2 or options.get("fsdp_offload_params")):
        message = f"{file.name} asks for FSDP in a way that trainings here cannot follow."
        raise RecipeError(message, "Set fsdp_version: 2, and fsdp_offload_params: false.", "recipe.launch")
    return kind


def command(run: Path, launch: Launch, options: Sequence[str]) -> list[str]:
    """The argument list that starts the processes."""
    # FSDP is ours: accelerate would take this process for one of its own kind.
    more = ["--config_file", launch.config_file] if launch.config_file and not launch.shards else []
    options = [*options, "--watched", *(["--shard"] if launch.shards else [])]
    return [
        *PYTHON,
        "-m",
        "accelerate.commands.launch",
        *more,
        "--multi_gpu",  # accelerate's word for torchrun, which needs no GPU
        *("--num_processes", str(launch.num_processes), "--num_machines", str(launch.num_machines)),
        *("--main_process_port", str(launch.main_process_port if launch.num_machines > 1 else 0)),
        *(_place(launch) if launch.num_machines > 1 else ()),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),  # the recipe decides
        *("-m", "recipes", str(run), *options),
    ]


def _place(launch: Launch) -> tuple[str, ...]:
    return "--machine_rank", str(launch.machine_rank), "--main_process_ip", launch.main_process_ip


def take_part(run: Run, recipe: Recipe, launch: Launch) -> int:
    """What a machine that is not the first does for a run that the first one makes; returns the exit code.

    It writes nothing and waits for no turn: that is the first one's. Raises RunError, RecipeError.
    """
    check(recipe, launch)
    deadline = time.monotonic() + machines.MEET_SEC
    while not (run.path / FILE).is_file():
        if time.monotonic() > deadline:
            message = f"The first machine did not make {run.id} in this workspace within {machines.MEET_SEC:.0f} s."
            remedy = "Start it there too, with --machine-rank 0; the workspace must be one folder for all machines."
            raise RunError(message, remedy, machines.MISSING)
        time.sleep(0.2)
    if recipe_hash(run.recipe) != recipe_hash(recipe):
        message = f"{run.id} of the first machine has other settings."
        raise RunError(message, "Start the same command on every machine.", machines.MISSING)
    if chosen := launch_of(run):
        launch = launch.model_copy(update={"config_file": chosen.config_file, "shards": chosen.shards})
    machines.meet(launch.place, _mark(run, launch))
    with _processes(run, launch, ()) as processes:
        code = processes.wait()
    if code:
        message = f"The processes of this machine ended early; {run.path / LOG} says how {run.id} ended."
        raise RunError(message, f"Resume it with `smolstudio runs resume {run.id}`, and start this again.", LOST_ONE)
    return CODES["done"]


def _mark(run: Run, launch: Launch) -> str:
    """What all machines must agree on."""
    same = [run.id, recipe_hash(run.recipe), launch.num_processes, launch.num_machines, machines.code_hash()]
    return sha256_bytes(json.dumps(same).encode())


def main(arguments: Sequence[str], launch: Launch) -> int:
    """Wait for the turn, train, and write how it ended where the processes could not; returns the exit code."""
    run = Run(Path(arguments[0]).absolute())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: run.request_stop())
    try:
        check_start(run, "--resume" in arguments)
        check(run.recipe, launch)  # its file may have changed or gone since it was chosen
        with turn(run):
            check_start(run, "--resume" in arguments)
            return _supervise(run, launch, arguments[1:])
    except Stopped:
        run.finish("stopped", "Taken out of the queue before it began.", "run.stopped", step=0)
        return CODES["stopped"]
    except RecipeError as error:
        return _failed(run, error)
    except (RunError, StorageError) as error:
        print(error, file=sys.stderr)
        return 2


def _supervise(run: Run, launch: Launch, options: Sequence[str]) -> int:
    if launch.num_machines > 1:
        try:
            machines.meet(launch.place, _mark(run, launch))
        except RunError as error:
            return _failed(run, error)
    (run.path / EXIT).unlink(missing_ok=True)
    log = run.path / LOG
    begin = log.stat().st_size if log.is_file() else 0
    with _processes(run, launch, options) as processes:
        _stand_by(run, processes)
    _wait_until_free(run)
    ended = run.last_exit()
    return CODES[ended.verdict] if ended else _failed(run, lost_one(launch.num_processes, _which(log, begin)))


def _stand_by(run: Run, processes: subprocess.Popen[bytes]) -> None:
    """Return when the processes have ended. Once they hold the run, it says that this one stands behind them: between
    their end and what is written of it, the run would else pass for lost. The end of its turn takes that back.
    """
    stands = False
    while processes.poll() is None:
        if run.stop_requested() and time.time() - _last_sign(run) > HUNG_SEC:
            processes.terminate()  # torchrun kills those that do not hear
        if not stands and not (run.path / QUEUED).exists() and DirLock(run.path).held_elsewhere():
            run.expect(os.getpid())
            stands = True
        time.sleep(POLL_SEC)


def _last_sign(run: Run) -> float:
    """When the stop was asked, or when the processes last wrote of their work where that is later, in epoch seconds."""
    signs = [file.stat().st_mtime for name in (STOP, EVENTS) if (file := run.path / name).exists()]
    return max(signs, default=time.time())


def _processes(run: Run, launch: Launch, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """Those of this machine, started."""
    here = launch.num_processes // launch.num_machines
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores() // here))
    return subprocess.Popen(
        command(run.path, launch, options),
        stdin=subprocess.PIPE,  # with whose end they end: when this process is killed, or the launcher alone
        env={**os.environ, **SAFE_PATH, TIED: "1", "OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"},
    )


def _failed(run: Run, error: UserError) -> int:
    run.finish("failed", str(error), error.code)
    print(error, file=sys.stderr)
    return CODES["failed"]


def _wait_until_free(run: Run) -> None:
    """Return when the process that wrote is gone too; a launcher that was killed leaves it behind."""
    deadline = time.monotonic() + END_SEC
    while DirLock(run.path).held_elsewhere() and time.monotonic() < deadline:
        time.sleep(0.05)


def _which(log: Path, begin: int) -> str:
    """The process that ended first, as torchrun's report in the log says it; "" where it says nothing, or only tells
    of those that ended because it did: on their own, or because torchrun asked them to (SIGTERM).
    """
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(begin)
        text = file.read().decode("utf-8", "replace")
    first = [(int(code), rank) for code, rank in re.findall(r"exitcode: (-?\d+)\) local_rank: (\d+)", text)]
    others = re.findall(r"rank +: (\d+) \(local_rank: \d+\)\s+exitcode +: (-?\d+)", text)
    found = [*first, *((int(code), rank) for rank, code in others if int(code) != -signal.SIGTERM)]
    for code, rank in found:
        if code != LEFT:
            return f"rank {rank}, " + (f"killed by signal {-code}" if code < 0 else f"exit code {code}")
    return ""
