"""More for the larger starter: levels that rise and fall, blocks of time divided up, change from bills, idle sentences.

The smaller starter never sees these.
"""

# ruff: noqa: E501 - a phrasing stays on one line
import random
from collections.abc import Callable

from recipes.starters.text_data.dates import clock, from_minutes, to_minutes
from recipes.starters.text_data.fewshot import Generator
from recipes.starters.text_data.grammar import say
from recipes.starters.text_data.row import FIRST, Row, calculation, two
from synth.math.working import add, div, mul, sub
from synth.scoring.names import EXACT

_GOODS = [
    "shirts",
    "bowls",
    "knives",
    "pans",
    "jackets",
    "maps",
    "puzzles",
    "pillows",
    "rugs",
    "frames",
    "clocks",
    "stools",
    "forks",
    "gloves",
    "belts",
    "radios",
]
_PLACE = "[tank|barrel|pool|basin|cistern|silo|bucket|reservoir|vat|lake]"
_UNIT = "[litres|l|gallons|cubic metres|kg]"
_UP = (
    "A "
    + _PLACE
    + " [holds|contains] {s} {u}. [Every|Each] [minute|hour] {v} {u} [are added|run in|come in|are pumped in]. [How much is in it|What is the level|How many {u} are inside] after {t} [minutes|hours]?",
    "{n} [has|owns|starts with] {s} [cards|coins|photos|euros|points] and [adds|gets|earns] {v} [a day|each week|every hour]. How many after {t} [days|weeks|hours]?",
    "[Level now|At first|Stock at the start]: {s}\n[Gain|Inflow|New] per hour: {v}\n[Hours]: {t}\n[Level then|Stock at the end|Result]?",
    "[After|In] {t} [days|hours] at {v} [a day|an hour], what becomes of {s}[, if it only grows|, growing]?",
)
_DOWN = (
    "A "
    + _PLACE
    + " [holds|contains] {s} {u}. [Every|Each] [minute|hour] {v} {u} [run out|are used|leak away|are lost|are pumped out]. [How much is left|What remains|How many {u} are inside] after {t} [minutes|hours]?",
    "{n} [has|starts with] {s} [pages to read|euros|stamps|eggs|sheets] and [uses|reads|spends|gives away] {v} [a day|each day]. [What is left|How many remain] after {t} days?",
    "[Level now|At first|Stock at the start]: {s}\n[Loss|Outflow|Used] per hour: {v}\n[Hours]: {t}\n[Level then|Stock at the end|Left]?",
)
_BOTH = (
    "A "
    + _PLACE
    + " with {s} {u} gets {v} {u} a minute for {t} minutes and [then |]loses {w} {u} a minute for {r} minutes. [What is in it now|Final level|How much does it hold then]?",
    "{n} [has|starts with] {s} [parts|letters|cakes|toys], makes {v} an hour for {t} hours and [sells|sends off|uses] {w} an hour for {r} hours. [How many are left|How many now]?",
    "[Start|At first]: {s}\n[In|Plus]: {v} [a|per] minute, {t} minutes\n[Out|Minus]: {w} [a|per] minute, {r} minutes\n[End|Final amount]?",
)
_TWO_IN = (
    "A "
    + _PLACE
    + " [holds|has] {s} {u}. One [hose|tap|pipe] adds {v} and another {w} {u} a minute. [How much is in it after|Level after] {t} minutes?",
    "[Start]: {s}\n[First|Source one]: {v} per hour\n[Second|Source two]: {w} per hour\n[Hours]: {t}\n[Amount at the end|End]?",
    "{n} and a friend have {s} [boxes|jars|letters] [ready|packed]. {n} [packs|fills] {v} an hour, the friend {w}. [How many are ready|What is the total] after {t} hours?",
)
_GOAL = (
    "A "
    + _PLACE
    + " [holds|has] {s} {u} and should [hold|have] {x}. {v} {u} come in a minute. [How many minutes|How long] does that take?",
    "{n} has {s} [euros|points|pages|cards] and wants {x}. [Each day|Every day|Per day] {n} gets {v}. How many days[ are needed|]?",
    "[Now|At present]: {s}; [goal|target|wanted]: {x}; [gain|rate]: {v} a day. [Days|How many days]?",
)


