"""One finished comparison, run again twice: on the machine as it is, then beside two busy loops per core.

    python tests/bench/bench_busy.py WORKSPACE COMPARISON [KEEP]      # exit code 1 when a verdict or a cost disagrees

Datasets and runs of the workspace are used as they are; every row is answered anew and speed is measured anew, each
time in a fresh workspace under KEEP, or in a temporary folder. Two reports agree when every verdict is the same and
every sum of money is withheld in one of them or overlaps with its interval in the other (`disagreements`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from evaluate.predict.probe import cores
from evaluate.report import headline, prices_said
from evaluate.report.reading import read_report
from evaluate.report.schema import Report

LOOPS_PER_CORE = 2
SETTLING_SEC = 5.0


class Stated(NamedTuple):
    """A figure about money with its interval; None = withheld, unpriced or not defined."""

    what: str
    low: float | None
    high: float | None


def stated(report: Report) -> list[Stated]:
    """Every figure about money that a report states, in an order that does not depend on its values."""
    found = []
    for system in report.systems:
        cost = system.cost
        for name, value, bounds in (
            ("1,000 answers", cost.usd_per_1k, cost.usd_per_1k_ci95),
            ("1,000 answers, one at a time", cost.usd_per_1k_single, cost.usd_per_1k_single_range),
            ("a right answer", cost.usd_per_correct, cost.usd_per_correct_ci95),
            ("an hour of sound", cost.usd_per_audio_hour, _scaled(cost.usd_per_audio_hour, system.cost)),
            ("energy", cost.wh_per_1k, _scaled(cost.wh_per_1k, system.cost)),
        ):
            found.append(_stated(f"{system.id}: {name}", value, bounds))
    even, fixed = report.break_even, report.fixed_costs
    at_least = fixed.fixed_usd if fixed.fixed_quiet_usd is None else fixed.fixed_quiet_usd
    found += [
        _stated("fixed cost", fixed.fixed_usd, (at_least, fixed.fixed_usd)),
        _stated("saved on 1,000 answers", even.saved_usd_per_1k, even.saved_usd_per_1k_ci95),
        _stated("machine use that pays", even.utilisation, even.utilisation_ci95),
        _stated("requests to pay back", even.requests, even.requests_ci95),
    ]
    return found


def _stated(what: str, value: float | None, bounds: tuple[float | None, float | None] | None) -> Stated:
    low, high = (None, None) if value is None else bounds if bounds is not None else (value, value)
    return Stated(what, low, float("inf") if value is not None and high is None else high)


def _scaled(value: float | None, cost: object) -> tuple[float, float] | None:
    """A figure that moves with the price of an answer has its interval."""
    each, bounds = getattr(cost, "usd_per_1k", None), getattr(cost, "usd_per_1k_ci95", None)
    if value is None or not each or bounds is None or bounds[0] is None or bounds[1] is None:
        return None
    return value * bounds[0] / each, value * bounds[1] / each


def disagreements(quiet: Report, busy: Report) -> list[str]:
    """What two reports of the same comparison say differently; [] when they agree."""
    said = []
    if quiet.verdict.word != busy.verdict.word:
        said.append(f"verdict: {quiet.verdict.word} and {busy.verdict.word}")
    for one, other in zip(quiet.comparisons, busy.comparisons, strict=True):
        if (one.verdict, one.delta) != (other.verdict, other.delta):
            said.append(f"{one.large}, {one.split}: {one.verdict} {one.delta} and {other.verdict} {other.delta}")
    for mine, theirs in zip(stated(quiet), stated(busy), strict=True):
        if mine.low is None or theirs.low is None or mine.high is None or theirs.high is None:
            continue
        if mine.low > theirs.high or theirs.low > mine.high:
            said.append(f"{mine.what}: {mine.low:.4g} to {mine.high:.4g} and {theirs.low:.4g} to {theirs.high:.4g}")
    outcomes = {quiet.break_even.status, busy.break_even.status}
    if outcomes == {"pays_back", "never"}:
        said.append("one says that tuning pays back, the other that it never does")
    return said


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many processes that only burn processor time."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def compared(workspace: Path, comparison: str, to: Path) -> Report:
    """The comparison run anew in a fresh workspace that shares datasets and runs with the old one."""
    to.mkdir(parents=True)
    for shared in ("datasets", "runs", "models", "prices.yaml"):
        if (workspace / shared).exists():
            (to / shared).symlink_to((workspace / shared).resolve())
    plan = workspace / "comparisons" / comparison / "plan.yaml"
    began = time.monotonic()
    start = [sys.executable, "-c", "from studio.cli import main; main()", "compare", str(plan)]
    subprocess.run([*start, "--id", comparison, "--workspace", str(to)], check=True, stdout=subprocess.DEVNULL)
    print(f"answered, measured and reported in {time.monotonic() - began:.0f} s", flush=True)
    return read_report(to / "comparisons" / comparison / "report.json")


def show(report: Report) -> None:
    """What a report says of money."""
    print(f"  {report.verdict.word}")
    print(f"  {headline.pay_back(report)}")
    for system in report.systems:
        others = f", others used {100 * system.speed.others_share:.0f} %" if system.speed else ""
        print(f"  {system.id}: {prices_said.per_1k(system)} per 1,000, {prices_said.speed(system)} answers/s{others}")
    print(f"  fixed cost {prices_said.spent(report)}", flush=True)


def main(workspace: Path, comparison: str, keep: Path | None) -> int:
    """Run both and say where they disagree."""
    folder = keep or Path(tempfile.mkdtemp(prefix="smolstudio-busy-"))
    try:
        print("Quiet:", flush=True)
        quiet = compared(workspace, comparison, folder / "quiet")
        show(quiet)
        loops = LOOPS_PER_CORE * cores()
        print(f"Beside {loops} busy loops on {cores()} cores:", flush=True)
        with busy_loops(loops):
            time.sleep(SETTLING_SEC)
            busy = compared(workspace, comparison, folder / "busy")
        show(busy)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    found = disagreements(quiet, busy)
    both = sum(a.low is not None and b.low is not None for a, b in zip(stated(quiet), stated(busy), strict=True))
    print(f"{len(stated(quiet))} figures about money, {both} stated by both; {len(found)} disagree")
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) if len(sys.argv) > 3 else None))
