"""Families about schedules and time. Answers are minutes, hours or a 24-hour time such as `09:05`."""

from __future__ import annotations

from synth.math.composed import SCHEDULES
from synth.math.family import NAMES, Constraint, Domain, Family, Values, Work
from synth.math.working import Number


def _sessions_breaks(w: Work, v: Values) -> Number:
    lessons = w.mul(v["n"], v["m"])
    return w.add(lessons, w.mul(w.sub(v["n"], 1), v["b"]))


FAMILIES = (
    Family(
        "sessions_breaks", "schedules", 4, {"n": "small", "m": "minutes", "b": "pause"}, _sessions_breaks,
        (
            "A course has {n} lessons of {m} minutes with a break of {b} minutes between lessons. "
            "How many minutes is it?",
            "{name} has {n} meetings of {m} minutes and rests {b} minutes between meetings. "
            "How many minutes is that in all?",
            "Plan: {n} talks of {m} minutes; {b} minutes between talks. Minutes in all?",
            "How many minutes do {n} games of {m} minutes take, with a pause of {b} minutes between games?",
            "{n} films run one after another. Each lasts {m} minutes. Between films there are {b} minutes. "
            "How many minutes does it take?",
            "A morning has {n} classes. A class takes {m} minutes and the time between classes is {b} minutes. "
            "How many minutes is the morning?",
            "{name} runs {n} rounds of {m} minutes each. Between rounds {name} rests {b} minutes. "
            "How many minutes does {name} need?",
            "Between {n} calls of {m} minutes each there are always {b} minutes. How many minutes pass in all?",
        ),
        constraints=(Constraint(lambda v: v["b"] < v["m"], "the break is not shorter than the session"),),
    ),
    Family(
        "tasks_left", "schedules", 2, {"n": "count", "m": "minutes", "z": "minutes"},
        lambda w, v: w.sub(v["T"], w.mul(v["n"], v["m"])),
        (
            "{name} has {T} minutes and does {n} tasks of {m} minutes each. How many minutes are left?",
            "A course of {T} minutes has {n} lessons of {m} minutes. How many minutes remain?",
            "Plan: {T} minutes; {n} talks of {m} minutes. Minutes left?",
            "How many of {T} minutes are left after {n} games of {m} minutes each?",
            "A shift is {T} minutes. {name} takes {n} calls. Each call lasts {m} minutes. How many minutes are free?",
            "A morning of {T} minutes has {n} classes. A class takes {m} minutes. How many minutes are not used?",
            "{name} booked a room for {T} minutes. {n} meetings of {m} minutes are held. How many minutes stay free?",
            "After {n} films of {m} minutes each, how many minutes remain of an evening of {T} minutes?",
        ),
        derived=lambda v: {"T": v["z"] + v["n"] * v["m"]},
    ),
    Family(
        "equal_slots", "schedules", 2, {"n": "count", "z": "minutes", "b": "pause"},
        lambda w, v: w.div(w.sub(v["T"], v["b"]), v["n"]),
        (
            "A course of {T} minutes has {n} equal lessons and one break of {b} minutes. "
            "How many minutes is a lesson?",
            "{name} has {T} minutes for {n} equal tasks and rests {b} minutes once. "
            "How many minutes is there for a task?",
            "Plan: {T} minutes; {n} equal talks; one break of {b} minutes. Minutes per talk?",
            "How many minutes does each of {n} equal games last, if all take {T} minutes with one pause of {b} "
            "minutes?",
            "A shift is {T} minutes with a break of {b} minutes. {name} shares the rest equally among {n} calls. "
            "How many minutes does a call get?",
            "A morning of {T} minutes has {n} classes of equal length and a pause of {b} minutes. "
            "How many minutes does a class take?",
            "{name} booked a room for {T} minutes. {b} minutes go to cleaning, the rest to {n} equal meetings. "
            "How many minutes is a meeting?",
            "An evening of {T} minutes has a break of {b} minutes and {n} equal films. "
            "How many minutes does a film last?",
        ),
        derived=lambda v: {"T": v["b"] + v["n"] * v["z"]},
    ),
    Family(
        "weekly_extra", "schedules", 2, {"h": "hours", "k": "small", "e": "hours"},
        lambda w, v: w.add(w.mul(v["h"], v["k"]), v["e"]),
        (
            "{name} works {h} hours a day for {k} days and {e} extra hours. How many hours is that in all?",
            "A shop is open {h} hours on each of {k} days and {e} hours on Sunday. How many hours is it open?",
            "Plan: {k} days of {h} hours; {e} extra hours. Hours in all?",
            "How many hours does {name} train with {k} days of {h} hours each and {e} hours more at the end?",
            "{name} is paid for {k} shifts. Each shift is {h} hours. {e} hours were added. How many hours are paid?",
            "The library opens {h} hours a day for {k} days. On the day after, it opens {e} hours. "
            "How many hours is that?",
            "A nurse works {k} shifts of {h} hours and one short shift of {e} hours. "
            "How many hours does the nurse work?",
            "For {k} days a team meets {h} hours a day, then once for {e} hours. How many hours does it meet?",
        ),
    ),
    Family(
        "hours_minutes", "schedules", 2, {"h": "hours", "m": "minutes"},
        lambda w, v: w.add(w.mul(v["h"], 60), v["m"]),
        (
            "A film lasts {h} hours and {m} minutes. How many minutes is that?",
            "{name} works {h} hours and {m} minutes. How many minutes does {name} work?",
            "Plan: {h} hours and {m} minutes. Minutes in all?",
            "How many minutes are there in {h} hours and {m} minutes?",
            "A train ride takes {h} hours. The train is {m} minutes late. How many minutes does the ride take?",
            "{name} booked a room for {h} hours and adds {m} minutes. For how many minutes is it booked?",
            "A shift of {h} hours runs {m} minutes over. How many minutes is the shift?",
            "After {h} hours of play there are {m} minutes of extra time. How many minutes is the game?",
        ),
        constraints=(Constraint(lambda v: v["m"] < 60, "the minutes make more than an hour"),),
    ),
    Family(
        "end_time", "schedules", 2, {"s": "clock", "m": "minutes"},
        lambda w, v: w.later(v["s"], v["m"]),
        (
            "A lesson starts at {s} and lasts {m} minutes. At what time does it end?",
            "{name} leaves at {s} and travels {m} minutes. At what time does {name} arrive?",
            "Plan: start {s}; {m} minutes. End time?",
            "What time is it {m} minutes after {s}?",
            "A meeting of {m} minutes begins at {s}. When is it over?",
            "The bus should come at {s}. It is {m} minutes late. At what time does it come?",
            "At {s} {name} puts a cake in the oven for {m} minutes. At what time is it done?",
            "A film of {m} minutes starts at {s}. At what time does the film end?",
        ),
        clocks=frozenset({"s"}), clock_answer=True,
    ),
    Family(
        "hours_break", "schedules", 2, {"h": "hours", "b": "minutes"},
        lambda w, v: w.sub(w.mul(v["h"], 60), v["b"]),
        (
            "{name} has {h} hours and rests for {b} minutes. How many minutes are left?",
            "A course of {h} hours has one break of {b} minutes. How many minutes remain?",
            "Plan: {h} hours; one break of {b} minutes. Minutes left?",
            "How many minutes of {h} hours are left after a pause of {b} minutes?",
            "A shift is {h} hours. A break takes {b} minutes. How many minutes does {name} work?",
            "A morning of {h} hours has a pause of {b} minutes. How many minutes are used?",
            "{name} booked a room for {h} hours. {b} minutes go to cleaning. How many minutes stay free?",
            "After a film of {b} minutes, how many minutes remain of an evening of {h} hours?",
        ),
    ),
    Family(
        "two_parts_end", "schedules", 3, {"s": "clock", "m": "minutes", "b": "minutes"},
        lambda w, v: w.later(v["s"], w.add(v["m"], v["b"])),
        (
            "A lesson of {m} minutes starts at {s}. After it there is a test of {b} minutes. "
            "At what time does the test end?",
            "{name} leaves at {s}, travels {m} minutes and waits {b} minutes. At what time does {name} go in?",
            "Plan: start {s}; {m} minutes of talk; {b} minutes of questions. End time?",
            "What time is it after a game of {m} minutes and a pause of {b} minutes, begun at {s}?",
            "A meeting of {m} minutes begins at {s}. It runs {b} minutes over. When is it over?",
            "At {s} {name} begins a call of {m} minutes and then one of {b} minutes. At what time is {name} done?",
            "At {s} {name} puts a cake in the oven for {m} minutes. It cools for {b} minutes. "
            "At what time is it ready?",
            "A film of {m} minutes starts at {s}. A second film of {b} minutes follows. At what time does it end?",
        ),
        constraints=(Constraint(lambda v: v["m"] != v["b"], "both parts are equally long"),),
        clocks=frozenset({"s"}), clock_answer=True,
    ),
    Family(
        "hours_left", "schedules", 3, {"h": "hours", "n": "count", "m": "minutes"},
        lambda w, v: w.sub(w.mul(v["h"], 60), w.mul(v["n"], v["m"])),
        (
            "{name} has {h} hours and does {n} tasks of {m} minutes each. How many minutes are left?",
            "A course of {h} hours has {n} lessons of {m} minutes. How many minutes remain?",
            "Plan: {h} hours; {n} talks of {m} minutes. Minutes left?",
            "How many minutes of {h} hours are left after {n} games of {m} minutes each?",
            "A shift is {h} hours. {name} takes {n} calls. Each call lasts {m} minutes. How many minutes are free?",
            "A morning of {h} hours has {n} classes. A class takes {m} minutes. How many minutes are not used?",
            "{name} booked a room for {h} hours. {n} meetings of {m} minutes are held. How many minutes stay free?",
            "After {n} films of {m} minutes each, how many minutes remain of an evening of {h} hours?",
        ),
        constraints=(Constraint(lambda v: v["n"] * v["m"] < v["h"] * 60, "the tasks do not fit into the hours"),),
        held_out=True,
    ),
    Family(
        "sessions_end", "schedules", 3, {"s": "clock", "n": "small", "m": "minutes"},
        lambda w, v: w.later(v["s"], w.mul(v["n"], v["m"])),
        (
            "{n} lessons start at {s} and last {m} minutes each. At what time do they end?",
            "{name} leaves at {s} and makes {n} trips of {m} minutes each. At what time is {name} back?",
            "Plan: start {s}; {n} talks of {m} minutes. End time?",
            "What time is it after {n} games of {m} minutes each, begun at {s}?",
            "A day has {n} meetings of {m} minutes each. The first begins at {s}. When is the last one over?",
            "At {s} {name} begins {n} calls of {m} minutes each. At what time is {name} done?",
            "At {s} {name} bakes {n} cakes, one after another, {m} minutes each. At what time is the last one done?",
            "{n} films of {m} minutes each start at {s}. At what time does the last film end?",
        ),
        constraints=(Constraint(lambda v: v["n"] * v["m"] < 240, "the sessions take four hours or more"),),
        clocks=frozenset({"s"}), clock_answer=True, held_out=True,
    ),
)  # fmt: skip

DOMAIN = Domain(
    "schedules",
    "Schedules and time",
    {"name": NAMES},
    (
        "The room has {d} chairs.", "The teacher owns {d} books.", "The building has {d} floors.",
        "It is {d} degrees outside.", "{d} posters hang on the wall.", "The bus line is number {d}.",
        "The house was built {d} years ago.", "The lobby has {d} plants.",
    ),
    (*FAMILIES, *SCHEDULES),
)  # fmt: skip
