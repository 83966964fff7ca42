"""Classification in the report: macro-F1, per-class recall, the constant answer, what is mistaken for what.

Only where gold answers are a small set of labels (`measures.class_table`). Builds the part of report.json; the views
show it.
"""

from __future__ import annotations

from collections.abc import Sequence

from evaluate.report.parts import ByClass, ClassFigures, Mistake, SystemByClass
from evaluate.report.results import SystemResult
from evaluate.stats import measures
from evaluate.stats.classes import Classes

MISTAKES = 60  # most frequent (gold, given) pairs shown per system


def build(
    systems: Sequence[SystemResult], small: SystemResult, large: SystemResult | None, split: str, unit: str
) -> ByClass | None:
    """The part of one split, or None when its answers are no classes."""
    tables = {}
    for system in sorted(systems, key=lambda one: (one is not small, one is not large)):
        rows = measures.scored_rows(system, split)
        if (table := measures.class_table(rows, unit)) is not None:
            tables[system.id] = table
    if small.id not in tables:
        return None
    ahead = measures.macro_f1_ahead(measures.pair(small, large, split, unit)) if large else None
    return ByClass(
        split=split,
        majority_label=tables[small.id].majority_label,
        majority=tables[small.id].majority,
        systems={name: _of_system(table) for name, table in tables.items()},
        macro_f1_ahead=ahead.delta if ahead else None,
        macro_f1_ahead_ci95=(ahead.low, ahead.high) if ahead else None,
    )


def _of_system(table: Classes) -> SystemByClass:
    mistaken = [Mistake(gold=gold, given=given, rows=rows) for gold, given, rows in table.confusion if gold != given]
    return SystemByClass(
        macro_f1=table.macro_f1.value,
        ci95=(table.macro_f1.low, table.macro_f1.high),
        classes=tuple(
            ClassFigures(
                label=one.label,
                gold=one.gold,
                given=one.given,
                right=one.right,
                recall=one.recall.value,
                recall_ci95=(one.recall.low, one.recall.high),
                precision=one.precision,
                f1=one.f1,
            )
            for one in table.classes
        ),
        mistakes=tuple(mistaken[:MISTAKES]),
    )
