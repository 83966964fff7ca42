"""A pipeline of 1,000 requests against the stub, which runs as a process of its own, over HTTP.

    python tests/bench/bench_pipeline.py [REQUESTS]      # exit code 1 when a target of docs/synthesis.md is missed

Killed at half and resumed; one seed edited; 64 in flight at 500 ms; a preview's forecast against the bill; a cap.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from synth.errors import EndpointError
from synth.pipeline import forecast, work
from synth.pipeline.plan import Outside, RunPlan, TeacherPlan
from synth.usage import Usage
from synth.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
REQUESTS = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 1000
OPEN = 64
PIPELINE = """
version: 1
title: Bench
about: One question for each row.
inputs: {seeds: {title: Seeds, kind: path}}
steps:
  - {step: records, path: $seeds}
  - {step: ask, prompt: "Answer {{ question }}", max_tokens: 60, temperature: 0}
  - {step: row, prompt: "{{ question }}", target: "{{ reply }}"}
"""


class Running:
    """A stub in a process of its own, and its log."""

    def __init__(self, url: str, log: Path) -> None:
        self.url, self.log = url, log

    def rows(self) -> list[dict[str, Any]]:
        """Every request so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.strip()]

    def usd(self) -> float:
        """What the stub billed."""
        return sum((r["prompt_tokens"] + 4 * r["completion_tokens"]) / 1e6 for r in self.rows() if r["paid"])


@contextlib.contextmanager
def stub(folder: Path, port: int, **options: Any) -> Iterator[Running]:
    log = folder / f"stub-{port}.jsonl"
    argv = [sys.executable, "-m", "studio", "stub-endpoint", "--port", str(port), "--log", str(log)]
    argv += [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    process = subprocess.Popen(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{port}/health")
                break
            time.sleep(0.1)
        yield Running(f"http://127.0.0.1:{port}/v1", log)
    finally:
        process.terminate()
        process.wait()


def price(usage: Usage, model: str) -> float | None:
    return ((usage.input_tokens or 0) + 4 * (usage.output_tokens or 0)) / 1e6


def seeds(folder: Path, edited: int | None = None) -> Path:
    lines = [{"question": f"question {n}{' edited' if n == edited else ''}"} for n in range(REQUESTS)]
    (folder / "seeds.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "bench.yaml").write_text(PIPELINE)
    return folder / "seeds.jsonl"


def plan(running: Running, folder: Path, **more: Any) -> RunPlan:
    teachers = {"teacher": TeacherPlan(model="stub-model", base_url=running.url, concurrency=OPEN)}
    given = {"seeds": str(folder / "seeds.jsonl")}
    return RunPlan(pipeline=str(folder / "bench.yaml"), inputs=given, teachers=teachers, **more)


def killed(folder: Path) -> bool:
    place = Workspace(folder / "killed")
    with stub(folder, 8461, latency_ms=20) as running:
        argv = [sys.executable, "-m", "studio", "pipeline", "run", str(folder / "bench.yaml"), f"seeds={seeds(folder)}"]
        argv += ["--model", "stub-model", "--base-url", running.url, "--concurrency", str(OPEN), "--name", "made"]
        argv += ["--workspace", str(place.path)]
        process = subprocess.Popen(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        while len(running.rows()) < REQUESTS // 2 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        at_kill = len(running.rows())
        dataset = work.resume("made", Outside(place, price))
        rows, repeated = sum(dataset.card.splits.values()), len(running.rows()) - REQUESTS
        paid = sum(row["paid"] for row in running.rows())
        print(f"killed after {at_kill} requests; repeated {repeated} (<= {OPEN}), paid {paid}, rows {rows}")
        ok = repeated <= OPEN and rows == paid == REQUESTS
        before = len(running.rows())
        seeds(folder, edited=REQUESTS // 3)
        work.start("edited", plan(running, folder), Outside(place, price))
        print(f"one edited seed: {len(running.rows()) - before} new requests (1)")
        return ok and len(running.rows()) - before == 1


def throughput(folder: Path) -> bool:
    """Answers a second from the first to the last, by the stub's own clock: loading and writing files is apart."""
    seeds(folder)
    with stub(folder, 8462, latency_ms=500) as running:
        started, cpu = time.monotonic(), time.process_time()
        work.start("made", plan(running, folder), Outside(Workspace(folder / "fast"), price))
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
        times = sorted(datetime.fromisoformat(row["at"]) for row in running.rows())
    rate = (len(times) - 1) / (times[-1] - times[0]).total_seconds()
    print(
        f"{OPEN} in flight at 500 ms: {rate:.1f} requests/s (>= 115, at most {OPEN / 0.5:.0f}); the whole run "
        f"{seconds:.1f} s, {cpu:.1f} s of CPU, load {os.getloadavg()[0]:.1f}"
    )
    return rate >= 115


def forecasted(folder: Path, port: int, skill: float) -> bool:
    """All candidates accepted: within 10 %. Some rejected: 20 rows tell their share roughly, and the range says so."""
    with stub(folder, port, skill=skill) as running:
        place = Workspace(folder / f"money-{port}")
        teachers = {"teacher": TeacherPlan(model="stub-model", base_url=running.url, concurrency=8)}
        given = {"task": "Sort messages by urgency", "labels": "urgent,soon,routine"}
        wanted = RunPlan(pipeline="describe-a-domain", inputs=given, rows=REQUESTS // 2, teachers=teachers)
        found = forecast.preview(wanted, Outside(place, price)).forecast
        work.start("made", wanted, Outside(place, price))
        said, (low, high), bill = found.usd or 0.0, found.usd_range or (0.0, 0.0), running.usd()
        print(
            f"{found.accepted} of {found.accepted + found.rejected} accepted: forecast ${said:.5f} "
            f"(${low:.5f} to ${high:.5f}), bill ${bill:.5f}: {said / bill - 1:+.1%}"
        )
    return abs(said / bill - 1) <= 0.1 if skill == 1 else low <= bill <= high


def capped(folder: Path) -> bool:
    seeds(folder)
    with stub(folder, 8464) as running:
        cap = 0.02
        with contextlib.suppress(EndpointError):
            work.start("capped", plan(running, folder, cap_usd=cap), Outside(Workspace(folder / "capped"), price))
        spent = running.usd()
        print(f"cap ${cap}: ${spent:.5f} spent in {len(running.rows())} requests")
    return 0.8 * cap < spent <= cap


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        results = [killed(place), throughput(place), capped(place)]
        results += [forecasted(place, 8465, 1.0), forecasted(place, 8466, 0.9)]
    sys.exit(not all(results))
