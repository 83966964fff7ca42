"""Word problems of the everyday kind: collections that change, equal groups, sharing, comparing, ages, distances.

A story is put together from an opening, one to four events and a question, each in many phrasings.
"""

import random
from collections.abc import Sequence

from recipes.starters.text_data.row import FIRST, THINGS, Row, calculation, invented_name, pick, two
from synth.math.working import add, div, mul, running_sum, sub

_OPEN = (
    "{n} has {a} {o}.",
    "{n} had {a} {o}.",
    "{n} starts with {a} {o}.",
    "There are {a} {o} in {n}'s box.",
    "At first {n} has {a} {o}.",
    "{n} owns {a} {o}.",
    "{n} collected {a} {o}.",
    "In {n}'s bag there are {a} {o}.",
    "{n} keeps {a} {o} on a shelf.",
    "{a} {o} belong to {n}.",
)
_GAIN = (
    "{n} gets {b} more.",
    "{m} gives {n} {b} {o}.",
    "Then {n} finds {b} {o}.",
    "{n} buys {b} more {o}.",
    "{b} {o} are added.",
    "{n} wins another {b}.",
    "After that {n} receives {b} {o} from {m}.",
    "{n} picks up {b} more.",
    "A friend brings {b} {o}.",
    "{n} makes {b} new {o}.",
)
_LOSE = (
    "{n} gives {b} to {m}.",
    "{n} loses {b} of them.",
    "Then {b} {o} are taken away.",
    "{n} sells {b} {o}.",
    "{m} borrows {b} of the {o}.",
    "{n} throws away {b}.",
    "{b} of the {o} break.",
    "{n} uses {b} {o}.",
    "After that {n} hands {b} {o} to {m}.",
    "{b} {o} fall out.",
)
_DOUBLE = ("The number of {o} then doubles.", "{n} now gets as many again.", "Then the amount is doubled.")
_GROUPS = (
    "{n} gets {c} bags with {b} {o} each.",
    "{m} brings {c} boxes of {b} {o}.",
    "{n} buys {c} packs, each with {b} {o}.",
    "Then {c} friends each give {n} {b} {o}.",
    "For {c} days {n} finds {b} {o} a day.",
)
_NOW = (
    "How many {o} does {n} have now?",
    "How many {o} are there now?",
    "How many {o} does {n} have in the end?",
    "What is the number of {o} now?",
    "How many are there in total?",
    "How many {o} remain with {n}?",
    "How many now?",
    "Find how many {o} {n} has.",
    "Tell me the final number of {o}.",
    "So how many {o} are there?",
)
_NOISE = (
    "It is a sunny day.",
    "{m} watches.",
    "{n} is {z} years old.",
    "{n} also has {z} chairs.",
    "{m} lives at number {z}.",
    "The box is blue.",
    "They met at {z} o'clock.",
    "The road is {z} km long.",
)


def story(rng: random.Random) -> Row:
    """An amount and one to four changes, now and then with a sentence that does not matter."""
    names = {"n": invented_name(rng), "m": rng.choice(FIRST), "o": rng.choice(THINGS)}
    amount = rng.randint(1, rng.choice([20, 99, 500]))
    opening = pick(rng, _OPEN)
    texts, lines, shape = [opening.text.format(a=amount, **names)], [], f"o{opening.place}"
    for _ in range(rng.choice([1, 1, 2, 2, 3, 4])):
        kind = rng.choice(["gain", "lose", "gain", "lose", "double", "groups"])
        if kind == "lose" and amount > 1:
            event, change = pick(rng, _LOSE), rng.randint(1, amount)
            texts.append(event.text.format(b=change, **names))
            lines.append(sub(amount, change))
            amount -= change
        elif kind == "double" and 0 < amount < 500:
            event = pick(rng, _DOUBLE)
            texts.append(event.text.format(**names))
            lines.append(mul(amount, 2))
            amount *= 2
        elif kind == "groups":
            event, count, each = pick(rng, _GROUPS), rng.randint(2, 9), rng.randint(2, 25)
            texts.append(event.text.format(b=each, c=count, **names))
            lines += [mul(count, each), add(amount, count * each)]
            amount += count * each
        else:
            kind, event, change = "gain", pick(rng, _GAIN), rng.randint(1, rng.choice([20, 99]))
            texts.append(event.text.format(b=change, **names))
            lines.append(add(amount, change))
            amount += change
        shape += f"-{kind[0]}{event.place}"
    if rng.random() < 0.25:
        noise = rng.choice(_NOISE).format(z=rng.randint(2, 60), **names)
        texts.insert(rng.randint(1, len(texts)), noise)
    question = pick(rng, _NOW)
    texts.append(question.text.format(**names))
    return calculation(" ".join(texts), lines, str(amount), "story", f"{shape}-q{question.place}")


