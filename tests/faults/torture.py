"""Kill real work again and again: was anything lost? `python tests/faults/torture.py --kills 500 --seed 1`.

Each piece of work (`tests.faults.works`) is killed at named failpoints of the storage (SMOLSTUDIO_FAIL) and at random
moments, by SIGKILL and SIGTERM, and its disk refuses (ENOSPC, EIO). After each death what has its final name must be
whole; the work is begun again, and at its end the result must be that of an uninterrupted one. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from recipes.run import checkpoints
from studio.stub.endpoint import Stub, StubSettings, serve_in_thread
from synth import failpoint, storage, temporary
from synth.errors import UserError
from tests.faults.works import WORKS, Facts, place

MOST_DEATHS = 12  # of one piece of work, before it is let finish
LONGEST_SEC = 240.0
PATIENCE = 3  # pieces of work that count as a kill when the next work is chosen
KINDS = ("KILL", "KILL", "KILL", "KILL", "TERM", "ENOSPC", "EIO")
REACHED = "reached.json"
_server = multiprocessing.get_context("forkserver")


class Death(NamedTuple):
    """How a process ended: "killed", "refused" (a sentence), "done", or "bug: …"."""

    how: str
    seconds: float


def _child(name: str, folder: str, fail: str, url: str) -> None:
    log = os.open(Path(folder) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if fail:
        os.environ[failpoint.VARIABLE] = fail
    reached: Counter[str] = Counter()
    if not fail:
        for module in (storage, checkpoints):
            module.reach = lambda place: reached.update([place])  # type: ignore[attr-defined]
    try:
        WORKS[name].do(Path(folder), url)
        (Path(folder) / REACHED).write_text(json.dumps(reached))
    except UserError as error:
        print(f"refused: {error}", flush=True)
        os._exit(1)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(3)
    os._exit(0)


def once(name: str, folder: Path, fail: str, url: str, after_sec: float | None = None, number: int = 9) -> Death:
    """Do the work in a process of its own, which is killed after some seconds unless that is None."""
    began = time.monotonic()
    process = _server.Process(target=_child, args=(name, str(folder), fail, url))
    process.start()
    process.join(LONGEST_SEC if after_sec is None else after_sec)
    if process.exitcode is None:
        os.kill(process.pid or 0, number if after_sec is not None else signal.SIGKILL)
        process.join(LONGEST_SEC)
    seconds, code = time.monotonic() - began, process.exitcode
    if after_sec is None and code is not None and seconds > LONGEST_SEC:
        return Death("bug: it hung", seconds)
    hows = {0: "done", 1: "refused", 3: f"bug: see {folder / 'log'}"}
    return Death("killed" if code is not None and code < 0 else hows.get(code or 0, f"bug: exit code {code}"), seconds)


class Torture:
    """The campaign: its random numbers and what it found."""

    def __init__(self, seed: int, root: Path, stub: Stub) -> None:
        self.rng = random.Random(seed)
        self.root = root
        self.stub = stub
        self.kills: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.faults: list[str] = []
        self.references: dict[str, tuple[Facts, float]] = {}
        self.reached: dict[str, list[str]] = {}
        self.requests: Counter[str] = Counter()

    def fresh(self, name: str) -> Path:
        """A folder in which the work can begin."""
        model = self.root / f"{name}-model"
        if not model.exists():
            model.mkdir()
            WORKS[name].prepare(model)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.root))
        shutil.copytree(model, folder, dirs_exist_ok=True)
        return folder

    def reference(self, name: str) -> tuple[Facts, float]:
        """The result of uninterrupted work, and how long it takes."""
        if name not in self.references:
            folder = self.fresh(name)
            asked = len(self.stub.requests)
            death = once(name, folder, "", self.stub.base_url)
            if death.how != "done":
                log = (folder / "log").read_text()
                raise RuntimeError(f"{name} does not even work undisturbed: {death.how}\n{log}")
            counted = json.loads((folder / REACHED).read_text())
            self.reached[name] = [f"{place}:{n}" for place, count in counted.items() for n in range(1, count + 1)]
            self.requests[name] = len(self.stub.requests) - asked
            self.references[name] = WORKS[name].result(folder), death.seconds
        return self.references[name]

    def one(self, name: str, deaths: int) -> None:
        """Kill a piece of work up to so many times, then let it finish and compare."""
        wanted, usual_sec = self.reference(name)
        folder, work, killed, paid = self.fresh(name), WORKS[name], 0, self.stub.paid
        for _ in range(deaths):
            kind = self.rng.choice(KINDS)
            if self.rng.random() < 0.6 or kind not in failpoint.SIGNALS:
                where = f"{self.rng.choice(self.reached[name])}:{kind}"
                death = once(name, folder, where, self.stub.base_url)
            else:
                where = f"random:{kind}"
                after = self.rng.uniform(0.0, 1.1 * usual_sec)
                death = once(name, folder, "", self.stub.base_url, after, failpoint.SIGNALS[kind])
            if death.how == "killed":
                killed += 1
                self.kills[name] += 1
            elif death.how == "refused":
                self.refusals[name] += 1
            elif death.how.startswith("bug"):
                self.faults.append(f"{name} {where}: {death.how}")
            self.faults += [f"{name} {where}: not whole: {fault}" for fault in work.whole(folder)]
            if death.how == "done":
                break
        last = once(name, folder, "", self.stub.base_url)
        if last.how != "done":
            self.faults.append(f"{name}: cannot be finished: {last.how}: {(folder / 'log').read_text()[-600:]}")
            return
        if (found := work.result(folder)) != wanted:
            self.faults.append(f"{name}: another result than undisturbed: {_differing(found, wanted)}")
        temporary.sweep(place(folder))
        left = [str(path) for path in folder.rglob(".*.tmp")]
        self.faults += [f"{name}: left over: {path}" for path in left if not path.startswith(str(folder / ".out"))]
        if work.asks and self.stub.paid - paid > self.requests[name]:
            self.faults.append(f"{name}: {self.stub.paid - paid} paid instead of {self.requests[name]}")
        if not self.faults:
            shutil.rmtree(folder)

    def summary(self, seed: int, seconds: float) -> dict[str, Any]:
        """What was done and found."""
        return {
            "seed": seed,
            "kills": sum(self.kills.values()),
            "by_work": dict(self.kills),
            "refusals": sum(self.refusals.values()),
            "faults": self.faults,
            "seconds": round(seconds, 1),
        }


def _differing(found: Facts, wanted: Facts) -> str:
    keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    return ", ".join(f"{key}: {str(found.get(key))[:80]} != {str(wanted.get(key))[:80]}" for key in keys[:4])


def torture(
    kills: int, seed: int, works: list[str], root: Path, say: Any = print, in_turns: bool = False
) -> dict[str, Any]:
    """So many kills over these works, of each about as many unless `in_turns`; returns what was found."""
    began = time.monotonic()
    if any(WORKS[name].torch for name in works):
        os.environ["TORTURE_TORCH"] = "1"
    _server.set_forkserver_preload(["tests.faults.warm"])
    with serve_in_thread(StubSettings(latency_sec=0.01)) as stub:
        campaign, begun = Torture(seed, root, stub), Counter[str]()
        while sum(campaign.kills.values()) < kills and len(campaign.faults) < 20:
            # Some works die often before they end and others hardly. `begun`: one that never does must not be all.
            name = min(works, key=lambda w: (0 if in_turns else campaign.kills[w] + begun[w] // PATIENCE, begun[w]))
            begun[name] += 1
            campaign.one(name, campaign.rng.randint(1, MOST_DEATHS))
            say(f"{sum(campaign.kills.values())} kills, {len(campaign.faults)} faults, last: {name}")
        return campaign.summary(seed, time.monotonic() - began)


def main() -> int:
    """Entry point; exit code 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", action="append", choices=list(WORKS), help="only these; may be repeated")
    parser.add_argument("--keep", type=Path, help="folder to work in, which stays")
    parser.add_argument("--in-turns", action="store_true", help="a piece of each work in turn: quicker, and less even")
    chosen = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as scratch:
        root = chosen.keep or Path(scratch)
        root.mkdir(parents=True, exist_ok=True)
        found = torture(chosen.kills, chosen.seed, chosen.work or list(WORKS), root, in_turns=chosen.in_turns)
    print(json.dumps(found))
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
