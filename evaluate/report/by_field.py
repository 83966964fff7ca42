"""Records in the report, field by field: accuracy, invented and missed values, exact records, schema validity.

Only where gold answers are JSON objects. Builds the parts of report.json, one per split; the views show them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from evaluate.report.record_parts import ByField, FieldFigures, SystemByField
from evaluate.report.results import Row, SystemResult
from evaluate.stats import measures
from evaluate.stats.intervals import Interval, mean_score
from recipes.decode.answer_schema import obeys
from synth.scoring.by_field import FieldOutcome, outcomes
from synth.scoring.scorers import SCORERS

MOST_FIELDS = 40  # the first ones of gold records


class Seen(NamedTuple):
    """A scored row with the outcome of each of its fields."""

    row: Row
    fields: dict[str, FieldOutcome]


def build(
    systems: Sequence[SystemResult], small: str, units: measures.Units, schema: dict[str, Any] | None
) -> list[ByField]:
    """The splits whose answers are records. `schema`: of the answers, None = validity is not measured."""
    parts = []
    for split, unit in units.items():
        found = {}
        for system in systems:
            rows = measures.scored_rows(system, split)
            seen = [one for row in rows if _is_record(row) if (one := _seen(row)).fields]
            if seen:
                found[system.id] = _of_system(seen, unit, schema)
        if small in found:
            parts.append(ByField(split=split, systems=found))
    return parts


def _is_record(row: Row) -> bool:
    return row.scorer in SCORERS and SCORERS[row.scorer].shape == "record"


def _seen(row: Row) -> Seen:
    return Seen(row, {one.field: one for one in outcomes(row.answer, row.gold)})


def _of_system(seen: Sequence[Seen], unit: str, schema: dict[str, Any] | None) -> SystemByField:
    names = list(dict.fromkeys(name for one in seen for name in one.fields))[:MOST_FIELDS]
    exact = _mean([float(all(f.outcome == "right" for f in one.fields.values())) for one in seen], seen, unit)
    valid = _mean([float(_valid(one.row, schema)) for one in seen], seen, unit) if schema else None
    return SystemByField(
        rows=len(seen),
        exact=exact.value,
        exact_ci95=(exact.low, exact.high),
        valid=valid.value if valid else None,
        valid_ci95=(valid.low, valid.high) if valid else None,
        fields=tuple(_of_field(name, [one for one in seen if name in one.fields], unit) for name in names),
    )


def _valid(row: Row, schema: dict[str, Any]) -> bool:
    """Whether the whole reply is one JSON value that obeys the schema, nothing before or after it."""
    try:
        return obeys(schema, json.loads(row.answer_text))
    except (ValueError, RecursionError):
        return False


def _of_field(name: str, seen: Sequence[Seen], unit: str) -> FieldFigures:
    filled = [one for one in seen if one.fields[name].filled]
    empty = [one for one in seen if not one.fields[name].filled]
    every, named = _share(name, "right", seen, unit), _share(name, "right", filled, unit)
    invented = _share(name, "invented", empty, unit)
    assert every is not None  # a field that no row has is not asked for
    return FieldFigures(
        field=name,
        rows=len(seen),
        accuracy=every.value,
        accuracy_ci95=(every.low, every.high),
        filled=len(filled),
        right_of_filled=named.value if named else None,
        right_of_filled_ci95=(named.low, named.high) if named else None,
        overlap=sum(one.fields[name].overlap for one in filled) / len(filled) if filled else None,
        missed=sum(one.fields[name].outcome in ("missed", "unread") for one in filled),
        wrong=sum(one.fields[name].outcome == "wrong" for one in filled),
        empty=len(empty),
        invented=sum(one.fields[name].outcome == "invented" for one in empty),
        invented_share=invented.value if invented else None,
        invented_ci95=(invented.low, invented.high) if invented else None,
    )


def _share(name: str, outcome: str, seen: Sequence[Seen], unit: str) -> Interval | None:
    return _mean([float(one.fields[name].outcome == outcome) for one in seen], seen, unit) if seen else None


def _mean(values: Sequence[float], seen: Sequence[Seen], unit: str) -> Interval:
    return mean_score(values, measures.cluster_ids([one.row for one in seen], unit), unit)
