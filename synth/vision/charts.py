"""Bar, line and pie charts: data sampled first, drawn second, questions answered from the data.

A chart holds one or two series over named categories. At difficulty 1 categories are named by their colour; later by a
printed word, and a second series by its colour in a legend. Values that a reader could not tell apart are a rejection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from synth.vision.canvas import COLOURS, Canvas, Rgb, Style, colour_names, shaded
from synth.vision.chart_data import ChartData, ChartKind
from synth.vision.chart_questions import ASKERS
from synth.vision.scene import SceneQuestion, run_asker

MIN_VALUE_STEP_PX = 3.0
"""Pixels of the model's input that one step of the values must span where values are not printed."""

WORDS: tuple[tuple[str, ...], ...] = (
    ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug"),
    ("Oslo", "Rome", "Lima", "Bern", "Kyiv", "Cairo", "Paris"),
    ("Tea", "Milk", "Cola", "Beer", "Wine", "Soup"),
    ("Cat", "Dog", "Cow", "Hen", "Pig", "Fox", "Owl"),
    ("Art", "Maths", "Music", "Sport", "Latin"),
    ("A", "B", "C", "D", "E", "F", "G"),
)
TITLES = ("Sales", "Visits", "Stock", "Orders", "Votes", "Hours", "Points", "Units")
SERIES = (("2024", "2025"), ("North", "South"), ("Plan", "Actual"), ("Web", "Shop"))


class Chart(ChartData):
    """A chart that can be drawn and asked about."""

    def ops(self) -> Sequence[str]:
        return [op for op in ASKERS if op != "trend" or self.kind == "line"]

    def ask(self, op: str, rng: Random) -> SceneQuestion:
        return run_asker(ASKERS, self, op, rng)

    def draw(self, canvas: Canvas) -> None:
        if self.kind == "pie":
            _draw_pie(self, canvas)
        else:
            _draw_axes_chart(self, canvas)


