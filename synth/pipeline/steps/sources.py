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
    """A candidate for each row, its columns as fields; an input of a column's name wins over it."""
    path = Path(settings.path)
    seeds = (
        Candidate(seed_id(row), {name: value for name, value in row.items() if name not in env.inputs}).noting(
            "seed", file=path.name, row=row
        )
        for row in read_records(path)
    )
    yield from _once_each(seeds)


class Documents(Settings):
    """Extracts of documents."""

    path: str = Field(min_length=1, description="A file or folder: text, Markdown, HTML, PDF, DOCX, CSV, JSONL")
    chars: int = Field(default=1000, ge=100, le=20_000, description="Characters of an extract, about")
    min_chars: int = Field(default=80, ge=1, description="Shorter extracts are left out")
    about: str = Field(default="", description="Only extracts about this, the best first (BM25)")
    most: int = Field(default=1000, ge=1, description="How many of those")


def documents(stream: Iterator[Candidate], settings: Documents, env: Env) -> Iterator[Outcome]:
    """A candidate for each extract: `text`, `document`, `page`, `start` and `end` (characters)."""
    from synth.documents.extracts import extracts
    from synth.documents.search import search

    found = extracts(Path(settings.path), settings.chars, settings.min_chars)
    if settings.about:
        found = iter(search(list(found), settings.about, settings.most))
    seeds = (Candidate(seed_id(one.text), one._asdict()).noting("seed", **one._asdict()) for one in found)
    yield from _once_each(seeds)


def _once_each(seeds: Iterator[Candidate]) -> Iterator[Outcome]:
    seen: set[str] = set()
    for seed in seeds:
        if seed.seed in seen:
            yield seed.rejected("the same seed twice")
        else:
            seen.add(seed.seed)
            yield seed
