"""Rates and mixtures for the larger starter: unit prices, speed, filling, work and pay, ratios, blends, dilution.

The smaller starter never sees these.
"""

# ruff: noqa: E501 - a phrasing stays on one line
import random
from collections.abc import Callable
from decimal import Decimal

from recipes.starters.text_data.grammar import say
from recipes.starters.text_data.money import price
from recipes.starters.text_data.row import FIRST, Row, calculation, two
from synth.math.working import Number, add, div, mul, show, sub

_STUFF = [
    "rice",
    "flour",
    "sugar",
    "coffee",
    "tea",
    "nuts",
    "cheese",
    "paint",
    "oil",
    "honey",
    "seed",
    "sand",
    "wire",
    "cloth",
    "rope",
    "butter",
    "meat",
    "fish",
]
_MEASURES = ["kg", "litre", "metre", "bag", "pound", "roll", "pack", "bottle", "sack"]


def _row(
    rng: random.Random, form: str, lines: list[str], answer: Number, family: str, kind: str, **values: object
) -> Row:
    text = say(rng, form, n=rng.choice(FIRST), **values)
    return calculation(text, lines, show(answer, money=family != "solution"), family, kind)


_UNIT_COST = (
    "{a} {u}s of {s} cost ${t}. [What|How much] do {b} {u}s cost?",
    "[If|When] {a} {u}s of {s} [cost|are] {t} dollars, [what is the price of|how much are] {b} {u}s?",
    "{n} [pays|paid|gives] ${t} for {a} {u}s of {s}. [At the same price|At this rate], what [would|do] {b} {u}s cost?",
    "[Price|Cost] of {a} {u}s: ${t}\n[Price|Cost] of {b} {u}s?",
    "{a} {u}s -> ${t}; {b} {u}s -> ?",
)
_UNIT_ONE = (
    "{a} {u}s of {s} cost ${t}. [What is the price per {u}?|How much is one {u}?|Find the cost of one {u}.]",
    "[Unit price|Price per {u}] if {a} {u}s cost ${t}?",
)
_UNIT_MANY = (
    "{s} [costs|is sold at|sells for|is] ${p} [per|a|for each] {u}. [How much|What] do {b} {u}s cost?",
    "[At|With a price of] ${p} per {u}, {b} {u}s of {s} [cost how much|come to what]?",
    "{n} [needs|buys|wants] {b} {u}s of {s} at ${p} per {u}. [What does {n} pay|Total cost]?",
)


def unit_cost(rng: random.Random) -> Row:
    """Price of some units, of one, and of other amounts at the same rate."""
    a, b = rng.sample(range(2, 25), 2)
    p = price(rng, 1) if rng.random() < 0.5 else Decimal(rng.randint(1, 30))
    words = {
        "s": rng.choice(_STUFF),
        "u": rng.choice(_MEASURES),
        "a": a,
        "b": b,
        "t": show(a * p, True),
        "p": show(p, True),
    }
    kind = rng.randrange(4)
    if kind < 2:
        lines = [div(a * p, a, True), mul(p, b, True)]
        return _row(rng, rng.choice(_UNIT_COST), lines, p * b, "unit_cost", "other", **words)
    if kind == 2:
        return _row(rng, rng.choice(_UNIT_ONE), [div(a * p, a, True)], p, "unit_cost", "one", **words)
    return _row(rng, rng.choice(_UNIT_MANY), [mul(p, b, True)], p * b, "unit_cost", "many", **words)


