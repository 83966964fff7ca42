"""Parts of report.json that speak of transcripts: the errors behind a word error rate, normalisers that disagree.

Shapes only; `evaluate.stats.audio_metrics` computes what stands in them.
"""

from __future__ import annotations

from pydantic import Field

from evaluate.report.parts import Part


class SpokenEntities(Part):
    spoken: int
    missed: int


class Condition(Part):
    n: int
    words: int
    rate: float | None


class SpeechErrors(Part):
    """What stands behind a word error rate."""

    words: int
    substitutions: int
    deletions: int
    insertions: int
    worst: tuple[tuple[str, int, int], ...] = Field(description="(word, errors, times spoken)")
    confusions: tuple[tuple[str, str, int], ...] = Field(description="(gold, said, times)")
    rate: float | None
    entities: dict[str, SpokenEntities]
    entity_error_rate: float | None
    conditions: dict[str, Condition]


class NormalisersDisagree(Part):
    """Error rates of small and large on one split where who is ahead depends on how transcripts are normalised."""

    split: str
    rows: int
    small: float
    large: float
    small_plain: float = Field(description="With only case and punctuation taken off.")
    large_plain: float
