"""Exact and near duplicates among the candidates so far: the first one stays.

Near duplicates are those of `synth.curation.curate`: equal runs of five words, never rows whose numbers differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from synth.curation.curate import SeenTexts
from synth.pipeline.candidate import Candidate, Outcome
from synth.pipeline.step import Env, Settings, field_of


class Dedup(Settings):
    """What must be new."""

    field: str
    near: float = Field(
        default=0.8, ge=0.3, le=1, description="Share of five-word runs in common; 1 finds equal texts only"
    )


def dedup(stream: Iterator[Candidate], settings: Dedup, env: Env) -> Iterator[Outcome]:
    """Candidates whose text is new."""
    seen = SeenTexts(settings.near)
    for candidate in stream:
        reason = seen.duplicate(str(field_of(candidate, settings.field)))
        yield candidate.rejected(reason) if reason else candidate
