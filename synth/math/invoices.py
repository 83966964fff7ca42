"""Families about invoices, orders and receipts. All answers are dollars, written as plain numbers."""

from __future__ import annotations

from synth.math.composed import INVOICES
from synth.math.family import NAMES, Constraint, Domain, Family, Values, Work, payment_above
from synth.math.working import Number

_ITEMS = (
    "pens", "mugs", "books", "lamps", "cakes", "pizzas", "cups", "chairs", "plants", "bags", "shirts", "tickets",
    "toys", "plates", "towels", "boxes",
)  # fmt: skip
_SMALL_COUPON = Constraint(lambda v: 2 * v["c"] <= v["n"] * v["p"], "the coupon is more than half of the cost")

_TWO_PRICES = Constraint(lambda v: v["p"] != v["q"], "both prices are equal")


def _two(w: Work, v: Values) -> Number:
    return w.add(w.mul(v["n"], v["p"]), w.mul(v["m"], v["q"]))


def _percent_off(w: Work, v: Values) -> Number:
    return w.sub(v["p"], w.div(w.mul(v["p"], v["x"]), 100))


FAMILIES = (
    Family(
        "two_items", "invoices", 3, {"n": "count", "p": "price", "m": "count", "q": "price"}, _two,
        (
            "{name} buys {n} {item} at ${p} each and {m} {item2} at ${q} each. What is the total in dollars?",
            "An invoice lists {n} {item} at ${p} each and {m} {item2} at ${q} each. How many dollars are due?",
            "Receipt: {n} x {item} ${p}; {m} x {item2} ${q}. Total in dollars?",
            "A shop sells {item} for ${p} each and {item2} for ${q} each. {name} takes {n} {item} and {m} {item2}. "
            "How many dollars does {name} pay?",
            "How many dollars do {n} {item} and {m} {item2} cost together, if {item} are ${p} each and {item2} "
            "${q} each?",
            "{name} orders {n} {item} for ${p} apiece. The order also has {m} {item2} for ${q} apiece. "
            "How much is the order in dollars?",
            "Order: {item}, quantity {n}, unit price ${p}; {item2}, quantity {m}, unit price ${q}. "
            "Find the sum in dollars.",
            "Each of the {n} {item} costs ${p} and each of the {m} {item2} costs ${q}. "
            "What does {name} pay for all, in dollars?",
            "For a party {name} needs {n} {item} and {m} {item2}. The {item} cost ${p} each. "
            "The {item2} cost ${q} each. "
            "What do they cost in all, in dollars?",
        ),
        constraints=(_TWO_PRICES,),
    ),
    Family(
        "item_delivery", "invoices", 2, {"n": "count", "p": "price", "f": "fee"},
        lambda w, v: w.add(w.mul(v["n"], v["p"]), v["f"]),
        (
            "{name} buys {n} {item} at ${p} each. Delivery costs ${f}. What is the total in dollars?",
            "An invoice lists {n} {item} at ${p} each and ${f} for delivery. How many dollars are due?",
            "Receipt: {n} x {item} ${p}; delivery ${f}. Total in dollars?",
            "A shop sells {item} for ${p} each and delivers for ${f}. {name} orders {n} {item}. "
            "How many dollars does {name} pay?",
            "With ${f} for delivery, how many dollars do {n} {item} cost at ${p} each?",
            "{name} orders {n} {item} for ${p} apiece. A delivery fee of ${f} is added. "
            "How much is the order in dollars?",
            "Order: {item}, quantity {n}, unit price ${p}; shipping ${f}. Find the sum in dollars.",
            "Each of the {n} {item} costs ${p}. Shipping is ${f} for the whole order. "
            "What does {name} pay in dollars?",
        ),
    ),
    Family(
        "item_coupon", "invoices", 2, {"n": "count", "p": "price", "c": "fee"},
        lambda w, v: w.sub(w.mul(v["n"], v["p"]), v["c"]),
        (
            "{name} buys {n} {item} at ${p} each. A coupon takes ${c} off. What is the total in dollars?",
            "An invoice lists {n} {item} at ${p} each and a discount of ${c}. How many dollars are due?",
            "Receipt: {n} x {item} ${p}; coupon -${c}. Total in dollars?",
            "A shop sells {item} for ${p} each. {name} takes {n} {item} and has a coupon for ${c}. "
            "How many dollars does {name} pay?",
            "With a discount of ${c}, how many dollars do {n} {item} cost at ${p} each?",
            "{name} orders {n} {item} for ${p} apiece. A voucher of ${c} is taken off. "
            "How much is the order in dollars?",
            "Order: {item}, quantity {n}, unit price ${p}; discount ${c}. Find the sum in dollars.",
            "Each of the {n} {item} costs ${p}. The shop takes ${c} off the whole order. "
            "What does {name} pay in dollars?",
        ),
        constraints=(_SMALL_COUPON,),
    ),
    Family(
        "item_change", "invoices", 2, {"n": "count", "p": "price"},
        lambda w, v: w.sub(v["b"], w.mul(v["n"], v["p"])),
        (
            "{name} buys {n} {item} at ${p} each and pays with ${b}. How many dollars of change does {name} get?",
            "An invoice lists {n} {item} at ${p} each. {name} hands over ${b}. How many dollars come back?",
            "Receipt: {n} x {item} ${p}; cash ${b}. Change in dollars?",
            "A shop sells {item} for ${p} each. {name} takes {n} {item} and gives the cashier ${b}. "
            "How much change is due, in dollars?",
            "How many dollars of change are due from ${b} for {n} {item} at ${p} each?",
            "{name} has ${b} and orders {n} {item} for ${p} apiece. How many dollars are left?",
            "Order: {item}, quantity {n}, unit price ${p}; paid ${b}. Find the change in dollars.",
            "Each of the {n} {item} costs ${p}. {name} pays with ${b}. What is the change in dollars?",
        ),
        derived=lambda v: {"b": payment_above(v["n"] * v["p"])},
    ),
    Family(
        "two_items_coupon", "invoices", 4, {"n": "count", "p": "price", "m": "count", "q": "price", "c": "fee"},
        lambda w, v: w.sub(_two(w, v), v["c"]),
        (
            "{name} buys {n} {item} at ${p} each and {m} {item2} at ${q} each. A coupon takes ${c} off. "
            "What is the total in dollars?",
            "An invoice lists {n} {item} at ${p} each, {m} {item2} at ${q} each and a discount of ${c}. "
            "How many dollars are due?",
            "Receipt: {n} x {item} ${p}; {m} x {item2} ${q}; coupon -${c}. Total in dollars?",
            "A shop sells {item} for ${p} each and {item2} for ${q} each. "
            "{name} takes {n} {item} and {m} {item2} and has "
            "a coupon for ${c}. How many dollars does {name} pay?",
            "With a discount of ${c}, how many dollars do {n} {item} at ${p} each and {m} {item2} at ${q} each cost?",
            "{name} orders {n} {item} for ${p} apiece and {m} {item2} for ${q} apiece. "
            "A voucher of ${c} is taken off. "
            "How much is the order in dollars?",
            "Order: {item}, quantity {n}, unit price ${p}; {item2}, quantity {m}, unit price ${q}; discount ${c}. "
            "Find the sum in dollars.",
            "Each of the {n} {item} costs ${p} and each of the {m} {item2} costs ${q}. The shop takes ${c} off. "
            "What does {name} pay for all, in dollars?",
        ),
        constraints=(_SMALL_COUPON, _TWO_PRICES),
    ),
    Family(
        "percent_off", "invoices", 3, {"p": "bill", "x": "percent"}, _percent_off,
        (
            "The bill is ${p}. {name} gets a discount of {x}%. What is the total in dollars?",
            "An invoice of ${p} is reduced by {x}%. How many dollars are due?",
            "Receipt: {item} ${p}; discount {x}%. Total in dollars?",
            "A shop sells the {item} for ${p}. Today everything is {x}% off. How many dollars does {name} pay?",
            "With a discount of {x}%, how many dollars does an order of ${p} cost?",
            "{name} orders {item} for ${p} in all. A voucher of {x}% is taken off. How much is the order in dollars?",
            "Order: {item}, price ${p}; discount {x}%. Find the sum in dollars.",
            "The {item} cost ${p}. The shop takes {x}% off. What does {name} pay in dollars?",
        ),
    ),
    Family(
        "two_items_delivery", "invoices", 4, {"n": "count", "p": "price", "m": "count", "q": "price", "f": "fee"},
        lambda w, v: w.add(_two(w, v), v["f"]),
        (
            "{name} buys {n} {item} at ${p} each and {m} {item2} at ${q} each. Delivery costs ${f}. "
            "What is the total in dollars?",
            "An invoice lists {n} {item} at ${p} each, {m} {item2} at ${q} each and ${f} for delivery. "
            "How many dollars are due?",
            "Receipt: {n} x {item} ${p}; {m} x {item2} ${q}; delivery ${f}. Total in dollars?",
            "A shop sells {item} for ${p} each and {item2} for ${q} each and delivers for ${f}. "
            "{name} orders {n} {item} and {m} {item2}. How many dollars does {name} pay?",
            "With ${f} for delivery, how many dollars do {n} {item} at ${p} each and {m} {item2} at ${q} each cost?",
            "{name} orders {n} {item} for ${p} apiece and {m} {item2} for ${q} apiece. "
            "A delivery fee of ${f} is added. How much is the order in dollars?",
            "Order: {item}, quantity {n}, unit price ${p}; {item2}, quantity {m}, unit price ${q}; shipping ${f}. "
            "Find the sum in dollars.",
            "Each of the {n} {item} costs ${p} and each of the {m} {item2} costs ${q}. "
            "Shipping is ${f} for the whole order. What does {name} pay for all, in dollars?",
        ),
        constraints=(_TWO_PRICES,),
    ),
    Family(
        "delivery_coupon", "invoices", 3, {"n": "count", "p": "price", "f": "fee", "c": "fee"},
        lambda w, v: w.sub(w.add(w.mul(v["n"], v["p"]), v["f"]), v["c"]),
        (
            "{name} buys {n} {item} at ${p} each. Delivery costs ${f}. A coupon takes ${c} off. "
            "What is the total in dollars?",
            "An invoice lists {n} {item} at ${p} each, ${f} for delivery and a discount of ${c}. "
            "How many dollars are due?",
            "Receipt: {n} x {item} ${p}; delivery ${f}; coupon -${c}. Total in dollars?",
            "A shop sells {item} for ${p} each and delivers for ${f}. {name} orders {n} {item} and has a coupon "
            "for ${c}. How many dollars does {name} pay?",
            "With ${f} for delivery and a discount of ${c}, how many dollars do {n} {item} cost at ${p} each?",
            "{name} orders {n} {item} for ${p} apiece. A delivery fee of ${f} is added. "
            "A voucher of ${c} is taken off. How much is the order in dollars?",
            "Order: {item}, quantity {n}, unit price ${p}; shipping ${f}; discount ${c}. Find the sum in dollars.",
            "Each of the {n} {item} costs ${p}. Shipping is ${f} for the whole order. The shop takes ${c} off. "
            "What does {name} pay in dollars?",
        ),
        constraints=(_SMALL_COUPON, Constraint(lambda v: v["f"] != v["c"], "the fee and the coupon are equal")),
    ),
    Family(
        "two_items_change", "invoices", 4, {"n": "count", "p": "price", "m": "count", "q": "price"},
        lambda w, v: w.sub(v["b"], _two(w, v)),
        (
            "{name} buys {n} {item} at ${p} each and {m} {item2} at ${q} each and pays with ${b}. "
            "How many dollars of change does {name} get?",
            "An invoice lists {n} {item} at ${p} each and {m} {item2} at ${q} each. {name} hands over ${b}. "
            "How many dollars come back?",
            "Receipt: {n} x {item} ${p}; {m} x {item2} ${q}; cash ${b}. Change in dollars?",
            "A shop sells {item} for ${p} each and {item2} for ${q} each. "
            "{name} takes {n} {item} and {m} {item2} and "
            "gives the cashier ${b}. How much change is due, in dollars?",
            "How many dollars of change are due from ${b} for {n} {item} at ${p} each and {m} {item2} at ${q} each?",
            "{name} has ${b} and orders {n} {item} for ${p} apiece and {m} {item2} for ${q} apiece. "
            "How many dollars are left?",
            "Order: {item}, quantity {n}, unit price ${p}; {item2}, quantity {m}, unit price ${q}; paid ${b}. "
            "Find the change in dollars.",
            "Each of the {n} {item} costs ${p} and each of the {m} {item2} costs ${q}. {name} pays with ${b}. "
            "What is the change in dollars?",
        ),
        constraints=(_TWO_PRICES,),
        derived=lambda v: {"b": payment_above(v["n"] * v["p"] + v["m"] * v["q"])},
        held_out=True,
    ),
    Family(
        "delivery_change", "invoices", 3, {"n": "count", "p": "price", "f": "fee"},
        lambda w, v: w.sub(v["b"], w.add(w.mul(v["n"], v["p"]), v["f"])),
        (
            "{name} buys {n} {item} at ${p} each. Delivery costs ${f}. {name} pays with ${b}. "
            "How many dollars of change does {name} get?",
            "An invoice lists {n} {item} at ${p} each and ${f} for delivery. {name} hands over ${b}. "
            "How many dollars come back?",
            "Receipt: {n} x {item} ${p}; delivery ${f}; cash ${b}. Change in dollars?",
            "A shop sells {item} for ${p} each and delivers for ${f}. "
            "{name} orders {n} {item} and gives the driver ${b}. "
            "How much change is due, in dollars?",
            "With ${f} for delivery, how many dollars of change are due from ${b} for {n} {item} at ${p} each?",
            "{name} has ${b} and orders {n} {item} for ${p} apiece. A delivery fee of ${f} is added. "
            "How many dollars are left?",
            "Order: {item}, quantity {n}, unit price ${p}; shipping ${f}; paid ${b}. Find the change in dollars.",
            "Each of the {n} {item} costs ${p}. Shipping is ${f} for the whole order. {name} pays with ${b}. "
            "What is the change in dollars?",
        ),
        derived=lambda v: {"b": payment_above(v["n"] * v["p"] + v["f"])},
        held_out=True,
    ),
)  # fmt: skip

DOMAIN = Domain(
    "invoices",
    "Invoices and receipts",
    {"name": NAMES, "item": _ITEMS, "item2": _ITEMS},
    (
        "The shop opened {d} years ago.", "There are {d} shelves in the shop.", "The cashier wears badge {d}.",
        "{d} people wait in line.", "The shop is {d} km away.", "It is {d} degrees outside.",
        "The shop has {d} windows.", "{d} cars stand outside.",
    ),
    (*FAMILIES, *INVOICES),
)  # fmt: skip
