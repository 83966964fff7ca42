"""Do the intervals keep their promise? Simulated comparisons whose rows share templates.

    python tests/bench/bench_stats.py [DATASETS]   # 20,000; prints a table, exit code 1 when a promise is broken

Each dataset: 50 templates of 4 to 20 rows; per template, both systems' chance of being right moves, and moves apart,
so that differences within a template resemble each other. The true mean difference is known. Promised: the 95 %
interval covers it in 93-97 % of the datasets and, with no true difference, the test rejects in at most 5.5 %.
The same figures of the test that ignores templates stand beside it: that is the error clusters guard against.

Of 2,000 datasets an exact test rejects more than 5.5 % in one bench of six, by chance (standard error 0.5 points); of
20,000 the standard error is 0.15. Both are shown, the promise is about the larger.
"""

from __future__ import annotations

import sys

import numpy as np

from evaluate.stats.paired import paired_difference

TEMPLATES = 50


def dataset(rng: np.random.Generator, effect: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Right/wrong of two systems, and the template of each row; expected difference = effect."""
    sizes = rng.integers(4, 21, TEMPLATES)
    shared = rng.uniform(0.35, 0.65, TEMPLATES).repeat(sizes)
    apart = rng.uniform(-0.5, 0.5, TEMPLATES).repeat(sizes)  # symmetric, hence 0 on average
    small = rng.random(sizes.sum()) < shared + effect / 2 + apart / 2
    large = rng.random(sizes.sum()) < shared - effect / 2 - apart / 2
    return small.astype(float), large.astype(float), [str(i) for i in np.arange(TEMPLATES).repeat(sizes)]


def outcomes(use_templates: bool, datasets: int, effect: float = 0.06) -> np.ndarray:
    """(datasets, 2): whether the interval covers `effect`, and whether there is a false alarm at no effect."""
    rng = np.random.default_rng(20251125)
    found = np.zeros((datasets, 2), dtype=bool)
    for row in found:
        small, large, templates = dataset(rng, effect)
        with_effect = paired_difference(small, large, templates if use_templates else None)
        small, large, templates = dataset(rng, 0.0)
        without = paired_difference(small, large, templates if use_templates else None)
        row[:] = with_effect.low <= effect <= with_effect.high, without.p < 0.05
    return found


def main() -> int:
    datasets = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    kept, broken = outcomes(True, datasets), outcomes(False, datasets)
    for count in dict.fromkeys((min(2000, datasets), datasets)):
        print(f"{count:>6,} datasets, {TEMPLATES} templates, about 600 rows each       coverage   false alarms")
        for name, found in (
            ("templates as clusters (what the report uses)", kept),
            ("rows taken as independent (shown as a warning)", broken),
        ):
            covered, rejected = found[:count].mean(axis=0)
            print(f"{name:<55}{covered:9.2%} {rejected:14.2%}")
    covered, rejected = kept.mean(axis=0)
    return 0 if 0.93 <= covered <= 0.97 and rejected <= 0.055 else 1


if __name__ == "__main__":
    sys.exit(main())
