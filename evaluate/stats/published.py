"""Published tables of a tuned small model against a prompted large one, read again with intervals.

    python -m evaluate.stats.published       # the tables of docs/published.md

A table gives each system's share right, not which rows both got right, and how far two systems are apart depends on
that. So the difference is worked out three times: as if the systems agreed wherever the shares allow it, as if their
errors had nothing to do with each other, and as if they agreed as little as the shares allow. Rows are taken as
independent, which favours whoever is ahead. Reads no file; the figures and their sources are below.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evaluate.stats.clusters import Floats
from evaluate.stats.intervals import mean_score
from evaluate.stats.paired import Difference, paired_difference, sign_flip
from evaluate.stats.verdict import verdict

MARGIN = 0.02
MOST_ROWS = 20_000


class Claim(NamedTuple):
    """One row of a published table: two scores on the same n rows. n None: not published where we could read it.

    counts: rows are right or wrong. Otherwise the score is a mean of fractions, whose spread is not published; the
    largest possible one is used, so the true interval is narrower.
    """

    source: str
    task: str
    small: str
    small_score: float
    large: str
    large_score: float
    n: int | None
    counts: bool = True


LORA_LAND = "LoRA Land, 2024"
DISTIL = "distil labs, 2026"
CLAIMS = (
    Claim(LORA_LAND, "CoNLL++ entities, ROUGE", "best of 10 tuned 2-8B", 0.989, "GPT-4", 0.742, 3453, False),
    Claim(LORA_LAND, "DROP, ROUGE", "best of 10 tuned 2-8B", 0.741, "GPT-4", 0.393, 9535, False),
    Claim(LORA_LAND, "COVID tweets, 5 classes", "best of 10 tuned 2-8B", 0.843, "GPT-4", 0.309, 3798),
    Claim(LORA_LAND, "MMLU", "best of 10 tuned 2-8B", 0.589, "GPT-4", 0.774, 1531),
    Claim(LORA_LAND, "code, HumanEval", "best of 10 tuned 2-8B", 0.433, "GPT-4", 0.829, 164),
    Claim(DISTIL, "text to SQL, judged", "Qwen3-4B", 0.980, "Claude Haiku 4.5", 0.987, 50),
    Claim(DISTIL, "text to SQL, judged", "Qwen3-4B", 0.980, "GPT-5 nano", 0.960, 50),
    Claim(DISTIL, "smart home calls", "Qwen3-0.6B", 0.987, "Gemini 2.5 Flash", 0.920, 50),
    Claim(DISTIL, "HotpotQA, judged", "Qwen3", 0.920, "Claude Haiku 4.5", 0.980, None),
    Claim("distil-text2sql README", "text to SQL, judged", "Qwen3-4B", 0.80, "DeepSeek-V3", 0.80, 50),
    Claim("distil-text2sql README", "text to SQL, exact", "Qwen3-4B", 0.60, "DeepSeek-V3", 0.48, 50),
    Claim("Extract-0, 2025", "documents to JSON, mean reward", "7B", 0.573, "o3", 0.464, 1000, False),
    Claim("Extract-0, 2025", "documents to JSON, mean reward", "7B", 0.573, "GPT-4.1", 0.457, 1000, False),
    Claim("distill-sql README", "Spider dev, execution", "Qwen2.5-3B", 0.726, "GPT-4o-mini", 0.801, 1034),
    Claim("arXiv 2606.22606, 2026", "relations, mean F1", "Qwen2.5-0.5B", 0.83, "GPT-5.4", 0.69, None, False),
    Claim("arXiv 2606.22606, 2026", "relations, mean F1", "Qwen2.5-0.5B", 0.83, "Sonnet 4.6", 0.66, None, False),
    Claim("arXiv 2606.22606, 2026", "Biographical, F1", "tuned, best", 0.92, "GPT-5.4", 0.83, None, False),
)


class Reading(NamedTuple):
    """The difference if the systems agree as much as they can, independently, and as little as they can."""

    most_alike: Difference
    independent: Difference
    least_alike: Difference


def outcomes(claim: Claim, n: int, both: float) -> tuple[Floats, Floats]:
    """(n,) scores of each system with `both` rows right on both sides; a fraction of a row is one row's score."""
    small, large = claim.small_score * n, claim.large_score * n
    cells = (both, small - both, large - both)
    starts = np.concatenate([[0.0], np.cumsum(cells)])

    def share(cell: int) -> Floats:
        rows = np.arange(n, dtype=np.float64)
        held: Floats = np.minimum(starts[cell + 1], rows + 1) - np.maximum(starts[cell], rows)
        return np.maximum(held, 0)

    return share(0) + share(1), share(0) + share(2)


def read(claim: Claim, n: int) -> Reading:
    """The three differences on n rows."""
    small, large = claim.small_score * n, claim.large_score * n
    together = (min(small, large), small * large / n, max(0.0, small + large - n))
    return Reading(*(paired_difference(*outcomes(claim, n, both)) for both in together))


def rows_until_sure(claim: Claim) -> int | None:
    """Rows from which the difference is not chance even if the systems agree as little as they can."""
    low, high = 2, MOST_ROWS
    if not _sure(read(claim, high).least_alike):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _sure(read(claim, middle).least_alike) else (middle, high)
    return high


def _sure(difference: Difference) -> bool:
    return difference.low > 0 or difference.high < 0


def _share(score: float, n: int) -> str:
    rows = np.zeros(n)
    whole = int(score * n)
    rows[:whole] = 1
    if whole < n:
        rows[whole] = score * n - whole
    found = mean_score(rows)
    return f"{100 * score:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _points(difference: Difference) -> str:
    return f"{100 * difference.delta:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def table() -> str:
    """The claims with intervals, as Markdown."""
    lines = [
        "| source | task | n | tuned small | prompted large | difference, errors unrelated | most to least alike |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim in CLAIMS:
        names = f"{claim.small} ", f"{claim.large} "
        if claim.n is None:
            lines.append(
                f"| {claim.source} | {claim.task} | ? | {names[0]}{100 * claim.small_score:.1f} | "
                f"{names[1]}{100 * claim.large_score:.1f} | sure from {rows_until_sure(claim):,} rows on | – |"
            )
            continue
        found = read(claim, claim.n)
        words = list(dict.fromkeys(verdict(one, MARGIN).word for one in found))
        star = "" if claim.counts else "*"
        lines.append(
            f"| {claim.source} | {claim.task} | {claim.n:,} | {names[0]}{_share(claim.small_score, claim.n)}{star} | "
            f"{names[1]}{_share(claim.large_score, claim.n)}{star} | {_points(found.independent)}{star} | "
            f"{' to '.join(words)} |"
        )
    return "\n".join(lines)


def wins() -> str:
    """LoRA Land's count of tasks won, as one sentence: exact sign test over tasks."""
    won, tied, lost = 24, 1, 6
    signs = np.r_[np.ones(won), np.zeros(tied), -np.ones(lost)]
    p = sign_flip(signs, np.arange(len(signs)))
    share = mean_score((signs > 0).astype(float))
    return (
        f"Tasks on which the best of ten tuned models is ahead of GPT-4: {won} of {len(signs)} "
        f"({tied} tie, {lost} lost), {100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}], "
        f"exact sign test p = {p:.4f}."
    )


if __name__ == "__main__":
    print(table())
    print()
    print(wins())
