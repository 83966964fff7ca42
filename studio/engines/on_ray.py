"""Ranges of rows on the machines of a Ray cluster: `--engine ray [--address HOST:PORT]`.

    with joined(workspace, address) as engine: build_dataset(…, engine=engine)
    python -m studio.engines.on_ray WORKSPACE [ADDRESS]     the connection test: one line of JSON for each machine

Without an address the cores of this machine are used, and what was started for that ends with the work. Each machine
must have this version of smolstudio and see the workspace under the same path: ranges are files there, and nothing but
the questions of a range and its failure travels through Ray. What a range is, is `synth.ranges`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from studio.engines.machines import code_hash, libraries
from studio.engines.senders import sending
from synth import errors
from synth.endpoint.elsewhere import Send
from synth.errors import RunError, StorageError, UserError, first_line
from synth.extras import missing_extra
from synth.ranges import Range, Work
from synth.storage import atomic_write_text
from synth.temporary import temporary
from synth.workspace import Workspace

RETRIES = 3
"""How often a range is begun again elsewhere after its machine or process was lost."""
AHEAD = 4  # ranges given out for each slot
REACH_SEC = 5.0
LOOK_SEC = 60.0  # for a machine's first Python process, on a slow disk
POLL_SEC = 0.5
OWN_STORE_BYTES = 200 << 20  # of shared memory, instead of a third of this machine's


class Failed(NamedTuple):
    """What stopped a range, in the words of `synth.errors`."""

    kind: str
    message: str
    remedy: str
    code: str


class Machine(NamedTuple):
    """One machine of the cluster; `fault` says why it cannot take part, "" where it can."""

    name: str
    cpus: int
    gpus: int
    fault: str


class OnRay:
    """A joined cluster, as `synth.ranges.RangeEngine`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def slots(self, model: bool = False) -> int:
        """One for each core, or for each GPU where a model is loaded and there are any."""
        import ray

        have = ray.cluster_resources()
        gpus = int(have.get("GPU", 0))
        return max(1, gpus if model and gpus else int(have.get("CPU", 0)))

    def each(
        self, work: Work, ranges: Iterable[Range], stop: Callable[[], bool], model: bool = False
    ) -> Iterator[Range]:
        """As `RangeEngine.each`. Raises RunError when a range's machines were lost several times, or none is left."""
        import ray

        gpus = int(model and ray.cluster_resources().get("GPU", 0) >= 1)
        # A process that has a GPU would else end after one range, and load the model again for the next.
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES, max_calls=0)(_do)
        home, left, given = str(Path.cwd()), iter(ranges), deque[tuple[Range, Any]]()
        asked = temporary(self._workspace.path / "engine")
        atomic_write_text(asked, "")
        try:
            while True:
                while len(given) < AHEAD * self.slots(model) and (one := next(left, None)) is not None:
                    given.append((one, None if one.done else remote.remote(home, str(asked), work, one)))
                if not given:
                    return
                one, ref = given[0]
                asked.touch()  # another machine would else remove it after a day
                if ref is not None:
                    _wait(one, ref, stop, "GPU" if gpus else "CPU")
                given.popleft()
                yield one
        finally:
            # Not ray.cancel: Ray ends this process where a range that is cancelled answers at that moment.
            asked.unlink(missing_ok=True)

    def sending(self) -> contextlib.AbstractContextManager[Send]:
        """As `RangeEngine.sending`."""
        return sending()

    def machines(self) -> list[Machine]:
        """Every machine of the cluster, and what keeps it from taking part."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        file, secret = temporary(self._workspace.path / "engine"), secrets.token_hex(8)
        atomic_write_text(file, secret)
        try:
            asked = []
            for node in (node for node in ray.nodes() if node["Alive"]):
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                remote = ray.remote(_look).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
                asked.append((node, remote.remote(str(file), secret, code_hash(), libraries())))
            found = [_machine(node, ref) for node, ref in asked]
            return [machine for machine in found if machine is not None]
        finally:
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def joined(workspace: Workspace, address: str = "") -> Iterator[OnRay]:
    """The cluster at an address, every machine of which was looked at. Raises RunError where it cannot do the work."""
    engine = OnRay(workspace)
    with _joined(address):
        faults = [f"{machine.name}: {machine.fault}" for machine in engine.machines() if machine.fault]
        if faults:
            remedy = (
                "Mount the workspace there under the same path and install this smolstudio with the same libraries, "
                "or remove the machine."
            )
            raise RunError(
                f"A machine of the cluster cannot take part ({'; '.join(faults)}).", remedy, "engine.machine"
            )
        yield engine


@contextlib.contextmanager
def _joined(address: str) -> Iterator[None]:
    """A connection to Ray, which ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise it reports to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    _reach(address)
    own = {"include_dashboard": False, "object_store_memory": OWN_STORE_BYTES, "_node_ip_address": "127.0.0.1"}
    here = {} if address else own
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if in_main else None
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _unreachable(address, first_line(error)) from error
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)  # Ray's own would end this process before it has saved
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise RunError where nobody listens at `host:port`: Ray itself would wait for a minute, and end the process."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not address or address == "auto":
        return
    if not colon or not port.isdecimal():
        raise _unreachable(address, "it is no host:port")
    try:
        socket.create_connection((host, int(port)), REACH_SEC).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, first_line(error)) from error