def level(rng: random.Random) -> Row:
    """A store that rises, falls, both, rises twice as it has two sources, or must reach a goal."""
    v, w, t, r = rng.randint(2, 30), rng.randint(2, 25), rng.randint(2, 12), rng.randint(2, 10)
    s = rng.randint(5, 150)
    kind = rng.randrange(5)
    u, n = say(rng, _UNIT).lower(), rng.choice(FIRST)
    if kind == 1:
        s += v * t
    if kind == 2:
        s += max(0, w * r - v * t)
    words = {"s": s, "u": u, "v": v, "w": w, "t": t, "r": r, "n": n, "x": s + v * t}
    form = rng.choice((_UP, _DOWN, _BOTH, _TWO_IN, _GOAL)[kind])
    rise = [mul(v, t), add(v * t, s)]
    lines, answer = {
        0: (rise, s + v * t),
        1: ([mul(v, t), sub(s, v * t)], s - v * t),
        2: ([*rise, mul(w, r), sub(s + v * t, w * r)], s + v * t - w * r),
        3: ([add(v, w), mul(v + w, t), add((v + w) * t, s)], s + (v + w) * t),
        4: ([sub(s + v * t, s), div(v * t, v)], t),
    }[kind]
    return calculation(say(rng, form, **words), lines, str(answer), "level", str(kind))


_ITEMS = "[visits|songs|rounds|patients|games|chapters|speeches|drives|baths|dances]"
_SLOT = (
    "{n} has {a} minutes and rests {b} of them. {k} "
    + _ITEMS
    + " of [equal|the same] length fill the rest. How [long|many minutes] is each?",
    "[Time|Whole time]: {a} min\n[Rest|Idle]: {b} min\n[Rounds|Pieces]: {k}\n[Minutes each|Length of one]?",
    "[Of|From] {a} minutes, {b} are lost. The others are [split|shared out|divided] into {k} equal [pieces|turns]. How many minutes [has|is] one?",
)
_LEFT = (
    "{n} has {a} minutes. {k} "
    + _ITEMS
    + " take {l} minutes each. [How many minutes are left|What time is left, in minutes]?",
    "[Time|Whole time]: {a} min; {k} [turns|pieces] of {l} min. [Left over|Rest|Free]?",
    "[How many|What number of] minutes [stay free|are unused] of {a} when {k} " + _ITEMS + " need {l} each?",
)
_LEFT_HOURS = (
    "{n} has {h} hours. {k} " + _ITEMS + " take {l} minutes each. How many minutes [are left|stay free|remain]?",
    "[Time|Open]: {h} h; {k} [turns|pieces] of {l} min. [Free minutes|Minutes left]?",
)
_GAPS = (
    "{k} "
    + _ITEMS
    + " of {l} minutes follow each other with {b} minutes [off|rest] after all but the last. [How long is that|How many minutes in all]?",
    "[Rounds|Turns]: {k}, {l} min each\n[Rest between two|Gap]: {b} min\n[Minutes from first to last|Whole time]?",
    "{n} does {k} "
    + _ITEMS
    + " of {l} minutes and rests {b} minutes between two of them. How many minutes [pass|does it last]?",
)
_ROW_END = (
    "{n} starts {k} "
    + _ITEMS
    + " of {l} minutes [each|] at {c}, one right after the other. When [is {n} ready|do they end]?",
    "[From|Begin]: {c}\n[Turns|Rounds]: {k} of {l} min\n[Ready at|Over at]?",
)
_OVER = (
    "A [walk|race|trip|concert] of {h} hours [takes|lasts|needs] {b} minutes [more|longer] than planned. How many minutes [is that|does it take]?",
    "{h} [h|hours] [and|plus] {b} [min|minutes]: [how many minutes|minutes in all]?",
)


def slots(rng: random.Random) -> Row:
    """A block of time shared out equally, what several pieces leave of it, pieces with gaps, the end of a row of them."""
    k, size, gap = rng.randint(2, 12), rng.randint(3, 60), rng.choice([5, 10, 12, 15, 20, 25, rng.randint(3, 30)])
    total, n, kind = k * size, rng.choice(FIRST), rng.randrange(6)
    words = {"n": n, "k": k, "l": size, "b": gap}
    if kind == 0:
        text = say(rng, rng.choice(_SLOT), a=total + gap, **words)
        return calculation(text, [sub(total + gap, gap), div(total, k)], str(size), "slots", "each")
    if kind == 1:
        rest = rng.randint(1, 90)
        text = say(rng, rng.choice(_LEFT), a=total + rest, **words)
        return calculation(text, [mul(k, size), sub(total + rest, total)], str(rest), "slots", "left")
    if kind == 2:
        hours = total // 60 + rng.randint(1, 3)
        lines = [mul(hours, 60), mul(k, size), sub(hours * 60, total)]
        text = say(rng, rng.choice(_LEFT_HOURS), h=hours, **words)
        return calculation(text, lines, str(hours * 60 - total), "slots", "left hours")
    if kind == 3:
        lines = [mul(k, size), sub(k, 1), mul(k - 1, gap), add(total, (k - 1) * gap)]
        return calculation(say(rng, rng.choice(_GAPS), **words), lines, str(total + (k - 1) * gap), "slots", "gaps")
    if kind == 4:
        start = rng.randrange(300, 1380 - total, 5)
        lines = [mul(k, size), *to_minutes(start), add(start, total), *from_minutes(start + total)]
        text = say(rng, rng.choice(_ROW_END), c=clock(start), **words)
        return calculation(text, lines, clock(start + total), "slots", "end")._replace(scorer=EXACT)
    hours = rng.randint(2, 12)
    lines = [mul(hours, 60), add(hours * 60, gap)]
    return calculation(say(rng, rng.choice(_OVER), h=hours, **words), lines, str(hours * 60 + gap), "slots", "over")


