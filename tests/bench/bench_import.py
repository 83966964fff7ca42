"""Speed and memory of importing JSONL: `python tests/bench/bench_import.py [ROWS …]`.

Speed: 20,000 chats, imported seven times on one thread, in processor time; the best is what the core does when nobody
else slows it, the median what it did. Memory: the peak of a process that imports ROWS chats; flat when it does not
grow with them; with the rows/s of that import. The load of the machine is printed, because both of a core's threads
share it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEED_ROWS, REPEATS = 20_000, 7
SIZES = (100_000, 1_000_000)


def write_rows(path: Path, rows: int) -> None:
    """Chats of two turns with some 150 characters, all prompts different."""
    with path.open("w") as file:
        for number in range(rows):
            price, off = number % 97, number % 31
            asked = f"A shop sells {number} plates at ${price}. A coupon takes ${off} off. What is the total?"
            said = f"{number} plates cost {number * price}.\nAnswer: {number * price - off}"
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
            file.write(json.dumps({"messages": turns}) + "\n")


def processor_sec(rows: int, repeats: int) -> list[float]:
    """Processor seconds of each import of so many rows."""
    from synth.importing.importer import Options, import_data
    from synth.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, rows)
        used = []
        for number in range(repeats):
            began = time.process_time()
            report = import_data(path, f"rows{number}", Workspace(Path(folder) / "workspace"), Options("text"))
            used.append(time.process_time() - began)
            assert report.kept == rows
    return used


def main() -> None:
    """Print rows/s, then the peak memory of each size."""
    processor_sec(1000, 1)  # imports and compiled expressions
    used = processor_sec(SPEED_ROWS, REPEATS)
    best, median = SPEED_ROWS / min(used), SPEED_ROWS / statistics.median(used)
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} threads"
    print(f"{best:,.0f} rows/s of processor time at best, {median:,.0f} in the median of {REPEATS}; {load}", flush=True)
    for rows in [int(word.replace(",", "")) for word in sys.argv[1:]] or SIZES:
        subprocess.run([sys.executable, __file__, "--peak", str(rows)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        (used_sec,) = processor_sec(int(sys.argv[2]), 1)
        status = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss begins with the starter's
        peak_mib = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
        print(f"{int(sys.argv[2]):>9,} rows: at most {peak_mib:,.0f} MiB, {int(sys.argv[2]) / used_sec:,.0f} rows/s")
    else:
        main()
