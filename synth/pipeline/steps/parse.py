"""Fields out of a teacher's answer; an answer that does not hold them is rejected, never repaired into one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from synth.pipeline.candidate import Candidate, Outcome, seed_id
from synth.pipeline.step import Env, Settings
from synth.scoring import label as labels
from synth.scoring.verify import fold

FENCE = re.compile(r"^```[\w-]*\n(.*?)\n?```$", re.DOTALL)
BULLET = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+")
LINE_WORDS, PIECE_WORDS = 6, 4  # fewer may stand in a prompt and in a good answer by chance
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class Parse(Settings):
    """How to read an answer."""

    form: Literal["text", "json", "lines", "label", "number"] = Field(description="What the answer should be")
    field: str = Field(default="reply", description="Field that holds the answer")
    into: str = Field(default="", description="Field for what was read; json: none, its keys are fields")
    keys: list[str] = Field(default=[], description="json: keys that must be there, with text or a number")
    labels: list[str] = Field(default=[], description="label: the closed set")
    also: list[str] = Field(default=[], description="lines: values that come before those of the answer")
    items: bool = Field(default=False, description="lines: one candidate for each line, instead of a list")
    echo: bool = Field(
        default=True, description="text, lines: may be a piece of the prompt that was asked last, or hold a line of it"
    )
    low: float = Field(default=0, description="number: the least")
    high: float = Field(default=5, description="number: the most")


def parse(stream: Iterator[Candidate], settings: Parse, env: Env) -> Iterator[Outcome]:
    """Candidates with the fields that were read."""
    for candidate in stream:
        yield from _read(candidate, settings)


def _read(candidate: Candidate, settings: Parse) -> Iterator[Outcome]:
    answer = unfenced(candidate.text(settings.field))
    if settings.form == "json":
        yield _json(candidate, answer, settings)
    elif settings.form == "lines":
        yield from _lines(candidate, answer, settings)
    elif settings.form == "label":
        named = labels.read(answer, settings.labels)
        if len(named) == 1:
            yield candidate.having(**{settings.into: named[0]})
        else:
            yield candidate.rejected("two labels are named" if named else "no label of the set is named", answer[:200])
    elif settings.form == "number":
        found = [float(number) for number in NUMBER.findall(answer)]
        if found and settings.low <= found[0] <= settings.high:
            yield candidate.having(**{settings.into: found[0]})
        else:
            yield candidate.rejected("no number within the limits", answer[:200])
    elif not settings.echo and _repeats(candidate, answer, settings.field):
        yield candidate.rejected("the answer repeats the prompt", answer[:200])
    else:
        yield candidate.having(**{settings.into: unquoted(answer)})


def _repeats(candidate: Candidate, answer: str, field: str) -> bool:
    """Whether an answer gives the last prompt back, as small models do when they do not know what is asked.

    It is a piece of the prompt, or holds a whole line of its instructions; lines of a source it may quote.
    """
    asked = next((note["prompt"] for note in reversed(candidate.lineage) if "prompt" in note), "")
    said = fold(unquoted(answer))
    if said in fold(asked):
        return True
    others = (value for name, value in candidate.fields.items() if name != field and isinstance(value, str))
    sources = fold("\n".join(others))
    lines = (fold(line) for line in asked.splitlines() if len(line.split()) >= LINE_WORDS)
    return any(line in said and line not in sources for line in lines)


def unfenced(text: str) -> str:
    """The text without a code fence around it."""
    found = FENCE.match(text.strip())
    return found.group(1).strip() if found else text.strip()


def unquoted(text: str) -> str:
    """The text without quotation marks around all of it."""
    pairs = {'"': '"', "“": "”", "'": "'"}
    ends = pairs.get(text[:1])
    inner = text[1:-1]
    return inner.strip() if ends and text.endswith(ends) and len(text) > 2 and ends not in inner else text


def _lines(candidate: Candidate, answer: str, settings: Parse) -> Iterator[Outcome]:
    found = [BULLET.sub("", line).strip() for line in answer.splitlines()]
    # A list that a model announces ("Here are ten topics:") or ends with a remark is a list all the same.
    bulleted = [line for line in answer.splitlines() if BULLET.match(line)]
    if len(bulleted) > 1:
        found = [BULLET.sub("", line).strip() for line in bulleted]
    values = list(dict.fromkeys(unquoted(line.strip("* ")) for line in found if line.strip("*-—= ")))
    values = list(dict.fromkeys((*settings.also, *values)))
    if not values:
        yield candidate.rejected("the answer holds no list", answer[:200])
    elif not settings.items:
        yield candidate.having(**{settings.into: values})
    else:
        for value in values:
            if (
                not settings.echo
                and value not in settings.also
                and len(value.split()) >= PIECE_WORDS
                and _repeats(candidate, value, settings.field)
            ):
                yield candidate.rejected("a line repeats the prompt", value[:200])
                continue
            yield candidate._replace(seed=seed_id(candidate.seed, value)).having(**{settings.into: value})


def _json(candidate: Candidate, answer: str, settings: Parse) -> Outcome:
    value = first_object(answer)
    if value is None:
        return candidate.rejected("the answer holds no JSON object", answer[:200])
    fields = {str(key).strip().lower(): one for key, one in value.items()}
    for key in settings.keys:
        if not isinstance(fields.get(key.lower()), str | int | float) or fields[key.lower()] in ("", None):
            return candidate.rejected(f"the JSON object lacks '{key}'", answer[:200])
    return candidate.having(**{key: _plain(fields[key.lower()]) for key in settings.keys})


def _plain(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def first_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text, whatever stands around it."""
    decoder = json.JSONDecoder()
    for start in [match.start() for match in re.finditer(r"\{", text)][:20]:
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None