_WHO = "A [car|train|bus|van|truck|cyclist|boat|plane|coach|tram|runner|rider]"
_SPEED = (
    ("d", _WHO + " [goes|drives|travels|moves] at {v} km/h for {t} hours. [How far does it get?|What distance is that?|How many km?]"),
    ("d", "[Speed|Pace]: {v} km per hour\n[Time|Duration]: {t} h\n[Distance|Way]?"),
    ("d", "[How far|How many kilometres] [can|does] {n} [drive|ride|go] in {t} hours at {v} [km/h|km per hour|kilometres an hour]?"),
    ("v", _WHO + " [covers|makes|does|goes] {d} km in {t} hours. [What is its speed|How fast is it|Average speed in km/h|How many km per hour is that]?"),
    ("v", "[Distance|Way] {d} km, time {t} hours. [Speed|Average speed][?| in km/h?]"),
    ("v", "{n} needs {t} hours for {d} km. How many km per hour [is that|does {n} make]?"),
    ("t", _WHO + " [goes|drives|travels] {d} km at {v} km/h. [How long|How many hours] [does it take|is it on the way]?"),
    ("t", "[Distance|Route]: {d} km; speed: {v} km/h; [time|hours needed]?"),
    ("t", "How many hours does {n} need for {d} km at {v} [km/h|km per hour]?"),
)  # fmt: skip


def speed(rng: random.Random) -> Row:
    """Distance, speed or time from the other two."""
    v, t = rng.choice([rng.randint(3, 25), rng.randint(4, 24) * 5]), rng.randint(2, 12)
    want, form = rng.choice(_SPEED)
    d = v * t
    line, answer = {"d": (mul(v, t), d), "v": (div(d, t), v), "t": (div(d, v), t)}[want]
    return _row(rng, form, [line], answer, "speed", want, v=v, t=t, d=d)


_LEGS = (
    _WHO
    + " goes {a} km in {s} hours and then {b} km in {t} hours. [What is the average speed of the whole trip?|Average speed overall?|How many km/h is that on average?]",
    "[Leg|Part|Stage] 1: {a} km, {s} h\n[Leg|Part|Stage] 2: {b} km, {t} h\n[Average speed|Mean speed in km/h]?",
    "{n} [drives|rides|walks] {s} hours for {a} km and, after that, {t} hours for {b} km. [Find|What is] the [mean|average] speed.",
)
_LEGS_BY_SPEED = (
    _WHO
    + " goes {s} hours at {v} km/h and {t} hours at {w} km/h. [How far is that|What is the total distance|How many km in all]?",
    "{n} [drives|rides] {s} h at {v} km/h, then {t} h at {w} km/h. [Total distance|Kilometres altogether]?",
)
_LEGS_MEAN = (
    _WHO + " goes {s} hours at {v} km/h and {t} hours at {w} km/h. [What is the average speed|Find the mean speed]?",
    "{s} hours at {v} km/h, {t} hours at {w} km/h: [average speed|what is the mean speed]?",
)


