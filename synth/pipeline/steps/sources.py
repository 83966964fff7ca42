"""Where candidates come from: nothing, the rows of a table, extracts of documents. Equal seeds count once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from synth.documents.search import By
from synth.errors import DataError
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
    about: str = Field(default="", description="Only extracts about this, the best first")
    by: By = Field(default="words", description="Search by words (BM25), meaning (embeddings) or both")
    most: int = Field(default=1000, ge=1, description="How many of those")
    topics: int = Field(
        default=0, ge=0, le=200, description="Cluster them into so many topics and take them in turn; 0: in file order"
    )


def documents(stream: Iterator[Candidate], settings: Documents, env: Env) -> Iterator[Outcome]:
    """A candidate for each extract: `text`, `topic`, `document`, `page`, `start` and `end` (characters).

    A document that cannot be read is rejected with the sentence that says why; the others go on.
    """
    from synth.documents.extracts import LeftOut, extracts
    from synth.documents.search import search
    from synth.documents.topics import in_turn, topics

    left_out: list[Outcome] = []

    def reject(one: LeftOut) -> None:
        seed = Candidate(seed_id("left out", *one), {"document": one.document}).noting(env.step, said=one.sentence)
        left_out.append(seed.rejected(one.reason, one.sentence))

    found = extracts(Path(settings.path), settings.chars, settings.min_chars, reject)
    if settings.about:
        found = iter(search(list(found), settings.about, settings.most, settings.by))
        first = next(found, None)
        if first is None:
            message = f"No extract of the documents is about '{settings.about}'."
            raise DataError(message, "Use words that stand in them, or leave `about` empty.", "documents.about")
        found = itertools.chain([first], found)
    named = ((settings.about, one) for one in found)
    if settings.topics:
        named = ((topic.name, one) for topic, one in in_turn(topics([one for _, one in named], settings.topics)))
    seeds = (
        Candidate(seed_id(one.text), {**one._asdict(), "topic": topic}).noting("seed", topic=topic, **one._asdict())
        for topic, one in named
    )
    for outcome in _once_each(seeds):
        yield from _emptied(left_out)
        yield outcome
    yield from _emptied(left_out)


class Search(Settings):
    """Documents, and what to look for in them."""

    path: str = Field(min_length=1, description="A file or folder, as for `documents`")
    query: str = Field(description="What to look for; a template, such as {{ topic }}")
    by: By = Field(default="words", description="Search by words (BM25), meaning (embeddings) or both")
    take: int = Field(default=1, ge=1, le=50, description="Extracts of each candidate, the best first")
    chars: int = Field(default=1000, ge=100, le=20_000, description="Characters of an extract, about")


def search(stream: Iterator[Candidate], settings: Search, env: Env) -> Iterator[Outcome]:
    """Each candidate with the extracts that fit it best, in the fields of `documents`; without any it is out."""
    from synth.documents.extracts import LeftOut, extracts
    from synth.documents.search import Index

    left_out: list[LeftOut] = []
    index = Index(list(extracts(Path(settings.path), settings.chars, on_left_out=left_out.append)))
    if left_out:
        env.found({"left out": [one.sentence for one in left_out]})
    asked = env.template(settings.query)
    for candidate in stream:
        query = asked(candidate)
        found = index.search(query, settings.take, settings.by)
        if not found:
            yield candidate.rejected("no extract is about it", query[:200])
        for rank, one in enumerate(found):
            seed = seed_id(candidate.seed, one.text) if rank else candidate.seed
            yield candidate._replace(seed=seed).having(**one._asdict()).noting(env.step, query=query, **one._asdict())


def _emptied(outcomes: list[Outcome]) -> Iterator[Outcome]:
    yield from outcomes
    outcomes.clear()


def _once_each(seeds: Iterator[Candidate]) -> Iterator[Outcome]:
    seen: set[str] = set()
    for seed in seeds:
        if seed.seed in seen:
            yield seed.rejected("the same seed twice")
        else:
            seen.add(seed.seed)
            yield seed