_CONTAINERS = [
    "bags",
    "boxes",
    "baskets",
    "jars",
    "shelves",
    "rows",
    "tables",
    "rooms",
    "cars",
    "trays",
    "packs",
    "teams",
    "drawers",
    "crates",
    "trees",
]
_EQUAL = (
    "There are {a} {k} with {b} {o} each. How many {o} are there?",
    "{n} has {a} {k}. Each holds {b} {o}. How many {o} in all?",
    "Each of {a} {k} contains {b} {o}. What is the total number of {o}?",
    "{n} fills {a} {k} with {b} {o} in each. How many {o} does {n} use?",
    "If one of the {k} holds {b} {o}, how many {o} do {a} {k} hold?",
    "{a} {k}, {b} {o} in each: how many {o}?",
    "{n} counts {b} {o} in every one of {a} {k}. Find the number of {o}.",
)
_LOOSE = (
    "There are {a} {k} with {b} {o} each and {c} loose {o}. How many {o}?",
    "{n} has {a} {k} of {b} {o} and another {c} {o}. How many {o} altogether?",
    "Besides {c} single {o}, {n} has {a} {k} with {b} {o} each. How many {o} are there?",
)
_TAKEN = (
    "There are {a} {k} with {b} {o} each. {c} {o} are taken out. How many {o} are left?",
    "{n} packs {a} {k} of {b} {o} and gives away {c} {o}. How many remain?",
    "From {a} {k} with {b} {o} in each, {n} uses {c} {o}. How many {o} are still there?",
)
_TWO_KINDS = (
    "{n} has {a} {k} of {b} {o} and {c} {k} of {d} {o}. How many {o} altogether?",
    "There are {a} {k} with {b} {o} each and {c} {k} with {d} {o} each. What is the total?",
)


def groups(rng: random.Random) -> Row:
    """Equal groups; also with loose things, things taken out, or two sizes of group."""
    a, b, c, d = rng.randint(2, 30), rng.randint(2, 60), rng.randint(2, 12), rng.randint(2, 30)
    words = {"n": invented_name(rng), "k": rng.choice(_CONTAINERS), "o": rng.choice(THINGS)}
    kind = rng.randrange(4)
    lines, total = [mul(a, b)], a * b
    if kind == 1:
        c = rng.randint(1, 99)
        lines.append(add(total, c))
        total += c
    elif kind == 2:
        c = rng.randint(1, total)
        lines.append(sub(total, c))
        total -= c
    elif kind == 3:
        lines += [mul(c, d), add(total, c * d)]
        total += c * d
    form = pick(rng, (_EQUAL, _LOOSE, _TAKEN, _TWO_KINDS)[kind])
    text = form.text.format(a=a, b=b, c=c, d=d, **words)
    return calculation(text, lines, str(total), "groups", f"{kind}.{form.place}")


_SHARE = (
    "{n} shares {t} {o} equally among {a} friends. How many does each get?",
    "{t} {o} are put into {a} {k}, the same number in each. How many {o} are in one?",
    "{a} children divide {t} {o} equally. How many {o} for each child?",
    "{n} packs {t} {o} in {k} of {a}. How many {k} are needed?",
    "How many {k} of {a} {o} can {n} make from {t} {o}?",
    "{t} {o} in {a} equal rows: how many in a row?",
)
_SHARE_AFTER = (
    "{n} has {s} {o}, keeps {c} and shares the rest equally among {a} friends. How many does each friend get?",
    "Of {s} {o}, {c} are broken. {n} puts the others into {a} {k} equally. How many {o} are in each?",
)
_SHARE_TOGETHER = (
    "{n} has {u} {o} and {m} has {v}. They put them together and share them among {a} people. How many does each get?",
    "{n} brings {u} {o}, {m} brings {v} {o}. All are packed in {a} equal {k}. How many {o} per pack?",
)


def sharing(rng: random.Random) -> Row:
    """Equal sharing, after taking something away or putting two amounts together."""
    n, m = two(rng, FIRST)
    a, each = rng.randint(2, 12), rng.randint(2, 60)
    total = a * each
    words = {"n": n, "m": m, "k": rng.choice(_CONTAINERS), "o": rng.choice(THINGS)}
    values = {"a": a, "t": total}
    kind = rng.choice([0, 0, 1, 2])
    lines = [div(total, a)]
    if kind == 1:
        values["c"] = rng.randint(1, 50)
        values["s"] = total + values["c"]
        lines.insert(0, sub(values["s"], values["c"]))
    elif kind == 2:
        values["u"] = rng.randint(1, total - 1)
        values["v"] = total - values["u"]
        lines.insert(0, add(values["u"], values["v"]))
    form = pick(rng, (_SHARE, _SHARE_AFTER, _SHARE_TOGETHER)[kind])
    return calculation(form.text.format(**words, **values), lines, str(each), "sharing", f"{kind}.{form.place}")


_MORE = (
    "{n} has {a} {o}. {m} has {b} more than {n}. How many {o} does {m} have?",
    "{m} has {b} more {o} than {n}, who has {a}. How many has {m}?",
)
_FEWER = (
    "{n} has {a} {o}. {m} has {b} fewer. How many {o} does {m} have?",
    "{m} has {b} {o} less than {n}. {n} has {a}. How many {o} has {m}?",
)
_TIMES = (
    "{n} has {b} {o}. {m} has {c} times as many. How many {o} does {m} have?",
    "{m} owns {c} times as many {o} as {n}, who owns {b}. How many {o} does {m} own?",
)
_APART = (
    "{n} has {a} {o} and {m} has {b}. How many more {o} does {n} have than {m}?",
    "{m} counted {b} {o}, {n} counted {a}. What is the difference?",
    "How many fewer {o} than {n} does {m} have if {n} has {a} and {m} has {b}?",
)
_TOGETHER = " How many do they have together?", " What is their total?", " How many {o} do both have altogether?"


