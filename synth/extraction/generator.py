"""Fill the four splits with checked messages and their issues. Deterministic by the spec; rows come one by one.

test_ood holds what training never shows: a language, domains of components, forms of message, and phrasings.
"""

from __future__ import annotations

import functools
from random import Random
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from synth.context import Context
from synth.example import Example, Origin, Split, make_example, user
from synth.extraction.case import draw
from synth.extraction.message import HEADED, HELD_OUT_FORMS, WEIGHTS, compose
from synth.extraction.schema import INSTRUCTION
from synth.generators import Offers, draw_rows
from synth.scoring.names import FIELDS
from synth.task import TaskCard

VERSION = 4  # 3: test_ood had no unseen phrasings; the rest is as it was. 2: whole problems, few of them made of parts
TASK = TaskCard(instruction=INSTRUCTION, kind="extraction")
Language = Literal["en", "de", "es", "fr"]
Unseen = Literal["language", "domain", "form", "phrasing"]
_WORDED = {form: weight for form, weight in WEIGHTS.items() if form not in HEADED}


class Spec(BaseModel):
    """Settings of the complaint generator; each field's title and description also label the form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, title="Seed", description="Another seed gives other rows; the same seed the same rows.", ge=0)
    train: int = Field(4000, title="Training rows", description="Rows to tune on.", ge=0, le=1_000_000)
    val: int = Field(200, title="Validation rows", description="Rows to choose settings with.", ge=0, le=100_000)
    test: int = Field(300, title="Test rows", description="New messages of known kinds.", ge=0, le=100_000)
    test_ood: int = Field(
        150,
        title="Test rows, unseen families",
        description="A language, domains, forms of message and phrasings that training never shows.",
        ge=0,
        le=100_000,
    )
    unseen: tuple[Unseen, ...] = Field(
        ("language", "domain", "form", "phrasing"),
        title="Unseen kinds",
        description="What is new in those rows, in turns. Training shows none of it, whatever is chosen.",
        min_length=1,
    )
    languages: tuple[Language, ...] = Field(
        ("en", "de", "es", "fr"),
        title="Languages",
        description="Of the messages to tune on; Portuguese is kept for the unseen families.",
        min_length=1,
    )


def generate(spec: Spec, context: Context) -> Offers:
    """Candidates in the order train, val, test, test_ood. Raises DataError when no new message can be found."""
    return draw_rows("extraction", spec, context, functools.partial(_draw, spec))


def _draw(spec: Spec, rng: Random, split: Split, number: int) -> Example:
    unseen = spec.unseen[number % len(spec.unseen)] if split == "test_ood" else ""
    weights = _WORDED if unseen == "phrasing" else WEIGHTS
    form = rng.choice(HELD_OUT_FORMS) if unseen == "form" else rng.choices(list(weights), list(weights.values()))[0]
    case = draw(rng, unseen if unseen != "form" else "", spec.languages)
    message = compose(case, form, rng)
    answer = message.issue.as_json()
    kind = unseen if unseen == "phrasing" else form
    family = f"{case.language}/{case.domain}" if unseen in ("language", "domain") else f"{case.issue.type}/{kind}"
    template = f"{case.phrases}/{case.issue.type}/{form}/{case.problem.key}"
    return make_example(
        (user(message.text),),
        answer,
        answer=answer,
        split=split,
        family=family,
        template=template,
        scorer=FIELDS,
        origin=Origin(kind="template", by=template),
        source={
            "generator": "extraction",
            "generator_version": VERSION,
            "seed": spec.seed,
            "language": case.language,
            "component": case.component,
            "distractors": case.distractors,
            **({"phrases": case.phrases} if case.phrases != case.language else {}),
        },
    )
