"""Comparisons: which number is larger or smaller, largest and smallest of a list, putting in order.

The working is explicit: pairs for two numbers, one running winner for a list, one insertion a line for an order.
"""

import random
from bisect import insort
from collections.abc import Sequence
from decimal import Decimal

from recipes.starters.text_data.row import FIRST, Row, calculation, pick
from synth.math.working import show, sub
from synth.scoring.names import EXACT


def close_numbers(rng: random.Random, count: int) -> list[Decimal]:
    """Different numbers of one kind: small, large, close together, or decimals."""
    kind = rng.randrange(4)
    drawn: set[Decimal] = set()
    base, decimals = rng.randint(10, 900), rng.randint(1, 2)
    while len(drawn) < count:
        if kind == 0:
            drawn.add(Decimal(rng.randint(0, 99)))
        elif kind == 1:
            drawn.add(Decimal(rng.randint(0, 999)))
        elif kind == 2:
            drawn.add(Decimal(base + rng.randint(0, 20)))
        else:
            drawn.add(Decimal(rng.randint(1, 999)).scaleb(-decimals))
    values = list(drawn)
    rng.shuffle(values)
    return values


def padded(values: list[Decimal]) -> list[str]:
    """The same number of decimals for all, as one writes them under each other to compare."""
    decimals = max(max(0, -int(value.normalize().as_tuple().exponent)) for value in values)
    return [f"{value:.{decimals}f}" for value in values]


def which(rng: random.Random) -> Row:
    """The larger or smaller of two numbers, and who has more."""
    a, b = close_numbers(rng, 2)
    want = rng.choice(["larger", "smaller"])
    n, m = rng.sample(FIRST, 2)
    synonyms = {"larger": ["larger", "greater", "bigger", "higher"], "smaller": ["smaller", "lower", "less"]}
    word = rng.choice(synonyms[want])
    ask = pick(
        rng,
        (
            "Which is {w}: {a} or {b}?",
            "Which number is {w}, {a} or {b}?",
            "Is {a} or {b} the {w} number?",
            "{a} or {b}: which is {w}?",
            "Compare {a} and {b}. Which one is {w}?",
            "Name the {w} of {a} and {b}.",
            "{n} has {a} points and {m} has {b}. Whose number is {w}? Give the number.",
        ),
    )
    first, second = padded([a, b])
    answer = max(a, b) if want == "larger" else min(a, b)
    line = f"{first} {'<' if a < b else '>'} {second}"
    text = ask.text.format(w=word, a=show(a), b=show(b), n=n, m=m)
    return calculation(text, [line], show(answer), "which", f"{want}{ask.place}")


def extreme(rng: random.Random) -> Row:
    """The largest or smallest of three to five numbers; each line compares the best so far with the next."""
    values = close_numbers(rng, rng.randint(3, 5))
    want = rng.choice(["largest", "smallest"])
    synonyms = {
        "largest": ["largest", "greatest", "biggest", "highest", "maximum"],
        "smallest": ["smallest", "lowest", "least", "minimum"],
    }
    ask = pick(
        rng,
        (
            "What is the {w} of {l}?",
            "Which of these numbers is the {w}: {l}?",
            "Find the {w} number: {l}",
            "{l}. Which is {w}?",
            "From the list {l} give the {w}.",
            "The {w} value in {l} is?",
        ),
    )
    best, lines = values[0], []
    for value in values[1:]:
        first, second = padded([best, value])
        lines.append(f"{first} {'<' if best < value else '>'} {second}")
        best = max(best, value) if want == "largest" else min(best, value)
    text = ask.text.format(w=rng.choice(synonyms[want]), l=", ".join(map(show, values)))
    return calculation(text, lines, show(best), "extreme", f"{want}{ask.place}")


def spread(rng: random.Random) -> Row:
    """The difference of the larger and the smaller of two amounts, whichever comes first."""
    a, b = close_numbers(rng, 2)
    n, m = rng.sample(FIRST, 2)
    ask = pick(
        rng,
        (
            "How far apart are {a} and {b}?",
            "{n} scored {a}, {m} scored {b}. By how much do they differ?",
            "What is the gap between {a} and {b}?",
            "One day it was {a} degrees, the next {b}. How big was the change?",
        ),
    )
    text = ask.text.format(a=show(a), b=show(b), n=n, m=m)
    large, small = max(a, b), min(a, b)
    return calculation(text, [sub(large, small)], show(large - small), "spread", str(ask.place))


def placed(values: Sequence[Decimal], rising: bool) -> list[str]:
    """Insertion: each line puts the next number among those before it, so that every step is a comparison of two."""
    ordered, lines = [values[0]], []
    for value in values[1:]:
        insort(ordered, value, key=lambda number: number if rising else -number)
        lines.append(", ".join(map(show, ordered)))
    return lines


def order(rng: random.Random) -> Row:
    """Three or four numbers from small to large or back."""
    left = close_numbers(rng, rng.choice((3, 3, 4)))
    rising = rng.random() < 0.6
    up = ("from smallest to largest", "in ascending order", "from low to high", "in increasing order")
    down = ("from largest to smallest", "in descending order", "from high to low", "in decreasing order")
    ask = pick(
        rng, ("Put these numbers {w}: {l}", "Sort {l} {w}.", "Write {l} {w}.", "Order {w}: {l}", "Arrange {l} {w}.")
    )
    way = pick(rng, up if rising else down)
    text = ask.text.format(w=way.text, l=", ".join(map(show, left)))
    lines = placed(left, rising)
    row = calculation(text, lines, lines[-1], "order", f"{ask.place}.{way.place}")
    return row._replace(scorer=EXACT)
