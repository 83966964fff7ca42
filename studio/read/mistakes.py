"""A system's mistakes in a comparison, row by row, from `scores.jsonl`: what was missed, what it was taken for.

Reads and counts; what a mistake costs is a person's to say, what follows from that is `evaluate.stats.error_costs`.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from evaluate.report.schema import Report
from evaluate.report.scored_rows import is_in
from evaluate.stats.measures import label_given
from studio.read.scored import rows_of_scores

MOST_SUSPECTS = 12
SURE = 0.9


class Answer(NamedTuple):
    """One scored row; `given` is the gold answer where the row counts as right, and confidence None without one."""

    example_id: str
    gold: str
    given: str
    confidence: float | None
    text: str
    split: str
    origin: str


def answers(scores: Path, report: Report, system: str) -> list[Answer]:
    """Every scored row of a system on the report's primary split, in the order of the file."""
    found = _read(scores, scores.stat().st_mtime_ns).get(system, [])
    return [row for row in found if is_in(report, report.primary_split, row.split, row.origin)]


def missed(rows: list[Answer], label: str = "") -> list[Answer]:
    """The rows of a label ("" = of any) that were given another, the surest mistakes first."""
    wrong = [row for row in rows if row.given != row.gold and label in ("", row.gold)]
    return sorted(wrong, key=lambda row: -(row.confidence or 0.0))


def suspects(scores: Path, report: Report) -> list[Answer]:
    """Rows whose label may be wrong: the systems that are right on most rows agree on another one, and are sure."""
    split = report.primary_split
    able = [
        one.id
        for one in report.systems
        if one.higher_is_better and (summary := one.splits.get(split)) and (summary.value or 0) >= 0.5
    ]
    if report.small not in able:
        return []
    others: dict[str, Counter[str]] = defaultdict(Counter)
    for system in able:
        if system != report.small:
            for row in answers(scores, report, system):
                others[row.example_id][row.given] += 1
    found = []
    for row in missed(answers(scores, report, report.small)):
        votes = others[row.example_id]
        agreed = not votes or votes.most_common(1)[0][0] == row.given
        if row.given and agreed and (row.confidence or 0.0) >= SURE:
            found.append(row)
    return found[:MOST_SUSPECTS]


@functools.lru_cache(maxsize=4)
def _read(scores: Path, changed_ns: int) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = defaultdict(list)
    for _, row in rows_of_scores(scores):
        if row["score"] is not None:
            said, text, origin = (str(row.get(key) or "") for key in ("answer", "prompt_text", "origin"))
            gold = str(row.get("gold"))
            given = label_given(gold, said, row["score"])
            answer = Answer(row["example_id"], gold, given, row.get("confidence"), text, row["split"], origin)
            found[row["system"]].append(answer)
    return dict(found)
