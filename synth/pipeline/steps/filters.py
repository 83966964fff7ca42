"""Learned filters in a pipeline: points of a linear head, words of good texts against bad ones, ensembles by rank.

They stand best right after the seeds, so that nothing is asked about a seed that is out. Without a file of ratings, or
of good and bad texts, they let everything pass, so that a pipeline can offer them as an input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import Field

from synth.filtering.bins import Combine, best_share, ensemble
from synth.filtering.features import FeatureKind, in_batches
from synth.filtering.heads import NgramClassifier, RubricHead
from synth.filtering.ratings import RATED, read_ratings
from synth.filtering.texts import texts_at
from synth.pipeline.candidate import Candidate, Outcome
from synth.pipeline.step import Env, Settings, field_of


class Rated(Settings):
    """Two ratings of one text."""

    text: str = Field(description="What was rated; a template")
    first: str = "points"
    second: str = "second_points"
    into: str = Field(default="rating", description="Field for the mean, rounded")


def rated(stream: Iterator[Candidate], settings: Rated, env: Env) -> Iterator[Outcome]:
    """Candidates with their mean rating; text and ratings are noted in the lineage, where `ratings` finds them."""
    said = env.template(settings.text)
    for candidate in stream:
        ratings = [float(field_of(candidate, name)) for name in (settings.first, settings.second)]
        noted = candidate.noting(RATED, text=said(candidate), ratings=ratings)
        yield noted.having(**{settings.into: str(int(sum(ratings) / 2 + 0.5))})


class Rubric(Settings):
    """A head on ratings, and the least points."""

    field: str
    ratings: str = Field(default="", description="Dataset or table of ratings; without one everything passes")
    at_least: float | None = Field(
        default=3, ge=0, le=5, description="Rounded points; null only scores, for `ensemble`"
    )
    features: FeatureKind = "embeddings"
    into: str = "head_points"


def rubric(stream: Iterator[Candidate], settings: Rubric, env: Env) -> Iterator[Outcome]:
    """FineWeb-Edu's way: candidates with the points of a head that was fitted on the ratings."""
    if not settings.ratings:
        yield from stream
        return
    head = RubricHead.fit(read_ratings(Path(settings.ratings)), settings.features)
    env.found(head.figures.model_dump(mode="json"))
    for candidate in stream:
        points = round(head.score([str(field_of(candidate, settings.field))])[0], 3)
        scored = candidate.having(**{settings.into: points}).noting(env.step, points=points)
        if settings.at_least is None or points >= settings.at_least - 0.5:
            yield scored
        else:
            yield scored.rejected(f"fewer than {settings.at_least:g} points by the rubric head")


class Ngrams(Settings):
    """Good and bad texts, and the share that is kept."""

    field: str
    good: str = Field(default="", description="File or dataset of good texts; without one everything passes")
    bad: str = Field(default="", description="File or dataset of bad texts")
    percent: float = Field(default=10, gt=0, le=100, description="The best so many stay; 100 only scores")
    into: str = "likeness"


def ngrams(stream: Iterator[Candidate], settings: Ngrams, env: Env) -> Iterator[Outcome]:
    """DCLM's way: the best share of all candidates by a classifier of words and pairs of words."""
    if not settings.good or not settings.bad:
        yield from stream
        return
    good, bad = (list(texts_at(Path(path))) for path in (settings.good, settings.bad))
    classifier = NgramClassifier.fit(good, bad)
    env.found(classifier.figures.model_dump(mode="json"))
    candidates = list(stream)
    scores = _scores((str(field_of(one, settings.field)) for one in candidates), classifier.score)
    least = best_share(scores, settings.percent)
    for candidate, score in zip(candidates, scores, strict=True):
        scored = candidate.having(**{settings.into: round(score, 4)}).noting(env.step, score=round(score, 4))
        yield scored if score >= least else scored.rejected(f"not among the best {settings.percent:g} % by its words")


def _scores(texts: Iterator[str], score: Callable[[Sequence[str]], list[float]]) -> list[float]:
    return [value for batch in in_batches(texts) for value in score(batch)]


class Ensemble(Settings):
    """Scores that are taken together."""

    fields: list[str] = Field(min_length=2, description="Fields with scores; more is better")
    combine: Combine = Field(default="max", description="max keeps what any score likes, mean what all like")
    from_bin: int = Field(default=18, ge=0, le=19, description="The lowest of 20 equally large bins that stays")
    into: str = "bin"


def ensembled(stream: Iterator[Candidate], settings: Ensemble, env: Env) -> Iterator[Outcome]:
    """Nemotron-CC's way: each score as its percentile among all candidates, and of those the highest or the mean."""
    candidates = list(stream)
    columns = [[float(field_of(one, name)) for one in candidates] for name in settings.fields]
    for candidate, found in zip(candidates, ensemble(columns, settings.combine), strict=True):
        scored = candidate.having(**{settings.into: found}).noting(env.step, bin=found)
        yield scored if found >= settings.from_bin else scored.rejected(f"below bin {settings.from_bin}")
