"""Schedules for the larger starter: starts, ends, breaks, shifts, travel, tables of departures, every-n-minutes, weeks.

The smaller starter never sees these. Times are worked in minutes after midnight, as its own clock rows are.
"""

# ruff: noqa: E501 - a phrasing stays on one line
import random
from collections.abc import Callable

from recipes.starters.text_data.dates import WEEKDAYS, clock, from_minutes, to_minutes
from recipes.starters.text_data.grammar import say
from recipes.starters.text_data.row import FIRST, Row, calculation, invented_word
from synth.math.working import add, div, mul, running_sum, sub
from synth.scoring.names import EXACT

_EVENT = "[meeting|film|lesson|match|class|concert|talk|party|course|exam|play|show|call|workshop|visit|appointment]"
_RIDE = "[train|bus|boat|coach|tram|plane|ferry|taxi|van]"
_HEAD = "A[|n early| late| long| short| local] "


def _length(rng: random.Random, minutes: int) -> tuple[str, list[str]]:
    """A duration as minutes or as hours and minutes, and the lines that turn it into minutes."""
    hours, rest = divmod(minutes, 60)
    if hours and rng.random() < 0.5:
        if not rest:
            return f"{hours} hour" + ("s" if hours > 1 else ""), [mul(hours, 60)]
        text = rng.choice(
            [f"{hours} h {rest} min", f"{hours} hours {rest} minutes", f"{hours} hours and {rest} minutes"]
        )
        return text, [mul(hours, 60), add(hours * 60, rest)]
    return rng.choice([f"{minutes} minutes", f"{minutes} min"]), []


def _exact(row: Row) -> Row:
    return row._replace(scorer=EXACT)


_END = (
    _HEAD
    + _EVENT
    + " [starts|begins|opens] at {s} and [lasts|takes|goes on for|runs for] {d}. [When does it end?|When is it over?|At what time does it finish?|End time?]",
    "{n} [starts|begins] [work|to cook|a run|to paint|to read|homework] at {s} and needs {d}. [When is {n} done|At what time does {n} finish]?",
    _HEAD
    + _RIDE
    + " [leaves|departs|starts|sets off] at {s}. The [trip|ride|way|journey] takes {d}. [When does it arrive|When is it there|Arrival]?",
    "[Start|Begin|Departure]: {s}\n[Duration|Length|Travel time]: {d}\n[End|Arrival|Finish]?",
    "{s} + {d} = [what time|which time|?]",
)
_START = (
    _HEAD
    + _EVENT
    + " [ends|is over|finishes] at {e} [after|and lasted] {d}. [When did it start?|Start time?|At what time did it begin?]",
    "{n} must be [there|at work|home|at school] at {e} and [needs|takes] {d}[ to get there| for the way|]. When must {n} [leave|set off|start]?",
    _HEAD + _RIDE + " [arrives|gets in] at {e} after [a ride of|] {d}. [When did it leave?|Departure time?]",
    "[End|Arrival]: {e}\n[Duration|Travel time]: {d}\n[Start|Departure]?",
)
_LAST = (
    _HEAD
    + _EVENT
    + " [starts|begins] at {s} and [ends|is over|finishes] at {e}. [How long is it|How many minutes does it last|Duration] in minutes?",
    _HEAD
    + _RIDE
    + " [leaves|departs] at {s} and [arrives|gets there] at {e}. How [long|many minutes] is [the ride|the trip|it under way], in minutes?",
    "{n} [works|sleeps|reads|drives|plays] from {s} [to|until|till] {e}. [How many minutes is that|Minutes]?",
    "[From|Start|Departure] {s}, [to|end|arrival] {e}. [Minutes|Duration in minutes|How many minutes]?",
)


def span(rng: random.Random) -> Row:
    """End, start or length of one stretch of time."""
    start, length = rng.randrange(300, 1260, rng.choice([1, 5, 5, 15])), rng.randrange(5, 300, rng.choice([1, 5, 5]))
    if start + length >= 1440:
        start -= 300
    end = start + length
    shown, worked = _length(rng, length)
    kind = rng.randrange(3)
    n = rng.choice(FIRST)
    if kind == 0:
        lines = [*to_minutes(start), *worked, add(start, length), *from_minutes(end)]
        text = say(rng, rng.choice(_END), n=n, s=clock(start), d=shown)
        return _exact(calculation(text, lines, clock(end), "span", "end"))
    if kind == 1:
        lines = [*to_minutes(end), *worked, sub(end, length), *from_minutes(start)]
        text = say(rng, rng.choice(_START), n=n, e=clock(end), d=shown)
        return _exact(calculation(text, lines, clock(start), "span", "start"))
    lines = [*to_minutes(start), *to_minutes(end), sub(end, start)]
    return calculation(
        say(rng, rng.choice(_LAST), n=n, s=clock(start), e=clock(end)), lines, str(length), "span", "last"
    )


