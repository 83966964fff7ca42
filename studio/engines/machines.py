"""Several machines that train one run: they meet at the address of the first before any of them starts a process.

    meet(place, mark)     when all are there; RunError when one is not after MEET_SEC

`mark` says what they are about to train together; who comes with another one is sent away. Nothing else is said here:
the processes then speak to each other (`recipes.train.ranks`).
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import socket
import time
from pathlib import Path
from typing import NamedTuple

from synth.errors import RunError
from synth.storage import sha256_bytes, sha256_file

# They decide the bytes of generated rows and the texts of answers.
LIBRARIES = (
    "espeakng-loader", "faker", "num2words", "numpy", "pillow", "soundfile", "tokenizers", "torch", "torchaudio",
    "transformers",
)  # fmt: skip
MEET_SEC = 20.0
MISSING = "run.machine"
_POLL_SEC = 0.5
_LONGEST = 4096  # bytes of what a machine says of itself


class Place(NamedTuple):
    """Which of how many machines this is, and where the first one, rank 0, is met."""

    rank: int
    machines: int
    host: str
    port: int


def meet(place: Place, mark: str) -> None:
    """Return when every machine is there. Raises RunError that names those that are not, or why this one may not."""
    if place.rank:
        _come(place, mark)
    else:
        _wait(place, mark)


def _wait(place: Place, mark: str) -> None:
    """The first machine listens until the others have come, and tells them to begin."""
    at = f"{place.host}:{place.port}"
    try:
        server = socket.create_server((place.host, place.port))
    except OSError as error:
        message = f"This machine cannot listen at {at}: {error.strerror or error}."
        remedy = "Give an address of this machine with --main-process-ip, and a free --main-process-port."
        raise RunError(message, remedy, MISSING) from error
    there: dict[int, socket.socket] = {}
    deadline = time.monotonic() + MEET_SEC
    with server, contextlib.ExitStack() as open_ones:
        while len(there) < place.machines - 1 and (left := deadline - time.monotonic()) > 0:
            server.settimeout(left)
            with contextlib.suppress(TimeoutError):
                found, _ = server.accept()
                open_ones.enter_context(found)
                rank, why = _who(found, place, mark, there)
                if why:
                    _say(found, why)
                else:
                    there[rank] = found
        missing = [rank for rank in range(1, place.machines) if rank not in there]
        for one in there.values():
            _say(one, _absent(missing, place) if missing else "")
        if missing:
            remedy = (
                "Start the same command there with its own --machine-rank within 20 s, and see that it "
                "reaches this address."
            )
            raise RunError(_absent(missing, place), remedy, MISSING)
        for one in there.values():
            with contextlib.suppress(OSError):
                one.recv(1)  # until the other side has closed: the port is free at once


def _absent(missing: list[int], place: Place) -> str:
    who = f"machine {missing[0]}" if len(missing) == 1 else f"machines {', '.join(map(str, missing))}"
    at = f"{place.host}:{place.port}"
    return f"{who.capitalize()} of {place.machines} did not come to {at} within {MEET_SEC:.0f} s; nothing began."


def _who(found: socket.socket, place: Place, mark: str, there: dict[int, socket.socket]) -> tuple[int, str]:
    """The number of the machine that came, and why it may not take part."""
    try:
        found.settimeout(5.0)
        said = json.loads(found.makefile("rb").readline(_LONGEST))
        rank, theirs = int(said["machine"]), str(said["mark"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0, "That was no machine of a training."
    if theirs != mark:
        return 0, "The first machine trains something else: another recipe, run, code or number of processes."
    if not 0 < rank < place.machines or rank in there:
        return 0, f"Machine {rank} is there already, or none of the {place.machines}."
    return rank, ""


def _say(found: socket.socket, why: str) -> None:
    with contextlib.suppress(OSError):
        found.sendall(json.dumps({"why": why}).encode() + b"\n")


def _come(place: Place, mark: str) -> None:
    """Another machine tells the first one that it is there, and waits for its word."""
    at = (place.host, place.port)
    deadline = time.monotonic() + MEET_SEC
    while True:
        try:
            first = socket.create_connection(at, timeout=max(0.1, deadline - time.monotonic()))
            break
        except OSError as error:
            if time.monotonic() + _POLL_SEC > deadline:
                message = f"The first machine was not at {at[0]}:{at[1]} within {MEET_SEC:.0f} s; nothing began."
                remedy = "Start the same command there with --machine-rank 0, and see that this machine reaches it."
                raise RunError(message, remedy, MISSING) from error
            time.sleep(_POLL_SEC)
    try:
        with first:
            first.settimeout(MEET_SEC + 5)
            first.sendall(json.dumps({"machine": place.rank, "mark": mark}).encode() + b"\n")
            why = str(json.loads(first.makefile("rb").readline(_LONGEST))["why"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = "The first machine ended before all were there."
        raise RunError(why, "See its log, and start them again.", MISSING) from error
    if why:
        raise RunError(why, "Start the same command on every machine, each with its own --machine-rank.", MISSING)


def libraries() -> dict[str, str]:
    """Versions of `LIBRARIES`, without the kind of processor that a build is for; those that are missing left out."""
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name).partition("+")[0]
    return found


def code_hash() -> str:
    """A hash of our own code: another version would give other rows, and nobody would see it."""
    root = Path(__file__).parents[2]
    files = (file for package in ("synth", "recipes", "evaluate", "studio") for file in (root / package).rglob("*.py"))
    return sha256_bytes("".join(sha256_file(file) for file in sorted(files)).encode())
