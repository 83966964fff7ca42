"""Dates and clock: minutes added to or between times, 12 and 24 hours, days added and between, weekdays, ISO dates."""

import datetime
import random
from collections.abc import Sequence

from recipes.starters.text_data.row import FIRST, Row, calculation, literal, pick
from synth.audio.forms import MONTHS
from synth.math.working import add, mul, sub
from synth.scoring.names import EXACT

WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def clock(minutes: int) -> str:
    """Minutes after midnight as `HH:MM`."""
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def to_minutes(minutes: int) -> list[str]:
    """Lines that turn a time of day into minutes after midnight."""
    hours, rest = divmod(minutes, 60)
    return [mul(hours, 60), add(hours * 60, rest)]


def from_minutes(minutes: int) -> list[str]:
    """Lines that turn minutes after midnight into hours and minutes, past midnight too."""
    lines = []
    if minutes >= 1440:
        lines.append(sub(minutes, 1440))
        minutes -= 1440
    hours = minutes // 60
    return [*lines, mul(hours, 60), sub(minutes, hours * 60)]


_LATER = (
    "What time is it {d} minutes after {t}?",
    "It is {t}. What time is it in {d} minutes?",
    "{t} plus {d} minutes",
    "Add {d} minutes to {t}.",
    "{n} starts at {t} and needs {d} minutes. When is {n} done?",
    "{t} + {d} min = ?",
)
_EARLIER = (
    "What time was it {d} minutes before {t}?",
    "It is {t}. What time was it {d} minutes ago?",
    "{t} minus {d} minutes",
    "Subtract {d} minutes from {t}.",
    "{n} is done at {t} after {d} minutes. When did {n} start?",
)
_BETWEEN = (
    "How many minutes are between {t} and {u}?",
    "From {t} to {u}: how many minutes?",
    "{n} sleeps from {t} to {u}. How many minutes?",
    "How long is it from {t} until {u} in minutes?",
    "Minutes from {t} to {u}",
)


def times(rng: random.Random) -> Row:
    """Add, subtract and measure minutes."""
    start = rng.randrange(1440)
    length = rng.randint(1, rng.choice([59, 150, 400]))
    n = rng.choice(FIRST)
    kind = rng.randrange(3)
    if kind == 0:
        form, end = pick(rng, _LATER), start + length
        lines = [*to_minutes(start), add(start, length), *from_minutes(end)]
        text, answer = form.text.format(n=n, t=clock(start), d=length), clock(end)
    elif kind == 1:
        start = max(start, length)
        form, end = pick(rng, _EARLIER), start - length
        lines = [*to_minutes(start), sub(start, length), *from_minutes(end)]
        text, answer = form.text.format(n=n, t=clock(start), d=length), clock(end)
    else:
        start = rng.randrange(1440 - length)
        end = start + length
        form = pick(rng, _BETWEEN)
        lines = [*to_minutes(start), *to_minutes(end), sub(end, start)]
        text, answer = form.text.format(n=n, t=clock(start), u=clock(end)), str(length)
    row = calculation(text, lines, answer, "times", f"{kind}.{form.place}")
    return row if kind == 2 else row._replace(scorer=EXACT)


def half_day(rng: random.Random) -> Row:
    """Between `3:05 pm` and `15:05`; twelve added or taken away stands in a line of its own."""
    minutes = rng.randrange(1440)
    hours, rest = divmod(minutes, 60)
    shown = (hours - 1) % 12 + 1
    short = f"{shown}:{rest:02d} {'am' if hours < 12 else 'pm'}"
    if rng.random() < 0.6:
        lines = [add(shown, 12)] if hours > 12 else []
        form = pick(rng, ("Write {t} in 24-hour time.", "{t} in 24-hour form?", "Convert {t} to 24-hour time."))
        text, answer, template = form.text.format(t=short), clock(minutes), f"24.{form.place}"
    else:
        lines = [sub(hours, 12)] if hours > 12 else []
        form = pick(rng, ("Write {t} with am or pm.", "{t} in 12-hour time?", "Convert {t} to 12-hour time."))
        text, answer, template = form.text.format(t=clock(minutes)), short, f"12.{form.place}"
    return calculation(text, lines, answer, "half_day", template)._replace(scorer=EXACT)


def _written(rng: random.Random, day: datetime.date) -> str:
    month = MONTHS[day.month - 1]
    return rng.choice(
        (
            day.isoformat(),
            f"{day.day} {month} {day.year}",
            f"{month} {day.day}, {day.year}",
            f"{day:%d/%m/%Y}",
            f"{day:%d.%m.%Y}",
        )
    )


