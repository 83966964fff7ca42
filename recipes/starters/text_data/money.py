"""Money in everyday shops: price times count, two things, change, splitting, coins, saving.

Bills with line items, rebates or levies are left to those who tune the starter: it must not know them.
"""

import random
from collections.abc import Sequence
from decimal import Decimal

from recipes.starters.text_data.arithmetic import quantity
from recipes.starters.text_data.row import FIRST, THINGS, Row, calculation, pick, two
from synth.math.working import add, div, mul, running_sum, show, sub


def price(rng: random.Random, digits: int = 2) -> Decimal:
    """A price: whole, with tens of cents, with .99 and the like, or any cents."""
    kind = rng.randrange(4)
    if kind == 0:
        return quantity(rng, digits)
    if kind == 1:
        return quantity(rng, digits, 1)
    if kind == 2:
        return Decimal(rng.randint(0, 10**digits - 1)) + rng.choice([Decimal("0.99"), Decimal("0.95"), Decimal("0.50")])
    return quantity(rng, digits, 2)


_TAGS = ("${}", "${}", "${}", "{} dollars", "{} euros", "€{}", "{}")


def tags(rng: random.Random, values: Sequence[Decimal]) -> list[str]:
    """Prices as one shop writes them: one currency, cents always or only where needed."""
    form, always = rng.choice(_TAGS), rng.random() < 0.3
    return [form.format(f"{value:.2f}" if always else show(value, money=True)) for value in values]


_EACH = (
    "One of the {o} costs {p}. How much do {c} cost?",
    "{n} buys {c} {o} at {p} each. How much does {n} pay?",
    "What do {c} {o} cost at {p} apiece?",
    "{c} {o} at {p}?",
    "The price of one is {p}. {n} takes {c}. What is the total?",
    "{c} x {p}",
    "{n} pays {p} for each of {c} {o}. How much is that?",
    "{o}: {p} each, {c} pieces. Cost?",
)
_TWO = (
    "{n} buys one thing for {p} and one for {q}. How much is that?",
    "A pen costs {p}, a book {q}. What do both cost?",
    "{n} spends {p} in the morning and {q} at night. How much in all?",
    "{p} and {q} together?",
)
_CHANGE = (
    "{n} pays with {q} for something that costs {p}. How much change?",
    "It costs {p}. {n} gives {q}. What comes back?",
    "{n} has {q} and spends {p}. How much money is left?",
    "What is left of {q} after paying {p}?",
)
_SPLIT = (
    "{c} friends share {p} equally. How much does each get?",
    "{p} is split among {c} people. How much each?",
    "{c} {o} cost {p}. How much is one?",
    "{n} paid {p} for {c} {o}. What is the price of one?",
)
_EACH_AND = (
    "{n} buys {c} {o} at {p} each and a bag for {q}. How much is it?",
    "{c} {o} cost {p} each, a box costs {q} more. What does {n} pay?",
    "{n} takes {c} {o} for {p} each, and also one thing for {q}. Find the total.",
)
_EACH_CHANGE = (
    "{n} buys {c} {o} at {p} each and pays with {q}. How much change does {n} get?",
    "{c} {o} cost {p} each. {n} has {q}. How much is left after buying them?",
)
_SAVE = (
    "{n} saves {p} a week. How much is that after {c} weeks?",
    "{n} earns {p} a day. What does {n} earn in {c} days?",
    "{n} puts {p} in a jar every day for {c} days. How much is in the jar?",
)


