"""Examples to look at: where the two systems disagree, and answers that were right but could not be read.

Counts are of all rows; the rows shown are a fixed sample (smallest example ids, which are hashes), so that a report
of 50,000 rows stays small and two builds show the same rows.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from evaluate.report.parts import FormatCheck, FormatExample, Gallery, GalleryAnswer, GalleryItem
from evaluate.report.results import Row, SystemResult
from evaluate.report.rows import equal, flags, where
from evaluate.stats import measures

SHOWN_PER_KIND = 24
FAULTS_SHOWN = 5
LONGEST_TEXT = 1200  # characters of a prompt or reply kept in the report

Kind = Literal["only_small", "only_large", "both_wrong"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def shortened(text: str, limit: int = LONGEST_TEXT) -> str:
    """The text, or its start with a count of what was left out."""
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit:,} more characters)"


def kind_of_scores(small: float, large: float) -> Kind | None:
    """only_small | only_large | both_wrong by score; None when both answered fully right."""
    if small > large:
        return "only_small"
    if large > small:
        return "only_large"
    return "both_wrong" if small < 1 else None


def disagreements(small: SystemResult, large: SystemResult, splits: Sequence[str]) -> Gallery:
    """report.json's `gallery`: per split the counts, and a sample of each kind with both answers."""
    counts: dict[str, dict[str, int]] = {}
    items: list[GalleryItem] = []
    for split in splits:
        both = measures.pair(small, large, split)
        a, b = measures.scores(both.small), measures.scores(both.large)
        found: dict[Kind, NDArray[np.bool_]] = {
            "only_small": a > b,
            "only_large": b > a,
            "both_wrong": (a == b) & (a < 1),
        }
        counts[split] = {kind: int(here.sum()) for kind, here in found.items()}
        counts[split]["both_right"] = len(both.small) - sum(counts[split].values())
        for kind, here in found.items():
            places = np.flatnonzero(here).tolist()
            shown = heapq.nsmallest(SHOWN_PER_KIND, places, key=lambda place: both.small[place].example_id)
            items.extend(_item(kind, both.small[place], both.large[place]) for place in shown)
    return Gallery(small=small.id, large=large.id, counts=counts, shown_per_kind=SHOWN_PER_KIND, items=tuple(items))


def _item(kind: Kind, small: Row, large: Row) -> GalleryItem:
    return GalleryItem(
        kind=kind,
        example_id=small.example_id,
        split=small.split,
        family=small.family,
        prompt=shortened(small.prompt_text),
        gold=shortened(small.gold),
        media=small.media,
        small=_answer(small),
        large=_answer(large),
    )


def _answer(row: Row) -> GalleryAnswer:
    return GalleryAnswer(
        score=row.score,
        answer=shortened(row.answer, 300),
        text=shortened(row.answer_text),
        why=shortened(row.why, 300),
        format_fault=row.format_fault,
    )


def format_check(systems: Sequence[SystemResult], splits: Sequence[str]) -> list[FormatCheck]:
    """Per system: answers that hold the right result in a form the scorer cannot read, with examples."""
    table = []
    for system in systems:
        asked = np.logical_or.reduce([equal(system.rows, "split", split) for split in splits])
        rows = where(system.rows, asked)
        faulty = where(rows, flags(rows, "format_fault"))
        first = heapq.nsmallest(FAULTS_SHOWN, faulty, key=lambda row: row.example_id)
        examples = tuple(
            FormatExample(
                example_id=row.example_id, gold=shortened(row.gold, 200), text=shortened(row.answer_text, 400)
            )
            for row in first
        )
        table.append(FormatCheck(system=system.id, n=len(rows), right_but_unreadable=len(faulty), examples=examples))
    return table