_PARTS = (
    _HEAD
    + _EVENT
    + " starts at {s}. It has [parts|pieces|stages] of {l}[,| and] with [breaks|pauses] of {b} in between. When does it end?",
    "{n} [starts|begins] at {s}: {l}[, in this order|]. When is {n} done?",
    _HEAD + _RIDE + " leaves at {s}. [Legs|Stages|Parts]: {l}. [When does it arrive|Arrival]?",
    "[Start|Begin]: {s}\n[Steps|Parts|Tasks]: {l}\n[End|Finish|Done at]?",
)


def parts(rng: random.Random) -> Row:
    """Several stretches one after the other, with or without breaks."""
    start = rng.randrange(300, 1000, 5)
    lengths = [rng.randrange(5, 90, 5) for _ in range(rng.randint(2, 4))]
    form = rng.choice(_PARTS)
    pause = rng.choice([5, 10, 15, 20]) if "{b}" in form else 0
    names = rng.sample(
        ["reading", "cooking", "cleaning", "lunch", "a walk", "writing", "shopping", "a call", "sport"], len(lengths)
    )
    named = rng.random() < 0.5 and not pause
    shown = [f"{name} {length} min" if named else f"{length} min" for name, length in zip(names, lengths, strict=True)]
    lines, total = running_sum(lengths), sum(lengths)
    if pause:
        gaps = len(lengths) - 1
        lines += [mul(gaps, pause), add(total, gaps * pause)]
        total += gaps * pause
    end = start + total
    lines += [*to_minutes(start), add(start, total), *from_minutes(end)]
    text = say(rng, form, n=rng.choice(FIRST), s=clock(start), l=", ".join(shown), b=f"{pause} minutes")
    return _exact(calculation(text, lines, clock(end), "parts", f"{len(lengths)}.{bool(pause)}"))


_SHIFT = (
    "{n} [works|is at work|has a shift] from {s} [to|until] {e} with a [break|pause|lunch break] of {b} minutes. [How many minutes of work is that|How long does {n} really work, in minutes]?",
    "[Shift|Work]: {s} - {e}\n[Break|Pause]: {b} min\n[Working time in minutes|Minutes worked]?",
    "A [shift|working day] [starts|begins] at {s} and ends at {e}. {b} minutes are [unpaid|a break]. How many minutes [are paid|count]?",
)
_SHIFT_END = (
    "{n} [starts|begins] at {s}, must work {d} and has a [break|pause] of {b} minutes. When [can {n} go home|does {n} finish]?",
    "[Start]: {s}\n[Work|Task]: {d}\n[Break|Pause]: {b} min\n[End|Finish]?",
    _HEAD
    + _RIDE
    + " leaves at {s}, is {d} under way and [stands|waits|stops] {b} minutes [on the way|at a border]. When does it arrive?",
    _HEAD
    + _RIDE
    + " [should arrive after|takes] {d}, starting at {s}, but is {b} minutes late. When does it [come|arrive]?",
)


def shift(rng: random.Random) -> Row:
    """Working time less a break, and the end of a stretch with a break or a delay."""
    start, work, pause = (
        rng.randrange(300, 780, 5),
        rng.randrange(60, 480, 5),
        rng.choice([5, 10, 15, 20, 30, 40, 45, 60]),
    )
    end = start + work + pause
    n = rng.choice(FIRST)
    if rng.random() < 0.5:
        lines = [*to_minutes(start), *to_minutes(end), sub(end, start), sub(end - start, pause)]
        text = say(rng, rng.choice(_SHIFT), n=n, s=clock(start), e=clock(end), b=pause)
        return calculation(text, lines, str(work), "shift", "length")
    shown, worked = _length(rng, work)
    lines = [*worked, add(work, pause), *to_minutes(start), add(start, work + pause), *from_minutes(end)]
    text = say(rng, rng.choice(_SHIFT_END), n=n, s=clock(start), d=shown, b=pause)
    return _exact(calculation(text, lines, clock(end), "shift", "end"))


_WEEK = (
    "{n} works {h} hours [a|per|each] day, {d} days a week. How many hours [is that in|are] {w} weeks?",
    "[Hours a day]: {h}\n[Days a week]: {d}\n[Weeks]: {w}\n[Total hours]?",
    "A [course|class|club] [meets|takes place] {d} times a week for {h} hours. How many hours in {w} weeks?",
)
_LIST = (
    "{n} worked {l}. How many hours [in all|together|that week]?",
    "[Hours|Time sheet|Working hours]:\n{t}\n[Total|Sum|How many hours]?",
)
_RATE_DAYS = (
    "A [job|task|project|wall|report] needs {t} hours. {n} [works|can work] {h} hours a day. How many days does it take?",
    "[Work to do]: {t} h\n[Per day]: {h} h\n[Days]?",
    "{n} reads {h} pages a day. How many days [are needed|does it take] for {t} pages?",
)