_BASKET = (
    "{n} [takes|picks|chooses] {a} {o} [for|at] ${p} [each|a piece]",
    "{a} {o} [cost|are] ${p} [each|a piece]",
    "{a} {o}, ${p} [each|a piece]",
)
_SECOND = (" and {b} {m} [for|at] ${q} [each|a piece]", ", also {b} {m} at ${q}[ each|]", " plus {b} {m} at ${q} each")
_EXTRA = {
    "": ("", "."),
    "off": (". [The clerk lowers it by|There is a gift card of|From this goes off] ${e}.",),
    "fee": (". [Bringing it home costs|The wrapping costs|Insurance is] ${e} [more|on top].",),
}
_CASH = (
    " {n} [puts down|pays with|gives] ${g}. [What does {n} get back|How much money comes back]?",
    " [Given|Money handed over]: ${g}. [Back|Money back]?",
    " How much [comes|is given] back from ${g}?",
)
_TO_PAY = (
    " [What does it make|How many dollars is that|What must {n} pay|What is the price of all]?",
    " [All together|Whole price|In all]?",
    " [Add it up|Give the whole price|Find what {n} spends].",
)


def basket(rng: random.Random) -> Row:
    """One or two kinds of goods, perhaps a rebate or an extra cost, then the price or the change."""
    (o, m), (a, b, p, q) = (
        two(rng, _GOODS),
        (rng.randint(2, 12), rng.randint(2, 12), rng.randint(2, 40), rng.randint(2, 40)),
    )
    both, extra = rng.random() < 0.55, rng.choice(["", "", "off", "fee"])
    total = a * p + (b * q if both else 0)
    e = rng.randint(1, min(20, total - 1))
    lines = [mul(a, p)] + ([mul(b, q), add(a * p, b * q)] if both else [])
    if extra:
        lines.append((sub if extra == "off" else add)(total, e))
        total += e if extra == "fee" else -e
    form = rng.choice(_BASKET) + (rng.choice(_SECOND) if both else "")
    form += rng.choice(_EXTRA[extra])
    form = form if form.endswith(".") else form + "."
    g = next(note for note in (50, 100, 200, 500, 1000, 2000) if note > total)
    change = rng.random() < 0.45
    form += rng.choice(_CASH if change else _TO_PAY)
    if change:
        lines.append(sub(g, total))
    text = say(rng, form, n=rng.choice(FIRST), a=a, b=b, o=o, m=m, p=p, q=q, e=e, g=g)
    return calculation(text, lines, str(g - total if change else total), "basket", f"{both}.{extra}.{change}")


_IDLE = (
    "{n} is {z} years old.", "There are {z} [trees|birds|dogs|cars] [outside|in the street|in the yard].", "[The|A] [building|street|park] is {z} years old.",
    "The [office|kitchen|hall] has {z} [windows|doors|lights].", "[Last year|Once] {n} won {z} [games|prizes].", "The weather is [fine|cold|bad].",
    "{n} lives on floor {z}.", "{z} people [watch|are near|live here].", "The next [town|shop] is {z} km away.", "It is {z} degrees.",
)  # fmt: skip


def noisy(generate: Generator) -> Generator:
    """The same generator with, in every fifth row of plain sentences, one sentence that does not matter."""

    def noised(rng: random.Random) -> Row:
        row = generate(rng)
        text = row.prompt[-1][1]
        if "\n" in text or ". " not in text or rng.random() > 0.22:
            return row
        idle = say(rng, rng.choice(_IDLE), n=rng.choice(FIRST), z=rng.randint(3, 60))
        places = [0, *(number + 2 for number in range(len(text)) if text.startswith(". ", number))]
        at = rng.choice(places)
        return row._replace(prompt=(("user", f"{text[:at]}{idle} {text[at:]}"),))

    return noised


MORE: dict[str, tuple[tuple[Callable[[random.Random], Row], float], ...]] = {
    "level": ((level, 6),),
    "slots": ((slots, 6),),
    "basket": ((basket, 8),),
}
