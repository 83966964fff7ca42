"""Speed and memory of importing: `python tests/bench/bench_import.py [ROWS …]` prints rows/s and peak memory.

Each size is imported in a process of its own, in processor time of that process and on one thread. Flat memory is a
peak that does not grow with the number of rows.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (100_000, 1_000_000)


def write_rows(path: Path, rows: int) -> None:
    """Chats of two turns with some 150 characters, all prompts different."""
    with path.open("w") as file:
        for number in range(rows):
            asked = (
                f"A shop sells {number} plates at ${number % 97}. A coupon takes ${number % 31} off. What is the total?"
            )
            answer = f"{number} plates cost {number * (number % 97)}.\nAnswer: {number * (number % 97) - number % 31}"
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": turns}) + "\n")


def measure(rows: int) -> None:
    """Import so many rows, and print what it took."""
    from synth.importing.importer import Options, import_data
    from synth.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, rows)
        began, used = time.monotonic(), time.process_time()
        report = import_data(path, "rows", Workspace(Path(folder) / "workspace"), Options("text"))
        wall, processor = time.monotonic() - began, time.process_time() - used
    assert report.kept == rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{rows:>9,} rows: {rows / processor:,.0f} rows/s of processor time, {rows / wall:,.0f} rows/s, {peak:,.0f} MiB"
    )


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        measure(int(sys.argv[2]))
    else:
        for size in [int(word.replace(",", "")) for word in sys.argv[1:]] or SIZES:
            subprocess.run([sys.executable, __file__, "--one", str(size)], check=True)
