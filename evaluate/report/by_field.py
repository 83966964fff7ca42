"""Records in the report, field by field: accuracy, invented and missed values, exact records, schema validity.

Only where gold answers are JSON objects. Builds the parts of report.json, one per split; the views show them.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from evaluate.report.record_parts import ByField, FieldFigures, SystemByField
from evaluate.report.results import Row, SystemResult
from evaluate.report.rows import taken, where
from evaluate.stats import measures
from evaluate.stats.intervals import Interval, mean_score
from recipes.decode.answer_schema import obeys
from synth.scoring.by_field import FieldOutcome, Outcome, outcomes
from synth.scoring.scorers import SCORERS

MOST_FIELDS = 40  # the first ones of gold records
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
FILLED = 8
Codes = NDArray[np.uint8]


class _Seen:
    """The outcomes of all fields of scored rows, a byte of each field: place in OUTCOMES + 1, FILLED added."""

    def __init__(self) -> None:
        self.places = array("I")
        self.exact = bytearray()
        self.fields: dict[str, bytearray] = {}
        self.overlap: dict[str, float] = {}  # summed over the rows whose gold value is filled

    def add(self, place: int, fields: Sequence[FieldOutcome]) -> None:
        """A row by its place."""
        for one in fields:
            if one.field not in self.fields and len(self.fields) < MOST_FIELDS:
                self.fields[one.field], self.overlap[one.field] = bytearray(len(self.places)), 0.0
        self.places.append(place)
        self.exact.append(all(one.outcome == "right" for one in fields))
        for known in self.fields.values():
            known.append(0)
        for one in fields:
            if one.field in self.fields:
                self.fields[one.field][-1] = OUTCOMES.index(one.outcome) + 1 + FILLED * one.filled
                self.overlap[one.field] += one.overlap if one.filled else 0.0


def build(
    systems: Sequence[SystemResult], small: str, units: measures.Units, schema: dict[str, Any] | None
) -> list[ByField]:
    """The splits whose answers are records. `schema`: of the answers, None = validity is not measured."""
    parts = []
    for split, unit in units.items():
        found = {}
        for system in systems:
            if (part := _of_system(measures.scored_rows(system, split), unit, schema)) is not None:
                found[system.id] = part
        if small in found:
            parts.append(ByField(split=split, systems=found))
    return parts


def _is_record(row: Row) -> bool:
    return row.scorer in SCORERS and SCORERS[row.scorer].shape == "record"


def _of_system(rows: Sequence[Row], unit: str, schema: dict[str, Any] | None) -> SystemByField | None:
    seen, obeying = _Seen(), bytearray()
    for place, row in enumerate(rows):
        if _is_record(row) and (fields := outcomes(row.answer, row.gold)):
            seen.add(place, fields)
            obeying.append(schema is not None and _valid(row, schema))
    if not seen.places:
        return None
    records = taken(rows, np.array(seen.places, np.intp))
    exact = _mean(np.frombuffer(seen.exact, np.uint8), records, unit)
    valid = _mean(np.frombuffer(obeying, np.uint8), records, unit) if schema else None
    return SystemByField(
        rows=len(records),
        exact=exact.value,
        exact_ci95=(exact.low, exact.high),
        valid=valid.value if valid else None,
        valid_ci95=(valid.low, valid.high) if valid else None,
        fields=tuple(
            _of_field(name, np.frombuffer(codes, np.uint8), seen.overlap[name], records, unit)
            for name, codes in seen.fields.items()
        ),
    )


def _valid(row: Row, schema: dict[str, Any]) -> bool:
    """Whether the whole reply is one JSON value that obeys the schema, nothing before or after it."""
    try:
        return obeys(schema, json.loads(row.answer_text))
    except (ValueError, RecursionError):
        return False


def _of_field(name: str, codes: Codes, overlap: float, rows: Sequence[Row], unit: str) -> FieldFigures:
    """codes: (n,) of `rows`; 0 where a gold record has no such field."""
    there, is_filled = codes > 0, codes >= FILLED

    def came_out(outcome: Outcome) -> NDArray[np.bool_]:
        return np.equal(codes % FILLED, OUTCOMES.index(outcome) + 1)

    def share(outcome: Outcome, of: NDArray[np.bool_]) -> Interval | None:
        return _mean(came_out(outcome)[of], where(rows, of), unit) if of.any() else None

    filled, empty = int(is_filled.sum()), there & ~is_filled
    every, named, invented = share("right", there), share("right", is_filled), share("invented", empty)
    assert every is not None  # a field that no row has is not asked for
    return FieldFigures(
        field=name,
        rows=int(there.sum()),
        accuracy=every.value,
        accuracy_ci95=(every.low, every.high),
        filled=filled,
        right_of_filled=named.value if named else None,
        right_of_filled_ci95=(named.low, named.high) if named else None,
        overlap=overlap / filled if filled else None,
        missed=int(((came_out("missed") | came_out("unread")) & is_filled).sum()),
        wrong=int((came_out("wrong") & is_filled).sum()),
        empty=int(empty.sum()),
        invented=int((came_out("invented") & empty).sum()),
        invented_share=invented.value if invented else None,
        invented_ci95=(invented.low, invented.high) if invented else None,
    )


def _mean(values: NDArray[Any], rows: Sequence[Row], unit: str) -> Interval:
    return mean_score(values, measures.cluster_ids(rows, unit), unit)
