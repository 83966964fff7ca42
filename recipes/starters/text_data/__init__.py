"""The text starter's own families: 100 % generated rows, each answer computed and every worked line checked.

    from recipes.starters.text_data import examples, rows

`rows` is the bare stream that training reads; `examples` gives the project's records for replay, for measuring
what a tuned model forgot, and for the model card. Bills, rates, mixtures and schedules are not here on purpose.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from recipes.starters.text_data import arithmetic, compare, dates, fewshot, fields, money, units, words
from recipes.starters.text_data.fewshot import Generator
from recipes.starters.text_data.row import Row
from synth.math.working import false_lines

if TYPE_CHECKING:
    from synth.example import Example

FEW_SHOT_SHARE = 0.15
SYSTEM_SHARE = 0.2
GENERATOR_VERSION = "5"

# Weight of each generator in the stream; several may feed one family.
FAMILIES: Mapping[str, tuple[tuple[Generator, float], ...]] = {
    "addition": ((arithmetic.addition, 5),),
    "subtraction": ((arithmetic.subtraction, 5),),
    "multiplication": ((arithmetic.multiplication, 8),),
    "division": ((arithmetic.division, 8),),
    "column": ((arithmetic.column, 4),),
    "chain": ((arithmetic.chain, 4),),
    "precedence": ((arithmetic.precedence, 3),),
    "percent": ((arithmetic.percent, 6),),
    "average": ((arithmetic.average, 2),),
    "story": ((words.story, 6),),
    "groups": ((words.groups, 5),),
    "sharing": ((words.sharing, 4),),
    "comparing": ((words.comparing, 4),),
    "ages": ((words.ages, 2),),
    "distances": ((words.distances, 3),),
    "which": ((compare.which, 4),),
    "extreme": ((compare.extreme, 4),),
    "order": ((compare.order, 4),),
    "spread": ((compare.spread, 3),),
    "units": ((units.convert, 4),),
    "mixed_units": ((units.mixed, 3),),
    "measured": ((units.measured, 3),),
    "money": ((money.shop, 7),),
    "cents": ((money.cents, 2),),
    "purse": ((money.purse, 3),),
    "times": ((dates.times, 7),),
    "half_day": ((dates.half_day, 3),),
    "iso_dates": ((dates.iso, 2),),
    "add_days": ((dates.add_days, 3),),
    "days_between": ((dates.days_between, 2),),
    "weekdays": ((dates.weekday, 2),),
    "key_values": ((fields.key_values, 4),),
    "json": ((fields.as_json, 4),),
    "one_field": ((fields.one_field, 2),),
    "echo": ((fields.echo, 3),),
}


class WrongRow(AssertionError):
    """A generator wrote a false line or an answer its own reply does not give; this is a defect of the generator."""


def checked(row: Row) -> Row:
    """The row itself when all its worked lines hold and its reply ends in its answer."""
    wrong = false_lines(row.target)
    said = row.target.rsplit("Answer: ", 1)[-1]
    if wrong or said != row.answer:
        raise WrongRow(f"{row.template}: {wrong or said} in {row.target!r}")
    return row


def rows(
    rng: random.Random, families: Mapping[str, tuple[tuple[Generator, float], ...]] | None = None
) -> Iterator[Row]:
    """An endless stream of checked rows, some under a system message or with earlier examples."""
    chosen = FAMILIES if families is None else families
    pairs = [pair for generators in chosen.values() for pair in generators]
    generators, weights = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    while True:
        generate = rng.choices(generators, weights)[0]
        few = rng.random() < FEW_SHOT_SHARE
        row = fewshot.with_examples(rng, generate) if few else generate(rng)
        if rng.random() < SYSTEM_SHARE:
            row = fewshot.with_system(rng, row)
        yield checked(row)


def examples(seed: int, n: int, families: Sequence[str] | None = None) -> Iterator["Example"]:
    """`n` distinct examples of the named families (all when None), the same for the same seed.

    Raises KeyError for a family that does not exist.
    """
    from synth.example import Message, TextPart, make_example

    chosen = FAMILIES if families is None else {name: FAMILIES[name] for name in families}
    stream = rows(random.Random(f"text-starter/{seed}"), chosen)
    seen: set[str] = set()
    while len(seen) < n:
        row = next(stream)
        prompt = tuple(Message(role=role, content=(TextPart(text=text),)) for role, text in row.prompt)
        example = make_example(
            prompt,
            row.target,
            answer=row.answer,
            scorer=row.scorer,
            family=row.family,
            template=row.template,
            source={"generator": "starter-text", "generator_version": GENERATOR_VERSION, "seed": seed},
        )
        if example.id not in seen:
            seen.add(example.id)
            yield example
