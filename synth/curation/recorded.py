"""The columns that a dataset was imported from, for more rows of the same form."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from synth.dataset import Card
from synth.importing.detect import detect
from synth.importing.preview import columns_of


class Recorded(NamedTuple):
    """Role → column, without the split; `answer_columns` together are the answer, which has no role then."""

    mapping: dict[str, str]
    answer_columns: tuple[str, ...] = ()


def recorded_columns(card: Card, columns: Collection[str]) -> Recorded | None:
    """How a table with these columns was read when the dataset was imported; None where it has not the same ones."""
    several = tuple(card.spec.get("answer_columns") or ())
    own = {role: column for role, column in (card.spec.get("mapping") or {}).items() if column and role != "split"}
    if several:
        own.pop("answer", None)
        same = set(several) <= set(columns) and own.get("question") in columns
        return Recorded({role: column for role, column in own.items() if column in columns}, several) if same else None
    return Recorded(own) if own and set(own.values()) <= set(columns) else None


def recorded_reading(card: Card, source: Path) -> Recorded | None:
    """`recorded_columns` of a file or folder. Raises DataError for one that cannot be read."""
    guess = detect(source, card.modality)
    if not guess.columns:
        return None
    return recorded_columns(card, {*guess.columns, *(column.name for column in columns_of(source))})
