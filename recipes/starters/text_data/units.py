"""Units: length, weight, volume and time changed from one unit to another, and sums of mixed units."""

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from recipes.starters.text_data.row import FIRST, Row, calculation, pick
from synth.math.working import add, div, mul, show, sub
from synth.scoring.names import EXACT


class Unit(NamedTuple):
    """A large unit, a small unit, how many small make a large, and things measured so."""

    large: tuple[str, ...]
    small: tuple[str, ...]
    factor: int


UNITS = (
    Unit(("km", "kilometres", "kilometers"), ("m", "metres", "meters"), 1000),
    Unit(("kg", "kilograms"), ("g", "grams"), 1000),
    Unit(("l", "litres", "liters"), ("ml", "millilitres"), 1000),
    Unit(("m", "metres"), ("cm", "centimetres"), 100),
    Unit(("cm", "centimetres"), ("mm", "millimetres"), 10),
    Unit(("hours", "h"), ("minutes", "min"), 60),
    Unit(("minutes", "min"), ("seconds", "s"), 60),
    Unit(("days",), ("hours", "h"), 24),
    Unit(("weeks",), ("days",), 7),
    Unit(("dozen",), ("pieces",), 12),
    Unit(("tonnes", "t"), ("kg", "kilograms"), 1000),
)
_CONVERT = (
    "How many {t} are {a} {f}?",
    "Convert {a} {f} to {t}.",
    "{a} {f} in {t}?",
    "Express {a} {f} in {t}.",
    "{a} {f} = ? {t}",
    "Change {a} {f} into {t}.",
    "What is {a} {f} in {t}?",
    "Write {a} {f} as {t}.",
)


def convert(rng: random.Random) -> Row:
    """One amount to the smaller or the larger unit."""
    unit = rng.choice(UNITS)
    decimal = unit.factor in (10, 100, 1000)
    amount = Decimal(rng.randint(1, 60))
    if decimal and rng.random() < 0.6:
        amount = Decimal(rng.randint(1, 9999)).scaleb(-rng.randint(1, 3))
    elif unit.factor == 60 and rng.random() < 0.4:
        amount = Decimal(rng.randint(0, 12)) + rng.choice([Decimal("0.5"), Decimal("0.25"), Decimal("0.75")])
    small, ask = amount * unit.factor, pick(rng, _CONVERT)
    large_name, small_name = rng.choice(unit.large), rng.choice(unit.small)
    if rng.random() < 0.5:
        text = ask.text.format(a=show(amount), f=large_name, t=small_name)
        return calculation(text, [mul(amount, unit.factor)], show(small), "units", f"down{unit.factor}.{ask.place}")
    text = ask.text.format(a=show(small), f=small_name, t=large_name)
    return calculation(text, [div(small, unit.factor)], show(amount), "units", f"up{unit.factor}.{ask.place}")


def mixed(rng: random.Random) -> Row:
    """`3 km 250 m` in metres, and 3,250 m as whole km and the metres over."""
    unit = rng.choice(UNITS[:9])
    large, rest = rng.randint(1, 20), rng.randint(1, unit.factor - 1)
    names = {"f": rng.choice(unit.large), "t": rng.choice(unit.small)}
    whole = large * unit.factor
    if rng.random() < 0.6:
        ask = pick(
            rng,
            (
                "How many {t} are {a} {f} and {b} {t}?",
                "Convert {a} {f} {b} {t} to {t}.",
                "{a} {f} {b} {t} in {t}?",
                "Write {a} {f} and {b} {t} in {t} only.",
            ),
        )
        lines = [mul(large, unit.factor), add(whole, rest)]
        text = ask.text.format(a=large, b=rest, **names)
        return calculation(text, lines, str(whole + rest), "mixed_units", f"join{ask.place}")
    ask = pick(
        rng,
        (
            "Split {a} {t} into {f} and {t}.",
            "Write {a} {t} as {f} and {t}.",
            "{a} {t} in {f} and {t}?",
            "How many whole {f} and how many {t} over are {a} {t}?",
        ),
    )
    lines = [mul(large, unit.factor), sub(whole + rest, whole)]
    text = ask.text.format(a=whole + rest, **names)
    row = calculation(text, lines, f"{large} {names['f']} {rest} {names['t']}", "mixed_units", f"split{ask.place}")
    return row._replace(scorer=EXACT)


def measured(rng: random.Random) -> Row:
    """Two amounts in different units, added, compared or repeated; the answer in the smaller unit."""
    unit = rng.choice(UNITS[:7])
    large, small = rng.randint(1, 12), rng.randint(1, unit.factor * 2)
    names = {"n": rng.choice(FIRST), "f": rng.choice(unit.large), "t": rng.choice(unit.small)}
    whole = large * unit.factor
    kind = rng.randrange(3)
    lines = [mul(large, unit.factor)]
    forms: Sequence[str]
    if kind == 0:
        forms = (
            "{n} adds {a} {f} to {b} {t}. How many {t} is that?",
            "What is {a} {f} plus {b} {t} in {t}?",
            "{a} {f} and another {b} {t}: how many {t} together?",
        )
        lines.append(add(whole, small))
        value = whole + small
    elif kind == 1:
        small = rng.randint(1, whole - 1)
        forms = (
            "From {a} {f}, {n} takes {b} {t}. How many {t} are left?",
            "How many {t} are missing from {b} {t} to {a} {f}?",
            "What is {a} {f} minus {b} {t} in {t}?",
        )
        lines.append(sub(whole, small))
        value = whole - small
    else:
        small = rng.choice([d for d in range(2, 61) if whole % d == 0])
        forms = (
            "{n} cuts {a} {f} into parts of {b} {t}. How many parts are there?",
            "How many times does {b} {t} fit into {a} {f}?",
        )
        lines.append(div(whole, small))
        value = whole // small
    form = pick(rng, forms)
    text = form.text.format(a=large, b=small, **names)
    return calculation(text, lines, str(value), "measured", f"{kind}.{form.place}")
