"""Hand-made inline SVG: static, without scripts, coloured by the page's CSS variables so that both themes work.

Only draws: every number comes from report.json. Text from data is escaped here (Markup). Blue is the small system,
orange the large one, grey all others; shape and label repeat what colour says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from evaluate.report.schema import Report
from evaluate.report.wording import count, usd
from synth.scoring.scorers import metric as metric_facts

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 16, 52
LETTER_WIDTH = 7.2  # of a label in bold, a little too wide rather than too narrow


class Scale(NamedTuple):
    """Maps a value to a pixel; logarithmic when asked."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        at = math.log10(value) if self.log else value
        return round(self.start + (at - low) / (high - low) * (self.end - self.start), 2)


def svg(width: int, height: int, body: list[Markup], label: str, css: str = "chart") -> Markup:
    """The frame around a drawing; `label` is read out by screen readers."""
    return Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        css, width, height, label, Markup("").join(body)
    )


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(x1, y1, x2, y2, css)


def text(x: float, y: float, words: str, anchor: str = "start", css: str = "tick") -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>').format(x, y, anchor, css, words)


def role(report: Report, system_id: str) -> str:
    """CSS class of a system: small | large | other."""
    return {report.small: "small", report.large: "large"}.get(system_id, "other")


def interval_bar(value: float, low: float, high: float, top: float, css: str) -> Markup:
    """A bar from 0 to `value` on a track up to `top`, with the interval as a whisker; for table cells."""
    at = Scale(0, top, 0, 200)
    v, a, b = at(value), at(max(0.0, low)), at(min(top, high))
    return Markup(
        '<svg class="bar {css}" viewBox="0 0 200 14" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="200" height="14" rx="3"/><rect class="fill" width="{v}" height="14" rx="3"/>'
        '<path class="whisker" d="M{a} 7H{b}M{a} 3V11M{b} 3V11"/></svg>'
    ).format(css=css, v=v, a=a, b=b)


def difference_mark(
    delta: float, low: float, high: float, margin: float, span: tuple[float, float], css: str
) -> Markup:
    """A difference with its interval around zero; the shaded band is what still counts as "not worse"."""
    at = Scale(*span, 4, 296)
    return Markup(
        '<svg class="mark {css}" viewBox="0 0 300 18" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="allowed" x="{m}" width="{w}" height="18"/><path class="zero" d="M{z} 0V18"/>'
        '<path class="whisker" d="M{a} 9H{b}M{a} 5V13M{b} 5V13"/><path class="dot" d="M{d} 9h.01"/></svg>'
    ).format(css=css, m=at(-margin), w=round(at(0) - at(-margin), 2), z=at(0), a=at(low), b=at(high), d=at(delta))


def swing_bar(halved: float | None, base: float, doubled: float | None, reach: float) -> Markup:
    """Break-even with one assumption halved and doubled, log scale around today's value; None runs off the edge."""
    at = Scale(1 / reach, reach, 0, 300, log=True)
    a = 300.0 if halved is None else at(min(reach, max(1 / reach, halved / base)))
    b = 300.0 if doubled is None else at(min(reach, max(1 / reach, doubled / base)))
    return Markup(
        '<svg class="mark swing" viewBox="0 0 300 18" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="halved" d="M150 9H{a}"/><path class="doubled" d="M150 9H{b}"/>'
        '<path class="zero" d="M150 0V18"/></svg>'
    ).format(a=a, b=b)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that cover [low, high]."""
    if high <= low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / about))
    step *= next(k for k in (1, 2, 5, 10) if (high - low) / (step * k) <= about)
    first = math.ceil(low / step - 1e-9)
    return [round(first * step + i * step, 12) for i in range(int((high - first * step) / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten in [low, high]; powers alone over more than two decades."""
    factors = (1, 2, 5) if high / low <= 100 else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [float(f"{factor}e{decade}") for decade in decades for factor in factors]
    return [value for value in steps if low <= value <= high]


def axes(
    x: Scale, y: Scale, x_ticks: list[tuple[float, str]], y_ticks: list[tuple[float, str]], names: tuple[str, str]
) -> list[Markup]:
    """Grid lines with labels, and the two axis names."""
    drawn = []
    for value, label in y_ticks:
        drawn += [line(x.start, y(value), x.end, y(value), "grid"), text(x.start - 8, y(value) + 4, label, "end")]
    for value, label in x_ticks:
        drawn += [line(x(value), y.start, x(value), y.start + 5, "axis"), text(x(value), y.start + 19, label, "middle")]
    drawn.append(line(x.start, y.start, x.end, y.start, "axis"))
    drawn.append(text((x.start + x.end) / 2, y.start + 42, names[0], "middle", "name"))
    drawn.append(text(x.start, TOP - 2, names[1], "start", "name"))
    return drawn


