"""Families composed from the same steps as the others, in other combinations.

They are there so that a model learns the steps rather than whole problems: each step of a held-out family is seen
here beside others. Orders are put together from clauses; tanks and schedules are written out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from synth.math.family import Constraint, Family, Values, Work, payment_above
from synth.math.working import Number


class _Style(NamedTuple):
    """The clauses of one way to tell an order."""

    one: str
    two: str
    delivery: str
    coupon: str
    paid: str
    total: str
    change: str


_STYLES = (
    _Style(
        "{name} buys {n} {item} at ${p} each.",
        "{name} buys {n} {item} at ${p} each and {m} {item2} at ${q} each.",
        " Delivery costs ${f}.", " A coupon takes ${c} off.", " {name} pays with ${b}.",
        " What is the total in dollars?", " How many dollars of change does {name} get?",
    ),
    _Style(
        "An invoice lists {n} {item} at ${p} each.",
        "An invoice lists {n} {item} at ${p} each and {m} {item2} at ${q} each.",
        " It adds ${f} for delivery.", " It takes a discount of ${c} off.", " {name} hands over ${b}.",
        " How many dollars are due?", " How many dollars come back?",
    ),
    _Style(
        "Receipt: {n} x {item} ${p}", "Receipt: {n} x {item} ${p}; {m} x {item2} ${q}",
        "; delivery ${f}", "; coupon -${c}", "; cash ${b}", ". Total in dollars?", ". Change in dollars?",
    ),
    _Style(
        "A shop sells {item} for ${p} each. {name} takes {n} {item}.",
        "A shop sells {item} for ${p} each and {item2} for ${q} each. {name} takes {n} {item} and {m} {item2}.",
        " The shop delivers for ${f}.", " {name} has a coupon for ${c}.", " {name} gives the cashier ${b}.",
        " How many dollars does {name} pay?", " How much change is due, in dollars?",
    ),
    _Style(
        "For a party {name} needs {n} {item}. The {item} cost ${p} each.",
        "For a party {name} needs {n} {item} and {m} {item2}. The {item} cost ${p} each. The {item2} cost ${q} each.",
        " Bringing them costs ${f}.", " A discount of ${c} is given.", " {name} has ${b}.",
        " What do they cost in all, in dollars?", " How many dollars stay with {name}?",
    ),
    _Style(
        "{name} orders {n} {item} for ${p} apiece.",
        "{name} orders {n} {item} for ${p} apiece. The order also has {m} {item2} for ${q} apiece.",
        " A delivery fee of ${f} is added.", " A voucher of ${c} is taken off.", " {name} had ${b}.",
        " How much is the order in dollars?", " How many dollars are left?",
    ),
    _Style(
        "Order: {item}, quantity {n}, unit price ${p}",
        "Order: {item}, quantity {n}, unit price ${p}; {item2}, quantity {m}, unit price ${q}",
        "; shipping ${f}", "; discount ${c}", "; paid ${b}",
        ". Find the sum in dollars.", ". Find the change in dollars.",
    ),
    _Style(
        "Each of the {n} {item} costs ${p}.",
        "Each of the {n} {item} costs ${p} and each of the {m} {item2} costs ${q}.",
        " Shipping is ${f} for the whole order.", " The shop takes ${c} off.", " {name} pays with ${b}.",
        " What does {name} pay for all, in dollars?", " What is the change in dollars?",
    ),
)  # fmt: skip

_SMALL_COUPON = Constraint(lambda v: 2 * v["c"] <= v["n"] * v["p"], "the coupon is more than half of the cost")
_TWO_PRICES = Constraint(lambda v: v["p"] != v["q"], "both prices are equal")


def _cost(values: Values) -> Number:
    """What an order comes to, for choosing a payment above it."""
    second = values["m"] * values["q"] if "m" in values else 0
    return values["n"] * values["p"] + second + values.get("f", 0) - values.get("c", 0)


def _order(name: str, parts: Iterable[str]) -> Family:
    """A family of orders; `parts` of two, delivery, coupon, paid."""
    has = set(parts)
    params: dict[str, str] = {"n": "count", "p": "price"}
    params |= {"m": "count", "q": "price"} if "two" in has else {}
    params |= {"f": "fee"} if "delivery" in has else {}
    params |= {"c": "fee"} if "coupon" in has else {}

    def solve(w: Work, v: Values) -> Number:
        total = w.mul(v["n"], v["p"])
        if "two" in has:
            total = w.add(total, w.mul(v["m"], v["q"]))
        if "delivery" in has:
            total = w.add(total, v["f"])
        if "coupon" in has:
            total = w.sub(total, v["c"])
        return w.sub(v["b"], total) if "paid" in has else total

    def template(style: _Style) -> str:
        sentences = style.two if "two" in has else style.one
        sentences += "".join(getattr(style, part) for part in ("delivery", "coupon", "paid") if part in has)
        return sentences + (style.change if "paid" in has else style.total)

    def payment(values: Values) -> Values:
        return {"b": payment_above(_cost(values))} if "paid" in has else {}

    constraints = (*([_TWO_PRICES] if "two" in has else []), *([_SMALL_COUPON] if "coupon" in has else []))
    steps = 1 + 2 * ("two" in has) + sum(part in has for part in ("delivery", "coupon", "paid"))
    return Family(
        name, "invoices", steps, params, solve, tuple(map(template, _STYLES)), derived=payment, constraints=constraints
    )


INVOICES = (
    _order("coupon_change", ("coupon", "paid")),
    _order("two_items_coupon_change", ("two", "coupon", "paid")),
    _order("coupon_delivery_change", ("coupon", "delivery", "paid")),
    _order("two_items_delivery_change", ("two", "delivery", "paid")),
)

_TWO_RATES = Constraint(lambda v: v["r"] != v["s"], "both rates are equal")


RATES = (
    Family(
        "drain_twice", "rates", 4, {"z": "amount", "r": "rate", "t": "hours", "s": "rate", "u": "hours"},
        lambda w, v: w.sub(w.sub(v["v"], w.mul(v["r"], v["t"])), w.mul(v["s"], v["u"])),
        (
            "A tank holds {v} litres of {liquid}. A pipe drains {r} litres per minute for {t} minutes, "
            "then {s} litres per minute for {u} minutes. How many litres are in it?",
            "There are {v} litres of {liquid} in a barrel. {r} litres per hour flow out for {t} hours. "
            "Then {s} litres per hour flow out for {u} hours. How many litres are there?",
            "Log: start {v} litres; out {r} litres per minute for {t} minutes; out {s} litres per minute for {u} "
            "minutes. "
            "Litres at the end?",
            "A store has {v} boxes. A van takes {r} boxes per hour for {t} hours and {s} boxes per hour for {u} hours. "
            "How many boxes are there then?",
            "How full is a tank that began with {v} litres, after {t} hours with {r} litres per hour flowing out "
            "and {u} hours with {s} litres per hour flowing out?",
            "A pool has {v} litres. A leak loses {r} litres per minute for {t} minutes. "
            "Then a pump takes {s} litres per minute for {u} minutes. How many litres does it have?",
            "{name} has {v} labels, uses {r} labels per minute for {t} minutes and {s} labels per minute for {u} "
            "minutes. "
            "How many labels does {name} have then?",
            "{v} pages are to be read. "
            "{name} reads {r} pages per hour for {t} hours, and {s} pages per hour for {u} hours. "
            "How many pages are left?",
        ),
        derived=lambda v: {"v": v["z"] + v["r"] * v["t"] + v["s"] * v["u"]}, constraints=(_TWO_RATES,),
    ),
    Family(
        "drain_then_fill", "rates", 4, {"z": "amount", "s": "rate", "u": "hours", "r": "rate", "t": "hours"},
        lambda w, v: w.add(w.sub(v["v"], w.mul(v["s"], v["u"])), w.mul(v["r"], v["t"])),
        (
            "A tank holds {v} litres of {liquid}. A pipe drains {s} litres per minute for {u} minutes, "
            "then another brings {r} litres per minute for {t} minutes. How many litres are in it?",
            "There are {v} litres of {liquid} in a barrel. {s} litres per hour flow out for {u} hours. "
            "Then {r} litres per hour flow in for {t} hours. How many litres are there?",
            "Log: start {v} litres; out {s} litres per minute for {u} minutes; "
            "in {r} litres per minute for {t} minutes. Litres at the end?",
            "A store has {v} boxes. A van takes {s} boxes per hour for {u} hours. "
            "Then a machine makes {r} boxes per hour for {t} hours. How many boxes are there then?",
            "How full is a tank that began with {v} litres, after {u} hours with {s} litres per hour flowing out "
            "and {t} hours with {r} litres per hour flowing in?",
            "A pool has {v} litres. A leak loses {s} litres per minute for {u} minutes. "
            "Then a hose brings {r} litres per minute for {t} minutes. How many litres does it have?",
            "{name} has {v} labels, uses {s} labels per minute for {u} minutes "
            "and prints {r} labels per minute for {t} minutes. How many labels does {name} have then?",
            "{v} cards lie on a table. {name} takes {s} cards per minute for {u} minutes and {name2} "
            "lays down {r} cards per minute for {t} minutes. How many cards lie there?",
        ),
        derived=lambda v: {"v": v["z"] + v["s"] * v["u"]}, constraints=(_TWO_RATES,),
    ),
    Family(
        "net_fill", "rates", 3, {"v": "amount", "s": "rate", "z": "rate", "t": "hours"},
        lambda w, v: w.add(w.mul(w.sub(v["r"], v["s"]), v["t"]), v["v"]),
        (
            "A pipe brings {r} litres of {liquid} per minute and a leak loses {s} litres per minute. "
            "The tank had {v} litres. How many litres are in it {t} minutes later?",
            "There are {v} litres of {liquid} in a barrel. Per hour {r} litres flow in and {s} litres flow out. "
            "How many litres are there after {t} hours?",
            "Log: start {v} litres; in {r} litres per minute; out {s} litres per minute; time {t} minutes. "
            "Litres at the end?",
            "A store has {v} boxes. {name} packs {r} boxes per hour and a van takes {s} boxes per hour. "
            "How many boxes are there after {t} hours?",
            "How full is a tank that began with {v} litres, after {t} hours with {r} litres per hour flowing in "
            "and {s} litres per hour flowing out at once?",
            "A pool has {v} litres. A hose brings {r} litres per minute, and a leak loses {s} litres per minute. "
            "How many litres does it have after {t} minutes?",
            "{name} has {v} labels. {name} prints {r} labels and {name2} uses {s} labels per minute. "
            "How many labels are there after {t} minutes?",
            "{v} pages are printed. A printer adds {r} pages per hour and {name} takes {s} pages per hour away. "
            "How many pages are there after {t} hours?",
        ),
        derived=lambda v: {"r": v["s"] + v["z"]},
    ),
)  # fmt: skip

SCHEDULES = (
    Family(
        "tasks_setup", "schedules", 2, {"n": "count", "m": "minutes", "b": "pause"},
        lambda w, v: w.add(w.mul(v["n"], v["m"]), v["b"]),
        (
            "{name} does {n} tasks of {m} minutes each and needs {b} minutes to set up. "
            "How many minutes is that in all?",
            "A course has {n} lessons of {m} minutes and a test of {b} minutes. How many minutes is it?",
            "Plan: {n} talks of {m} minutes; {b} minutes of welcome. Minutes in all?",
            "How many minutes do {n} games of {m} minutes each take, with {b} minutes for the start?",
            "{name} takes {n} calls. Each call lasts {m} minutes. The notes take {b} minutes. "
            "How many minutes is that?",
            "A morning has {n} classes. A class takes {m} minutes. The way to school takes {b} minutes. "
            "How many minutes are gone?",
            "{n} meetings of {m} minutes are held, and {b} minutes go to cleaning. How many minutes is the room used?",
            "After {n} films of {m} minutes each there is a talk of {b} minutes. How many minutes is the evening?",
        ),
    ),
    Family(
        "hours_and_tasks", "schedules", 3, {"h": "hours", "n": "count", "m": "minutes"},
        lambda w, v: w.add(w.mul(v["h"], 60), w.mul(v["n"], v["m"])),
        (
            "{name} works {h} hours and then does {n} tasks of {m} minutes each. How many minutes is that in all?",
            "A course has {h} hours of reading and {n} lessons of {m} minutes. How many minutes is it?",
            "Plan: {h} hours; {n} talks of {m} minutes more. Minutes in all?",
            "How many minutes are {h} hours and {n} games of {m} minutes each together?",
            "A shift of {h} hours is followed by {n} calls. Each call lasts {m} minutes. How many minutes is that?",
            "A day has {h} hours of school and {n} extra classes. A class takes {m} minutes. How many minutes is it?",
            "{name} booked a room for {h} hours. {n} meetings of {m} minutes are added. "
            "For how many minutes is it booked?",
            "An evening of {h} hours goes on with {n} films of {m} minutes each. How many minutes is it?",
        ),
    ),
    Family(
        "long_shift_left", "schedules", 4, {"h": "hours", "k": "minutes", "n": "count", "m": "minutes"},
        lambda w, v: w.sub(w.add(w.mul(v["h"], 60), v["k"]), w.mul(v["n"], v["m"])),
        (
            "{name} has {h} hours and {k} minutes and does {n} tasks of {m} minutes each. How many minutes are left?",
            "A course of {h} hours and {k} minutes has {n} lessons of {m} minutes. How many minutes remain?",
            "Plan: {h} hours and {k} minutes; {n} talks of {m} minutes. Minutes left?",
            "How many minutes of {h} hours and {k} minutes are left after {n} games of {m} minutes each?",
            "A shift is {h} hours and {k} minutes. {name} takes {n} calls. Each call lasts {m} minutes. "
            "How many minutes are free?",
            "A morning of {h} hours and {k} minutes has {n} classes. A class takes {m} minutes. "
            "How many minutes are not used?",
            "{name} booked a room for {h} hours and {k} minutes. {n} meetings of {m} minutes are held. "
            "How many minutes stay free?",
            "After {n} films of {m} minutes each, how many minutes remain of an evening of {h} hours and {k} minutes?",
        ),
        constraints=(
            Constraint(lambda v: v["k"] < 60, "the minutes make more than an hour"),
            Constraint(lambda v: v["n"] * v["m"] < v["h"] * 60, "the tasks do not fit into the hours"),
        ),
    ),
    Family(
        "sessions_break_end", "schedules", 4, {"s": "clock", "n": "small", "m": "minutes", "b": "pause"},
        lambda w, v: w.later(v["s"], w.add(w.mul(v["n"], v["m"]), v["b"])),
        (
            "{n} lessons start at {s} and last {m} minutes each, with one break of {b} minutes. "
            "At what time do they end?",
            "{name} leaves at {s}, makes {n} trips of {m} minutes each and rests {b} minutes once. "
            "At what time is {name} back?",
            "Plan: start {s}; {n} talks of {m} minutes; one break of {b} minutes. End time?",
            "What time is it after {n} games of {m} minutes each and one pause of {b} minutes, begun at {s}?",
            "A day has {n} meetings of {m} minutes each and a lunch of {b} minutes. The first begins at {s}. "
            "When is the last one over?",
            "At {s} {name} begins {n} calls of {m} minutes each and then writes notes for {b} minutes. "
            "At what time is {name} done?",
            "At {s} {name} bakes {n} cakes, one after another, {m} minutes each, and cleans up for {b} minutes. "
            "At what time is all done?",
            "{n} films of {m} minutes each start at {s}, with one pause of {b} minutes. "
            "At what time does the last film end?",
        ),
        constraints=(Constraint(lambda v: v["n"] * v["m"] < 240, "the sessions take four hours or more"),),
        clocks=frozenset({"s"}), clock_answer=True,
    ),
)  # fmt: skip
