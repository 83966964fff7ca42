"""A row that was read (`compose.Fields`, or a row of our own format) as an Example: scorer, identity, origin.

Decides no split and reads no files but through `Media`.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from synth.example import Example, Message, Origin, Split, TextPart, make_example, plain_example, text_of
from synth.importing.compose import Fields
from synth.importing.kinds import ROW_KINDS
from synth.importing.media import Media
from synth.importing.values import BadRow
from synth.scoring import names
from synth.scoring.scorers import scorer_for
from synth.scoring.verify import fold


def to_example(
    key: str, fields: Fields, family: str, template: str, split: Split, source: dict[str, Any], modality: str
) -> Example:
    """An Example with its scorer chosen by the gold answer. Raises BadRow for text that is not valid Unicode."""
    target = fields.target
    answers = () if fields.label is False else fields.answers  # nothing is measured against a bad answer
    try:
        "".join([*(m.text for m in fields.prompt), target.text, *answers, fields.rejected or "", family]).encode()
    except UnicodeEncodeError as error:
        raise BadRow("broken Unicode (lone surrogate)") from error
    if len(answers) > 1:
        source = {**source, "answers": list(answers)}
    scorer = ROW_KINDS[modality].scorer or _scorer(answers, fields.choice)
    return plain_example(
        id=key,
        prompt=fields.prompt,
        target=target.text,
        answer=answers[0] if answers else None,
        rejected=fields.rejected,
        split=split,
        family=family,
        template=template,
        scorer=scorer,
        source=source,
        origin=_origin(source["file"]),
        reasoning=target.reasoning,
        tool_calls=target.tool_calls,
        tools=fields.tools,
        label=fields.label,
    )


@functools.lru_cache(256)
def _origin(file: str) -> Origin:
    return Origin(kind="imported", by=file)


def _scorer(answers: tuple[str, ...], choice: bool) -> str:
    if choice:
        return names.CHOICE
    if not answers:
        return names.EXACT
    # What most numbers look like; the table would say the same, after a hundred times the work.
    return names.MATH if _NUMBER.fullmatch(answers[0]) else _scorer_of(answers[0])


_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_scorer_of = functools.lru_cache(4096)(scorer_for)


def asked(prompt: tuple[Message, ...], question: str) -> tuple[Message, ...]:
    """A prompt with what is asked about its medium: its own words, or the usual question."""
    last = prompt[-1] if prompt else Message(role="user", content=())
    if last.text.strip():
        return prompt
    turn = Message(role="user", content=(*last.content, TextPart(text=question)))
    return (*prompt[:-1], turn)


def identity(example: Example) -> str:
    """What must not come twice: a prompt; where answers are compared or judged to learn from them, a prompt with its
    answers. Rows of one prompt that stay have one id and therefore one split.
    """
    if example.split != "train" or (example.label is None and example.rejected is None):
        return example.id
    key = f"{example.id}|{example.target}|{example.rejected}|{example.label}"
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32]


def answered(example: Example) -> str:
    """By what two rows of one prompt contradict each other; "" for rows of which several are meant to share one."""
    compared = example.label is not None or example.rejected is not None
    return "" if compared else fold(example.answer or example.target)


def repeated(modality: str, line: int, agrees: bool) -> str:
    """Why a row that comes again is set aside."""
    what, answer = {
        "text": ("prompt", "answer"),
        "vision": ("picture and question", "answer"),
        "audio": ("recording", "transcript"),
    }[modality]
    return f"same {what} as line {line}{'' if agrees else f', with another {answer}'}"


def own_example(row: Mapping[str, Any], media: Media) -> Example:
    """A row in our own format, its media stored anew and its id computed anew. Raises BadRow."""
    try:
        example = Example.model_validate({**row, "id": ""})
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRow(f"not a row of ours: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    prompt = tuple(media.own(message) for message in example.prompt)
    has_media = any(not isinstance(part, TextPart) for message in prompt for part in message.content)
    if not (text_of(example).strip() or has_media) or not (example.target.strip() or example.tool_calls):
        raise BadRow("the question or the answer is empty")
    kept = {name: getattr(example, name) for name in Example.model_fields}
    made = {k: v for k, v in kept.items() if k not in ("id", "version", "prompt", "target") and v not in (None, ())}
    return make_example(prompt, example.target, **made)
