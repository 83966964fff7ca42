"""An independent reader of stored scenes: answers a question a second way, from a row's JSON alone.

It shares no code with the askers. It works on flat (series, name, value) records, with exact fractions, and insists
that each name in the arguments stands in the question's text, that the transcription in the target is what was drawn,
and that its sums are true. Of the picture itself it only asks whether it opens and shows anything.
"""

from __future__ import annotations

import functools
import io
import re
from collections import Counter
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from synth.example import Example, text_of
from synth.math.working import false_lines
from synth.scoring.verify import Verdict

Json = dict[str, Any]
_NAMED = ("name", "other", "row", "column", "label", "shape", "colour", "a", "b", "limit", "value")


def check(row: Example) -> Verdict:
    """Is the gold answer what the stored scene says, does the question name what it asks about, is the target true?"""
    params = row.source["params"]
    scene, op, args = params["scene"], params["op"], params["args"]
    expected, question, answer = reread(scene, op, args), text_of(row), row.answer or ""
    if expected != answer:
        detail = f"The picture was drawn from data that say “{expected}”; the answer says “{answer[:60]}”."
        return Verdict(False, "the picture's data give another answer", detail)
    for key in _NAMED:
        if key in args and str(args[key]).lower() not in question.lower():
            detail = f"The question does not name “{args[key]}”, which it is about."
            return Verdict(False, "the question does not name what it is about", detail)
    if row.target == answer:
        return Verdict(True, "equal")
    *lines, ending = row.target.split("\n")
    if ending != f"Answer: {answer}":
        return Verdict(False, "the target does not end in the answer", f"The target ends in “{ending[:60]}”.")
    if not TRANSCRIPTIONS.get(scene["kind"], _chart_lines)(scene, lines):
        detail = "The target does not list what the picture was drawn from."
        return Verdict(False, "the transcription differs from the picture's data", detail)
    if false := false_lines(row.target):
        return Verdict(False, "a line of the working is false", f"This line of the working is false: {false[0][:80]}.")
    return Verdict(True, "equal")


def check_media(_row: Example, data: bytes) -> Verdict:
    """Does the picture open, and does it show anything at all?"""
    return _shows_something(data)


@functools.lru_cache(maxsize=8)  # several questions in a row are about one picture
def _shows_something(data: bytes) -> Verdict:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            darkest, brightest = image.convert("L").getextrema()
    except (OSError, SyntaxError, ValueError):
        return Verdict(False, "the picture cannot be opened")
    if darkest == brightest:
        return Verdict(False, "the picture is blank")
    return Verdict(True, "")


def reread(scene: Json, op: str, args: Json) -> str:
    """The answer by a second derivation. Raises KeyError on an unknown kind."""
    return READERS[scene["kind"]](scene, op, args)


def _records(scene: Json, series: int) -> Counter[str]:
    return Counter({name: scene["values"][series][i] for i, name in enumerate(scene["names"])})


def _chart(scene: Json, op: str, args: Json) -> str:
    if op == "count":
        return str(len(scene["values"][0]))
    data = _records(scene, args["series"])
    ranked = [name for name, _ in data.most_common()]
    if op == "value":
        return str(data[args["name"]])
    if op == "extreme":
        return str(ranked[0] if args["most"] else ranked[-1])
    if op == "difference":
        return str(abs(data[args["other"]] - data[args["name"]]))
    if op == "sum":
        return str(sum(value for name, value in data.items() if name in (args["name"], args["other"])))
    if op == "compare":
        return next(name for name in ranked if name in args["choices"])
    if op == "count_above":
        return str(len(data) - sum(value <= args["limit"] for value in data.values()))
    order = [data[name] for name in scene["names"]]
    return "down" if order[-1] - order[0] < 0 else "up"