def sample(kind: ChartKind, style: Style, difficulty: int, size: int, rng: Random) -> Chart:
    """A chart of the kind; small inputs (below 200 px) get fewer categories. Ties are allowed and rejected later."""
    small = size < 200
    by_colour = difficulty == 1
    two = difficulty == 3 and kind != "pie" and not (kind == "hbar" and small)
    most = (5 if by_colour else 4) if small else (5, 6, 7)[difficulty - 1]
    count = rng.randint(2 if by_colour and kind != "line" else 3, most - (1 if two else 0))
    names = tuple(colour_names(style, count, rng)) if by_colour else _words(count, rng)
    if kind == "pie":
        top, grain, values = _shares(count, difficulty, rng)
        printed = difficulty > 1
        series: tuple[str, ...] = ("",)
    else:
        top, grain, printed = _scale(difficulty, rng)
        series = rng.choice(SERIES) if two else ("",)
        values = tuple(tuple(grain * rng.randint(1, top // grain) for _ in names) for _ in series)
        printed = printed and not (small and (two or kind == "line"))
    colours = names if by_colour else tuple(colour_names(style, len(series) if two else count, rng, basic=two))
    if not two and not by_colour and kind != "pie" and rng.random() < 0.5:
        colours = (colours[0],) * count
    title = rng.choice(TITLES) if rng.random() < 0.6 else ""
    return Chart(kind, title, names, series, values, colours, by_colour, printed, top, grain)


def _words(count: int, rng: Random) -> tuple[str, ...]:
    words = rng.choice([group for group in WORDS if len(group) >= count])
    start = rng.randint(0, len(words) - count)
    return words[start : start + count]


def _scale(difficulty: int, rng: Random) -> tuple[int, int, bool]:
    """Axis maximum, step that values are multiples of, and whether values are printed at the marks."""
    if difficulty == 1:
        return 10, 1, False
    if difficulty == 2:
        return *rng.choice(((10, 1), (20, 2), (50, 5), (100, 10))), rng.random() < 0.3
    top = rng.choice((20, 50, 100, 200, 500))
    return (top, 1, True) if rng.random() < 0.5 else (top, top // 20, False)


def _shares(count: int, difficulty: int, rng: Random) -> tuple[int, int, tuple[tuple[int, ...], ...]]:
    """Whole percentages that add up to 100, none too thin to hold its label."""
    grain, least = ((10, 10), (5, 10), (1, 8))[difficulty - 1]
    free = (100 - count * least) // grain
    cuts = sorted(rng.randint(0, free) for _ in range(count - 1))
    parts = [b - a for a, b in zip([0, *cuts], [*cuts, free], strict=True)]
    shares = [least + grain * part for part in parts]
    shares[0] += 100 - sum(shares)
    return 100, grain, (tuple(shares),)


def _draw_title_and_legend(chart: Chart, canvas: Canvas) -> float:
    """Draw what stands above the plot; the y where the plot may start."""
    em, size = canvas.em, canvas.size
    top = em * 0.5
    if chart.title:
        canvas.text(size / 2, top, chart.title, anchor="ma", bold=True)
        top += em * 1.35
    if len(chart.series) > 1:
        x = em * 0.8
        for name, colour in zip(chart.series, chart.colours, strict=True):
            canvas.rect(x, top + em * 0.2, x + em * 0.7, top + em * 0.9, COLOURS[colour])
            canvas.text(x + em, top, name)
            x += em * 1.9 + canvas.width(name)
        top += em * 1.4
    return top + em * 0.4


def _draw_axes_chart(chart: Chart, canvas: Canvas) -> None:
    """Bars up, bars sideways or lines, on a frame of ticks."""
    em, size = canvas.em, canvas.size
    across = chart.kind == "hbar"
    y0 = _draw_title_and_legend(chart, canvas)
    step = chart.top // 5
    ticks = range(0, chart.top + 1, step)
    ends = canvas.width(str(chart.top))
    tick_room = ends + em * 0.5
    words = [] if chart.by_colour else list(chart.names)
    word_room = max((canvas.width(word) for word in words), default=0) + (em * 0.5 if words else em * 0.2)
    x0 = (word_room if across else tick_room) + em * 0.3
    x1 = size - (ends + em * 0.5 if across and chart.printed else max(em * 0.8, ends / 2 + 2) if across else em * 0.8)
    y1 = size - em * 1.6 if across or words else size - em * 0.7
    if chart.printed and not across:
        y0 += em * 0.8
    length = (x1 - x0) if across else (y1 - y0)
    scale = length / chart.top
    if not chart.printed and chart.grain * scale * canvas.model_scale < MIN_VALUE_STEP_PX:
        canvas.problem("value_not_readable")
    for tick in ticks:
        _tick(canvas, tick, (x0 + tick * scale) if across else (y1 - tick * scale), (x0, y0, x1, y1), across)
    canvas.line([(x0, y0), (x0, y1), (x1, y1)], canvas.style.ink)
    slot = ((y1 - y0) if across else (x1 - x0)) / len(chart.names)
    label_px = canvas.fit(words, slot - 2) if words and not across else canvas.em
    for index, word in enumerate(words):
        middle = (index + 0.5) * slot
        if across:
            canvas.text(x0 - em * 0.35, y0 + middle, word, anchor="rm")
        else:
            canvas.text(x0 + middle, y1 + em * 0.3, word, label_px, anchor="ma")
    if chart.kind == "line":
        _draw_lines(chart, canvas, x0, y1, slot, scale)
    else:
        _draw_bars(chart, canvas, (x0, y0, y1), slot, scale)


def _tick(canvas: Canvas, value: int, at: float, plot: tuple[float, float, float, float], across: bool) -> None:
    x0, y0, x1, y1 = plot
    grid = canvas.style.grid
    if across:
        if grid:
            canvas.line([(at, y0), (at, y1)], grid)
        canvas.text(at, y1 + canvas.em * 0.25, str(value), anchor="ma")
        canvas.line([(at, y1), (at, y1 + canvas.em * 0.2)], canvas.style.ink)
    else:
        if grid:
            canvas.line([(x0, at), (x1, at)], grid)
        canvas.text(x0 - canvas.em * 0.35, at, str(value), anchor="rm")
        canvas.line([(x0 - canvas.em * 0.2, at), (x0, at)], canvas.style.ink)


def _mark_colour(chart: Chart, series: int, category: int, rng: Random) -> Rgb:
    return shaded(chart.colours[series if len(chart.series) > 1 else category], rng)


def _draw_bars(chart: Chart, canvas: Canvas, plot: tuple[float, float, float], slot: float, scale: float) -> None:
    x0, y0, y1 = plot
    across = chart.kind == "hbar"
    rng = Random(str(chart.values))
    fill = slot * rng.uniform(0.62, 0.84) / len(chart.series)
    print_px = canvas.fit([str(chart.top)], slot / len(chart.series) - 1) if not across else canvas.em
    for s, values in enumerate(chart.values):
        for c, value in enumerate(values):
            low = c * slot + (slot - fill * len(chart.series)) / 2 + s * fill
            colour = _mark_colour(chart, s, c, rng)
            end = value * scale
            if across:
                canvas.rect(x0 + 1, y0 + low, x0 + end, y0 + low + fill - 1, colour)
            else:
                canvas.rect(x0 + low, y1 - end, x0 + low + fill - 1, y1 - 1, colour)
            if chart.printed and across:
                canvas.text(x0 + end + canvas.em * 0.2, y0 + low + fill / 2, str(value), anchor="lm")
            elif chart.printed:
                canvas.text(x0 + low + fill / 2, y1 - end - canvas.em * 0.15, str(value), print_px, anchor="ms")


def _draw_lines(chart: Chart, canvas: Canvas, x0: float, y1: float, slot: float, scale: float) -> None:
    rng = Random(str(chart.values))
    dot = canvas.size * (0.028 if chart.by_colour else 0.018)
    for s, values in enumerate(chart.values):
        points = [(x0 + (c + 0.5) * slot, y1 - value * scale) for c, value in enumerate(values)]
        own = _mark_colour(chart, s, 0, rng)
        canvas.line(points, canvas.style.ink if chart.by_colour else own, max(1, canvas.size * 0.008))
        for c, ((x, y), value) in enumerate(zip(points, values, strict=True)):
            fill = _mark_colour(chart, s, c, rng) if chart.by_colour else own
            canvas.ellipse(x - dot, y - dot, x + dot, y + dot, fill)
            if chart.printed and len(chart.series) == 1:
                valley = all(values[n] > value for n in (c - 1, c + 1) if 0 <= n < len(values))
                away = dot + canvas.em * 0.25
                canvas.text(x, y + away if valley else y - away, str(value), anchor="ma" if valley else "ms")


def _draw_pie(chart: Chart, canvas: Canvas) -> None:
    em, size = canvas.em, canvas.size
    rng = Random(str(chart.values))
    y0 = _draw_title_and_legend(chart, canvas)
    words = [] if chart.by_colour else list(chart.names)
    room = (max(canvas.width(word) for word in words) + em * 1.6) if words else 0
    radius = min((size - room - em) / 2, (size - y0 - em * 0.4) / 2)
    cx, cy = em * 0.5 + radius if words else size / 2, y0 + radius
    # Without a legend the order of the slices is their order clockwise from the top.
    angle = -90.0 if chart.by_colour else rng.uniform(0, 360)
    for c, (name, share) in enumerate(zip(chart.names, chart.values[0], strict=True)):
        sweep = share * 3.6
        colour = _mark_colour(chart, 0, c, rng)
        canvas.slice((cx, cy), radius, angle, angle + sweep, colour)
        if chart.printed:
            middle = math.radians(angle + sweep / 2)
            at = (cx + radius * 0.66 * math.cos(middle), cy + radius * 0.66 * math.sin(middle))
            dark = sum(colour) < 380
            canvas.text(*at, str(share), anchor="mm", fill=(255, 255, 255) if dark else (15, 15, 15))
        if words:
            y = y0 + em * 0.3 + c * em * 1.45
            canvas.rect(size - room, y + em * 0.2, size - room + em * 0.7, y + em * 0.9, colour)
            canvas.text(size - room + em, y, name)
        angle += sweep
