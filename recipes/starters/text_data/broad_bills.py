"""Bills for the larger starter: lines, rebates, levies, tips, fees, parts paid, shares, in many shapes of text.

The smaller starter never sees these. A bill is drawn as numbers first, then written as a sentence, a list, a table,
key: value lines or a letter, and one of its figures is asked for.
"""

# ruff: noqa: E501 - a phrasing stays on one line
import random
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from recipes.starters.text_data.grammar import say
from recipes.starters.text_data.money import price
from recipes.starters.text_data.row import FIRST, Row, calculation, invented_word
from synth.math.working import Number, add, div, mul, percent_of, show, sub

GOODS = [
    "pens",
    "notebooks",
    "chairs",
    "tables",
    "lamps",
    "cups",
    "plates",
    "bags",
    "books",
    "shirts",
    "shoes",
    "socks",
    "printers",
    "cables",
    "keyboards",
    "screens",
    "sandwiches",
    "coffees",
    "teas",
    "cakes",
    "pizzas",
    "salads",
    "apples",
    "lemons",
    "eggs",
    "tickets",
    "candles",
    "towels",
    "mugs",
    "brushes",
    "hammers",
    "nails",
    "bolts",
    "tiles",
    "bricks",
    "plants",
    "boxes",
    "folders",
    "batteries",
    "toys",
    "caps",
    "scarves",
    "posters",
    "hours of work",
    "licences",
    "lessons",
    "nights",
]


class Line(NamedTuple):
    """So many of one thing at one price."""

    pieces: int
    name: str
    price: Decimal


class Bill(NamedTuple):
    """Lines and what changes their sum; zero means absent."""

    lines: tuple[Line, ...]
    off_percent: int
    off: Decimal
    fee: Decimal
    levy_percent: int
    tip_percent: int
    paid: Decimal
    people: int


def _cents(value: Decimal) -> bool:
    return value == value.quantize(Decimal("0.01"))


def _amount(rng: random.Random) -> Decimal:
    return Decimal(rng.randint(1, 20)) if rng.random() < 0.7 else price(rng, 1)


def _draw(rng: random.Random) -> tuple[Bill, list[str], Decimal]:
    """A bill, its worked lines and the amount they end in; drawn again until every amount is whole cents."""
    while True:
        count = rng.choice([1, 1, 2, 2, 2, 3, 3, 4])
        whole = rng.random() < 0.5
        bought = tuple(
            Line(rng.randint(1, 12), name, Decimal(rng.randint(1, 60)) if whole else price(rng))
            for name in rng.sample(GOODS, count)
        )
        some = rng.random()
        bill = Bill(
            bought,
            rng.choice([5, 10, 15, 20, 25, 30, 40, 50]) if some < 0.4 else 0,
            _amount(rng) if 0.4 <= some < 0.65 else Decimal(0),
            _amount(rng) if rng.random() < 0.25 else Decimal(0),
            rng.choice([5, 6, 7, 8, 10, 15, 19, 20, 25]) if rng.random() < 0.35 else 0,
            rng.choice([5, 10, 15, 20]) if rng.random() < 0.12 else 0,
            Decimal(rng.randint(1, 10) * 5) if rng.random() < 0.15 else Decimal(0),
            rng.randint(2, 6) if rng.random() < 0.15 else 0,
        )
        solved = solve(bill)
        if solved is not None:
            return bill, *solved


def _change(lines: list[str], total: Decimal, percent: int, up: bool) -> Decimal:
    worked, part = percent_of(percent, total, True)
    lines += [*worked, (add if up else sub)(total, part, True)]
    return total + part if up else total - part


def solve(bill: Bill) -> tuple[list[str], Decimal] | None:
    """Worked lines and the amount to pay; None when a step is not whole cents or goes below zero."""
    lines, total = [], Decimal(0)
    for number, line in enumerate(bill.lines):
        part = line.pieces * line.price
        if line.pieces > 1:
            lines.append(mul(line.pieces, line.price, True))
        if number:
            lines.append(add(total, part, True))
        total += part
    steps: list[tuple[str, Number]] = [
        ("less", bill.off_percent), ("minus", bill.off), ("plus", bill.fee), ("more", bill.levy_percent),
        ("more", bill.tip_percent), ("minus", bill.paid),
    ]  # fmt: skip
    for kind, value in steps:
        if not value:
            continue
        if kind in ("less", "more"):
            total = _change(lines, total, int(value), kind == "more")
        else:
            lines.append((sub if kind == "minus" else add)(total, value, True))
            total += value if kind == "plus" else -value
        if total <= 0 or not _cents(total):
            return None
    if bill.people:
        share = total / bill.people
        if not _cents(share):
            return None
        lines.append(div(total, bill.people, True))
        total = share
    return (lines, total) if lines else None


def _money(rng: random.Random) -> str:
    return rng.choice(["${}", "${}", "${}", "€{}", "{} dollars", "{} euros", "USD {}", "{}"])