def shop(rng: random.Random) -> Row:
    """One or two steps with prices; answers with cents have two decimals."""
    p, q = price(rng), price(rng)
    c = Decimal(rng.randint(2, rng.choice([9, 12, 40])))
    kind = rng.randrange(7)
    forms: Sequence[str]
    if kind == 0:
        forms, lines, value = _EACH, [mul(p, c, True)], p * c
    elif kind == 1:
        forms, lines, value = _TWO, [add(p, q, True)], p + q
    elif kind == 2:
        q = rng.choice([v for v in map(Decimal, (5, 10, 20, 50, 100, 200)) if v > p]) if rng.random() < 0.7 else p + q
        forms, lines, value = _CHANGE, [sub(q, p, True)], q - p
    elif kind == 3:
        c = Decimal(rng.randint(2, 12))
        forms, lines, value, p = _SPLIT, [div(p * c, c, True)], p, p * c
    elif kind == 4:
        forms, lines, value = _EACH_AND, [mul(p, c, True), add(p * c, q, True)], p * c + q
    elif kind == 5:
        c = Decimal(rng.randint(2, 9))
        q = (p * c // 10 + rng.randint(1, 3)) * 10
        forms, lines, value = _EACH_CHANGE, [mul(p, c, True), sub(q, p * c, True)], q - p * c
    else:
        forms, lines, value = _SAVE, [mul(p, c, True)], p * c
    form = pick(rng, forms)
    shown = tags(rng, (p, q))
    text = form.text.format(n=rng.choice(FIRST), o=rng.choice(THINGS), c=c, p=shown[0], q=shown[1])
    return calculation(text, lines, show(value, money=True), "money", f"{kind}.{form.place}")


def cents(rng: random.Random) -> Row:
    """Dollars to cents and back, and what a handful of coins is worth."""
    amount = price(rng)
    kind = rng.randrange(3)
    if kind == 0:
        form = pick(rng, ("How many cents are {a}?", "{a} in cents", "Convert {a} to cents."))
        text, lines, value = form.text.format(a=f"${show(amount, True)}"), [mul(amount, 100, True)], amount * 100
    elif kind == 1:
        form = pick(rng, ("How many dollars are {a} cents?", "{a} cents in dollars", "Write {a} cents as dollars."))
        text, lines, value = form.text.format(a=show(amount * 100)), [div(amount * 100, 100, True)], amount
    else:
        (a, b), (x, y) = rng.sample([1, 2, 5, 10, 20, 25, 50], 2), (rng.randint(2, 12), rng.randint(2, 12))
        form = pick(
            rng,
            (
                "{n} has {x} coins of {a} cents and {y} coins of {b} cents. How many cents is that?",
                "What are {x} coins of {a} cents and {y} coins of {b} cents worth in cents?",
            ),
        )
        text = form.text.format(n=rng.choice(FIRST), a=a, b=b, x=x, y=y)
        lines, value = [mul(x, a), mul(y, b), add(x * a, y * b)], Decimal(x * a + y * b)
    return calculation(text, lines, show(value, money=True), "cents", f"{kind}.{form.place}")


def purse(rng: random.Random) -> Row:
    """Several amounts spent or received one after the other."""
    n, m = two(rng, FIRST)
    amounts = [price(rng) for _ in range(rng.randint(3, 4))]
    shown = tags(rng, amounts)
    if rng.random() < 0.5:
        form = pick(
            rng,
            (
                "{n} spends {l}. How much in all?",
                "{n} gets {l} from {m}. What is the sum?",
                "What do things for {l} cost together?",
            ),
        )
        text = form.text.format(n=n, m=m, l=", ".join(shown[:-1]) + f" and {shown[-1]}")
        lines, value = running_sum(amounts, True), sum(amounts, Decimal(0))
        return calculation(text, lines, show(value, money=True), "purse", f"sum{form.place}")
    start = sum(amounts[1:], Decimal(0)) + amounts[0]
    first, *shown = tags(rng, [start, *amounts[1:]])
    lines, left = [], start
    for value in amounts[1:]:
        lines.append(sub(left, value, True))
        left -= value
    form = pick(rng, ("{n} has {s} and spends {l}. What is left?", "From {s}, {n} pays {l}. How much remains?"))
    text = form.text.format(n=n, s=first, l=", then ".join(shown))
    return calculation(text, lines, show(left, money=True), "purse", f"left{form.place}")
