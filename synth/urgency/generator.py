"""Fill the four splits with messages and their urgency. Deterministic by the spec; rows come one by one.

A message says one matter or two, and may mention what is not the case; the most urgent matter decides. Validation and
test use phrasings that training never shows; test_ood holds matters and a form of message that it never shows.
"""

from __future__ import annotations

import functools
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field

from synth.context import Context
from synth.example import Example, Origin, Split, make_example, user
from synth.generators import Offers, draw_rows
from synth.scoring.names import LABEL
from synth.task import TaskCard

VERSION = 1
Level = Literal["high", "medium", "low"]
LEVELS: tuple[Level, ...] = ("high", "medium", "low")
TASK = TaskCard(
    instruction="Say how urgent a message to our practice is. The most urgent thing that it says decides; what is "
    "denied, or long past, does not count.",
    kind="classification",
    labels={
        "high": "somebody may be in danger now: breath, chest, heavy bleeding, fainting, signs of a stroke, swelling "
        "of face or throat, poison, sudden loss of sight, fever from 40.0, pain from 8 of 10",
        "medium": "a complaint that somebody should see within days, fever from 38.0, pain from 4 of 10",
        "low": "nothing that hurts more than 3 of 10: appointments, bills, prescriptions, papers, questions",
    },
    answer_format="one of the labels and nothing else",
)
KEPT_PHRASINGS = 2
FORMS = ("plain", "mail", "chat", "web form")
HELD_OUT_FORM = "desk note"


class Spec(BaseModel):
    """Settings of the message generator; each field's title and description also label the form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, title="Seed", description="Another seed gives other rows; the same seed the same rows.", ge=0)
    train: int = Field(1200, title="Training rows", description="Rows to tune on.", ge=0, le=20_000)
    val: int = Field(120, title="Validation rows", description="Rows to choose settings with.", ge=0, le=2000)
    test: int = Field(300, title="Test rows", description="Known matters in wordings not trained on.", ge=0, le=2000)
    test_ood: int = Field(
        120,
        title="Test rows, unseen families",
        description="Matters and a form of message that training never shows.",
        ge=0,
        le=2000,
    )
    second_matter: float = Field(
        0.3, title="Two matters", description="Share of messages that say a second, not more urgent matter.", ge=0, le=1
    )
    set_aside: float = Field(
        0.25, title="What is not the case", description="Share of messages that deny something urgent.", ge=0, le=1
    )


class Matter(NamedTuple):
    """What a message is about, how urgent that is, and the ways to say it."""

    name: str
    level: Level
    phrasings: tuple[str, ...]
    held_out: bool


@functools.cache
def bank() -> dict[str, Any]:
    """The phrases, as they stand in the file."""
    return dict(yaml.safe_load(Path(__file__).with_name("phrases.yaml").read_text("utf-8")))


@functools.cache
def matters() -> tuple[Matter, ...]:
    """All matters, by level."""
    found = []
    for level in LEVELS:
        for name, said in bank()[level].items():
            unseen = isinstance(said, dict)
            found.append(Matter(name, level, tuple(said["held_out"] if unseen else said), unseen))
    return tuple(found)


def generate(spec: Spec, context: Context) -> Offers:
    """Candidates in the order train, val, test, test_ood. Raises DataError when no new message can be found."""
    return draw_rows("urgency", spec, context, functools.partial(_draw, spec))


def _draw(spec: Spec, rng: Random, split: Split, number: int) -> Example:
    level = LEVELS[number % len(LEVELS)]
    unseen = split == "test_ood" and number // len(LEVELS) % 2 == 0  # a matter; else a form
    form = HELD_OUT_FORM if split == "test_ood" and not unseen else rng.choice(FORMS)
    matter = rng.choice([m for m in matters() if m.level == level and m.held_out == unseen])
    phrasing = _phrasing(rng, matter, split)
    said = [matter.phrasings[phrasing]]
    if rng.random() < spec.second_matter:
        lower = LEVELS[LEVELS.index(level) :]
        other = rng.choice([m for m in matters() if m.level in lower and not m.held_out and m.name != matter.name])
        said.append(other.phrasings[_phrasing(rng, other, split)])
    rng.shuffle(said)
    text = _message(rng, said, rng.random() < spec.set_aside, form)
    family = f"{form}/{matter.name}" if form == HELD_OUT_FORM else matter.name
    template = f"{family}/{phrasing}"
    return make_example(
        (user(text),),
        level,
        answer=level,
        split=split,
        family=family,
        template=template,
        scorer=LABEL,
        origin=Origin(kind="template", by=template),
        source={"generator": "urgency", "generator_version": VERSION, "seed": spec.seed, "form": form},
    )


def _phrasing(rng: Random, matter: Matter, split: Split) -> int:
    """The number of a phrasing: the last of a matter that is not held out are kept for validation and test."""
    count = len(matter.phrasings)
    if matter.held_out:
        return rng.randrange(count)
    return rng.randrange(count - KEPT_PHRASINGS) if split == "train" else count - 1 - rng.randrange(KEPT_PHRASINGS)


def _message(rng: Random, said: list[str], denies: bool, form: str) -> str:
    words = bank()
    sentences = [_sentence(_filled(rng, one)) for one in said]
    beside = [rng.choice(words["chatter"])] if rng.random() < 0.45 else []
    beside += [rng.choice(words["set_aside"])] if denies else []
    for one in beside:
        sentences.insert(rng.randint(0, len(sentences)), _filled(rng, one))
    body = " ".join(sentences)
    opening, closing = (_filled(rng, rng.choice(words[key])) for key in ("openings", "closings"))
    if form == "mail":
        return f"{opening or 'Hello,'}\n\n{body}\n\n{closing or 'Regards'}"
    if form == "web form":
        return f"Name: {rng.choice(words['names'])}\nYour message: {body}"
    if form == HELD_OUT_FORM:
        return f"{rng.randrange(8, 18):02}:{rng.randrange(60):02}, call from {rng.choice(words['names'])}. {body}"
    text = " ".join(part for part in (opening, body, closing) if part)
    return text.lower().replace("!", "") if form == "chat" else text


def _sentence(text: str) -> str:
    question = text.startswith(("is ", "are ", "can ", "could ", "do ", "does ", "may ", "which ", "what ", "where "))
    end = "?" if question or text.startswith("until when") else "."
    return text[:1].upper() + text[1:] + end


def _filled(rng: Random, text: str) -> str:
    words = bank()
    person = rng.choice(words["persons"])
    first, second = rng.sample(words["days"], 2)
    return text.format(
        w="one" if person == "I" else person,
        W="My husband" if person == "I" else person[0].upper() + person[1:],
        n=rng.randrange(2, 10),
        day=first,
        day2=second,
        month=rng.choice(words["months"]),
        name=rng.choice(words["names"]),
        part=rng.choice(words["parts"]),
        hour=f"{rng.randrange(1, 12)} o'clock",
        t38=f"38.{rng.randrange(10)}" if rng.random() < 0.6 else f"39.{rng.randrange(10)}",
        t40=f"40.{rng.randrange(10)}" if rng.random() < 0.8 else f"41.{rng.randrange(5)}",
        p1=rng.randrange(1, 4),
        p4=rng.randrange(4, 8),
        p8=rng.randrange(8, 11),
    )
