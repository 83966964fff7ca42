"""One row of any modality, and the small parts that it is made of.

Rows are frozen and versioned; unknown keys are refused. Media are named by path and hash, never held as bytes.
Every row says where it comes from (`Origin`), because a verdict holds for rows of that kind and for no others.
"""

from __future__ import annotations

import hashlib
import json
import operator
import unicodedata
from collections.abc import Mapping, Sequence
from functools import partial
from json.encoder import encode_basestring
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

from synth.media import check_reference
from synth.scoring.names import EXACT

Split = Literal["train", "val", "test", "test_ood", "test_real"]
GENERATED_SPLITS: tuple[Split, ...] = ("train", "val", "test", "test_ood")
"""The splits that generators fill. `test_real` holds rows that no generator made; see `synth.curation.amend`."""
SPLITS: tuple[Split, ...] = (*GENERATED_SPLITS, "test_real")

OriginKind = Literal["real", "imported", "hand", "stand_in", "teacher", "template"]
ORIGINS: dict[OriginKind, str] = {
    "real": "real",
    "imported": "imported",
    "hand": "written by hand",
    "stand_in": "stand-ins for real ones",
    "teacher": "written by a model",
    "template": "generated from templates",
}
"""What rows can come from and what that is called, nearest to the world first; imported ones are the user's own."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(_Frozen):
    """Where a row comes from. `by` names it: the id of the template, the teacher's model, the file, the person."""

    kind: OriginKind
    by: str = ""


def origin_of(source: Mapping[str, Any], template: str = "") -> Origin:
    """The origin of a row that does not say it, by its lineage: rows written before the field existed."""
    if "teacher" in source:
        return Origin(kind="teacher", by=str(source["teacher"]))
    if "generator" in source:
        return Origin(kind="template", by=str(source.get("grammar") or template))
    return Origin(kind="imported", by=str(source.get("file") or source.get("importer") or ""))


Reference = Annotated[str, AfterValidator(check_reference)]
"""A path below the dataset folder: relative, with forward slashes, without `..`."""


class TextPart(_Frozen):
    """Plain text inside a message."""

    type: Literal["text"] = "text"
    text: str


class ImagePart(_Frozen):
    """An image, by its path relative to the dataset folder and the SHA-256 (hex) of its bytes."""

    type: Literal["image"] = "image"
    path: Reference
    sha256: str


class AudioPart(_Frozen):
    """A recording, by its path relative to the dataset folder and the SHA-256 (hex) of its bytes."""

    type: Literal["audio"] = "audio"
    path: Reference
    sha256: str


Part = Annotated[TextPart | ImagePart | AudioPart, Field(discriminator="type")]


def _optional(default: Any = None) -> Any:
    """A field that rows without it do not write, so that rows of every day stay short and old readers read them."""
    return Field(default, exclude_if=operator.not_ if default == () else partial(operator.is_, None))


class ToolCall(_Frozen):
    """A call of a tool by the assistant; `arguments` are an object unless the model wrote something else."""

    name: str
    arguments: Any = None
    id: str | None = _optional()


Role = Literal["system", "user", "assistant", "tool"]


class Message(_Frozen):
    """One turn. In JSON, a message of a single text part is written as plain ``"content": "…"``.

    `learn` is False where the data say that this assistant turn is not to be learned, and None where they say nothing.
    `tool_call_id` and `name` belong to the turns of tools.
    """

    role: Role
    content: tuple[Part, ...]
    reasoning: str | None = _optional()
    tool_calls: tuple[ToolCall, ...] = _optional(())
    tool_call_id: str | None = _optional()
    name: str | None = _optional()
    learn: bool | None = _optional()

    @field_validator("content", mode="before")
    @classmethod
    def _plain_text(cls, value: Any) -> Any:
        return ({"type": "text", "text": value},) if isinstance(value, str) and value else value or ()

    @field_serializer("content")
    def _short_form(self, content: tuple[Part, ...]) -> Any:
        if not content:
            return ""
        if len(content) == 1 and isinstance(content[0], TextPart):
            return content[0].text
        return [part.model_dump() for part in content]

    @property
    def text(self) -> str:
        """The text parts, joined by newlines."""
        if len(self.content) == 1 and isinstance(self.content[0], TextPart):
            return self.content[0].text
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))


