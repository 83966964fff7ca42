"""Questions about charts: each function answers from the chart's data or raises Rejected."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from synth.scoring.names import RELAXED
from synth.vision.chart_data import ChartData
from synth.vision.scene import Asker, Rejected, SceneQuestion, phrase


class _View(NamedTuple):
    """One series of a chart: what it is called in a question, and its named values."""

    suffix: str
    number: int
    names: tuple[str, ...]
    values: tuple[int, ...]


MARKS = {"bar": "bar", "hbar": "bar", "line": "point", "pie": "slice"}


def _view(chart: ChartData, rng: Random) -> _View:
    index = rng.randrange(len(chart.series))
    suffix = f" in {chart.series[index]}" if chart.series[index] else ""
    return _View(suffix, index, chart.names, chart.values[index])


def _thing(chart: ChartData, name: str) -> str:
    """How a question names a category: "the red bar", or the printed word."""
    return f"the {name} {MARKS[chart.kind]}" if chart.by_colour else name


def _value(chart: ChartData, rng: Random) -> SceneQuestion:
    view = _view(chart, rng)
    c = rng.randrange(len(view.names))
    text = phrase(
        rng,
        ("What is the value of {x}{s}?", "How much is {x}{s}?", "Read off {x}{s}."),
        x=_thing(chart, view.names[c]),
        s=view.suffix,
    )
    args = {"name": view.names[c], "series": view.number}
    return SceneQuestion("value", text, str(view.values[c]), f"{view.names[c]} is {view.values[c]}", args, RELAXED)


def _extreme(chart: ChartData, rng: Random) -> SceneQuestion:
    view = _view(chart, rng)
    most = rng.random() < 0.5
    best = (max if most else min)(view.values)
    if view.values.count(best) > 1:
        raise Rejected("tie_for_extreme")
    mark = MARKS[chart.kind]
    choices = (
        ("Which {m} is the largest{s}?", "Which {m} has the highest value{s}?")
        if most
        else ("Which {m} is the smallest{s}?", "Which {m} has the lowest value{s}?")
    )
    name = view.names[view.values.index(best)]
    word = "largest" if most else "smallest"
    return SceneQuestion(
        "extreme",
        phrase(rng, choices, m=mark, s=view.suffix),
        name,
        f"{word} is {best}",
        {"most": most, "series": view.number},
    )


def _two(view: _View, rng: Random) -> tuple[int, int]:
    """Two categories, the larger value first."""
    first, second = rng.sample(range(len(view.names)), 2)
    if view.values[first] < view.values[second]:
        first, second = second, first
    return first, second


def _difference(chart: ChartData, rng: Random) -> SceneQuestion:
    view = _view(chart, rng)
    big, small = _two(view, rng)
    if view.values[big] == view.values[small]:
        raise Rejected("no_difference")
    names = {"x": _thing(chart, view.names[big]), "y": _thing(chart, view.names[small]), "s": view.suffix}
    text = phrase(
        rng,
        (
            "How much more is {x} than {y}{s}?",
            "What is the difference between {x} and {y}{s}?",
            "By how much does {x} exceed {y}{s}?",
        ),
        **names,
    )
    gap = view.values[big] - view.values[small]
    return SceneQuestion(
        "difference",
        text,
        str(gap),
        f"{view.values[big]} - {view.values[small]} = {gap}",
        {"name": view.names[big], "other": view.names[small], "series": view.number},
        RELAXED,
    )


def _sum(chart: ChartData, rng: Random) -> SceneQuestion:
    view = _view(chart, rng)
    first, second = sorted(rng.sample(range(len(view.names)), 2))
    total = view.values[first] + view.values[second]
    text = phrase(
        rng,
        ("What do {x} and {y} add up to{s}?", "What is the sum of {x} and {y}{s}?"),
        x=_thing(chart, view.names[first]),
        y=_thing(chart, view.names[second]),
        s=view.suffix,
    )
    return SceneQuestion(
        "sum",
        text,
        str(total),
        f"{view.values[first]} + {view.values[second]} = {total}",
        {"name": view.names[first], "other": view.names[second], "series": view.number},
        RELAXED,
    )


def _compare(chart: ChartData, rng: Random) -> SceneQuestion:
    view = _view(chart, rng)
    big, small = _two(view, rng)
    if view.values[big] == view.values[small]:
        raise Rejected("tie_in_choice")
    pair = [view.names[big], view.names[small]]
    rng.shuffle(pair)
    text = phrase(
        rng,
        ("Which is larger{s}, {x} or {y}?", "Is {x} or {y} larger{s}?"),
        x=_thing(chart, pair[0]),
        y=_thing(chart, pair[1]),
        s=view.suffix,
    )
    return SceneQuestion(
        "compare",
        text,
        view.names[big],
        f"{view.values[big]} > {view.values[small]}",
        {"choices": pair, "series": view.number},
    )


def _count_above(chart: ChartData, rng: Random) -> SceneQuestion:
    view = _view(chart, rng)
    limit = rng.randrange(chart.grain, chart.top, chart.grain)
    above = [value for value in view.values if value > limit]
    if limit in view.values:
        raise Rejected("value_on_the_limit")
    text = phrase(
        rng,
        ("How many {m}s are above {n}{s}?", "Count the {m}s with more than {n}{s}."),
        m=MARKS[chart.kind],
        n=limit,
        s=view.suffix,
    )
    listed = ", ".join(map(str, above)) or "none"
    return SceneQuestion(
        "count_above",
        text,
        str(len(above)),
        f"above {limit}: {listed}",
        {"limit": limit, "series": view.number},
        RELAXED,
    )


def _count(chart: ChartData, rng: Random) -> SceneQuestion:
    text = phrase(
        rng, ("How many {m}s does the chart have?", "Count the {m}s.", "How many {m}s are there?"), m=MARKS[chart.kind]
    )
    if len(chart.series) > 1:
        raise Rejected("count_of_two_series")
    return SceneQuestion("count", text, str(len(chart.names)), f"that is {len(chart.names)}", {}, RELAXED)


def _trend(chart: ChartData, rng: Random) -> SceneQuestion:
    view = _view(chart, rng)
    first, last = view.values[0], view.values[-1]
    if first == last:
        raise Rejected("no_trend")
    answer = "up" if last > first else "down"
    text = phrase(
        rng,
        ("Does the line end up or down from its start{s}?", "From first to last point{s}: up or down?"),
        s=view.suffix,
    )
    sign = "<" if last > first else ">"
    return SceneQuestion(
        "trend", text, answer, f"{first} {sign} {last}", {"choices": ["up", "down"], "series": view.number}
    )


ASKERS: dict[str, Asker[ChartData]] = {
    "value": _value,
    "extreme": _extreme,
    "difference": _difference,
    "sum": _sum,
    "compare": _compare,
    "count_above": _count_above,
    "count": _count,
    "trend": _trend,
}
