"""Candidates multiplied and enriched: grids, repetitions, the user's examples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from pydantic import Field

from synth.errors import DataError, RecipeError
from synth.pipeline.candidate import Candidate, Outcome, seed_id
from synth.pipeline.records import read_records
from synth.pipeline.step import Env, Settings

TRAIN, REAL = "train", "test_real"


class Grid(Settings):
    """Axes of a grid; the candidates before it are an axis too."""

    axes: dict[str, list[Any]] = Field(description="Name of a field → its values; an axis without values is left out")
    per_cell: int = Field(default=20, ge=1, description="Most candidates of one combination")


def grid(stream: Iterator[Candidate], settings: Grid, env: Env) -> Iterator[Outcome]:
    """Combinations in random order without replacement; a second round begins when each was drawn once."""
    upstream = list(stream)
    axes = {name: values for name, values in settings.axes.items() if values}
    sizes = [len(upstream), *(len(values) for values in axes.values())]
    chance = env.context.random("grid")
    for variation in range(1, settings.per_cell + 1):
        for place in _shuffled(math.prod(sizes), chance):
            candidate, cell = upstream[place % sizes[0]], {"variation": variation}
            place //= sizes[0]
            for name, values in axes.items():
                place, index = divmod(place, len(values))
                cell[name] = values[index]
            seed = seed_id(candidate.seed, cell)
            yield candidate._replace(seed=seed).having(**cell).noting("grid", **cell)


def _shuffled(size: int, chance: Random) -> Iterator[int]:
    """Every number below `size` once, without holding them: a walk whose step shares no factor with the size."""
    if not size:
        return
    step = chance.randrange(1, size + 1)
    while math.gcd(step, size) != 1:
        step = chance.randrange(1, size + 1)
    place = chance.randrange(size)
    for _ in range(size):
        yield place
        place = (place + step) % size


class Shuffle(Settings):
    """Nothing to set."""


def shuffle(stream: Iterator[Candidate], settings: Shuffle, env: Env) -> Iterator[Outcome]:
    """All candidates in random order, so that the first ones are a sample of them."""
    candidates = list(stream)
    yield from env.context.random("shuffle").sample(candidates, len(candidates))


class Times(Settings):
    """A list to repeat over."""

    values: list[Any] = Field(min_length=1, description="Values")
    into: str = Field(description="Field that holds the value")


def times(stream: Iterator[Candidate], settings: Times, env: Env) -> Iterator[Outcome]:
    """Each candidate once for each value."""
    for candidate in stream:
        for value in settings.values:
            note = {settings.into: value}
            made = candidate._replace(seed=seed_id(candidate.seed, note))
            yield made.having(**note).noting("times", **note)


class Examples(Settings):
    """Examples for the prompt."""

    path: str = Field(default="", description="The user's examples; none without a file")
    take: int = Field(default=3, ge=0, description="How many to show")
    held_out: int = Field(default=0, ge=0, description="So many are never shown, of each label in turn: they test")
    into: str = "examples"
    like: str = Field(default="", description="Field that the first examples must agree in, such as label")


def examples(stream: Iterator[Candidate], settings: Examples, env: Env) -> Iterator[Outcome]:
    """Some examples drawn by the candidate's seed, those that agree in `like` first."""
    given, _ = shown_and_held_out(settings.path, settings.held_out)
    shown = [row for row in given if row.get("text")]
    for candidate in stream:
        chance = env.context.random(f"examples/{candidate.seed}")
        drawn = chance.sample(shown, min(len(shown), max(settings.take * 4, settings.take)))
        wanted = candidate.text(settings.like) if settings.like else None
        if wanted is not None:
            alike = [row for row in shown if str(row.get(settings.like)) == wanted]
            drawn = [*chance.sample(alike, len(alike)), *(row for row in drawn if row not in alike)]
        yield candidate.having(**{settings.into: drawn[: settings.take]})


class Given(Settings):
    """Examples as rows."""

    path: str = Field(default="", description="The user's examples; none without a file")
    held_out: int = Field(
        default=0, ge=0, description="So many, of each label in turn, go to test_real, the others to train"
    )
    fields: dict[str, str] = Field(default={}, description="Field of the pipeline → column of the examples")


def given(stream: Iterator[Candidate], settings: Given, env: Env) -> Iterator[Outcome]:
    """The user's own examples, then the stream."""
    shown, held_out = shown_and_held_out(settings.path, settings.held_out)
    name = Path(settings.path).name
    for split, rows in ((TRAIN, shown), (REAL, held_out)):
        for row in rows:
            fields = {field: row.get(column, "") for field, column in settings.fields.items()}
            seed = Candidate(seed_id(row), {**row, **fields, "split": split, "origin": name}, given=True)
            yield seed.noting("seed", file=name, row=row)
    yield from stream


def shown_and_held_out(path: str, held_out: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The user's examples: those that prompts may show, and so many of each label in turn, which only test."""
    rows = list(read_records(Path(path))) if path else []
    if rows and not any(row.get("text") for row in rows):
        message = f"No row of {Path(path).name} has a text."
        raise DataError(message, "Name the column that holds it 'text'.", "pipeline.column")
    if held_out and held_out >= len(rows):
        raise RecipeError(
            f"{held_out} examples are to be held out, and there are {len(rows)}.",
            "Hold out fewer.",
            "pipeline.examples",
        )
    left: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        left.setdefault(str(row.get("label", "")), []).append(place)
    tests = {max(left.values(), key=len).pop() for _ in range(held_out)}
    return [row for n, row in enumerate(rows) if n not in tests], [rows[n] for n in sorted(tests)]