def week(rng: random.Random) -> Row:
    """Hours over days and weeks, a time sheet, days that a job takes."""
    h, d, w, n = rng.randint(1, 12), rng.randint(2, 6), rng.randint(2, 12), rng.choice(FIRST)
    kind = rng.randrange(3)
    if kind == 0:
        lines = [mul(h, d), mul(h * d, w)]
        return calculation(say(rng, rng.choice(_WEEK), n=n, h=h, d=d, w=w), lines, str(h * d * w), "week", "weeks")
    if kind == 1:
        hours = [rng.randint(1, 12) for _ in range(rng.randint(3, 5))]
        days = WEEKDAYS[: len(hours)]
        listed = ", ".join(f"{hour} h on {day}" for hour, day in zip(hours, days, strict=True))
        table = "\n".join(f"{day}: {hour}" for hour, day in zip(hours, days, strict=True))
        text = say(rng, rng.choice(_LIST), n=n, l=listed, t=table)
        return calculation(text, running_sum(hours), str(sum(hours)), "week", "sheet")
    text = say(rng, rng.choice(_RATE_DAYS), n=n, h=h + 1, t=(h + 1) * w * d)
    return calculation(text, [div((h + 1) * w * d, h + 1)], str(w * d), "week", "days")


_EVERY = (
    "A " + _RIDE + " leaves every {k} minutes, the first at {s}. [When does the {o} one leave?|Departure of the {o}?]",
    "[First|Start]: {s}, [then|and again] every {k} minutes. [Time of the {o}|When is the {o}]?",
    "{n} takes a pill every {k} minutes, first at {s}. When is the {o} one?",
)
_ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth"}
_NEXT = (
    "[Departures|Times|Buses|Trains]: {l}\n{n} is [there|at the stop|ready] at {a}. [Which one is next?|When does the next one leave?]",
    "[Departures|The bus goes at|Trains leave at] {l}. It is {a}. [What is the next departure|When is the next one]?",
)
_WAIT = (
    "[Departures|Times]: {l}\n{n} [comes|arrives] at {a}. How many minutes [must {n} wait|until the next one]?",
    "[Buses go|Trains leave] at {l}. {n} is there at {a}. [How long is the wait|Waiting time] in minutes?",
)


def departures(rng: random.Random) -> Row:
    """Every so many minutes; the next of a list of departures, and the wait for it."""
    n = rng.choice(FIRST)
    if rng.random() < 0.4:
        first, every, count = (
            rng.randrange(300, 1000, 5),
            rng.choice([5, 8, 10, 12, 15, 20, 25, 30, 40, 45]),
            rng.randint(2, 8),
        )
        end = first + (count - 1) * every
        lines = [
            sub(count, 1),
            mul(count - 1, every),
            *to_minutes(first),
            add(first, (count - 1) * every),
            *from_minutes(end),
        ]
        text = say(rng, rng.choice(_EVERY), n=n, k=every, s=clock(first), o=_ORDINALS[count])
        return _exact(calculation(text, lines, clock(end), "departures", "every"))
    times = sorted(rng.sample(range(360, 1300, 5), rng.randint(3, 5)))
    place = rng.randrange(1, len(times))
    now = rng.randint(times[place - 1] + 1, times[place] - 1)
    listed = ", ".join(map(clock, times))
    seen = [f"{clock(time)} is {'before' if time < now else 'after'} {clock(now)}" for time in times[: place + 1]]
    if rng.random() < 0.5:
        return _exact(
            calculation(
                say(rng, rng.choice(_NEXT), n=n, l=listed, a=clock(now)),
                seen,
                clock(times[place]),
                "departures",
                "next",
            )
        )
    lines = [*seen, *to_minutes(now), *to_minutes(times[place]), sub(times[place], now)]
    text = say(rng, rng.choice(_WAIT), n=n, l=listed, a=clock(now))
    return calculation(text, lines, str(times[place] - now), "departures", "wait")


def plan(rng: random.Random) -> Row:
    """A small programme in lines or a table; the end of one entry, or the minutes of all."""
    at = rng.randrange(420, 900, 5)
    entries = []
    for _ in range(rng.randint(2, 4)):
        length = rng.randrange(10, 95, 5)
        entries.append((invented_word(rng), at, length))
        at += length + rng.choice([0, 5, 10])
    shape = rng.randrange(3)
    forms = ("{t} {n} ({d} min)", "{n} | {t} | {d}", "{n}: starts {t}, lasts {d} minutes")
    table = "\n".join(forms[shape].format(n=name, t=clock(time), d=length) for name, time, length in entries)
    if shape == 1:
        table = "name | start | minutes\n" + table
    if rng.random() < 0.5:
        name, time, length = rng.choice(entries)
        lines = [*to_minutes(time), add(time, length), *from_minutes(time + length)]
        text = say(rng, "{t}\n[When does {n} end?|When is {n} over?|End of {n}?]", t=table, n=name)
        return _exact(calculation(text, lines, clock(time + length), "plan", "end"))
    lengths = [length for _, _, length in entries]
    text = say(rng, "{t}\n[How many minutes are all together?|Total minutes?|Sum of the minutes?]", t=table)
    return calculation(text, running_sum(lengths), str(sum(lengths)), "plan", "sum")


SCHEDULES: dict[str, tuple[tuple[Callable[[random.Random], Row], float], ...]] = {
    "span": ((span, 6),), "parts": ((parts, 3),), "shift": ((shift, 4),), "week": ((week, 3),),
    "departures": ((departures, 4),), "plan": ((plan, 2),),
}  # fmt: skip
