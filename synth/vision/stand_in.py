"""Charts drawn by matplotlib instead of our own canvas, half of the questions in other words: stand-ins for real ones.

Nobody photographed these, but no line of the code that drew the training pictures drew them: another rasteriser,
another layout, axis, spacing and palette. Sideways bars named by their colours, at 128 pixels, as the demo of the
studio asks about. Deterministic for one version of matplotlib.
"""

from __future__ import annotations

import io
from random import Random
from typing import NamedTuple

from synth.example import Example, ImagePart, Origin, make_example, user
from synth.media import AddMedia
from synth.scoring.names import EXACT, RELAXED
from synth.storage import sha256_bytes
from synth.vision.chart_data import ChartData
from synth.vision.chart_questions import ASKERS
from synth.vision.scene import Rejected

SAID = "Sideways bars drawn by matplotlib, a stand-in for real charts."
CHARTS = 24
SIZE_PX = 128
_DPI = 100
COLOURS = {
    "red": "#d62728",
    "green": "#2ca02c",
    "blue": "#1f77b4",
    "orange": "#ff7f0e",
    "purple": "#9467bd",
    "brown": "#8c564b",
    "pink": "#e377c2",
    "gray": "#7f7f7f",
}
"""matplotlib's default cycle, by the names of its colours."""


class _Asked(NamedTuple):
    question: str
    answer: str
    scorer: str


def real_rows(add_media: AddMedia) -> list[Example]:
    """Four questions about each of CHARTS pictures, of the split test_real; pictures go to `add_media`.

    Two are in the generator's wording, so that only the drawing is new; two are in words that it does not use.
    """
    rows = []
    for number in range(CHARTS):
        rng = Random(f"stand-in/{number}")
        names = rng.sample(list(COLOURS), rng.randint(3, 5))
        values = {name: rng.randint(1, 10) for name in names}
        data = _draw(values, rng)
        part = ImagePart(path=add_media(data, ".png"), sha256=sha256_bytes(data))
        asked = [("matplotlib bars, known wording", question) for question in _known_wording(values, rng)]
        asked += [("matplotlib bars, other wording", q) for q in rng.sample(_other_wording(values, rng), 2)]
        rows += [_row(part, family, question, values) for family, question in asked]
    return rows


def _row(part: ImagePart, family: str, asked: _Asked, values: dict[str, int]) -> Example:
    return make_example(
        (user(part, asked.question),),
        f"Answer: {asked.answer}",
        answer=asked.answer,
        split="test_real",
        family=family,
        template=f"image-{part.sha256[:24]}",
        scorer=asked.scorer,
        origin=Origin(kind="stand_in", by="matplotlib"),
        source={"values": values},
    )


def _known_wording(values: dict[str, int], rng: Random) -> list[_Asked]:
    """Two of the generator's questions."""
    names = tuple(values)
    chart = ChartData("hbar", "", names, ("",), (tuple(values.values()),), names, True, False, top=10, grain=1)
    found: list[_Asked] = []
    ops = [op for op in ASKERS if op != "trend"]
    while len(found) < 2:
        op = ops.pop(rng.randrange(len(ops)))
        try:
            question = ASKERS[op](chart, rng)
        except Rejected:
            continue
        found.append(_Asked(question.text, question.answer, question.scorer))
    return found


def _draw(values: dict[str, int], rng: Random) -> bytes:
    """PNG of the chart, the first name on top. The figure belongs to no window and no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    side = SIZE_PX / _DPI
    figure = Figure(figsize=(side, side), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    colours = [COLOURS[name] for name in values]
    axes.barh(range(len(values)), list(values.values()), height=rng.uniform(0.5, 0.85), color=colours)
    axes.set(xlim=(0, 10.5), yticks=[])
    axes.set_xticks(range(0, 11, 2))
    axes.invert_yaxis()
    axes.tick_params(labelsize=5, length=2, pad=1)
    axes.set_axisbelow(True)
    axes.grid(axis="x", linewidth=0.4, alpha=rng.uniform(0.4, 0.8))
    for side_name in ("top", "right"):
        axes.spines[side_name].set_visible(rng.random() < 0.5)
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def _other_wording(values: dict[str, int], rng: Random) -> list[_Asked]:
    """Every question whose answer is not a matter of taste: no ties, no limit that a bar just reaches."""
    one, other = rng.sample(list(values), 2)
    ranked = sorted(values, key=lambda name: values[name])
    asked = [
        _Asked(f"How far does the {one} bar reach on the scale?", str(values[one]), RELAXED),
        _Asked(f"Tell me the number the {other} bar stands at.", str(values[other]), RELAXED),
        _Asked("Into how many bars is this chart split?", str(len(values)), RELAXED),
        _Asked(
            f"Suppose you put the {one} and the {other} bar end to end: how long would that be?",
            str(values[one] + values[other]),
            RELAXED,
        ),
    ]
    if values[ranked[-1]] > values[ranked[-2]]:
        asked.append(_Asked("What colour does the longest bar have?", ranked[-1], EXACT))
    if values[ranked[0]] < values[ranked[1]]:
        asked.append(_Asked("The shortest bar: what colour is it?", ranked[0], EXACT))
    big, small = (one, other) if values[one] > values[other] else (other, one)
    if values[big] > values[small]:
        gap = str(values[big] - values[small])
        asked.append(_Asked(f"By what number is the {big} bar longer than the {small} bar?", gap, RELAXED))
    limit = rng.randint(2, 8)
    if limit not in values.values():
        over = sum(value > limit for value in values.values())
        asked.append(_Asked(f"How many of the bars go past {limit}?", str(over), RELAXED))
    return asked
