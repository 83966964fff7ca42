"""A teacher answers a prompt. What failed, was refused, cut or left empty is never an answer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from synth import endpoint
from synth.endpoint import Reply
from synth.example import system, user
from synth.pipeline.candidate import Candidate, Outcome
from synth.pipeline.step import MAIN, Env, Settings
from synth.pipeline.steps.medium import media_of
from synth.storage import JsonDict

DECLINED = re.compile(
    r"^\W*(?:(?:i['’]?m |i am )?(?:very )?sorry,? (?:but )?(?:i|we) (?:can(?:['’]?t|not)|am unable|won['’]t)"
    r"|i (?:can(?:['’]?t|not)|am (?:not able|unable) to|won['’]t) (?:help|assist|provide|comply|create|write|generate)"
    r"|as an ai\b)",
    re.IGNORECASE,
)
NO_ANSWER = "no answer came"
CHOICE = "answer"
MARK = re.compile(r"</?text>")  # what the shipped prompts put around a text


class Ask(Settings):
    """A question to a teacher."""

    prompt: str = Field(min_length=1, description="A template, or the file beside the pipeline that holds it")
    system: str = Field(default="", description="The system message, likewise")
    teacher: str = Field(default=MAIN, description="Which teacher; the main one where this has no model of its own")
    into: str = Field(
        default="reply", description="Field that the answer goes to; a list when there are several samples"
    )
    samples: int = Field(default=1, ge=1, le=64, description="Answers to ask for")
    max_tokens: int = Field(default=512, ge=1, description="Longer answers are cut, and then rejected")
    temperature: float | None = Field(default=0.7, ge=0, le=2, description="null leaves it to the server")
    media: bool = Field(default=False, description="Send the candidate's picture or recording too")
    json_schema: dict[str, Any] | None = Field(
        default=None, description="JSON schema that the server holds the answer to, where it can"
    )
    choices: list[str] = Field(
        default=[], description="The server holds the answer to one of these, where it can, as JSON: its text is kept"
    )


def ask(stream: Iterator[Candidate], settings: Ask, env: Env) -> Iterator[Outcome]:
    """Candidates with their answer, or several; rejected where no answer is of use."""
    prompt = env.template(settings.prompt)
    instruction = env.template(settings.system) if settings.system else None
    form = response_format(choice_schema(settings.choices) if settings.choices else settings.json_schema)
    asked_before: Counter[str] = Counter()  # a prompt that comes again wants another answer, not the one in the cache

    def questions(candidate: Candidate) -> list[endpoint.Ask]:
        media = media_of(candidate, settings.media)
        messages = (*([system(instruction(candidate))] if instruction else []), user(*media, prompt(candidate)))
        limits = settings.max_tokens, settings.temperature, form
        one = endpoint.Ask(messages, *limits, media_root=env.media, format_needed=False)
        text = "\n".join([*(part.sha256 for part in media), *(message.text for message in messages)])
        first = asked_before[text] if settings.temperature != 0 else 0
        asked_before[text] += settings.samples
        return [one._replace(sample=first + number) for number in range(settings.samples)]

    for candidate, asks, answers in env.ask(stream, settings.teacher, questions):
        replies = [answer.reply for answer in answers]
        said = asks[0].messages[-1].text
        found = [(unmarked(reply.text, said), fault(reply, said)) for reply in replies]
        texts = [chosen(text, settings.choices) for text, wrong in found if not wrong]
        noted = candidate.noting(
            env.step,
            model=env.teacher(settings.teacher, candidate).model,
            prompt=said,
            answers=[reply.text for reply in replies],
        )
        if not texts:
            yield noted.rejected(found[0][1], replies[0].error)
        else:
            yield noted.having(**{settings.into: texts if settings.samples > 1 else texts[0]})


def unmarked(answer: str, prompt: str) -> str:
    """The answer without marks of the prompt; of one that announces a marked text of its own, that text alone."""
    text = answer.strip()
    if not MARK.search(prompt):
        return text
    _, mark, rest = text.partition("<text>")
    inner, _, after = rest.partition("</text>")
    if mark and not after.strip() and not MARK.search(inner) and inner.strip() not in prompt:
        return inner.strip()
    return text.removeprefix("<text>").removesuffix("</text>").strip()


def fault(reply: Reply, prompt: str = "") -> str:
    """Why a reply to a prompt is no answer, in words that can be counted; "" when it is one."""
    if not reply.ok:
        return NO_ANSWER
    if reply.refused or DECLINED.match(reply.text):
        return "the teacher declined"
    if reply.finish_reason == "length":
        return "the answer was cut at the token limit"
    text = unmarked(reply.text, prompt)
    if MARK.search(text) and MARK.search(prompt):
        return "the answer repeats the prompt's <text> marks"
    return "" if text else "the answer is empty"


def response_format(schema: JsonDict | None) -> JsonDict | None:
    """A JSON schema as the request's field."""
    if schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def choice_schema(choices: Sequence[str], key: str = CHOICE) -> JsonDict:
    """The schema of an object with one of some texts."""
    said = {key: {"type": "string", "enum": list(choices)}}
    return {"type": "object", "properties": said, "required": [key], "additionalProperties": False}


def chosen(answer: str, choices: Sequence[str]) -> str:
    """The text that an answer of `choice_schema` holds; any other answer as it is."""
    try:
        value = json.loads(answer) if choices else None
    except (ValueError, RecursionError):
        return answer
    return value[CHOICE] if isinstance(value, dict) and value.get(CHOICE) in choices else answer
