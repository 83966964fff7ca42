"""Several answers to one question by the points that a judge or a reward model gives each: a preference pair.

For questions without a known answer; where there is one, `best` compares with it and asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, pstdev
from typing import NamedTuple

from pydantic import Field

from synth import endpoint
from synth.example import user
from synth.pipeline.candidate import Candidate, Outcome
from synth.pipeline.step import Env, Settings, field_of
from synth.pipeline.steps.ask import choice_schema, chosen, fault, response_format
from synth.pipeline.steps.parse import NUMBER


class Rank(Settings):
    """What gives the points, and how they are read."""

    field: str = Field(default="replies", description="Field with the answers")
    prompt: str = Field(min_length=1, description="Asks for the points of `{{ one }}`, a template or its file")
    teacher: str = Field(
        default="judge",
        description="Who gives points: a judge, or a reward model behind an endpoint; without one, the main teacher",
    )
    low: float = Field(default=0, description="Fewest points")
    high: float = Field(default=5, description="Most points")
    choices: list[str] = Field(
        default=[], description="The server holds a judgement to one of these, where it can; a reward model's is free"
    )
    max_tokens: int = Field(default=10, ge=1, description="Tokens of a judgement")
    at_least: float = Field(default=3, description="Points that the chosen answer needs")


class Rated(NamedTuple):
    text: str
    points: float


def rank(stream: Iterator[Candidate], settings: Rank, env: Env) -> Iterator[Outcome]:
    """`chosen` is the answer with most points, `rejected` the worse one nearest to two deviations below the mean.

    The very worst is mostly noise and teaches little; where few answers are compared it may still be the nearest.
    """
    prompt = env.template(settings.prompt)
    form = response_format(choice_schema(settings.choices)) if settings.choices else None

    def answers_of(candidate: Candidate) -> list[str]:
        found = field_of(candidate, settings.field)
        return list(dict.fromkeys(found if isinstance(found, list) else [found]))

    def questions(candidate: Candidate) -> list[endpoint.Ask]:
        said = (prompt(candidate.having(one=one)) for one in answers_of(candidate))
        return [endpoint.Ask((user(text),), settings.max_tokens, 0.0, form, format_needed=False) for text in said]

    for candidate, _, answers in env.ask(stream, settings.teacher, questions):
        replies = [answer.reply for answer in answers]
        rated = []
        for text, reply in zip(answers_of(candidate), replies, strict=True):
            judged = "" if fault(reply) else chosen(reply.text, settings.choices)
            points = [float(number) for number in NUMBER.findall(judged)]
            if points and settings.low <= points[0] <= settings.high:
                rated.append(Rated(text, points[0]))
        model = env.teacher(settings.teacher, candidate).model
        noted = candidate.noting(env.step, model=model, answers=[reply.text for reply in replies])
        yield pair(noted, rated, settings)


def pair(candidate: Candidate, rated: list[Rated], settings: Rank) -> Outcome:
    if len(rated) < 2:
        return candidate.rejected("fewer than two answers have points")
    values = [one.points for one in rated]
    top = max(values)
    if top < settings.at_least:
        return candidate.rejected(f"no answer has {settings.at_least:g} points")
    chosen = min((one for one in rated if one.points == top), key=lambda one: len(one.text))
    worse = [one for one in rated if one.points < top]
    if not worse:
        return candidate.rejected("all answers have the same points")
    wanted = fmean(values) - 2 * pstdev(values)
    rejected = min(worse, key=lambda one: abs(one.points - wanted))
    return candidate.having(
        chosen=chosen.text, rejected=rejected.text, chosen_points=chosen.points, rejected_points=rejected.points
    )
