"""Filled-in forms: labelled fields and check boxes; look-ups and counts."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from random import Random
from typing import Any

from synth.scoring.names import ANLS, MATH
from synth.vision.canvas import Canvas
from synth.vision.receipts import faker
from synth.vision.scene import Asker, Rejected, SceneQuestion, phrase, run_asker

BOXES = ("Urgent", "Paid", "Signed", "Gift", "Member", "Return", "Insured", "Fragile")


@dataclasses.dataclass(frozen=True)
class Field:
    """A label and what was filled in ("" when left empty)."""

    label: str
    value: str


@dataclasses.dataclass(frozen=True)
class Box:
    """A check box."""

    label: str
    ticked: bool


@dataclasses.dataclass(frozen=True)
class Form:
    """Fields from the top, then boxes."""

    title: str
    fields: tuple[Field, ...]
    boxes: tuple[Box, ...]
    boxed: bool
    kind: str = "form"

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def seen(self) -> str:
        lines = [", ".join(f"{field.label}: {field.value or 'empty'}" for field in self.fields)]
        lines.append(", ".join(f"{box.label} {'yes' if box.ticked else 'no'}" for box in self.boxes))
        return "\n".join(lines)

    def ops(self) -> Sequence[str]:
        return list(ASKERS)

    def ask(self, op: str, rng: Random) -> SceneQuestion:
        return run_asker(ASKERS, self, op, rng)

    def draw(self, canvas: Canvas) -> None:
        _draw(self, canvas)


LATEST = datetime.datetime(2026, 1, 1)
"""No later date is filled in. Faker's own limit is the moment in which it draws: the same seed, another date."""


def sample(difficulty: int, size: int, rng: Random) -> Form:
    """2, 2–3 or 4–5 fields and 2, 2–3 or 3–5 boxes; some fields stay empty from difficulty 2 on."""
    fake = faker()
    fake.seed_instance(rng.random())
    values = {
        "Name": fake.last_name(),
        "City": fake.city().split()[-1],
        "Date": fake.date(end_datetime=LATEST),
        "Order": str(rng.randint(100, 9999)),
        "Phone": f"555-{rng.randint(1000, 9999)}",
        "Amount": f"{rng.randint(5, 99)}.{rng.randint(0, 9)}0",
    }
    count = (2, rng.randint(2, 3), rng.randint(4, 5))[difficulty - 1]
    boxes = (2, rng.randint(2, 3), rng.randint(3, 5))[difficulty - 1]
    if size < 200:
        count, boxes = min(count, 3), min(boxes, 3)
    chosen = sorted(rng.sample(list(values), count), key=list(values).index)
    fields = tuple(Field(label, "" if difficulty > 1 and rng.random() < 0.12 else values[label]) for label in chosen)
    ticks = tuple(Box(label, rng.random() < 0.5) for label in rng.sample(BOXES, boxes))
    return Form(rng.choice(("Order form", "Delivery", "Visit", "Claim")), fields, ticks, rng.random() < 0.5)


def _draw(form: Form, canvas: Canvas) -> None:
    size = canvas.size
    lines = 1 + len(form.fields) + len(form.boxes)
    em = canvas.roomy_em(lines, 2.0, Random(form.title + str(form.fields)))
    label_px = round(em)
    step = min(em * 2.0, (size - em) / lines)
    margin, y = em * 0.5, em * 0.4
    canvas.text(size / 2, y, form.title, canvas.fit([form.title], size - em, label_px), anchor="ma", bold=True)
    indent = margin + max(canvas.width(field.label, label_px) for field in form.fields) + em * 0.8
    room = size - margin - indent - em * 0.6
    px = canvas.fit([field.value for field in form.fields], room, label_px)
    for field in form.fields:
        y += step
        canvas.text(margin, y + em * 0.5, field.label, label_px, anchor="lm")
        canvas.text(indent + em * 0.3, y + em * 0.5, field.value, px, anchor="lm")
        if form.boxed:
            canvas.rect(indent, y - em * 0.25, size - margin, y + em * 1.25, outline=canvas.style.ink)
        else:
            canvas.line([(indent, y + em * 1.25), (size - margin, y + em * 1.25)], canvas.style.ink)
    for box in form.boxes:
        y += step
        left, side = margin + em * 0.2, em * 0.95
        canvas.rect(left, y, left + side, y + side, outline=canvas.style.ink)
        if box.ticked:
            corners = [(left, y), (left + side, y + side)], [(left, y + side), (left + side, y)]
            for corner in corners:
                canvas.line(corner, canvas.style.ink, max(1.0, em * 0.12))
        canvas.text(left + side + em * 0.5, y + side / 2, box.label, label_px, anchor="lm")


def _field(form: Form, rng: Random) -> SceneQuestion:
    field = rng.choice(form.fields)
    if not field.value:
        raise Rejected("field_is_empty")
    text = phrase(
        rng, ("What is filled in under {x}?", "What does the field {x} say?", "Read the field {x}."), x=field.label
    )
    return SceneQuestion("field", text, field.value, f"{field.label}: {field.value}", {"label": field.label}, ANLS)


def _box(form: Form, rng: Random) -> SceneQuestion:
    box = rng.choice(form.boxes)
    answer = "yes" if box.ticked else "no"
    text = phrase(rng, ("Is the box {x} ticked?", "Has {x} been ticked?"), x=box.label)
    return SceneQuestion("box", text, answer, f"{box.label} {answer}", {"label": box.label})


def _count_boxes(form: Form, rng: Random) -> SceneQuestion:
    ticked = rng.random() < 0.5
    names = [box.label for box in form.boxes if box.ticked == ticked]
    text = phrase(
        rng,
        ("How many boxes are ticked?", "Count the ticked boxes.")
        if ticked
        else ("How many boxes are not ticked?", "How many boxes were left open?"),
    )
    return SceneQuestion(
        "count_boxes", text, str(len(names)), f"matching: {', '.join(names) or 'none'}", {"ticked": ticked}, MATH
    )


def _only_box(form: Form, rng: Random) -> SceneQuestion:
    names = [box.label for box in form.boxes if box.ticked]
    if len(names) != 1:
        raise Rejected("not_one_ticked_box")
    text = phrase(rng, ("Which box is ticked?", "Name the ticked box."))
    return SceneQuestion("only_box", text, names[0], f"{names[0]} yes", {})


def _empty_field(form: Form, rng: Random) -> SceneQuestion:
    field = rng.choice(form.fields)
    answer = "yes" if field.value else "no"
    text = phrase(rng, ("Is the field {x} filled in?", "Has {x} been filled in?"), x=field.label)
    return SceneQuestion(
        "empty_field", text, answer, f"{field.label}: {field.value or 'empty'}", {"label": field.label}
    )


ASKERS: dict[str, Asker[Form]] = {
    "field": _field,
    "box": _box,
    "count_boxes": _count_boxes,
    "only_box": _only_box,
    "empty_field": _empty_field,
}