def _day(rng: random.Random) -> datetime.date:
    return datetime.date(1980, 1, 1) + datetime.timedelta(days=rng.randrange(20000))


def _month_length(day: datetime.date) -> int:
    following = (day.replace(day=28) + datetime.timedelta(days=4)).replace(day=1)
    return (following - datetime.timedelta(days=1)).day


def iso(rng: random.Random) -> Row:
    """A date in any usual form, written as YYYY-MM-DD. Numbers with / or . are day first."""
    day = _day(rng)
    form = pick(
        rng,
        (
            "Write {d} as an ISO date.",
            "{d} in the form YYYY-MM-DD",
            "Convert {d} to YYYY-MM-DD.",
            "Give the date {d} in ISO format.",
            "ISO date of {d}?",
        ),
    )
    text = form.text.format(d=_written(rng, day))
    return literal(text, f"Answer: {day.isoformat()}", "iso_dates", str(form.place), day.isoformat())


def add_days(rng: random.Random) -> Row:
    """Up to 40 days after or before a date, with the lengths of the months passed."""
    day, count = _day(rng), rng.randint(1, 40)
    later = rng.random() < 0.6
    lines = [day.isoformat()]
    forms: Sequence[str]
    if later:
        number, at = day.day + count, day
        lines.append(add(day.day, count))
        while number > _month_length(at):
            length = _month_length(at)
            lines += [f"{MONTHS[at.month - 1]} {at.year} has {length} days", sub(number, length)]
            number, at = number - length, at.replace(day=1) + datetime.timedelta(days=length)
        end = day + datetime.timedelta(days=count)
        forms = (
            "What date is {c} days after {d}?",
            "{d} plus {c} days",
            "Add {c} days to {d}.",
            "{n} leaves on {d} and comes back {c} days later. On which date?",
            "Today is {d}. Which date is it in {c} days?",
        )
    else:
        end, number, at = day - datetime.timedelta(days=count), day.day, day
        while number <= count:
            at = at.replace(day=1) - datetime.timedelta(days=1)
            lines += [f"{MONTHS[at.month - 1]} {at.year} has {at.day} days", add(number, at.day)]
            number += at.day
        lines.append(sub(number, count))
        forms = (
            "What date is {c} days before {d}?",
            "{d} minus {c} days",
            "Subtract {c} days from {d}.",
            "Today is {d}. Which date was it {c} days ago?",
        )
    form = pick(rng, forms)
    text = form.text.format(c=count, d=_written(rng, day), n=rng.choice(FIRST))
    row = calculation(text, lines, end.isoformat(), "add_days", f"{later}{form.place}")
    return row._replace(scorer=EXACT)


def days_between(rng: random.Random) -> Row:
    """Days from one date to a later one, at most to the end of the next month."""
    day = _day(rng)
    length = _month_length(day)
    rest = length - day.day
    end = day + datetime.timedelta(days=rng.randint(1, rest + 28))
    lines = [f"{day.isoformat()} to {end.isoformat()}"]
    if end.month == day.month:
        lines.append(sub(end.day, day.day))
    else:
        lines += [f"{MONTHS[day.month - 1]} {day.year} has {length} days", sub(length, day.day), add(rest, end.day)]
    form = pick(
        rng,
        (
            "How many days are there from {d} to {e}?",
            "Days between {d} and {e}?",
            "{d} until {e}: how many days?",
            "{n} is away from {d} to {e}. How many days later is that?",
        ),
    )
    text = form.text.format(d=_written(rng, day), e=_written(rng, end), n=rng.choice(FIRST))
    return calculation(text, lines, str((end - day).days), "days_between", str(form.place))


def weekday(rng: random.Random) -> Row:
    """The weekday some days later or earlier than a given weekday."""
    start, count = rng.randrange(7), rng.randint(1, 30)
    later = rng.random() < 0.65
    weeks, rest = divmod(count, 7)
    lines = [mul(weeks, 7), sub(count, weeks * 7)] if weeks else []
    step = 1 if later else -1
    walk = [WEEKDAYS[(start + step * number) % 7] for number in range(rest + 1)]
    lines.append(" > ".join(walk))
    if later:
        forms = (
            "Today is {w}. Which weekday is it in {c} days?",
            "{c} days after {w} is which day?",
            "{w} plus {c} days",
        )
    else:
        forms = (
            "Today is {w}. Which weekday was it {c} days ago?",
            "{c} days before {w} is which day?",
            "{w} minus {c} days",
        )
    form = pick(rng, forms)
    row = calculation(form.text.format(w=WEEKDAYS[start], c=count), lines, walk[-1], "weekdays", f"{later}{form.place}")
    return row._replace(scorer=EXACT)
