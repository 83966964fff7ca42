"""Candidates multiplied and enriched: grids, repetitions, the user's examples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from pydantic import Field

from synth.errors import DataError, RecipeError
from synth.pipeline.candidate import Candidate, Outcome, seed_id
from synth.pipeline.records import read_records
from synth.pipeline.step import Env, Settings
from synth.scoring.verify import fold

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
    labels: list[str] = Field(default=[], description="Labels that there are; others are not shown. Any without them")
    into: str = "examples"
    like: str = Field(default="", description="Field that the first examples must agree in, such as label")


def examples(stream: Iterator[Candidate], settings: Examples, env: Env) -> Iterator[Outcome]:
    """Some examples drawn by the candidate's seed, those that agree in `like` first."""
    own = own_examples(settings.path, settings.held_out, settings.labels)
    shown = [row for row in own.shown if row.get("text")]
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
    labels: list[str] = Field(default=[], description="Labels that there are; others are out. Any without them")
    fields: dict[str, str] = Field(default={}, description="Field of the pipeline → column of the examples")


def given(stream: Iterator[Candidate], settings: Given, env: Env) -> Iterator[Outcome]:
    """The user's own examples, then the stream; those that cannot be a row are out, with their reason."""
    own = own_examples(settings.path, settings.held_out, settings.labels)
    name = Path(settings.path).name
    for row, reason in own.refused:
        yield Candidate(seed_id(row), row, given=True).noting("seed", file=name, row=row).rejected(reason)
    for split, rows in ((TRAIN, own.shown), (REAL, own.held_out)):
        for row in rows:
            fields = {field: row.get(column, "") for field, column in settings.fields.items()}
            seed = Candidate(seed_id(row), {**row, **fields, "split": split, "origin": name}, given=True)
            yield seed.noting("seed", file=name, row=row)
    yield from stream


class OwnExamples(NamedTuple):
    """The user's examples: those that prompts may show, those that only test, and (row, reason) of those left out."""

    shown: list[dict[str, Any]]
    held_out: list[dict[str, Any]]
    refused: list[tuple[dict[str, Any], str]]


def own_examples(path: str, held_out: int = 0, labels: Sequence[str] = ()) -> OwnExamples:
    """The examples of a file, `held_out` of them, of each label in turn, kept for testing.

    Labels are spelled as in `labels`, whatever their case. A text counts once, so that none is shown and tested; one
    that has two labels is left out.
    """
    rows = list(read_records(Path(path))) if path else []
    if rows and not any(row.get("text") for row in rows):
        message = f"No row of {Path(path).name} has a text."
        raise DataError(message, "Name the column that holds it 'text'.", "pipeline.column")
    rows, refused = _sound(rows, labels)
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
    return OwnExamples([row for n, row in enumerate(rows) if n not in tests], [rows[n] for n in sorted(tests)], refused)


def _sound(
    rows: list[dict[str, Any]], labels: Sequence[str]
) -> tuple[list[dict[str, Any]], list[tuple[dict[str, Any], str]]]:
    """Rows with a text of their own and a label that there is, and the others with what is wrong."""
    spelled = {label.casefold(): label for label in labels} | {label: label for label in labels}
    kept: list[dict[str, Any]] = []
    refused = []
    meant: dict[str, set[str]] = {}
    for row in rows:
        said = str(row.get("label", "")).strip()
        label = spelled.get(said, spelled.get(said.casefold()))
        if not row.get("text"):
            refused.append((row, "the example has no text"))
        elif labels and label is None:
            refused.append((row, "the example's label is none of the labels" if said else "the example has no label"))
        else:
            row = {**row, "label": label} if label is not None else row
            meant.setdefault(fold(str(row["text"])), set()).add(str(row.get("label", "")))
            kept.append(row)
    sound, seen = [], set()
    for row in kept:
        text = fold(str(row["text"]))
        if len(meant[text]) > 1:
            refused.append((row, "the same text has two labels"))
        elif text in seen:
            refused.append((row, "the same example twice"))
        else:
            seen.add(text)
            sound.append(row)
    return sound, refused
