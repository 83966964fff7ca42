"""Do the intervals keep their promise? 2,000 simulated comparisons whose rows share templates.

    python tests/bench/bench_stats.py            # prints a table, exit code 1 when a promise is broken

Each dataset: 50 templates of 4 to 20 rows; per template, both systems' chance of being right moves, and moves apart,
so that differences within a template resemble each other. The true mean difference is known. Promised: the 95 %
interval covers it in 93-97 % of the datasets and, with no true difference, the test rejects in at most 5.5 %.
The same figures of the test that ignores templates stand beside it: that is the error clusters guard against.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np

from evaluate.stats import paired_difference

DATASETS, TEMPLATES = 2000, 50


class Promise(NamedTuple):
    covered: float
    rejected_without_difference: float


def dataset(rng: np.random.Generator, effect: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Right/wrong of two systems, and the template of each row; expected difference = effect."""
    sizes = rng.integers(4, 21, TEMPLATES)
    shared = rng.uniform(0.35, 0.65, TEMPLATES).repeat(sizes)
    apart = rng.uniform(-0.5, 0.5, TEMPLATES).repeat(sizes)  # symmetric, hence 0 on average
    small = rng.random(sizes.sum()) < shared + effect / 2 + apart / 2
    large = rng.random(sizes.sum()) < shared - effect / 2 - apart / 2
    return small.astype(float), large.astype(float), [str(i) for i in np.arange(TEMPLATES).repeat(sizes)]


def measure(use_templates: bool, datasets: int = DATASETS, effect: float = 0.06) -> Promise:
    """Coverage at `effect`, and the share of false alarms at no effect."""
    rng = np.random.default_rng(20251125)
    covered = rejected = 0
    for _ in range(datasets):
        small, large, templates = dataset(rng, effect)
        found = paired_difference(small, large, templates if use_templates else None)
        covered += found.low <= effect <= found.high
        small, large, templates = dataset(rng, 0.0)
        rejected += paired_difference(small, large, templates if use_templates else None).p < 0.05
    return Promise(covered / datasets, rejected / datasets)


def main() -> int:
    kept, broken = measure(use_templates=True), measure(use_templates=False)
    print(f"{DATASETS:,} datasets each, {TEMPLATES} templates, about 600 rows   coverage   false alarms")
    print(f"templates as clusters (what the report uses)           {kept.covered:9.1%} {kept[1]:14.1%}")
    print(f"rows taken as independent (shown as a warning)         {broken.covered:9.1%} {broken[1]:14.1%}")
    return 0 if 0.93 <= kept.covered <= 0.97 and kept.rejected_without_difference <= 0.055 else 1


if __name__ == "__main__":
    sys.exit(main())
