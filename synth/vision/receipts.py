"""Receipts and invoices whose totals add up: amounts are whole cents throughout."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from synth.scoring.names import ANLS, MATH
from synth.vision.canvas import Canvas
from synth.vision.scene import Asker, Rejected, SceneQuestion, count_word, phrase, run_asker

GOODS = (
    "Tea",
    "Milk",
    "Bread",
    "Rice",
    "Soap",
    "Salt",
    "Eggs",
    "Plums",
    "Apples",
    "Honey",
    "Pasta",
    "Coffee",
    "Butter",
    "Onions",
    "Cheese",
    "Pencil",
    "Candle",
    "Napkins",
    "Oranges",
    "Vinegar",
)
TAX_PERCENTS = (5, 7, 10, 19, 20)


def money(cents: int) -> str:
    """Two decimals, no sign, no separators."""
    return f"{cents // 100}.{cents % 100:02d}"


@dataclasses.dataclass(frozen=True)
class Item:
    """One line of a receipt; unit price in cents."""

    name: str
    quantity: int
    unit_cents: int

    @property
    def cents(self) -> int:
        return self.quantity * self.unit_cents


@dataclasses.dataclass(frozen=True)
class Receipt:
    """total = sum of the items + tax; tax is rounded half up to the cent. `number` makes it an invoice."""

    merchant: str
    date: str
    number: str
    items: tuple[Item, ...]
    tax_percent: int
    kind: str = "receipt"

    @property
    def subtotal(self) -> int:
        return sum(item.cents for item in self.items)

    @property
    def tax(self) -> int:
        return (self.subtotal * self.tax_percent + 50) // 100

    @property
    def total(self) -> int:
        return self.subtotal + self.tax

    def as_json(self) -> dict[str, Any]:
        printed = {"subtotal": self.subtotal, "tax": self.tax, "total": self.total}
        return dataclasses.asdict(self) | {"printed": printed}

    def seen(self) -> str:
        head = f"{self.merchant}, {self.date}" + (f", no {self.number}" if self.number else "")
        lines = [", ".join(_line_words(item) for item in self.items)]
        if self.tax_percent:
            lines.append(f"subtotal {money(self.subtotal)}, tax {self.tax_percent}% {money(self.tax)}")
        lines.append(f"total {money(self.total)}")
        return "\n".join([head, *lines])

    def ops(self) -> Sequence[str]:
        return [op for op in ASKERS if op not in ("tax", "subtotal") or self.tax_percent]

    def ask(self, op: str, rng: Random) -> SceneQuestion:
        return run_asker(ASKERS, self, op, rng)

    def draw(self, canvas: Canvas) -> None:
        _draw(self, canvas)


def _line_words(item: Item) -> str:
    many = f"{item.quantity} x {money(item.unit_cents)} = " if item.quantity > 1 else ""
    return f"{item.name} {many}{money(item.cents)}"


@functools.cache
def faker() -> Any:
    """One Faker for the process; reseed it per picture."""
    from faker import Faker

    return Faker("en_US", use_weighting=False)


def sample(difficulty: int, size: int, rng: Random) -> Receipt:
    """1–3, 2–4 or 3–7 items (fewer on small inputs); quantities and tax from difficulty 2, invoices at 3."""
    fake = faker()
    fake.seed_instance(rng.random())
    least, most = ((1, 3), (2, 4), (3, 7))[difficulty - 1]
    if size < 200:
        most = min(most, 4)
    names = rng.sample(GOODS, rng.randint(least, most))
    items = tuple(
        Item(name, rng.choice((1, 1, 2, 3)) if difficulty > 1 else 1, _price(difficulty, rng)) for name in names
    )
    day = datetime.date(2024, 1, 1) + datetime.timedelta(days=rng.randrange(900))
    merchant = fake.last_name() + rng.choice(("", " Shop", " & Co"))
    number = str(rng.randint(1000, 9999)) if difficulty == 3 and rng.random() < 0.5 else ""
    return Receipt(merchant, day.isoformat(), number, items, rng.choice(TAX_PERCENTS) if difficulty > 1 else 0)


def _price(difficulty: int, rng: Random) -> int:
    return rng.randint(1, 19) * 50 if difficulty == 1 else rng.randint(20, 1999)


class _Row(NamedTuple):
    left: str
    right: str
    bold: bool = False
    rule: bool = False


def _rows(receipt: Receipt) -> list[_Row]:
    rows = []
    for item in receipt.items:
        many = f"{item.quantity} x {money(item.unit_cents)} " if item.quantity > 1 else ""
        rows.append(_Row(f"{many}{item.name}", money(item.cents)))
    if receipt.tax_percent:
        rows.append(_Row("Subtotal", money(receipt.subtotal), rule=True))
        rows.append(_Row(f"Tax {receipt.tax_percent}%", money(receipt.tax)))
    rows.append(_Row("TOTAL", money(receipt.total), bold=True, rule=not receipt.tax_percent))
    return rows


def _draw(receipt: Receipt, canvas: Canvas) -> None:
    size = canvas.size
    rows = _rows(receipt)
    head = [receipt.merchant, f"{receipt.date}  #{receipt.number}" if receipt.number else receipt.date]
    em = canvas.roomy_em(len(rows) + len(head), 1.55, Random(receipt.date + receipt.merchant))
    step = min(em * 1.55, (size - em * 1.2) / (len(rows) + len(head)))
    margin = max(em * 0.4, (size - em * 19) / 2)
    inside = size - 2 * margin
    y = em * 0.5
    for index, line in enumerate(head):
        canvas.text(size / 2, y, line, canvas.fit([line], inside, round(em)), anchor="ma", bold=index == 0)
        y += step
    px = canvas.fit([f"{row.left}   {row.right}" for row in rows], inside, round(em))
    for row in rows:
        if row.rule:
            canvas.line([(margin, y - step * 0.1), (size - margin, y - step * 0.1)], canvas.style.ink)
        canvas.text(margin, y, row.left, px, bold=row.bold)
        canvas.text(size - margin, y, row.right, px, anchor="ra", bold=row.bold)
        y += step


def _total(receipt: Receipt, rng: Random) -> SceneQuestion:
    text = phrase(rng, ("What is the total?", "How much was paid in all?", "What does the receipt come to?"))
    return SceneQuestion("total", text, money(receipt.total), f"total {money(receipt.total)}", {}, MATH)


def _tax(receipt: Receipt, rng: Random) -> SceneQuestion:
    text = phrase(rng, ("How much tax is charged?", "What is the tax amount?"))
    return SceneQuestion("tax", text, money(receipt.tax), f"tax {money(receipt.tax)}", {}, MATH)


def _subtotal(receipt: Receipt, rng: Random) -> SceneQuestion:
    text = phrase(rng, ("What is the amount before tax?", "What is the subtotal?"))
    return SceneQuestion("subtotal", text, money(receipt.subtotal), f"subtotal {money(receipt.subtotal)}", {}, MATH)


def _item_price(receipt: Receipt, rng: Random) -> SceneQuestion:
    item = rng.choice(receipt.items)
    text = phrase(rng, ("How much does the line {x} come to?", "What was paid for {x}?"), x=item.name)
    return SceneQuestion("item_price", text, money(item.cents), _line_words(item), {"name": item.name}, MATH)


def _item_sum(receipt: Receipt, rng: Random) -> SceneQuestion:
    if len(receipt.items) < 2:
        raise Rejected("too_few_items")
    a, b = rng.sample(receipt.items, 2)
    text = phrase(rng, ("What do {x} and {y} cost together?", "How much is {x} plus {y}?"), x=a.name, y=b.name)
    total = money(a.cents + b.cents)
    return SceneQuestion(
        "item_sum",
        text,
        total,
        f"{money(a.cents)} + {money(b.cents)} = {total}",
        {"name": a.name, "other": b.name},
        MATH,
    )


def _item_difference(receipt: Receipt, rng: Random) -> SceneQuestion:
    if len(receipt.items) < 2:
        raise Rejected("too_few_items")
    a, b = sorted(rng.sample(receipt.items, 2), key=lambda item: -item.cents)
    if a.cents == b.cents:
        raise Rejected("no_difference")
    text = phrase(
        rng, ("How much more was paid for {x} than for {y}?", "By how much does {x} exceed {y}?"), x=a.name, y=b.name
    )
    gap = money(a.cents - b.cents)
    return SceneQuestion(
        "item_difference",
        text,
        gap,
        f"{money(a.cents)} - {money(b.cents)} = {gap}",
        {"name": a.name, "other": b.name},
        MATH,
    )


def _dearest(receipt: Receipt, rng: Random) -> SceneQuestion:
    if len(receipt.items) < 2:
        raise Rejected("too_few_items")
    most = rng.random() < 0.5
    best = (max if most else min)(item.cents for item in receipt.items)
    named = [item.name for item in receipt.items if item.cents == best]
    if len(named) > 1:
        raise Rejected("tie_for_extreme")
    text = phrase(
        rng,
        ("Which line has the highest amount?", "On what was most spent?")
        if most
        else ("Which line has the lowest amount?", "On what was least spent?"),
    )
    return SceneQuestion("dearest", text, named[0], f"{'most' if most else 'least'} is {money(best)}", {"most": most})


def _count_items(receipt: Receipt, rng: Random) -> SceneQuestion:
    text = phrase(rng, ("How many different articles are listed?", "Count the article lines."))
    return SceneQuestion("count_items", text, str(len(receipt.items)), count_word(len(receipt.items), "line"), {}, MATH)


def _date(receipt: Receipt, rng: Random) -> SceneQuestion:
    text = phrase(rng, ("What is the date on the receipt?", "When was it issued? Give year-month-day."))
    return SceneQuestion("date", text, receipt.date, f"date {receipt.date}", {})


def _merchant(receipt: Receipt, rng: Random) -> SceneQuestion:
    text = phrase(rng, ("Who issued the receipt?", "What is the name of the shop?"))
    return SceneQuestion("merchant", text, receipt.merchant, f"name {receipt.merchant}", {}, ANLS)


ASKERS: dict[str, Asker[Receipt]] = {
    "total": _total,
    "item_price": _item_price,
    "item_sum": _item_sum,
    "item_difference": _item_difference,
    "dearest": _dearest,
    "count_items": _count_items,
    "date": _date,
    "merchant": _merchant,
    "tax": _tax,
    "subtotal": _subtotal,
}