class Example(_Frozen):
    """A question with its right answer.

    Attributes:
        id: first 32 hex digits of the SHA-256 over the prompt (media by their hashes).
        target: what supervised tuning learns to say, working included.
        answer: the short gold answer that scorers compare with; None when only a judge can tell.
        rejected: a wrong answer to the same prompt, for preference tuning.
        template: what rows share when they are not independent (a phrasing, an image, a text); clusters in statistics.
        scorer: a key of `synth.scoring.scorers.SCORERS`.
        source: lineage: generator, its version, seed, parameters, difficulty …; every accepted answer as ``answers``.
        origin: where the row comes from; of rows that do not say it, what their lineage says.
        reasoning: what the model thinks before the target, where the data keep it apart.
        tool_calls: the calls that the target's turn makes; its text may then be empty.
        tools: the tools that the model may call, as JSON schemas in OpenAI's form.
        label: whether the target is a good answer, where single answers are judged (KTO); None where nobody says.
    """

    version: Literal[1] = 1
    id: str
    prompt: tuple[Message, ...] = Field(min_length=1)
    target: str
    answer: str | None = None
    rejected: str | None = None
    split: Split = "train"
    family: str
    template: str
    scorer: str = EXACT
    source: dict[str, Any] = Field(default_factory=dict)
    origin: Origin = Origin(kind="imported")
    reasoning: str | None = _optional()
    tool_calls: tuple[ToolCall, ...] = _optional(())
    tools: tuple[dict[str, Any], ...] = _optional(())
    label: bool | None = _optional()

    @model_validator(mode="before")
    @classmethod
    def _with_origin(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("origin"):
            source = values.get("source")
            origin = origin_of(source if isinstance(source, Mapping) else {}, str(values.get("template", "")))
            return {**values, "origin": origin}
        return values

    @property
    def target_message(self) -> Message:
        """The turn that is learned, whole."""
        content = (TextPart(text=self.target),) if self.target else ()
        return Message(role="assistant", content=content, reasoning=self.reasoning, tool_calls=self.tool_calls)


def system(text: str) -> Message:
    """A system message of plain text."""
    return Message(role="system", content=(TextPart(text=text),))


def user(*parts: str | Part) -> Message:
    """A user message; strings become text parts."""
    return Message(role="user", content=tuple(TextPart(text=p) if isinstance(p, str) else p for p in parts))


def assistant(text: str) -> Message:
    """An assistant message of plain text."""
    return Message(role="assistant", content=(TextPart(text=text),))


def plain_turn(role: Role, text: str) -> Message:
    """A message of plain text, made without validation, which takes half the time: for loops over all rows of a file.

    The types are the caller's promise.
    """
    part = _made(TextPart, {"type": "text", "text": text}, _TEXT_SET)
    fields = {"role": role, "content": (part,), **_NO_MORE}
    return _made(Message, fields, _TURN_SET)


def plain_example(**fields: Any) -> Example:
    """An Example of all its fields but `version`, in their order, made without validation, as `plain_turn`."""
    return _made(Example, {"version": 1, **fields}, _ROW_SET)


_TEXT_SET, _TURN_SET, _ROW_SET = {"text"}, {"role", "content"}, set(Example.model_fields) - {"version"}
_NO_MORE: dict[str, Any] = {"reasoning": None, "tool_calls": (), "tool_call_id": None, "name": None, "learn": None}
_Made = TypeVar("_Made", bound=BaseModel)


def _made(model: type[_Made], fields: dict[str, Any], fields_set: set[str]) -> _Made:
    """As `model_construct`, with all fields given."""
    made = model.__new__(model)
    _set(made, "__dict__", fields)
    _set(made, "__pydantic_fields_set__", fields_set)
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


_set = object.__setattr__
_as_json = json.JSONEncoder(ensure_ascii=False).encode


def prompt_id(prompt: Sequence[Message], tools: Sequence[dict[str, Any]] = ()) -> str:
    """32 hex digits that depend on roles, texts, tool calls and media hashes, not on where media lie.

    Two ways to write one accented letter in Unicode are one text here (NFC).
    """
    turns, calls = [], False  # as JSON, written by hand: this is done for every row that is ever read
    for m in prompt:
        said = [
            encode_basestring(p.text) if isinstance(p, TextPart) else _as_json([p.type, p.sha256]) for p in m.content
        ]
        turns.append(f'["{m.role}", [{", ".join(said)}]]')
        calls = calls or bool(m.tool_calls)
    if calls:
        turns.append(_as_json([[c.name, c.arguments] for m in prompt for c in m.tool_calls]))
    if tools:
        turns.append(_as_json(["tools", [*tools]]))
    text = f"[{', '.join(turns)}]"
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def make_example(
    prompt: Sequence[Message],
    target: str,
    *,
    family: str,
    template: str,
    answer: str | None = None,
    rejected: str | None = None,
    split: Split = "train",
    scorer: str = EXACT,
    source: dict[str, Any] | None = None,
    origin: Origin | None = None,
    **more: Any,
) -> Example:
    """An Example with its id computed from the prompt. `more`: reasoning, tool_calls, tools, label.

    Without `origin` it is the one that `source` tells of.
    """
    return Example(
        id=prompt_id(prompt, more.get("tools", ())),
        prompt=tuple(prompt),
        target=target,
        answer=answer,
        rejected=rejected,
        split=split,
        family=family,
        template=template,
        scorer=scorer,
        source=source or {},
        origin=origin or origin_of(source or {}, template),
        **more,
    )


def text_of(example: Example) -> str:
    """The user's text of all turns, joined by newlines."""
    return "\n".join(m.text for m in example.prompt if m.role == "user")


def media_parts(example: Example) -> list[ImagePart | AudioPart]:
    """The images and recordings of the prompt, in order."""
    return [p for m in example.prompt for p in m.content if not isinstance(p, TextPart)]
