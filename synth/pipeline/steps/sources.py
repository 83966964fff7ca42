"""Where candidates come from: nothing, the rows of a table, extracts of documents. Equal seeds count once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from synth.pipeline.candidate import Candidate, Outcome, seed_id
from synth.pipeline.records import read_records
from synth.pipeline.step import Env, Settings


class Once(Settings):
    """Nothing to set."""


def once(stream: Iterator[Candidate], settings: Once, env: Env) -> Iterator[Outcome]:
    """One candidate."""
    yield Candidate(seed_id("once"), {})


class Records(Settings):
    """Rows of a table."""

    path: str = Field(min_length=1, description="A file that can be imported: CSV, JSONL, Parquet …, a dataset's split")


def records(stream: Iterator[Candidate], settings: Records, env: Env) -> Iterator[Outcome]:
    """A candidate for each row, its columns as fields."""
    rows = read_records(Path(settings.path))
    seeds = (Candidate(seed_id(row), row).noting(step="seed", file=Path(settings.path).name, **row) for row in rows)
    yield from _once_each(seeds)


def _once_each(seeds: Iterator[Candidate]) -> Iterator[Outcome]:
    seen: set[str] = set()
    for seed in seeds:
        if seed.seed in seen:
            yield seed.rejected("the same seed twice")
        else:
            seen.add(seed.seed)
            yield seed