class Mark(NamedTuple):
    """A system in the accuracy-cost plot."""

    label: str
    css: str
    usd_per_1k: float
    value: float
    low: float
    high: float


def priced_marks(report: Report) -> list[Mark]:
    """Systems with both a score and a price, on the primary split."""
    marks = []
    for system in report.systems:
        summary, price = system.splits[report.primary_split], system.cost.usd_per_1k
        if summary.value is not None and summary.ci95 and price:
            css = role(report, system.id)
            marks.append(Mark(system.label, css, price, summary.value, *summary.ci95))
    return marks


def frontier(marks: Sequence[Mark], lower_is_better: bool) -> list[Mark]:
    """Systems that no other beats in both cost and score, cheapest first."""
    best: list[Mark] = []
    for mark in sorted(marks, key=lambda m: (m.usd_per_1k, m.value if lower_is_better else -m.value)):
        if not best or (mark.value < best[-1].value if lower_is_better else mark.value > best[-1].value):
            best.append(mark)
    return best


def pareto(report: Report) -> Markup | None:
    """Score against cost per 1,000 answers (log) with intervals and Pareto frontier; None below two systems."""
    marks = priced_marks(report)
    if len(marks) < 2:
        return None
    metric = report.systems[0].metric
    lower = metric_facts(metric).lower_is_better
    cheap, dear = min(m.usd_per_1k for m in marks), max(m.usd_per_1k for m in marks)
    x = Scale(cheap / 2.2, dear * 2.2, LEFT, WIDTH - RIGHT, log=True)
    top = max(m.high for m in marks) * 1.1 if lower else 1.0  # more words can be wrong than were spoken
    y = Scale(0.0, top, HEIGHT - BOTTOM, TOP + 14)
    x_ticks = [(value, usd(value)) for value in log_ticks(x.low, x.high)]
    y_ticks = [(value, f"{100 * value:.0f} %") for value in ticks(0, top)]
    name = f"{metric_facts(metric).label} (lower is better)" if lower else metric
    body = axes(x, y, x_ticks, y_ticks, ("USD per 1,000 answers, log scale", name))
    path = " ".join(f"{x(m.usd_per_1k)},{y(m.value)}" for m in frontier(marks, lower))
    body.append(Markup('<polyline class="frontier" points="{}"/>').format(path))
    body += [_whisker(m, x, y) for m in marks]
    body += _labels(marks, x, y)
    return svg(WIDTH, HEIGHT, body, "Score against cost per 1,000 answers, one mark per system")


def _whisker(mark: Mark, x: Scale, y: Scale) -> Markup:
    at, low, high = x(mark.usd_per_1k), y(mark.low), y(mark.high)
    stroke = f"M{at} {low}V{high}M{at - 5} {low}h10M{at - 5} {high}h10"
    shape = {"small": '<circle r="6.5"', "large": '<rect x="-6" y="-6" width="12" height="12"'}.get(
        mark.css, '<path d="M0-6L6 0L0 6L-6 0Z"'
    )
    symbol = Markup(shape + ' class="symbol" transform="translate({} {})"/>').format(at, y(mark.value))
    title = Markup("<title>{}: {:.1f} %, {} per 1,000</title>").format(
        mark.label, 100 * mark.value, usd(mark.usd_per_1k)
    )
    return Markup('<g class="{}">{}<path class="whisker" d="{}"/>{}</g>').format(mark.css, title, stroke, symbol)


class Box(NamedTuple):
    """A rectangle of a drawing."""

    left: float
    right: float
    top: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def _labels(marks: Sequence[Mark], x: Scale, y: Scale) -> list[Markup]:
    """Names beside the marks, where they hide neither each other nor a mark; the small and the large choose first."""
    drawn: list[Markup] = []
    taken = [Box(x(m.usd_per_1k) - 8, x(m.usd_per_1k) + 8, y(m.high) - 2, y(m.low) + 2) for m in marks]
    for mark in sorted(marks, key=lambda m: m.css == "other"):
        name = mark.label if len(mark.label) <= 42 else mark.label[:41] + "…"
        box, left = _place(name, x(mark.usd_per_1k), y(mark.value) + 4, taken)
        taken.append(box)
        at = box.right if left else box.left
        drawn.append(text(at, box.bottom - 4, name, "end" if left else "start", f"label {mark.css}"))
    return drawn


