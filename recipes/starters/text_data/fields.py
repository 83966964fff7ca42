"""Reading and copying: fields of short texts as `key: value` or JSON, one field asked for, echo, reversal, counting.

Values are invented words, codes and numbers, so that they must be copied and cannot be guessed.
"""

import json
import random
from collections.abc import Sequence

from recipes.starters.text_data.dates import WEEKDAYS, clock
from recipes.starters.text_data.row import THINGS, Row, invented_name, invented_word, literal, pick
from synth.audio.forms import MONTHS
from synth.scoring.names import FIELDS, JSON

_JOBS = [
    "baker",
    "driver",
    "nurse",
    "teacher",
    "pilot",
    "painter",
    "farmer",
    "lawyer",
    "cook",
    "singer",
    "engineer",
    "doctor",
    "writer",
    "gardener",
]
_COLOURS = ["red", "blue", "green", "yellow", "black", "white", "brown", "grey", "pink", "orange", "purple", "silver"]
_ANIMALS = ["dog", "cat", "horse", "rabbit", "parrot", "goat", "sheep", "turtle", "hamster", "duck"]
_SUBJECTS = ["history", "music", "maths", "biology", "art", "physics", "geography", "sport"]

Record = dict[str, str | int]


def _code(rng: random.Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(rng.randint(1, 3)))
    return f"{letters}{rng.choice(['-', '', '/'])}{rng.randint(10, 99999)}"


def _place(rng: random.Random) -> str:
    return invented_word(rng).capitalize() + rng.choice(["", "", "ville", " Town", "burg"])


def _person(rng: random.Random) -> tuple[Record, Sequence[str]]:
    record: Record = {
        "name": invented_name(rng),
        "age": rng.randint(18, 90),
        "city": _place(rng),
        "job": rng.choice(_JOBS),
    }
    return record, (
        "{name} is {age} years old, lives in {city} and works as a {job}.",
        "My name is {name}. I am a {job} from {city} and I am {age}.",
        "{job} {name}, {age}, {city}.",
        "In {city} there is a {job} called {name}, aged {age}.",
        "Hello, this is {name} ({age}). I moved to {city} to be a {job}.",
    )


def _pet(rng: random.Random) -> tuple[Record, Sequence[str]]:
    record: Record = {
        "name": invented_name(rng),
        "animal": rng.choice(_ANIMALS),
        "colour": rng.choice(_COLOURS),
        "age": rng.randint(1, 15),
    }
    return record, (
        "{name} is a {colour} {animal}. It is {age} years old.",
        "Our {animal} {name} is {age} and {colour}.",
        "Lost: {colour} {animal}, {age} years, answers to {name}.",
        "The {animal} is called {name}; colour {colour}, age {age}.",
    )


def _book(rng: random.Random) -> tuple[Record, Sequence[str]]:
    title = f"The {rng.choice(_COLOURS).capitalize()} {invented_word(rng).capitalize()}"
    record: Record = {
        "title": title,
        "author": f"{invented_name(rng)} {invented_word(rng).capitalize()}",
        "year": rng.randint(1850, 2030),
        "pages": rng.randint(40, 999),
    }
    return record, (
        "{title} was written by {author} in {year}. It has {pages} pages.",
        "{author}: {title} ({year}), {pages} p.",
        "In {year} {author} published {title}, a book of {pages} pages.",
        "I read {title} by {author}, all {pages} pages. It came out in {year}.",
    )


def _parcel(rng: random.Random) -> tuple[Record, Sequence[str]]:
    record: Record = {
        "code": _code(rng),
        "from": _place(rng),
        "to": _place(rng),
        "weight": f"{rng.randint(1, 40)}.{rng.randint(1, 9)} kg",
    }
    return record, (
        "Parcel {code} goes from {from} to {to} and weighs {weight}.",
        "The box with number {code} ({weight}) was sent from {from} to {to}.",
        "To {to}, from {from}: parcel {code}, {weight}.",
        "{code} | {from} -> {to} | {weight}",
    )


def _lesson(rng: random.Random) -> tuple[Record, Sequence[str]]:
    record: Record = {
        "subject": rng.choice(_SUBJECTS),
        "teacher": invented_name(rng),
        "room": _code(rng),
        "day": rng.choice(WEEKDAYS),
        "time": clock(rng.randrange(480, 1080, 5)),
    }
    return record, (
        "On {day} at {time}, {teacher} teaches {subject} in room {room}.",
        "{subject} with {teacher}: {day}, {time}, room {room}.",
        "The {subject} lesson of {teacher} is in {room} on {day} at {time}.",
    )


