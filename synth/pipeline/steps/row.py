"""From a candidate's fields to a row of a dataset, with the whole way from the seed in its `source`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import Field, ValidationError

from synth.example import Example, Origin, make_example, system, user
from synth.pipeline.candidate import Candidate, Outcome
from synth.pipeline.step import MAIN, Env, Settings
from synth.pipeline.steps.medium import media_of
from synth.scoring import names

ROW = "_row"
"""The field that holds the Example."""


class Row(Settings):
    """Templates of a row's parts; fields are put in as `{{ field }}`."""

    prompt: str = Field(min_length=1, description="What the user asks")
    target: str = Field(description="What the model learns to say")
    system: str = Field(default="", description="System message")
    answer: str = Field(default="", description="The short gold answer, where a scorer can compare")
    rejected: str = Field(default="", description="A worse answer, for preference tuning")
    scorer: str = Field(default="", description="How answers are compared; without one, as exact text")
    family: str = Field(default="", description="Rows of one family can be held out together")
    template: str = Field(default="", description="Rows that are not independent share this; the seed without one")
    media: bool = Field(default=False, description="The candidate's picture or recording comes before the prompt")
    teacher: str = Field(default=MAIN, description="The teacher that wrote the row")


def row(stream: Iterator[Candidate], settings: Row, env: Env) -> Iterator[Outcome]:
    """Candidates with their row; one prompt makes one row."""
    parts = {
        name: env.template(text) for name, text in settings.model_dump(exclude={"teacher", "media"}).items() if text
    }
    seen: set[str] = set()
    for candidate in stream:
        try:
            made = _example(candidate, parts, settings, env)
        except ValidationError as error:
            yield candidate.rejected("no valid row", error.errors()[0]["msg"])
            continue
        if not made.target.strip() or not made.prompt[-1].text.strip():
            yield candidate.rejected("the row has an empty prompt or answer")
        elif made.id in seen:
            yield candidate.rejected("the same prompt twice")
        else:
            seen.add(made.id)
            yield candidate.having(**{ROW: made})


def _example(candidate: Candidate, parts: dict[str, Callable[[Candidate], str]], settings: Row, env: Env) -> Example:
    media = media_of(candidate, settings.media)
    filled = {name: fill(candidate) for name, fill in parts.items()}
    messages = [*([system(filled["system"])] if filled.get("system") else []), user(*media, filled["prompt"])]
    if candidate.given:
        origin = Origin(kind="imported", by=candidate.text("origin"))
    else:
        origin = Origin(kind="teacher", by=env.teacher(settings.teacher, candidate).model)
    source: dict[str, Any] = {"seed": candidate.seed, "lineage": list(candidate.lineage)}
    if not candidate.given:
        source["generation"] = 1 + int(candidate.fields.get("_generation", 0))
    if "quote_start" in candidate.fields:
        source |= {name: candidate.fields[name] for name in ("document", "page", "quote_start", "quote_end")}
    return make_example(
        messages,
        filled["target"],
        answer=filled.get("answer") or None,
        rejected=filled.get("rejected") or None,
        scorer=filled.get("scorer") or names.EXACT,
        family=filled.get("family") or "all",
        template=filled.get("template") or candidate.seed,
        source=source,
        origin=origin,
    )
