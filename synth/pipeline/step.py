"""What a kind of step is, and what a step may use while it runs.

A step is a plain function `run(stream, settings, env)`: it takes candidates and yields each of them once, kept
(possibly with more fields) or rejected. Steps that may yield more candidates than they take say so (`fans_out`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from synth.context import Context
from synth.endpoint import Ask
from synth.errors import RecipeError, did_you_mean
from synth.pipeline.asking import Answer, Asked, Teacher, answers_in_order
from synth.pipeline.candidate import Candidate, Outcome
from synth.pipeline.prompts import Template, template
from synth.storage import JsonDict

MAIN = "teacher"
"""The teacher that is asked where no other is named."""


class Settings(BaseModel):
    """Settings of a step; its kind adds fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnySettings = TypeVar("AnySettings", bound=Settings)


@dataclasses.dataclass(frozen=True)
class Env:
    """What steps may use.

    Attributes:
        context: chance and the way to stop.
        inputs: what the user gave, by name; prompts may use it.
        folder: where the pipeline and its prompts lie.
        teachers: models to ask; `MAIN` is always there.
        wanted: how many candidates are still of use, as far as that can be told.
        used: told of each answer that a step used.
        found: told of figures about the step itself, which go into its counts.
        step: the step's own name, for the lineage.
        media: the folder that the paths of pictures and recordings start from.
        route: which teacher does the main one's work for a candidate, where several share it.
    """

    context: Context
    inputs: Mapping[str, Any]
    folder: Path
    teachers: Mapping[str, Teacher] = dataclasses.field(default_factory=dict)
    wanted: Callable[[], float] = lambda: math.inf
    used: Callable[[Answer], None] = lambda answer: None
    found: Callable[[JsonDict], None] = lambda figures: None
    step: str = ""
    media: Path = Path()
    route: Callable[[Candidate], str] | None = None

    def template(self, text: str) -> Callable[[Candidate], str]:
        """A prompt that is filled from a candidate's fields and the inputs; `fields["a name"]` is any of the fields."""
        fill: Template = template(text, self.folder)
        return lambda candidate: fill({**self.inputs, **candidate.fields, "fields": candidate.fields})

    def teacher(self, name: str, candidate: Candidate | None = None) -> Teacher:
        """The teacher of that name; without one of its own, the main one does its work."""
        if name == MAIN and self.route is not None and candidate is not None:
            name = self.route(candidate)
        found = self.teachers.get(name) or self.teachers.get(MAIN)
        if found is None:
            raise RecipeError(f"There is no teacher '{name}'.", "Name its model with --model.", "pipeline.teacher")
        return found

    def ask(
        self, stream: Iterator[Candidate], name: str, questions: Callable[[Candidate], list[Ask]]
    ) -> Iterator[Asked]:
        """Candidates with the answers of the teacher of that name, in order; each answer's cost is counted."""
        self.teacher(name)  # a missing one is told before anything is asked

        def teacher(candidate: Candidate) -> Teacher:
            return self.teacher(name, candidate)

        for asked in answers_in_order(stream, teacher, questions, self.wanted, self.context.stop):
            for answer in asked.answers:
                self.used(answer)
            yield asked


Run = Callable[[Iterator[Candidate], Any, Env], Iterator[Outcome]]


class StepKind(NamedTuple):
    """A kind of step: its settings, its function, and what it does in one sentence.

    Attributes:
        fans_out: it may yield more candidates than it takes.
        gathers: it takes the whole stream before it yields; what comes before it is paid once, however many rows.
        asks: it asks a teacher.
    """

    settings: type[Settings]
    run: Run
    about: str
    fans_out: bool = False
    gathers: bool = False
    asks: bool = False


def each(check: Callable[[Candidate, AnySettings, str], Outcome]) -> Run:
    """A step of a function that looks at one candidate at a time, and is told the step's name for the lineage."""

    def run(stream: Iterator[Candidate], settings: AnySettings, env: Env) -> Iterator[Outcome]:
        for candidate in stream:
            yield check(candidate, settings, env.step)

    return run


def field_of(candidate: Candidate, name: str) -> Any:
    """A field's value. Raises RecipeError with the nearest name where it is not there."""
    if name in candidate.fields:
        return candidate.fields[name]
    known = sorted(candidate.fields)
    raise RecipeError(
        f"A step wants the field '{name}', which no step before it makes{did_you_mean(name, known)}.",
        f"Name one of those that are there: {', '.join(known)}.",
        "pipeline.field",
    )