def _stock(rng: random.Random) -> tuple[Record, Sequence[str]]:
    record: Record = {
        "item": rng.choice(THINGS),
        "count": rng.randint(1, 999),
        "shelf": _code(rng),
        "month": rng.choice(MONTHS),
    }
    return record, (
        "We have {count} {item} on shelf {shelf} since {month}.",
        "Shelf {shelf}: {item}, {count} pieces, counted in {month}.",
        "In {month} {count} {item} were put on {shelf}.",
    )


_WORLDS = (_person, _pet, _book, _parcel, _lesson, _stock)


def _record(rng: random.Random) -> tuple[str, Record, str]:
    """A text, the fields in it and a template id."""
    world = rng.randrange(len(_WORLDS))
    record, forms = _WORLDS[world](rng)
    form = pick(rng, forms)
    return form.text.format(**record), record, f"w{world}.{form.place}"


def _wanted(rng: random.Random, record: Record) -> Record:
    keys = list(record)
    if rng.random() < 0.5:
        rng.shuffle(keys)
    return {key: record[key] for key in keys[: rng.randint(2, len(keys))]}


def key_values(rng: random.Random) -> Row:
    """Fields of a text as `key: value` lines, in the order asked for."""
    text, record, template = _record(rng)
    wanted = _wanted(rng, record)
    ask = pick(
        rng,
        (
            "Extract {k} from the text as key: value lines.\n{t}",
            "{t}\nList {k} as key: value.",
            "Fields: {k}\nText: {t}",
            "Text: {t}\nGive {k}, one per line, as key: value.",
            "Read this and fill in {k} (key: value).\n{t}",
        ),
    )
    target = "\n".join(f"{key}: {value}" for key, value in wanted.items())
    return literal(
        ask.text.format(k=", ".join(wanted), t=text),
        target,
        "key_values",
        f"{template}.{ask.place}",
        scorer=FIELDS,
    )


def as_json(rng: random.Random) -> Row:
    """Fields of a text as one JSON object."""
    text, record, template = _record(rng)
    wanted = _wanted(rng, record)
    ask = pick(
        rng,
        (
            "Extract {k} as JSON.\n{t}",
            "{t}\nReturn JSON with the keys {k}.",
            "JSON with {k}:\n{t}",
            "Text: {t}\nKeys: {k}\nAnswer in JSON.",
            "Turn this into a JSON object with {k}: {t}",
        ),
    )
    target = json.dumps(wanted, ensure_ascii=False)
    return literal(ask.text.format(k=", ".join(wanted), t=text), target, "json", f"{template}.{ask.place}", scorer=JSON)


def one_field(rng: random.Random) -> Row:
    """One field of a text."""
    text, record, template = _record(rng)
    key = rng.choice(list(record))
    ask = pick(
        rng,
        (
            "{t}\nWhat is the {k}?",
            "What is the {k} in this text? {t}",
            "Text: {t}\n{k}?",
            "{t} Give the {k}.",
            "Read: {t}\nWhich {k} is mentioned?",
        ),
    )
    value = str(record[key])
    return literal(ask.text.format(t=text, k=key), f"Answer: {value}", "one_field", f"{template}.{ask.place}", value)


def echo(rng: random.Random) -> Row:
    """Words, codes or digits repeated, reversed, or taken from the list by place."""
    kind = rng.randrange(3)
    count = rng.randint(2, 5)
    if kind == 0:
        items = [invented_word(rng, rng.randint(1, 3)) for _ in range(count)]
    elif kind == 1:
        items = [_code(rng) for _ in range(min(count, 4))]
    else:
        items = [str(rng.randrange(10)) for _ in range(count + 1)]
    joint = rng.choice([" ", ", "]) if kind < 2 else rng.choice(["", " "])
    text = joint.join(items)
    task = (
        rng.choice(["copy", "copy", "reverse", "first", "last", "count"])
        if kind < 2
        else rng.choice(["copy", "reverse", "last"])
    )
    asks = {
        "copy": ("Repeat: {}", "Copy this exactly: {}", "Say again: {}", "{}\nWrite the line above again."),
        "reverse": ("Reverse the order: {}", "Write backwards: {}", "{} from back to front?"),
        "first": ("What comes first? {}", "The first of {} is?"),
        "last": ("What comes last? {}", "The last of {} is?"),
        "count": ("How many are there? {}", "Count the items: {}"),
    }
    answer = {
        "copy": text,
        "reverse": joint.join(reversed(items)),
        "first": items[0],
        "last": items[-1],
        "count": str(len(items)),
    }[task]
    ask = pick(rng, asks[task])
    if task == "count":
        numbered = [f"{number} {item}" for number, item in enumerate(items, 1)]
        return literal(
            ask.text.format(text),
            "\n".join([*numbered, f"Answer: {answer}"]),
            "echo",
            f"{task}{kind}.{ask.place}",
            answer,
        )
    return literal(ask.text.format(text), answer, "echo", f"{task}{kind}.{ask.place}")
