"""Scenes of coloured shapes on a grid: counts, existence, colours, relations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from random import Random
from typing import Any

from synth.scoring.names import RELAXED
from synth.vision.canvas import Canvas, Rgb, Style, colour_names, shaded
from synth.vision.scene import Asker, Rejected, SceneQuestion, phrase, run_asker

GRID = 4
SHAPES = ("circle", "square", "triangle", "star", "diamond")


@dataclasses.dataclass(frozen=True)
class Thing:
    """A shape in a cell of the grid; row 0 is at the top."""

    shape: str
    colour: str
    row: int
    column: int

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclasses.dataclass(frozen=True)
class ShapeScene:
    """Things in reading order (rows from the top, left to right)."""

    things: tuple[Thing, ...]
    shapes: tuple[str, ...]
    colours: tuple[str, ...]
    kind: str = "shapes"

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def seen(self) -> str:
        return ", ".join(thing.name for thing in self.things)

    def ops(self) -> Sequence[str]:
        return list(ASKERS)

    def ask(self, op: str, rng: Random) -> SceneQuestion:
        return run_asker(ASKERS, self, op, rng)

    def draw(self, canvas: Canvas) -> None:
        rng = Random(self.seen())
        cell = canvas.size / GRID
        for thing in self.things:
            width = cell * rng.uniform(0.55, 0.82)
            x = thing.column * cell + rng.uniform(0.06, 0.94 - width / cell) * cell
            y = thing.row * cell + rng.uniform(0.06, 0.94 - width / cell) * cell
            _draw_thing(canvas, thing.shape, x, y, width, shaded(thing.colour, rng))


def _draw_thing(canvas: Canvas, shape: str, x: float, y: float, w: float, fill: Rgb) -> None:
    if shape == "circle":
        canvas.ellipse(x, y, x + w, y + w, fill)
    elif shape == "square":
        canvas.rect(x, y, x + w, y + w, fill)
    elif shape == "triangle":
        canvas.polygon([(x + w / 2, y), (x, y + w), (x + w, y + w)], fill)
    elif shape == "diamond":
        canvas.polygon([(x + w / 2, y), (x + w * 0.9, y + w / 2), (x + w / 2, y + w), (x + w * 0.1, y + w / 2)], fill)
    else:
        radii = (w / 2, w / 5)
        turns = [math.pi * (i / 5) - math.pi / 2 for i in range(10)]
        canvas.polygon(
            [
                (x + w / 2 + radii[i % 2] * math.cos(t), y + w / 2 + radii[i % 2] * math.sin(t))
                for i, t in enumerate(turns)
            ],
            fill,
        )


def sample(style: Style, difficulty: int, rng: Random) -> ShapeScene:
    """1–4, 2–6 or 5–9 things, of 3 shapes and 4 colours at difficulty 1 and of more later."""
    least, most = ((1, 4), (2, 6), (5, 9))[difficulty - 1]
    shapes = SHAPES[: (3, 4, 5)[difficulty - 1]]
    colours = tuple(colour_names(style, (4, 5, 6)[difficulty - 1], rng, basic=difficulty < 3))
    cells = sorted(rng.sample(range(GRID * GRID), rng.randint(least, most)))
    things = tuple(Thing(rng.choice(shapes), rng.choice(colours), cell // GRID, cell % GRID) for cell in cells)
    return ShapeScene(things, shapes, colours)


def _count_all(scene: ShapeScene, rng: Random) -> SceneQuestion:
    text = phrase(rng, ("How many shapes are there?", "Count all shapes.", "How many shapes does the picture show?"))
    return SceneQuestion("count_all", text, str(len(scene.things)), f"that is {len(scene.things)}", {}, RELAXED)


def _counted(op: str, names: list[str], text: str, args: dict[str, Any]) -> SceneQuestion:
    listed = ", ".join(names) or "none"
    return SceneQuestion(op, text, str(len(names)), f"matching: {listed}", args, RELAXED)


def _count_shape(scene: ShapeScene, rng: Random) -> SceneQuestion:
    shape = rng.choice(scene.shapes)
    names = [thing.name for thing in scene.things if thing.shape == shape]
    text = phrase(rng, ("How many {x}s are there?", "Count the {x}s."), x=shape)
    return _counted("count_shape", names, text, {"shape": shape})


def _count_colour(scene: ShapeScene, rng: Random) -> SceneQuestion:
    colour = rng.choice(scene.colours)
    names = [thing.name for thing in scene.things if thing.colour == colour]
    text = phrase(rng, ("How many {x} shapes are there?", "Count the {x} shapes."), x=colour)
    return _counted("count_colour", names, text, {"colour": colour})


def _exists(scene: ShapeScene, rng: Random) -> SceneQuestion:
    present = {thing.name for thing in scene.things}
    wanted = rng.choice(sorted(present))
    if rng.random() < 0.5:
        absent = [f"{c} {s}" for c in scene.colours for s in scene.shapes if f"{c} {s}" not in present]
        wanted = rng.choice(absent)
    yes = wanted in present
    text = phrase(
        rng,
        ("Is there {x}?", "Does the picture show {x}?", "Can you see {x}?"),
        x=f"{'an' if wanted[0] in 'aeiou' else 'a'} {wanted}",
    )
    colour, shape = wanted.split()
    reasoning = f"there is a {wanted}" if yes else f"there is no {wanted}"
    return SceneQuestion("exists", text, "yes" if yes else "no", reasoning, {"colour": colour, "shape": shape})


def _colour_of(scene: ShapeScene, rng: Random) -> SceneQuestion:
    shape = rng.choice(scene.shapes)
    found = [thing for thing in scene.things if thing.shape == shape]
    if len(found) != 1:
        raise Rejected("shape_missing" if not found else "several_such_shapes")
    text = phrase(rng, ("What colour is the {x}?", "Which colour does the {x} have?"), x=shape)
    return SceneQuestion("colour_of", text, found[0].colour, f"the {shape} is {found[0].colour}", {"shape": shape})


def _relation(scene: ShapeScene, rng: Random) -> SceneQuestion:
    names = [thing.name for thing in scene.things]
    single = [thing for thing in scene.things if names.count(thing.name) == 1]
    if len(single) < 2:
        raise Rejected("no_two_single_things")
    a, b = rng.sample(single, 2)
    side = rng.choice(("left of", "right of", "above", "below"))
    gap = (b.column - a.column) if side in ("left of", "right of") else (b.row - a.row)
    if gap == 0:
        raise Rejected("no_clear_order")
    true = (gap > 0) == (side in ("left of", "above"))
    text = phrase(
        rng, ("Is the {a} {side} the {b}?", "Does the {a} lie {side} the {b}?"), a=a.name, b=b.name, side=side
    )
    names_of = ("column", a.column + 1, b.column + 1) if "of" in side else ("row", a.row + 1, b.row + 1)
    return SceneQuestion(
        "relation",
        text,
        "yes" if true else "no",
        f"{a.name} {names_of[0]} {names_of[1]}, {b.name} {names_of[0]} {names_of[2]}",
        {"a": a.name, "b": b.name, "side": side},
    )


ASKERS: dict[str, Asker[ShapeScene]] = {
    "count_all": _count_all,
    "count_shape": _count_shape,
    "count_colour": _count_colour,
    "exists": _exists,
    "colour_of": _colour_of,
    "relation": _relation,
}
