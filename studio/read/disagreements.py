"""Where two systems of a comparison agree and differ, row by row, from its `scores.jsonl`: all rows, not a sample.

The file is read through once for each of its states; the rows that are shown are read again at their offsets.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

from evaluate.report.gallery import KINDS, kind_of_scores
from studio.read.scored import rows_of_scores

AGREED, UNSCORED = "both_right", "unscored"
ALL_KINDS = (*KINDS, AGREED, UNSCORED)


class Case(NamedTuple):
    """One example as two systems answered it; offsets (bytes) are those of their rows in `scores.jsonl`."""

    example_id: str
    split: str
    family: str
    kind: str
    small: int
    large: int


class _Scored(NamedTuple):
    split: str
    family: str
    score: float | None
    offset: int


Scored = dict[str, dict[str, _Scored]]


def systems(scores: Path) -> list[str]:
    """Ids of the systems whose answers were scored, in order."""
    return list(_read(scores, scores.stat().st_mtime_ns))


def cases(scores: Path, small: str, large: str) -> list[Case]:
    """The examples that both systems were asked, in the order of the dataset."""
    found = _read(scores, scores.stat().st_mtime_ns)
    theirs = found.get(large, {})
    return [
        Case(name, own.split, own.family, _kind(own.score, theirs[name].score), own.offset, theirs[name].offset)
        for name, own in found.get(small, {}).items()
        if name in theirs
    ]


def _kind(small: float | None, large: float | None) -> str:
    return UNSCORED if small is None or large is None else kind_of_scores(small, large) or AGREED


@functools.lru_cache(maxsize=4)
def _read(scores: Path, changed_ns: int) -> Scored:
    found: Scored = {}
    for offset, row in rows_of_scores(scores):
        known = found.setdefault(row["system"], {})
        known[row["example_id"]] = _Scored(row["split"], row.get("family", ""), row["score"], offset)
    return found