def _unreachable(address: str, why: str) -> RunError:
    where = f"at {address}" if address else "on this machine"
    remedy = "Start it with `ray start --head`, and give the address that it prints, such as 10.0.0.5:6379."
    return RunError(f"No Ray cluster can be joined {where}: {why}.", remedy, "engine.address")


def _do(home: str, asked: str, work: Work, one: Range) -> Failed | None:
    """Do a range in a process of the cluster, while the file `asked` is there and somebody waits for it.

    What a user can fix comes back as a value, whatever its class.
    """
    if not Path(asked).exists():
        return None
    if Path(home).is_dir():
        os.chdir(home)  # what a plan names may be relative to where it was asked
    try:
        if not one.done:  # by a process that was taken for lost
            work(one)
    except UserError as error:
        return Failed(type(error).__name__, error.message, error.remedy, error.code)
    return None


def _wait(one: Range, ref: Any, stop: Callable[[], bool], needs: str) -> None:
    import ray
    from ray.exceptions import RayError, RayTaskError

    asked = time.monotonic()
    while not ray.wait([ref], timeout=POLL_SEC)[0]:
        if stop():
            remedy = "Start it again: only the others are made."
            raise RunError("It was stopped; the ranges that are done are kept.", remedy, "run.stopped")
        if time.monotonic() - asked > LOOK_SEC and not ray.cluster_resources().get(needs):
            which = "machine with a GPU" if needs == "GPU" else "machine"
            message = f"No {which} is left in the cluster; the ranges that are done are kept."
            raise RunError(message, "Add machines, and start it again: only the others are made.", "engine.lost")
    try:
        failed: Failed | None = ray.get(ref)
    except RayTaskError as error:
        raise error.as_instanceof_cause() from error
    except RayError as error:
        message = (
            f"Rows {one.first} to {one.end} were begun {RETRIES + 1} times, and each time their process was lost "
            f"({first_line(error)}); the ranges that are done are kept."
        )
        remedy = "Look at the memory of the machines, and start it again: only the others are made."
        raise RunError(message, remedy, "engine.lost") from error
    if failed:
        kind = getattr(errors, failed.kind, UserError)
        raise kind(failed.message, failed.remedy, failed.code)
    if not one.done:
        message = f"{one.file} was made on another machine and is not here."
        raise StorageError(message, "Keep the workspace on storage that all machines share.", "engine.machine")


def _look(file: str, secret: str, code: str, wanted: dict[str, str]) -> str:
    """Why this machine cannot take part, "" where it can; `wanted` are the libraries of whoever asks."""
    if code_hash() != code:
        return "its smolstudio is another version"
    here = libraries()
    for name in sorted({*wanted, *here}):
        if wanted.get(name) != here.get(name):
            return f"it has {name} {here.get(name, 'not')}, and the machine that asks {wanted.get(name, 'not')}"
    try:
        if Path(file).read_text("utf-8") != secret:
            return "another folder lies at the workspace's path"
    except OSError as error:
        return f"it cannot read {Path(file).parent} ({error.strerror})"
    return ""


def _machine(node: dict[str, Any], ref: Any) -> Machine | None:
    """What a machine said; None for one that was lost before, which Ray learns late."""
    import ray

    try:
        fault: str = ray.get(ref, timeout=LOOK_SEC)
    except Exception as error:  # whatever keeps a process there from starting, such as a package that it lacks
        if not any(one["Alive"] for one in ray.nodes() if one["NodeID"] == node["NodeID"]):
            return None
        fault = f"no process of ours runs there: {first_line(error)}"
    have = node["Resources"]
    return Machine(node["NodeManagerHostname"], int(have.get("CPU", 0)), int(have.get("GPU", 0)), fault)


def main(workspace: str, address: str = "") -> int:
    """The connection test."""
    fault: UserError | None
    try:
        with _joined(address):
            for machine in OnRay(Workspace(Path(workspace))).machines():
                print(json.dumps(machine._asdict()))
        return 0
    except UserError as error:
        fault = error
    except ModuleNotFoundError as error:
        if (fault := missing_extra(error)) is None:
            raise
    print(json.dumps({"error": fault.message, "remedy": fault.remedy}))
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
