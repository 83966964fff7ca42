"""Tables of names and whole numbers: look-ups, sums, extremes, counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from random import Random
from typing import Any

from synth.scoring.names import MATH
from synth.vision.canvas import Canvas
from synth.vision.scene import Asker, Rejected, SceneQuestion, phrase, run_asker

SUBJECTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Team", ("Reds", "Owls", "Jets", "Bears", "Kings", "Stars"), ("Won", "Lost", "Drawn")),
    ("City", ("Oslo", "Rome", "Lima", "Bern", "Cairo", "Paris"), ("Rain", "Sun", "Snow")),
    ("Item", ("Nails", "Bolts", "Tape", "Glue", "Paint", "Wire"), ("Stock", "Sold", "Due")),
    ("Name", ("Ann", "Ben", "Cleo", "Dan", "Eva", "Finn"), ("Maths", "Art", "Sport")),
)


@dataclasses.dataclass(frozen=True)
class Table:
    """cells[r][c] belongs to the row `rows[r]` and the column `columns[c]`; `corner` heads the row names."""

    corner: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]
    ruled: bool
    kind: str = "table"

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def seen(self) -> str:
        lines = [", ".join([self.corner, *self.columns])]
        lines += [", ".join([name, *map(str, row)]) for name, row in zip(self.rows, self.cells, strict=True)]
        return "\n".join(lines)

    def ops(self) -> Sequence[str]:
        return list(ASKERS)

    def ask(self, op: str, rng: Random) -> SceneQuestion:
        return run_asker(ASKERS, self, op, rng)

    def draw(self, canvas: Canvas) -> None:
        _draw(self, canvas)

    def column(self, index: int) -> list[int]:
        return [row[index] for row in self.cells]


def sample(difficulty: int, size: int, rng: Random) -> Table:
    """2–3, 3–4 or 4–6 rows and 1–3 columns of numbers below 10, 50 or 1,000."""
    corner, names, heads = rng.choice(SUBJECTS)
    least, most = ((2, 3), (3, 4), (4, 6))[difficulty - 1]
    rows = tuple(rng.sample(names, rng.randint(least, most)))
    columns = heads[: rng.randint(1, 2) if size < 200 or difficulty == 1 else rng.randint(2, 3)]
    limit = (9, 49, 999)[difficulty - 1]
    cells = tuple(tuple(rng.randint(0, limit) for _ in columns) for _ in rows)
    return Table(corner, rows, columns, cells, rng.random() < 0.6)


def _draw(table: Table, canvas: Canvas) -> None:
    size = canvas.size
    em = canvas.roomy_em(len(table.rows) + 1, 2.2, Random(str(table.cells)))
    grid = [[table.corner, *table.columns]]
    grid += [[name, *map(str, row)] for name, row in zip(table.rows, table.cells, strict=True)]
    px = round(em)
    widths = [max(canvas.width(row[c], px, bold=True) for row in grid) + em for c in range(len(grid[0]))]
    spread = (size - em * 0.6) / sum(widths)
    if spread < 1:
        px = int(px * spread)
    widths = [width * min(spread, 1.5) for width in widths]
    step = min(em * 2.2, (size - em * 0.6) / len(grid))
    x0, y0 = (size - sum(widths)) / 2, (size - step * len(grid)) / 2
    for r, row in enumerate(grid):
        y, x = y0 + (r + 0.5) * step, x0
        for c, cell in enumerate(row):
            at = x + em * 0.35 if c == 0 else x + widths[c] - em * 0.35
            canvas.text(at, y, cell, px, anchor="lm" if c == 0 else "rm", bold=r == 0)
            x += widths[c]
    x1, y1 = x0 + sum(widths), y0 + step * len(grid)
    canvas.line([(x0, y0 + step), (x1, y0 + step)], canvas.style.ink, max(1.0, em * 0.1))
    if table.ruled:
        _draw_rules(canvas, (x0, y0, x1, y1), widths, step)


def _draw_rules(canvas: Canvas, box: tuple[float, float, float, float], widths: list[float], step: float) -> None:
    x0, y0, x1, y1 = box
    canvas.rect(x0, y0, x1, y1, outline=canvas.style.ink)
    y = y0 + 2 * step
    while y < y1 - 1:
        canvas.line([(x0, y), (x1, y)], canvas.style.grid or (200, 200, 200))
        y += step
    x = x0
    for width in widths[:-1]:
        x += width
        canvas.line([(x, y0), (x, y1)], canvas.style.ink)


def _lookup(table: Table, rng: Random) -> SceneQuestion:
    r, c = rng.randrange(len(table.rows)), rng.randrange(len(table.columns))
    text = phrase(
        rng,
        ("What is {c} for {r}?", "Which number has {r} under {c}?", "Look up {c} of {r}."),
        r=table.rows[r],
        c=table.columns[c],
    )
    value = str(table.cells[r][c])
    return SceneQuestion(
        "lookup",
        text,
        value,
        f"{table.rows[r]}, {table.columns[c]}: {value}",
        {"row": table.rows[r], "column": table.columns[c]},
        MATH,
    )


def _column_sum(table: Table, rng: Random) -> SceneQuestion:
    c = rng.randrange(len(table.columns))
    values = table.column(c)
    steps, total = [], values[0]
    for value in values[1:]:
        steps.append(f"{total} + {value} = {total + value}")
        total += value
    text = phrase(rng, ("What is the sum of {c}?", "Add up the column {c}.", "What is {c} in all?"), c=table.columns[c])
    return SceneQuestion("column_sum", text, str(total), "\n".join(steps), {"column": table.columns[c]}, MATH)


def _extreme(table: Table, rng: Random) -> SceneQuestion:
    c, most = rng.randrange(len(table.columns)), rng.random() < 0.5
    values = table.column(c)
    best = (max if most else min)(values)
    if values.count(best) > 1:
        raise Rejected("tie_for_extreme")
    text = phrase(
        rng,
        ("Who or what has the highest {c}?", "Which row has the most under {c}?")
        if most
        else ("Who or what has the lowest {c}?", "Which row has the least under {c}?"),
        c=table.columns[c],
    )
    return SceneQuestion(
        "extreme",
        text,
        table.rows[values.index(best)],
        f"{'highest' if most else 'lowest'} is {best}",
        {"column": table.columns[c], "most": most},
    )


def _difference(table: Table, rng: Random) -> SceneQuestion:
    c = rng.randrange(len(table.columns))
    values = table.column(c)
    a, b = sorted(rng.sample(range(len(values)), 2), key=lambda r: -values[r])
    if values[a] == values[b]:
        raise Rejected("no_difference")
    text = phrase(
        rng,
        ("By how much is {c} of {x} above that of {y}?", "How much more {c} has {x} than {y}?"),
        c=table.columns[c],
        x=table.rows[a],
        y=table.rows[b],
    )
    gap = values[a] - values[b]
    return SceneQuestion(
        "difference",
        text,
        str(gap),
        f"{values[a]} - {values[b]} = {gap}",
        {"column": table.columns[c], "name": table.rows[a], "other": table.rows[b]},
        MATH,
    )


def _which_row(table: Table, rng: Random) -> SceneQuestion:
    c, r = rng.randrange(len(table.columns)), rng.randrange(len(table.rows))
    value = table.cells[r][c]
    if table.column(c).count(value) > 1:
        raise Rejected("several_rows_match")
    text = phrase(rng, ("Which row has {v} under {c}?", "Whose {c} is {v}?"), v=value, c=table.columns[c])
    return SceneQuestion(
        "which_row",
        text,
        table.rows[r],
        f"{table.rows[r]}, {table.columns[c]}: {value}",
        {"column": table.columns[c], "value": value},
    )


def _count_rows(table: Table, rng: Random) -> SceneQuestion:
    c = rng.randrange(len(table.columns))
    values = table.column(c)
    limit = rng.choice(values) + rng.choice((-1, 1))
    if limit in values or limit < 0:
        raise Rejected("value_on_the_limit")
    above = [str(value) for value in values if value > limit]
    text = phrase(
        rng,
        ("How many rows have more than {n} under {c}?", "In how many rows is {c} above {n}?"),
        n=limit,
        c=table.columns[c],
    )
    return SceneQuestion(
        "count_rows",
        text,
        str(len(above)),
        f"above {limit}: {', '.join(above) or 'none'}",
        {"column": table.columns[c], "limit": limit},
        MATH,
    )


ASKERS: dict[str, Asker[Table]] = {
    "lookup": _lookup,
    "column_sum": _column_sum,
    "extreme": _extreme,
    "difference": _difference,
    "which_row": _which_row,
    "count_rows": _count_rows,
}