def _place(name: str, at: float, height: float, taken: Sequence[Box]) -> tuple[Box, bool]:
    """The free box nearest to a mark, right of it or left of it; beside the mark where none is free."""
    width, found = LETTER_WIDTH * len(name), []
    for low in sorted(range(round(height) - 60, round(height) + 61, 4), key=lambda low: abs(low - height)):
        for start, left in ((at + 12, False), (at - 12 - width, True)):
            box = Box(start, start + width, low - 11, low + 4)
            if box.left >= LEFT and box.right <= WIDTH and box.top >= TOP and box.bottom <= HEIGHT - BOTTOM:
                found.append((box, left))
    free = (pair for pair in found if not any(pair[0].meets(other) for other in taken))
    return next(free, found[0])


def break_even(report: Report) -> Markup | None:
    """Total money spent against requests answered: the small system starts at its fixed cost, the large one at 0.

    None where something is unpriced, and where no pay-back is stated: the lines would cross all the same.
    """
    start = report.what_if
    small, large, fixed = start.small_usd_per_request, start.large_usd_per_request, start.fixed_usd
    if small is None or large is None or fixed is None or report.break_even.status == "not_stated":
        return None
    crossing = report.break_even.requests
    far = 2.5 * crossing if crossing else 1_000_000
    top = max(large * far, fixed + small * far) * 1.08 or 1.0
    x, y = Scale(0, far, LEFT, WIDTH - RIGHT), Scale(0, top, HEIGHT - BOTTOM, TOP + 14)
    body = axes(
        x,
        y,
        [(value, count(value)) for value in ticks(0, far)],
        [(value, usd(value)) for value in ticks(0, top)],
        ("requests answered", "USD spent in total"),
    )
    for css, at_zero, slope in (("large", 0.0, large), ("small", fixed, small)):
        body.append(line(x(0), y(at_zero), x(far), y(at_zero + slope * far), f"run {css}"))
    if crossing:
        height = y(fixed + small * crossing)
        body.append(line(x(crossing), height, x(crossing), y.start, "drop"))
        body.append(Markup('<circle class="crossing" cx="{}" cy="{}" r="5"/>').format(x(crossing), height))
        body.append(text(x(crossing) + 8, y.start - 8, f"{count(crossing)} requests", css="label"))
    return svg(WIDTH, HEIGHT, body, "Total cost of both systems by number of requests", "chart money")


def cascade(report: Report) -> Markup | None:
    """Score of "small first, large when unsure" against the share of rows escalated."""
    found = report.cascade
    if not found:
        return None
    curve = sorted(found.curve, key=lambda point: point.escalated)
    low = min(point.score for point in curve)
    high = max(point.score for point in curve)
    room = max(0.02, (high - low) * 0.15)
    x = Scale(0, 1, LEFT, WIDTH - RIGHT)
    y = Scale(max(0.0, low - room), min(1.0, high + room), HEIGHT - BOTTOM, TOP + 14)
    body = axes(
        x,
        y,
        [(k / 4, f"{25 * k} %") for k in range(5)],
        [(value, f"{100 * value:.3g} %") for value in ticks(y.low, y.high)],
        ("rows escalated to the large system", "score"),
    )
    path = " ".join(f"{x(point.escalated)},{y(point.score)}" for point in curve)
    body.append(Markup('<polyline class="curve" points="{}"/>').format(path))
    ends = (
        ("small", curve[0], curve[1], "small alone", "start", 12),
        ("large", curve[-1], curve[-2], "large alone", "end", -12),
    )
    for css, point, neighbour, name, anchor, shift in ends:
        at = (x(point.escalated), y(point.score))
        below = 20 if neighbour.score > point.score else -12
        body.append(Markup('<g class="{}"><circle class="symbol" cx="{}" cy="{}" r="6"/></g>').format(css, *at))
        body.append(text(at[0] + shift, at[1] + below, name, anchor, f"label {css}"))
    if found.chosen:
        at = (x(found.chosen.escalated), y(found.chosen.score))
        body.append(Markup('<circle class="crossing" cx="{}" cy="{}" r="6"/>').format(*at))
        body.append(text(at[0] + 10, at[1] + 18, "threshold chosen on val", css="label"))
    return svg(WIDTH, HEIGHT, body, "Score of the cascade by share of rows escalated")