def _write(value: Decimal, form: str, always: bool) -> str:
    return form.format(f"{value:.2f}" if always else show(value, True))


_LINE_FORMS = (
    "{c} {o} at {p} each", "{c} {o} for {p} each", "{c} x {o} at {p}", "{o}: {c} x {p}", "{c} {o} ({p} each)",
    "{c} {o} @ {p}", "{o}, {c} pieces, {p} per piece", "{o} {c} * {p}", "{c} {o}, each {p}", "{c} of the {o} at {p}",
)  # fmt: skip


def _items(rng: random.Random, bill: Bill, form: str, always: bool) -> str:
    """The lines of a bill in one of four shapes."""
    shape = rng.randrange(4)
    if shape == 0:
        form_of_all = rng.choice(_LINE_FORMS)
        parts = [form_of_all.format(c=x.pieces, o=x.name, p=_write(x.price, form, always)) for x in bill.lines]
        joined = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
        return say(rng, "{n} [buys|bought|orders|ordered|takes|gets|pays for] {l}.", n=rng.choice(FIRST), l=joined)
    if shape == 1:
        form_of_all = rng.choice(_LINE_FORMS)
        mark, joint = rng.choice([("- ", "\n"), ("* ", "\n"), ("", "\n"), ("", "; "), ("", ", ")])
        parts = [mark + form_of_all.format(c=x.pieces, o=x.name, p=_write(x.price, form, always)) for x in bill.lines]
        head = say(rng, "[Bill|Order|Shopping list|Receipt|Invoice|Basket|Items|Cart|Statement|Invoice {z}][:| of {n}:]",
                   z=rng.randint(1, 999), n=invented_word(rng).capitalize())  # fmt: skip
        return head + ("\n" if joint == "\n" else " ") + joint.join(parts) + ("" if joint == "\n" else ".")
    if shape == 2:
        bar = rng.choice([" | ", ", ", " ; ", "\t"])
        head = bar.join(
            rng.choice([("item", "quantity", "price"), ("what", "how many", "each"), ("Product", "Qty", "Unit price")])
        )
        rows = [bar.join((x.name, str(x.pieces), _write(x.price, form, always))) for x in bill.lines]
        return "\n".join([head, *rows])
    blocks = [f"{x.name}: {_write(x.price, form, always)} each, quantity {x.pieces}" for x in bill.lines]
    return "\n".join(blocks)


def _changes(rng: random.Random, bill: Bill, form: str, always: bool) -> list[str]:
    """One clause for each change, in the order in which they apply."""
    out = []
    if bill.off_percent:
        out.append(say(rng, rng.choice(_OFF_PERCENT), p=bill.off_percent))
    if bill.off:
        out.append(say(rng, rng.choice(_OFF), p=_write(bill.off, form, always)))
    if bill.fee:
        out.append(say(rng, rng.choice(_FEE), p=_write(bill.fee, form, always)))
    if bill.levy_percent:
        out.append(say(rng, rng.choice(_LEVY), p=bill.levy_percent))
    if bill.tip_percent:
        out.append(say(rng, rng.choice(_TIP), p=bill.tip_percent))
    if bill.paid:
        out.append(say(rng, rng.choice(_PAID), p=_write(bill.paid, form, always)))
    return out


_OFF_PERCENT = (
    "{p}% [discount|rebate|off] [applies|is given|is taken off][ to the sum| to the whole order|].", "[Discount|Rebate|Reduction]: {p}%",
    "The [total|sum|price] is [reduced|cut|lowered] by {p}%.", "A [voucher|card|coupon] takes {p}% off[ the total|].",
    "[There is a|The shop gives a|With a|Then comes a] [discount|rebate|reduction] of {p}%[ on everything| on the sum|].",
    "[Members|Regulars|Today everyone] [get|gets] {p}% off.", "Less {p}%.", "Everything is {p} percent cheaper[ today|].",
)  # fmt: skip
_OFF = (
    "A [voucher|coupon|gift card] of {p} is used.", "[Discount|Rebate|Voucher|Coupon]: {p}", "There is {p} off[ the sum| the total|].",
    "The [seller|shop|firm] takes {p} off.", "[Less|Minus] {p}.", "{p} is [subtracted|deducted|taken off].",
)  # fmt: skip
_FEE = (
    "[Delivery|Shipping|Postage|Packing|Service] [costs|is|adds] {p}.", "[Delivery|Shipping|Postage|Fee|Handling]: {p}",
    "A [fee|charge] of {p} is added.", "[Plus|Add] {p} for [delivery|postage|packing|service].",
)  # fmt: skip
_LEVY = (
    "[Tax|VAT|Sales tax] of {p}% is [added|then added|put on top].", "[Tax|VAT|Sales tax|GST]: {p}%", "[Then add|Plus|Add] {p}% [tax|VAT].",
    "On top comes {p}% [tax|VAT].", "Prices are without {p}% [VAT|tax].",
)  # fmt: skip
_TIP = (
    "[A tip of {p}% is left|{p}% tip is added|They tip {p}%].", "[Tip|Service]: {p}%", "[Then|Also] {p}% for the [waiter|staff].",
)  # fmt: skip
_PAID = (
    "[A deposit of {p} was|{p} were|{p} have been] [already paid|paid before].", "[Deposit|Already paid|Advance]: {p}",
    "{p} [was paid in advance|has been paid already].",
)  # fmt: skip
_ASK = (
    "[What|How much] is [due|owed|to pay|left to pay|to be paid]?", "[Find|Compute|Give|Work out|Calculate] the [amount due|final amount|total to pay|amount to pay|final price].",
    "How much [must be paid|does it come to|is the bill in the end|is the final amount]?", "[Amount due|Final amount|To pay|Total due|Balance][?|:| =]",
    "What does [everything|it all|the whole thing] cost[ in the end|]?", "What is the [final total|amount due|grand total|final bill|balance due]?",
    "How much [money|] [does the customer|do they|does one] [pay|owe]?",
)  # fmt: skip
_ASK_SHARE = (
    "{k} [people|friends] [split it|share the bill|pay equal parts|divide it] [equally|evenly]. How much does each pay?",
    "What is the share of each of {k} [people|friends]?", "Split [it|this] [among|between] {k} [people|persons]. [What does one pay?|How much each?]",
)  # fmt: skip


