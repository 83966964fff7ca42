"""A body of POST /v1/chat/completions, read strictly: what the model can do is honoured, everything else refused.

Refusals are `BadRequest`, a sentence in OpenAI's shape. Settings that cannot change an answer (`user`, `metadata`,
`store`, …) are taken and not used. Knows no tokens.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synth.example import Message
from synth.importing import turns
from synth.importing.media import Media
from synth.importing.values import BadRow
from synth.storage import JsonDict, atomic_write_bytes, sha256_bytes

MAX_CHOICES = 16
MAX_STOPS = 16
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0, 0.0), "presence_penalty": (0, 0.0), "logit_bias": ({},), "modalities": (["text"],),
    "functions": (), "function_call": ("none",), "audio": (), "prediction": (), "web_search_options": (),
    "reasoning_effort": ("none",), "verbosity": ("medium",),
}  # fmt: skip
"""Settings that are not honoured, with the values that ask for nothing."""
UNUSED = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
ROLES = ("system", "developer", "user", "assistant", "tool")


class BadRequest(Exception):
    """A request that is refused: a sentence, the key it is about, and a code for programs."""

    def __init__(self, message: str, param: str | None = None, code: str = "invalid_value", status: int = 400) -> None:
        super().__init__(message)
        self.param, self.code, self.status = param, code, status

    def body(self) -> JsonDict:
        """The error in OpenAI's shape."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class StreamOptions(_Strict):
    """What a stream brings besides its pieces."""

    include_usage: bool = False
    include_obfuscation: bool = False


class ChatRequest(_Strict):
    """A request that can be honoured. Without `temperature` the answer is greedy, as comparisons measure it."""

    model: str | None = None
    messages: list[JsonDict] = Field(min_length=1)
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=MAX_STOPS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: JsonDict | None = None
    tools: list[JsonDict] | None = None
    tool_choice: str | JsonDict | None = None
    parallel_tool_calls: bool | None = None

    @property
    def limit(self) -> int | None:
        """The longest answer that is wanted, in tokens."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end an answer."""
        found = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in found if text)

    @property
    def offered_tools(self) -> tuple[JsonDict, ...]:
        """The tools that the model is shown."""
        return () if self.tool_choice == "none" else tuple(self.tools or ())

    def schema_(self) -> JsonDict | None:
        """The JSON schema that the answer must obey; None where it is free. Raises BadRequest.

        `{"type": "choice", "choice": [texts]}` is our own: the answer is one of these texts and nothing else.
        """
        given = self.response_format
        kind = (given or {}).get("type")
        if given is None or kind == "text":
            return None
        if kind == "json_object":
            return {"type": "object"}
        if kind == "choice":
            texts = given.get("choice")
            if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
                raise BadRequest("response_format of type choice has no list `choice` of texts.", "response_format")
            return {"choice": texts}
        if kind != "json_schema":
            raise BadRequest(f"response_format of type {kind!r} is not known.", "response_format")
        wrapped = given.get("json_schema")
        schema = wrapped.get("schema") if isinstance(wrapped, dict) else None
        if not isinstance(schema, dict):
            raise BadRequest("response_format has no object json_schema.schema.", "response_format")
        return schema


def read_request(raw: bytes) -> ChatRequest:
    """The request in a body. Raises BadRequest with every fault at once."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequest("The body is not JSON.", code="invalid_json") from None
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.", code="invalid_json")
    if not body.get("messages"):
        raise BadRequest("The request has no messages.", "messages", "missing_required_parameter")
    refused = [key for key, neutral in NEUTRAL.items() if body.get(key) is not None and body[key] not in neutral]
    if refused:
        message = f"This server does not do {', '.join(refused)}: leave {'them' if len(refused) > 1 else 'it'} out."
        raise BadRequest(message, refused[0], "unsupported_parameter")
    try:
        request = ChatRequest.model_validate({k: v for k, v in body.items() if k not in NEUTRAL and k not in UNUSED})
    except ValidationError as error:
        faults = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        said = "; ".join(f"{place}: {what}" for place, what in faults[:5])
        raise BadRequest(f"The request cannot be read: {said}.", faults[0][0].partition(".")[0]) from None
    _check(request)
    return request


def _check(request: ChatRequest) -> None:
    """Refuse what fits its type and still cannot be honoured."""
    if request.top_logprobs is not None and not request.logprobs:
        raise BadRequest("top_logprobs needs logprobs: true.", "top_logprobs")
    if request.stream_options is not None and not request.stream:
        raise BadRequest("stream_options needs stream: true.", "stream_options")
    if request.tool_choice not in (None, "auto", "none"):
        raise BadRequest(
            "The model chooses by itself whether to call a tool: tool_choice is auto or none.", "tool_choice"
        )
    for tool in request.tools or []:
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, dict) or not function.get("name"):
            raise BadRequest('A tool is {"type": "function", "function": {"name": …}}.', "tools")
    if request.tools and request.schema_() is not None:
        raise BadRequest("Tools and a response_format cannot be had at once.", "response_format")


def read_messages(request: ChatRequest, modality: str, folder: Path) -> tuple[Message, ...]:
    """The turns; their pictures go into `folder`. Raises BadRequest."""
    odd: list[str] = []

    def store(data: bytes, suffix: str) -> str:
        name = f"{sha256_bytes(data)}{suffix}"
        atomic_write_bytes(folder / name, data)
        return name

    media = Media(modality, folder, store)
    found: list[Message] = []
    for place, turn in enumerate(request.messages):
        if turn.get("role") not in ROLES:
            raise BadRequest(f"messages[{place}]: the role is not one of {', '.join(ROLES)}.", "messages")
        try:
            found += turns.read([turn], media, lambda key, _: odd.append(key))
        except (BadRow, ValidationError) as fault:
            reason = str(fault) if isinstance(fault, BadRow) else "it cannot be read"
            raise BadRequest(f"messages[{place}]: {_in_words(reason)}.", "messages") from None
    if odd := sorted({key for key in odd if not key.endswith((".refusal", ".annotations"))}):
        raise BadRequest(f"This server does not read {', '.join(odd[:5])}.", "messages", "unsupported_parameter")
    if found[-1].role == "assistant":
        raise BadRequest("The last message is the assistant's, so that there is nothing to answer.", "messages")
    return tuple(found)


def _in_words(reason: str) -> str:
    if reason.startswith("has a "):
        return f"this model reads no {reason.removeprefix('has a ').partition(';')[0]}s"
    return reason
