"""Verified math rows per second of one core: `python tests/bench/bench_math.py [ROWS]`.

Counts all that `smolstudio synth math` does: drawing, solving, the second derivation, writing the dataset folder.
CPU time, so that other work on the machine does not count; start-up (imports, compiling the equations) is shown apart.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from synth.build import build_dataset
from synth.math.checker import Checker
from synth.math.spec import DOMAINS
from synth.workspace import Workspace

GOAL = 5000


def main() -> None:
    """Print rows per second of CPU time."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    start = time.process_time()
    Checker(DOMAINS.values())
    startup = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        settings = {"train": rows, "val": 0, "test": 0, "test_ood": 0}
        dataset = build_dataset("math", settings, "bench", Workspace(Path(folder)))
        seconds = time.process_time() - start
        rate = dataset.count("train") / seconds
    print(f"math: {rate:,.0f} verified rows/s on one core, written to disk (goal {GOAL:,}); start-up {startup:.2f} s")


if __name__ == "__main__":
    main()