def _receipt(scene: Json, op: str, args: Json) -> str:
    cents = {item["name"]: Decimal(item["unit_cents"]) * item["quantity"] / 100 for item in scene["items"]}
    subtotal = sum(cents.values(), Decimal(0))
    tax = (subtotal * scene["tax_percent"] / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
    amounts = {"total": subtotal + tax, "tax": tax, "subtotal": subtotal}
    if any(scene["printed"][key] != value * 100 for key, value in amounts.items()):
        return "the printed amounts do not add up"
    if op in amounts:
        return f"{amounts[op]:.2f}"
    if op == "item_price":
        return f"{cents[args['name']]:.2f}"
    if op in ("item_sum", "item_difference"):
        sign = 1 if op == "item_sum" else -1
        return f"{cents[args['name']] + sign * cents[args['other']]:.2f}"
    if op == "dearest":
        ranked = sorted(cents, key=lambda name: cents[name], reverse=args["most"])
        return str(ranked[0])
    return str({"count_items": str(len(cents)), "date": scene["date"], "merchant": scene["merchant"]}[op])


def _table(scene: Json, op: str, args: Json) -> str:
    flat = {
        (row, column): scene["cells"][r][c]
        for c, column in enumerate(scene["columns"])
        for r, row in enumerate(scene["rows"])
    }
    if op == "lookup":
        return str(flat[args["row"], args["column"]])
    column = {row: value for (row, head), value in flat.items() if head == args["column"]}
    if op == "column_sum":
        return str(sum(column.values()))
    if op == "difference":
        return str(column[args["name"]] - column[args["other"]])
    if op == "extreme":
        ranked = sorted((value, row) for row, value in column.items())
        return str(ranked[-1][1] if args["most"] else ranked[0][1])
    if op == "which_row":
        return str(next(row for row, value in column.items() if value == args["value"]))
    return str(len(column) - sum(value <= args["limit"] for value in column.values()))


def _form(scene: Json, op: str, args: Json) -> str:
    fields = {field["label"]: field["value"] for field in scene["fields"]}
    boxes = {box["label"]: box["ticked"] for box in scene["boxes"]}
    if op == "field":
        return str(fields[args["label"]])
    if op == "empty_field":
        return "no" if fields[args["label"]] == "" else "yes"
    if op == "box":
        return "yes" if boxes[args["label"]] else "no"
    ticked = sum(boxes.values())
    if op == "count_boxes":
        return str(ticked if args["ticked"] else len(boxes) - ticked)
    (only,) = {label for label in boxes if boxes[label]}
    return str(only)


def _shapes(scene: Json, op: str, args: Json) -> str:
    things = Counter((thing["colour"], thing["shape"]) for thing in scene["things"])
    if op == "count_all":
        return str(things.total())
    if op == "count_shape":
        return str(sum(n for (_, shape), n in things.items() if shape == args["shape"]))
    if op == "count_colour":
        return str(sum(n for (colour, _), n in things.items() if colour == args["colour"]))
    if op == "exists":
        return "yes" if things[args["colour"], args["shape"]] else "no"
    if op == "colour_of":
        (colour,) = (colour for colour, shape in things.elements() if shape == args["shape"])
        return str(colour)
    places = {f"{thing['colour']} {thing['shape']}": thing for thing in scene["things"]}
    a, b = places[args["a"]], places[args["b"]]
    true = {
        "left of": a["column"] < b["column"],
        "right of": a["column"] > b["column"],
        "above": a["row"] < b["row"],
        "below": a["row"] > b["row"],
    }[args["side"]]
    return "yes" if true else "no"


READERS: dict[str, Callable[[Json, str, Json], str]] = {
    "bar": _chart,
    "hbar": _chart,
    "line": _chart,
    "pie": _chart,
    "receipt": _receipt,
    "table": _table,
    "form": _form,
    "shapes": _shapes,
}


# --- transcriptions ------------------------------------------------------------------------------------------------


def _chart_lines(scene: Json, lines: list[str]) -> bool:
    if len(lines) < len(scene["series"]):
        return False
    for line, series, values in zip(lines, scene["series"], scene["values"], strict=False):
        cells = line.removeprefix(f"{series}: " if series else "").split(", ")
        if cells != [" ".join((name, str(value))) for name, value in zip(scene["names"], values, strict=True)]:
            return False
    return True


def _receipt_lines(scene: Json, lines: list[str]) -> bool:
    text = "\n".join(lines[:-1])
    units = [item["unit_cents"] for item in scene["items"]]
    amounts = [item["unit_cents"] * item["quantity"] for item in scene["items"]]
    known = Counter([*units, *amounts, *scene["printed"].values()])
    found = Counter(int(whole) * 100 + int(cents) for whole, cents in re.findall(r"\b(\d+)\.(\d\d)\b", text))
    named = all(item["name"] in text for item in scene["items"])
    return named and found <= known and Counter([*amounts, scene["printed"]["total"]]) <= found


def _table_lines(scene: Json, lines: list[str]) -> bool:
    expected = [[name, *map(str, row)] for name, row in zip(scene["rows"], scene["cells"], strict=True)]
    return [line.split(", ") for line in lines[1 : len(expected) + 1]] == expected


def _shape_lines(scene: Json, lines: list[str]) -> bool:
    return Counter(lines[0].split(", ")) == Counter(f"{t['colour']} {t['shape']}" for t in scene["things"])


def _form_lines(scene: Json, lines: list[str]) -> bool:
    text = "\n".join(lines)
    return all(field["value"] in text for field in scene["fields"])


TRANSCRIPTIONS: dict[str, Callable[[Json, list[str]], bool]] = {
    "receipt": _receipt_lines,
    "table": _table_lines,
    "form": _form_lines,
    "shapes": _shape_lines,
}
"""Kind of scene → do the target's first lines list its data? The reasoning follows them. Charts are all read alike."""