def two_legs(rng: random.Random) -> Row:
    """Average speed over two parts (whole distance over whole time), and the whole distance."""
    s, t = rng.randint(1, 6), rng.randint(1, 6)
    v, w = rng.randint(2, 20) * 5, rng.randint(2, 20) * 5
    kind = rng.randrange(3)
    total = s * v + t * w
    if kind != 1:
        while total % (s + t):
            w += 5
            total = s * v + t * w
    words = {"s": s, "t": t, "v": v, "w": w, "a": s * v, "b": t * w}
    mean = [add(s, t), div(total, s + t)]
    if kind == 0:
        lines = [add(s * v, t * w), *mean]
        return _row(rng, rng.choice(_LEGS), lines, total // (s + t), "two_legs", "mean", **words)
    lines = [mul(v, s), mul(w, t), add(s * v, t * w)]
    if kind == 1:
        return _row(rng, rng.choice(_LEGS_BY_SPEED), lines, total, "two_legs", "distance", **words)
    return _row(rng, rng.choice(_LEGS_MEAN), [*lines, *mean], total // (s + t), "two_legs", "mean2", **words)


_FLOW = (
    ("out", "A [pump|tap|machine|printer|worker|robot|pipe] [makes|gives|does|delivers] {v} [litres|pieces|pages|parts] [a|per|each|every] minute. How many in {t} minutes?"),
    ("out", "[Output|Rate]: {v} [pieces|litres|units] per hour\n[Hours|Running time]: {t}\n[Total|Amount]?"),
    ("time", "A [tank|pool|basin|barrel] holds {d} litres. A [pump|hose|tap|pipe] [fills|brings|gives] {v} litres [a|per] minute. [How long|How many minutes] [does it take to fill it|until it is full]?"),
    ("time", "At {v} [pieces|pages|parts] [an|per] hour, how many hours do {d} [pieces|pages|parts] take?"),
    ("time", "[Amount|Volume]: {d} l; [flow|rate]: {v} l/min; [time|minutes]?"),
    ("rate", "{d} [litres|pieces|pages] [in|take] {t} minutes. How many [is that per minute|a minute]?"),
    ("both", "One [pump|tap|worker|machine] does {v} [litres|pieces] a minute, another {w}. [Together|Both running], how long do they need for {e} [litres|pieces]?"),
    ("both", "Two [pipes|printers|workers]: {v} and {w} per [minute|hour]. [Time for|How long for] {e} together?"),
    ("leak", "A [tap|pump] brings {x} litres a minute, but {w} litres a minute [leak out|are lost|flow out]. How many minutes to get {d} litres?"),
    ("team", "{k} [workers|machines|people] each [make|do|pack] {v} [pieces|boxes|parts] an hour. How many do they [make|do] in {t} hours?"),
)  # fmt: skip


def flow(rng: random.Random) -> Row:
    """Work and filling: amount, time, rate; two together; a leak; a team."""
    v, w, t, k = rng.randint(2, 60), rng.randint(2, 40), rng.randint(2, 30), rng.randint(2, 9)
    want, form = rng.choice(_FLOW)
    d, e, x = v * t, (v + w) * t, v + w
    found: dict[str, tuple[list[str], int]] = {
        "out": ([mul(v, t)], d), "time": ([div(d, v)], t), "rate": ([div(d, t)], v),
        "both": ([add(v, w), div(e, v + w)], t), "leak": ([sub(x, w), div(d, v)], t),
        "team": ([mul(k, v), mul(k * v, t)], k * d),
    }  # fmt: skip
    lines, answer = found[want]
    return _row(rng, form, lines, answer, "flow", want, v=v, w=w, t=t, k=k, d=d, e=e, x=x)


_PAY = (
    "{n} [earns|gets|is paid|makes] ${p} [an|per] hour and [works|worked] {h} hours. [How much is that|What is the pay|What does {n} earn]?",
    "[Hourly wage|Pay per hour|Rate]: ${p}\n[Hours|Hours worked]: {h}\n[Pay|Wage|Earned]?",
    "[Wage|Pay] for {h} hours at ${p} an hour?",
)
_PAY_EXTRA = (
    "{n} earns ${p} an hour for {h} hours and ${q} an hour for {x} [extra|overtime|night] hours. [What is the pay|How much in all]?",
    "[Normal|Regular]: {h} h at ${p}\n[Overtime|Extra]: {x} h at ${q}\n[Total pay|Wage]?",
)
_PAY_LESS = (
    "{n} [works|worked] {h} hours at ${p} an hour[,| and] ${f} [are|is] [kept back|deducted|taken] for [tools|food|clothes]. What [is left|does {n} get]?",
    "{h} hours * ${p}, minus ${f}. [Net pay|What remains]?",
)
_PAY_SET = (
    "A [plumber|mechanic|tutor|painter|gardener|taxi] [charges|asks|takes] ${f} [plus|and then] ${p} [an|per] hour. [What is the price of|How much for|What do] {h} hours[ cost|]?",
    "[Fixed fee|Call-out|Base price] ${f}, then ${p} per hour; {h} hours. [Total|Cost]?",
)


def pay(rng: random.Random) -> Row:
    """Hourly pay: plain, with dearer hours, with a deduction, with a fixed part."""
    p, h, x = Decimal(rng.randint(8, 45)), rng.randint(2, 45), rng.randint(1, 10)
    if rng.random() < 0.3:
        p += Decimal("0.50")
    q, f = p + rng.randint(2, 20), rng.randint(5, 15)
    words = {"p": show(p, True), "q": show(q, True), "h": h, "x": x, "f": f}
    base = [mul(p, h, True)]
    kind = rng.randrange(4)
    if kind == 0:
        return _row(rng, rng.choice(_PAY), base, p * h, "pay", "plain", **words)
    if kind == 1:
        lines = [*base, mul(q, x, True), add(p * h, q * x, True)]
        return _row(rng, rng.choice(_PAY_EXTRA), lines, p * h + q * x, "pay", "extra", **words)
    if kind == 2:
        return _row(rng, rng.choice(_PAY_LESS), [*base, sub(p * h, f, True)], p * h - f, "pay", "less", **words)
    return _row(rng, rng.choice(_PAY_SET), [*base, add(p * h, f, True)], p * h + f, "pay", "set", **words)


_PURE = (
    "[How much|How many litres of] {s} [is|are] in {a} litres of a {p}% {s} [solution|mixture]?",
    "A [jar|can|bottle|tank] holds {a} litres with {p}% {s}. [How many litres of {s} is that?|Amount of {s}?]",
    "[Volume|Amount]: {a} l\n[Strength|Share of {s}]: {p}%\n[Pure {s}|Litres of {s}]?",
)
_JOIN = (
    "{a} litres [of a|with] {p}% {s} [solution|mix|] are [mixed with|added to|poured into] {b} litres [of a|with] {q}%[ one|]. [How many per cent {s} has the result?|What is the new percentage?|Find the strength of the mixture.]",
    "[Can|Tank|Jar] A: {a} l, {p}% {s}\n[Can|Tank|Jar] B: {b} l, {q}% {s}\n[Percent of {s} after mixing?|Strength of both together?]",
    "{n} [mixes|blends] {a} l at {p}% and {b} l at {q}% {s}. [New strength in percent?|What concentration results?]",
)
_DILUTE = (
    "{b} litres of water are [added to|mixed with|poured into] {a} litres of a {p}% {s} solution. [What is the new percentage?|What strength has it now?|New concentration?]",
    "{a} l of {p}% {s} [plus|and] {b} l of water: [what percentage|how strong]?",
)


def solution(rng: random.Random) -> Row:
    """Strength of solutions: pure part, two joined, water added."""
    s = rng.choice(["salt", "acid", "sugar", "alcohol", "juice", "syrup", "vinegar", "bleach", "fat", "cream"])
    kind = rng.randrange(3)
    while True:
        a, b = rng.randint(1, 20), rng.randint(1, 20)
        p, q = rng.sample(range(5, 95, 5), 2)
        if kind == 2:
            q = 0
        if kind == 0 or (a * p + b * q) % (a + b) == 0:
            break
    words = {"s": s, "a": a, "b": b, "p": p, "q": q}
    if kind == 0:
        lines = [mul(a, p), div(a * p, 100)]
        return _row(rng, rng.choice(_PURE), lines, Decimal(a * p) / 100, "solution", "pure", **words)
    total = a * p + b * q
    lines = [mul(a, p)] if kind == 2 else [mul(a, p), mul(b, q), add(a * p, b * q)]
    lines += [add(a, b), div(total, a + b)]
    return _row(
        rng, rng.choice(_DILUTE if kind == 2 else _JOIN), lines, total // (a + b), "solution", str(kind), **words
    )


_BLEND_COST = (
    "{a} kg of {s} at ${p} [per|a] kg [and|are mixed with] {b} kg at ${q}[ per kg|]. [What does the [blend|mix] cost per kg?|Price of one kg of the [mix|blend]?]",
    "{n} [blends|mixes] {a} kg [costing|worth] ${p} a kg with {b} kg [costing|worth] ${q} a kg. [Cost per kg of the mixture|What is one kg worth]?",
    "[Kind|Sort] A: {a} kg, ${p}/kg\n[Kind|Sort] B: {b} kg, ${q}/kg\n[Price per kg of the blend|Blend per kg]?",
)
_BLEND_TOTAL = (
    "{n} [blends|mixes|buys] {a} kg of {s} at ${p} a kg and {b} kg at ${q} a kg. [What does it all cost?|Total cost of the [blend|mix]?]",
    "{a} kg at ${p} and {b} kg at ${q} [per kg|a kilo]: total [price|cost|value]?",
)


def blend(rng: random.Random) -> Row:
    """The cost of a blend of two sorts, whole or per kilogram."""
    per = rng.random() < 0.6
    while True:
        a, b, p, q = rng.randint(1, 15), rng.randint(1, 15), rng.randint(1, 30), rng.randint(1, 30)
        total = a * p + b * q
        if not per or (total % (a + b) == 0 and p != q):
            break
    lines = [mul(a, p), mul(b, q), add(a * p, b * q)]
    words = {"s": rng.choice(_STUFF), "a": a, "b": b, "p": p, "q": q}
    if not per:
        return _row(rng, rng.choice(_BLEND_TOTAL), lines, total, "blend", "total", **words)
    lines += [add(a, b), div(total, a + b)]
    return _row(rng, rng.choice(_BLEND_COST), lines, total // (a + b), "blend", "per", **words)


_RATIO = (
    "{x} and {y} are mixed [in the ratio|as|in parts of] {a}:{b}. [In|For] {t} [litres|kg|g] [of it|of the mix|altogether], how much {w} is [there|needed]?",
    "[Ratio|Parts] {x} to {y}: {a} : {b}\n[Total|Whole]: {t}\n[{w}|Amount of {w}]?",
    "{n} [shares|splits|divides] {t} into {x} and {y} in the ratio {a} to {b}. How much is {w}?",
)
_RATIO_OTHER = (
    "[For every|To each] {a} [cups|parts|litres|kg] of {x} [one takes|there are|go|come] {b} of {y}. [With|For] {m} of {x}, how much {y}?",
    "[Recipe|Mix|Formula]: {a} {x} to {b} {y}. {n} has {m} {x}. How much {y} [is needed|goes with it]?",
)
_RECIPE = (
    "A recipe for {a} people [needs|takes|uses] {m} g of {x}. How many g [are needed|does one need] for {b} people?",
    "{m} g of {x} [are enough|serve|do] for {a} [persons|people|guests]. For {b}, how many grams?",
)


def ratio(rng: random.Random) -> Row:
    """Mixtures by parts: one part of a whole, the other part, recipes for more people."""
    x, y = two(
        rng,
        [
            "sand",
            "cement",
            "water",
            "juice",
            "flour",
            "sugar",
            "red paint",
            "white paint",
            "oil",
            "vinegar",
            "gravel",
            "milk",
            "rice",
            "syrup",
        ],
    )
    a, b, part = rng.randint(1, 9), rng.randint(1, 9), rng.randint(2, 25)
    kind = rng.randrange(3)
    if kind == 0:
        first = rng.random() < 0.5
        total = (a + b) * part
        lines = [add(a, b), div(total, a + b), mul(part, a if first else b)]
        words = {"x": x, "y": y, "a": a, "b": b, "t": total, "w": x if first else y}
        return _row(rng, rng.choice(_RATIO), lines, part * (a if first else b), "ratio", "whole", **words)
    if kind == 1:
        lines = [div(a * part, a), mul(part, b)]
        return _row(rng, rng.choice(_RATIO_OTHER), lines, part * b, "ratio", "other", x=x, y=y, a=a, b=b, m=a * part)
    a, part = rng.randint(2, 8), rng.randint(2, 60)
    lines = [div(a * part, a), mul(part, b)]
    return _row(rng, rng.choice(_RECIPE), lines, part * b, "ratio", "recipe", x=x, a=a, b=b, m=a * part)


RATES: dict[str, tuple[tuple[Callable[[random.Random], Row], float], ...]] = {
    "unit_cost": ((unit_cost, 3),), "speed": ((speed, 3),), "two_legs": ((two_legs, 3),), "flow": ((flow, 4),),
    "pay": ((pay, 3),), "solution": ((solution, 4),), "blend": ((blend, 3),), "ratio": ((ratio, 3),),
}  # fmt: skip