def comparing(rng: random.Random) -> Row:
    """More, fewer, times as many, the difference; half of them then ask for both together."""
    n, m = two(rng, FIRST)
    words = {"n": n, "m": m, "o": rng.choice(THINGS)}
    a, b, c = rng.randint(2, 300), rng.randint(2, 99), rng.randint(2, 9)
    a, b = max(a, b), min(a, b)
    kind = rng.randrange(4)
    form = pick(rng, (_MORE, _FEWER, _TIMES, _APART)[kind])
    text = form.text.format(a=a, b=b, c=c, **words)
    first = b if kind == 2 else a
    line, value = ((add(a, b), a + b), (sub(a, b), a - b), (mul(c, b), c * b), (sub(a, b), a - b))[kind]
    lines, template = [line], f"{kind}.{form.place}"
    if kind < 3 and rng.random() < 0.5:
        end = pick(rng, _TOGETHER)
        text = text[: text.rindex("How many")].rstrip() + end.text.format(**words)
        lines.append(add(first, value))
        value += first
        template += f".t{end.place}"
    return calculation(text, lines, str(value), "comparing", template)


_AGES: Sequence[tuple[str, str]] = (
    ("{n} is {a} years old. How old will {n} be in {b} years?", "+"),
    ("In {b} years, how old is {n}, who is {a} now?", "+"),
    ("{n} is {a} years old. How old was {n} {b} years ago?", "-"),
    ("{n} is {a}. {m} is {b} years older. How old is {m}?", "+"),
    ("{m} is {b} years younger than {n}, who is {a}. How old is {m}?", "-"),
    ("{n} is {a} and {m} is {b}. How many years older is {n}?", "-"),
    ("{n} is {b} years old. {m} is {c} times as old. How old is {m}?", "*"),
    ("{n} is {a} and {m} is {b} years old. What is the sum of their ages?", "+"),
)


def ages(rng: random.Random) -> Row:
    """Ages now, later and before."""
    n, m = two(rng, FIRST)
    a, b, c = rng.randint(20, 80), rng.randint(2, 19), rng.randint(2, 5)
    index = rng.randrange(len(_AGES))
    form, sign = _AGES[index]
    line, value = {"+": (add(a, b), a + b), "-": (sub(a, b), a - b), "*": (mul(b, c), b * c)}[sign]
    text = form.format(n=n, m=m, a=a, b=b, c=c)
    return calculation(text, [line], str(value), "ages", str(index))


_LEGS = (
    "{n} walks {x} km and then {y} km. How far does {n} go?",
    "From A to B it is {x} km, from B to C {y} km. How far is it from A to C by way of B?",
    "{n} swims {x} m on one day and {y} m on the next. What is the total distance?",
    "A rope of {x} m and one of {y} m are tied together. How long is the new rope?",
)
_REST = (
    "A trip is {x} km long. {n} has gone {y} km. How many km are left?",
    "{n} must walk {x} m and has walked {y} m. How far is it still?",
    "From a rope of {x} m, {n} cuts {y} m. How much is left?",
)
_DAYS = (
    "{n} runs {y} km a day for {d} days. How many km is that?",
    "Each day {n} cycles {y} km. How far does {n} cycle in {d} days?",
    "A pool is {y} m long. {n} swims {d} lengths. How many m does {n} swim?",
)


def distances(rng: random.Random) -> Row:
    """Lengths and trips: sums of legs, what is left, the same way each day."""
    n = rng.choice(FIRST)
    x, y, d = rng.randint(5, 900), rng.randint(2, 400), rng.randint(2, 30)
    forms: Sequence[str]
    kind = rng.randrange(4)
    if kind == 0:
        lines, value, forms = [add(x, y)], x + y, _LEGS
    elif kind == 1:
        x, y = max(x, y) + 1, min(x, y)
        lines, value, forms = [sub(x, y)], x - y, _REST
    elif kind == 2:
        y = rng.randint(2, 60)
        lines, value, forms = [mul(y, d)], y * d, _DAYS
    else:
        legs = [rng.randint(2, 400) for _ in range(rng.randint(3, 4))]
        form = pick(rng, ("{n} drives {l} km. How many km in total?", "A hike has parts of {l} km. How long is it?"))
        text = form.text.format(n=n, l=", ".join(map(str, legs[:-1])) + f" and {legs[-1]}")
        return calculation(text, running_sum(legs), str(sum(legs)), "distances", f"3.{form.place}")
    form = pick(rng, forms)
    return calculation(form.text.format(n=n, x=x, y=y, d=d), lines, str(value), "distances", f"{kind}.{form.place}")