def bill(rng: random.Random) -> Row:
    """A whole bill; the amount to pay, or each one's share of it."""
    drawn, lines, total = _draw(rng)
    form, always = _money(rng), rng.random() < 0.35
    clauses = _changes(rng, drawn, form, always)
    ask = say(rng, rng.choice(_ASK_SHARE if drawn.people else _ASK), k=drawn.people)
    items = _items(rng, drawn, form, always)
    joint = "\n" if "\n" in items or rng.random() < 0.15 else " "
    parts = [ask, items, *clauses] if rng.random() < 0.2 else [items, *clauses, ask]
    return calculation(joint.join(parts), lines, show(total, True), "bills", f"{len(drawn.lines)}.{len(clauses)}")


_SINGLE = (
    ("off", "A [{o}|thing|coat|ticket|phone] costs {p}. It is [{q}% off|reduced by {q}%|sold {q}% cheaper|sold with a {q}% discount]. [What is the new price?|What does it cost now?|Sale price?|How much is it?]"),
    ("off", "[Price|List price|Old price]: {p}\n[Discount|Rebate]: {q}%\n[New price|Sale price|To pay]?"),
    ("off", "{n} [gets|has] {q}% off a [price|bill|fee|ticket] of {p}. How much [does {n} pay|is it now|is paid]?"),
    ("on", "[Net|Net price|Without tax]: {p}\n[Tax|VAT|GST]: {q}%\n[Gross|With tax|Total]?"),
    ("on", "A [meal|bill|dinner|lunch] [costs|is|comes to] {p}. {n} [adds|leaves|gives] a {q}% tip. [How much is paid in all?|What is the total?|Total?]"),
    ("on", "[What is|Find|Compute] {p} [plus|with] {q}% [tax|VAT|sales tax|tip]."),
    ("on", "A price of {p} [goes up|rises|is raised] by {q}%. [What is it then?|New price?|What does it cost then?]"),
    ("part", "How much [tax|VAT|discount|tip|commission] is {q}% [on|of] {p}?"),
    ("part", "[Find|Compute|What is] the [{q}% tip|{q}% tax|{q}% discount|{q}% rebate|{q}% fee] on [a bill of|] {p}."),
    ("part", "{n} [saves|gets back|earns] {q}% of {p}. How much is that?"),
)  # fmt: skip


def single(rng: random.Random) -> Row:
    """One price and one percentage: with it, without it, or the part alone."""
    while True:
        value = rng.choice([Decimal(rng.randint(1, 50) * 10), Decimal(rng.randint(10, 400)), price(rng, 3)])
        rate = rng.choice([5, 10, 10, 15, 20, 20, 25, 30, 40, 50, 60, 75, 7, 8, 12, 19])
        lines, part = percent_of(rate, value, True)
        if _cents(part) and part < value:
            break
    kind, form = rng.choice(_SINGLE)
    if kind == "part":
        answer = part
    else:
        lines.append((add if kind == "on" else sub)(value, part, True))
        answer = value + part if kind == "on" else value - part
    shown = _write(value, _money(rng), rng.random() < 0.3)
    text = say(rng, form, n=rng.choice(FIRST), o=rng.choice(GOODS).rstrip("s"), p=shown, q=rate)
    return calculation(text, lines, show(answer, True), "percent_price", kind)


BILLS: dict[str, tuple[tuple[Callable[[random.Random], Row], float], ...]] = {
    "bills": ((bill, 12),),
    "percent_price": ((single, 4),),
}
