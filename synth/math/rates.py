"""Families about rates, filling and draining, shared work and mixtures. "
"Answers are plain numbers without their unit."""

from __future__ import annotations

import math

from synth.math.composed import RATES
from synth.math.family import NAMES, Constraint, Domain, Family, Values, Work
from synth.math.working import Number

_SHORTEST = Constraint(lambda v: math.gcd(int(v["a"]), int(v["b"])) == 1, "the ratio can be shortened")
_TWO_RATES = Constraint(lambda v: v["r"] != v["s"], "both rates are equal")


def _ratio_part(w: Work, v: Values) -> Number:
    return w.mul(w.div(v["T"], w.add(v["a"], v["b"])), v["a"])


def _blend(w: Work, v: Values) -> Number:
    cost = w.add(w.mul(v["a"], v["p"]), w.mul(v["b"], v["q"]))
    return w.div(cost, w.add(v["a"], v["b"]))


FAMILIES = (
    Family(
        "two_legs", "rates", 3, {"r": "rate", "t": "hours", "s": "rate", "u": "hours"},
        lambda w, v: w.add(w.mul(v["r"], v["t"]), w.mul(v["s"], v["u"])),
        (
            "{name} travels {t} hours at {r} km/h and {u} hours at {s} km/h. How many km is that in all?",
            "A truck drives at {r} km/h for {t} hours, then at {s} km/h for {u} hours. How many km does it drive?",
            "A trip has two parts: {t} hours at {r} km/h and {u} hours at {s} km/h. How long is it in km?",
            "How many pages come out when a printer runs {t} hours at {r} pages per hour and {u} hours at {s} "
            "pages per hour?",
            "A machine makes {r} parts per hour for {t} hours. Then it makes {s} parts per hour for {u} hours. "
            "How many parts does it make?",
            "At {r} km per hour {name} rides for {t} hours. At {s} km per hour {name} rides for {u} hours more. "
            "How many km does {name} ride?",
            "Log: {t} h at {r} km/h; {u} h at {s} km/h. Distance in km?",
            "{name} packs {r} boxes per hour for {t} hours and {s} boxes per hour for {u} hours. "
            "How many boxes does {name} pack?",
        ),
        constraints=(_TWO_RATES,),
    ),
    Family(
        "fill_level", "rates", 2, {"v": "amount", "r": "rate", "t": "hours"},
        lambda w, v: w.add(w.mul(v["r"], v["t"]), v["v"]),
        (
            "A tank holds {v} litres of {liquid}. A pump adds {r} litres per minute for {t} minutes. "
            "How many litres are in the tank then?",
            "There are {v} litres of {liquid} in a barrel. {r} litres per hour flow in. "
            "How many litres are there after {t} hours?",
            "Log: start {v} litres; in {r} litres per minute; time {t} minutes. Litres at the end?",
            "A pool has {v} litres. A hose brings {r} litres per minute. "
            "How many litres does it have after {t} minutes?",
            "{name} has {v} labels and prints {r} labels per minute for {t} minutes. "
            "How many labels does {name} have then?",
            "After {t} hours with {r} litres of {liquid} per hour flowing in, how full is a tank that began with "
            "{v} litres?",
            "A store has {v} boxes. A machine makes {r} boxes per hour for {t} hours. How many boxes are there then?",
            "A pipe brings {r} litres of {liquid} per minute into a tank with {v} litres. "
            "How many litres are in it {t} minutes later?",
        ),
    ),
    Family(
        "drain_level", "rates", 2, {"z": "amount", "r": "rate", "t": "hours"},
        lambda w, v: w.sub(v["v"], w.mul(v["r"], v["t"])),
        (
            "A tank holds {v} litres of {liquid}. A pump takes out {r} litres per minute for {t} minutes. "
            "How many litres are in the tank then?",
            "There are {v} litres of {liquid} in a barrel. {r} litres per hour flow out. "
            "How many litres are there after {t} hours?",
            "Log: start {v} litres; out {r} litres per minute; time {t} minutes. Litres at the end?",
            "A pool has {v} litres. A leak loses {r} litres per minute. "
            "How many litres does it have after {t} minutes?",
            "{name} has {v} labels and uses {r} labels per minute for {t} minutes. "
            "How many labels does {name} have then?",
            "After {t} hours with {r} litres of {liquid} per hour flowing out, how full is a tank that began "
            "with {v} litres?",
            "A store has {v} boxes. A team sends out {r} boxes per hour for {t} hours. "
            "How many boxes are there then?",
            "A pipe drains {r} litres of {liquid} per minute from a tank with {v} litres. "
            "How many litres are in it {t} minutes later?",
        ),
        derived=lambda v: {"v": v["z"] + v["r"] * v["t"]},
    ),
    Family(
        "fill_time", "rates", 2, {"v": "amount", "r": "count", "z": "minutes"},
        lambda w, v: w.div(w.sub(v["V"], v["v"]), v["r"]),
        (
            "A tank for {V} litres holds {v} litres of {liquid}. A pump adds {r} litres per minute. "
            "How many minutes until it is full?",
            "There are {v} litres of {liquid} in a barrel for {V} litres. {r} litres per hour flow in. "
            "After how many hours is it full?",
            "Log: start {v} litres; full at {V} litres; in {r} litres per minute. Minutes needed?",
            "A pool has {v} of its {V} litres. A hose brings {r} litres per minute. "
            "How many minutes does it take to fill it?",
            "{name} needs {V} labels, has {v} and prints {r} labels per minute. How many minutes must {name} print?",
            "How many hours does a tank need from {v} litres to {V} litres, with {r} litres of {liquid} per hour "
            "flowing in?",
            "A store has {v} boxes and needs {V}. A machine makes {r} boxes per hour. How many hours must it run?",
            "A pipe brings {r} litres of {liquid} per minute into a tank with {v} litres. "
            "After how many minutes are there {V} litres?",
        ),
        derived=lambda v: {"V": v["v"] + v["r"] * v["z"]},
    ),
    Family(
        "joint_output", "rates", 2, {"r": "rate", "s": "rate", "t": "hours"},
        lambda w, v: w.mul(w.add(v["r"], v["s"]), v["t"]),
        (
            "One pump moves {r} litres per minute and another {s} litres per minute. Both run for {t} minutes. "
            "How many litres do they move?",
            "Two machines make {r} and {s} parts per hour. How many parts do they make together in {t} hours?",
            "Log: pump A {r} litres per minute; pump B {s} litres per minute; time {t} minutes. Litres in all?",
            "Two pipes bring {r} and {s} litres of {liquid} per minute into an empty tank. "
            "How many litres are in the tank after {t} minutes?",
            "{name} packs {r} boxes per hour and {name2} packs {s} boxes per hour. "
            "How many boxes do they pack together in {t} hours?",
            "{name} and {name2} ride away from each other at {r} km/h and {s} km/h. "
            "How many km are between them after {t} hours?",
            "In {t} hours, how many pages do two printers print together at {r} and {s} pages per hour?",
            "A hose brings {r} litres per minute and a tap {s} litres per minute. "
            "How many litres do both bring in {t} minutes?",
        ),
        constraints=(_TWO_RATES,),
    ),
    Family(
        "ratio_part", "rates", 3, {"a": "small", "b": "small", "z": "count"}, _ratio_part,
        (
            "A mix has {a} parts {stuff} and {b} parts {stuff2}. "
            "How many litres of {stuff} are in {T} litres of the mix?",
            "{name} mixes {stuff} and {stuff2} in the ratio {a} to {b} and gets {T} litres. "
            "How many litres are {stuff}?",
            "Recipe: {stuff} {a} parts; {stuff2} {b} parts; total {T} litres. Litres of {stuff}?",
            "For every {a} litres of {stuff} there are {b} litres of {stuff2}. "
            "The tank holds {T} litres of this mix. "
            "How much {stuff} is in it, in litres?",
            "How many litres of {stuff} does {name} need for {T} litres of a mix with {a} parts {stuff} to {b} "
            "parts {stuff2}?",
            "A drink is made of {stuff} and {stuff2}, {a} to {b}. {name} makes {T} litres. "
            "Find the litres of {stuff}.",
            "{T} litres of a mix hold {stuff} and {stuff2} in the ratio {a} to {b}. "
            "How many litres of {stuff} are that?",
            "Take {a} parts of {stuff} and {b} parts of {stuff2}. In all you have {T} litres. "
            "How many of them are {stuff}?",
        ),
        derived=lambda v: {"T": (v["a"] + v["b"]) * v["z"]}, constraints=(_SHORTEST,),
    ),
    Family(
        "blend_price", "rates", 5, {"a": "small", "b": "small", "p": "rate", "z": "small"}, _blend,
        (
            "{name} mixes {a} kg of tea at ${p} per kg with {b} kg of tea at ${q} per kg. "
            "What does one kg of the mix cost in dollars?",
            "A blend has {a} kg of nuts at ${p} per kg and {b} kg of nuts at ${q} per kg. "
            "What is its price per kg in dollars?",
            "Recipe: {a} kg at ${p} per kg; {b} kg at ${q} per kg. Price of the mix per kg in dollars?",
            "How many dollars per kg is a mix of {a} kg of coffee at ${p} per kg and {b} kg of coffee at ${q} "
            "per kg?",
            "One coffee costs ${p} per kg, the other ${q} per kg. "
            "{name} takes {a} kg of the first and {b} kg of the second. "
            "What is the mix worth per kg in dollars?",
            "{a} litres of oil at ${p} per litre are mixed with {b} litres at ${q} per litre. "
            "Find the price per litre in dollars.",
            "Take {a} kg of rice at ${p} per kg and {b} kg at ${q} per kg. "
            "What does a kg of both together cost in dollars?",
            "A shop blends {a} kg of tea for ${p} per kg and {b} kg for ${q} per kg. "
            "How many dollars should one kg of the blend cost?",
        ),
        derived=lambda v: {"q": v["p"] + v["z"] * (v["a"] + v["b"])},
    ),
    Family(
        "joint_drain", "rates", 3, {"z": "amount", "r": "rate", "s": "rate", "t": "hours"},
        lambda w, v: w.sub(v["v"], w.mul(w.add(v["r"], v["s"]), v["t"])),
        (
            "A tank holds {v} litres. One pump takes out {r} litres per minute and another {s} litres per minute. "
            "Both run for {t} minutes. How many litres are in the tank then?",
            "A store has {v} parts. Two machines use {r} and {s} parts per hour. "
            "How many parts are there after {t} hours?",
            "Log: start {v} litres; drain A {r} litres per minute; drain B {s} litres per minute; time {t} minutes. "
            "Litres at the end?",
            "Two pipes drain {r} and {s} litres of {liquid} per minute from a tank with {v} litres. "
            "How many litres are in it {t} minutes later?",
            "There are {v} boxes. {name} sends out {r} boxes per hour and {name2} sends out {s} boxes per hour. "
            "How many boxes are there after {t} hours?",
            "{v} pages wait. Two printers print {r} and {s} pages per hour. "
            "How many pages wait after {t} hours?",
            "A pool has {v} litres. One leak loses {r} litres per minute and another {s} litres per minute. "
            "How many litres does it have after {t} minutes?",
            "After {t} hours with {r} and {s} litres of {liquid} per hour flowing out of two pipes, "
            "how full is a tank that began with {v} litres?",
        ),
        derived=lambda v: {"v": v["z"] + (v["r"] + v["s"]) * v["t"]},
        constraints=(_TWO_RATES,),
    ),
    Family(
        "fill_twice", "rates", 4, {"v": "amount", "r": "rate", "t": "hours", "s": "rate", "u": "hours"},
        lambda w, v: w.add(w.add(w.mul(v["r"], v["t"]), v["v"]), w.mul(v["s"], v["u"])),
        (
            "A tank holds {v} litres of {liquid}. A pump adds {r} litres per minute for {t} minutes. "
            "Then it adds {s} litres per minute for {u} minutes. How many litres are in the tank then?",
            "There are {v} litres of {liquid} in a barrel. {r} litres per hour flow in for {t} hours. "
            "Then {s} litres per hour flow in for {u} hours. How many litres are there?",
            "Log: start {v} litres; in {r} litres per minute for {t} minutes; in {s} litres per minute for {u} "
            "minutes. "
            "Litres at the end?",
            "A pool has {v} litres. A hose brings {r} litres per minute for {t} minutes. "
            "Then a tap brings {s} litres per minute for {u} minutes. How many litres does it have?",
            "{name} has {v} labels, prints {r} labels per minute for {t} minutes and then {s} labels per minute "
            "for {u} minutes. How many labels does {name} have then?",
            "How full is a tank that began with {v} litres, after {t} hours with {r} litres per hour flowing in "
            "and {u} hours with {s} litres per hour flowing in?",
            "A store has {v} boxes. A machine makes {r} boxes per hour for {t} hours. "
            "Another makes {s} boxes per hour for {u} hours. How many boxes are there then?",
            "A pipe brings {r} litres per minute into a tank with {v} litres for {t} minutes. "
            "Another pipe brings {s} litres per minute for {u} minutes. How many litres are in it?",
        ),
        constraints=(_TWO_RATES,),
    ),
    Family(
        "joint_fill", "rates", 3, {"v": "amount", "r": "rate", "s": "rate", "t": "hours"},
        lambda w, v: w.add(w.mul(w.add(v["r"], v["s"]), v["t"]), v["v"]),
        (
            "A tank holds {v} litres. One pump adds {r} litres per minute and another {s} litres per minute. "
            "Both run for {t} minutes. How many litres are in the tank then?",
            "A store has {v} parts. Two machines make {r} and {s} parts per hour. "
            "How many parts are there after {t} hours?",
            "Log: start {v} litres; pump A {r} litres per minute; pump B {s} litres per minute; time {t} minutes. "
            "Litres at the end?",
            "Two pipes bring {r} and {s} litres of {liquid} per minute into a tank with {v} litres. "
            "How many litres are in it {t} minutes later?",
            "There are {v} boxes. {name} packs {r} boxes per hour and {name2} packs {s} boxes per hour. "
            "How many boxes are there after {t} hours?",
            "{v} pages are printed. Two printers go on together at {r} and {s} pages per hour. "
            "How many pages are there after {t} hours?",
            "A pool has {v} litres. A hose brings {r} litres per minute and a tap {s} litres per minute. "
            "How many litres does it have after {t} minutes?",
            "After {t} hours with {r} and {s} litres of {liquid} per hour flowing in from two pipes, "
            "how full is a tank that began with {v} litres?",
        ),
        constraints=(_TWO_RATES,),
        held_out=True,
    ),
    Family(
        "fill_and_drain", "rates", 4, {"v": "amount", "r": "rate", "t": "hours", "s": "rate", "u": "hours"},
        lambda w, v: w.sub(w.add(w.mul(v["r"], v["t"]), v["v"]), w.mul(v["s"], v["u"])),
        (
            "A tank holds {v} litres of {liquid}. A pump adds {r} litres per minute for {t} minutes. "
            "Then it takes out {s} litres per minute for {u} minutes. How many litres are in the tank then?",
            "There are {v} litres of {liquid} in a barrel. {r} litres per hour flow in for {t} hours. "
            "Then {s} litres per hour flow out for {u} hours. How many litres are there?",
            "Log: start {v} litres; in {r} litres per minute for {t} minutes; out {s} litres per minute for {u} "
            "minutes. "
            "Litres at the end?",
            "A pool has {v} litres. A hose brings {r} litres per minute for {t} minutes. "
            "Then a leak loses {s} litres per minute for {u} minutes. How many litres does it have?",
            "{name} has {v} labels, prints {r} labels per minute for {t} minutes and uses {s} labels per minute "
            "for {u} minutes. How many labels does {name} have then?",
            "How full is a tank that began with {v} litres, after {t} hours with {r} litres per hour flowing in "
            "and {u} hours with {s} litres per hour flowing out?",
            "A store has {v} boxes. A machine makes {r} boxes per hour for {t} hours. "
            "A team sends out {s} boxes per hour for {u} hours. How many boxes are there then?",
            "A pipe brings {r} litres per minute into a tank with {v} litres for {t} minutes. "
            "Another pipe drains {s} litres per minute for {u} minutes. How many litres are in it?",
        ),
        constraints=(_TWO_RATES,),
        held_out=True,
    ),
)  # fmt: skip

DOMAIN = Domain(
    "rates",
    "Rates and mixtures",
    {
        "name": NAMES,
        "name2": NAMES,
        "liquid": ("water", "milk", "oil", "juice", "paint", "fuel"),
        "stuff": ("water", "milk", "juice", "syrup", "soda", "tea", "lemonade", "vinegar"),
        "stuff2": ("water", "milk", "juice", "syrup", "soda", "tea", "lemonade", "vinegar"),
    },
    (
        "The operator wears badge {d}.", "It is {d} degrees outside.", "The building has {d} floors.",
        "{d} birds sit on the roof.", "The manual has {d} chapters.", "The site was built {d} years ago.",
        "The door has the number {d}.", "The wall has {d} windows.",
    ),
    (*FAMILIES, *RATES),
)  # fmt: skip
