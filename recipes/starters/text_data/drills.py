"""Eight small facts in one reply: the single steps that all families are made of, with little else to read.

Training reads them beside the families; no accuracy is measured on them. Before them, a starter that solved 86 % of
its problems answered 21 of 30 questions such as "39 or 9: which is greater?"; after them 29 of 30 (in its card).
"""

import random
from collections.abc import Iterator
from decimal import Decimal

from recipes.starters.text_data.compare import close_numbers, padded, placed
from recipes.starters.text_data.row import Row, literal
from synth.math.working import Number, add, div, mul, places, show, sub

SHARE = 0.15
ITEMS = 8
_DIVISORS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 20, 24, 25, 30, 40, 50, 60)

Fact = tuple[str, str]
"""What is asked, and the worked line or lines."""


def _amount(rng: random.Random, cents: bool) -> Decimal:
    whole = Decimal(rng.randint(0, 10 ** rng.randint(1, 4)))
    return whole + Decimal(rng.randint(1, 99)).scaleb(-2) if cents and rng.random() < 0.8 else whole


def _sum(rng: random.Random) -> Fact:
    cents = rng.random() < 0.4
    a, b = _amount(rng, cents), _amount(rng, cents)
    return f"{show(a, cents)} + {show(b, cents)}", add(a, b, cents)


def _difference(rng: random.Random) -> Fact:
    cents = rng.random() < 0.4
    a = _amount(rng, cents)
    b = _amount(rng, cents) if rng.random() < 0.6 else abs(a - rng.randint(0, 30))
    a, b = max(a, b), min(a, b)
    return f"{show(a, cents)} - {show(b, cents)}", sub(a, b, cents)


def _comparison(rng: random.Random) -> Fact:
    a, b = close_numbers(rng, 2)
    first, second = padded([a, b])
    return f"{show(a)} or {show(b)}", f"{first} {'<' if a < b else '>'} {second}"


def _product(rng: random.Random) -> Fact:
    a: Number = rng.randint(2, 99) * rng.choice((1, 1, 10))
    b: Number = rng.randint(2, 9) * rng.choice((1, 1, 10, 100))
    return f"{a} * {b}", mul(a, b)


def _remainder(rng: random.Random) -> Fact:
    divisor, quotient = rng.choice(_DIVISORS), rng.randint(0, 12)
    total = divisor * quotient + rng.randrange(divisor)
    return f"{total} mod {divisor}", f"{mul(divisor, quotient)}\n{sub(total, divisor * quotient)}"


def _quotient(rng: random.Random) -> Fact:
    divisor, quotient = rng.choice(_DIVISORS), rng.randint(1, 10 ** rng.randint(1, 3))
    return f"{divisor * quotient} / {divisor}", div(divisor * quotient, divisor)


def _digit(rng: random.Random) -> Fact:
    """The first digit of a long division and what it leaves: the step in which most divisions go wrong."""
    divisor, digits = rng.choice(_DIVISORS), rng.randint(2, 4)
    quotient = Decimal(rng.randint(10 ** (digits - 1), 10**digits - 1)).scaleb(-rng.randint(0, 2))
    total, first = quotient * divisor, places(quotient)[0] * divisor
    money = "." in show(total) and rng.random() < 0.5
    asked = f"{show(total, money)} / {divisor}"
    parts = [first, total - first] if total > first else [first]
    return f"start {asked}", f"{asked} = " + " + ".join(f"{show(part, money)} / {divisor}" for part in parts)


def _sorted(rng: random.Random) -> Fact:
    values = close_numbers(rng, 3)
    return f"{', '.join(map(show, values))} in ascending order", "\n".join(placed(values, rising=True))


_FACTS = (_sum, _sum, _difference, _difference, _comparison, _product, _remainder, _quotient, _digit, _digit, _sorted)
_HEADS = ("Work out each line:\n{}", "One line for each:\n{}", "{}\nGive each result.")


def drill(rng: random.Random) -> Row:
    """Facts of one kind, or of all kinds."""
    kind = rng.choice(_FACTS)
    mixed = rng.random() < 0.3
    facts = [(rng.choice(_FACTS) if mixed else kind)(rng) for _ in range(ITEMS)]
    asked, lines = zip(*facts, strict=True)
    return literal(rng.choice(_HEADS).format("\n".join(asked)), "\n".join(lines), "drill", kind.__name__)


def with_drills(rng: random.Random, stream: Iterator[Row]) -> Iterator[Row]:
    """The stream with drills between its rows: SHARE of all rows."""
    while True:
        yield drill(rng) if rng.random() < SHARE else next(stream)
