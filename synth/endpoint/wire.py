"""What goes over the wire and what comes back: requests to JSON or multipart, bodies to replies.

No network here. A body that cannot be read raises `Unreadable`, which the client retries.
"""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from synth.endpoint.reported_usage import read_usage
from synth.errors import DataError
from synth.example import AudioPart, ImagePart, Message, TextPart
from synth.media import read_inside
from synth.usage import Usage

JsonDict = dict[str, Any]
MAX_AUDIO_SEC = 1e7  # four months; a server that says more says nonsense
TWO_A_TOKEN = (string.ascii_letters + " ").encode()
FORMS = re.compile(r"response_format|json_?schema|guided|structured output", re.IGNORECASE)
REFUSALS = frozenset({"refusal", "content_filter"})  # finish reasons


class Ask(NamedTuple):
    """One question. `media_root` is the dataset folder that media paths are relative to; files are read when sent.

    `sample` tells repeated answers to one question apart: same question and sample = same cached answer.
    `language` is the code of a recording's, "" where none is named; transcription endpoints are told it.
    `format_needed`: a server that refuses the response format refuses the question; otherwise it is asked without one.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 256
    temperature: float | None = 0.0
    response_format: JsonDict | None = None
    sample: int = 0
    media_root: Path | None = None
    transcription: bool = False
    language: str = ""
    format_needed: bool = True


class Reply(NamedTuple):
    """The answer to one Ask. `error` is a sentence when there is none; such a reply must never become a row.

    `seconds` is the time of the attempt that answered; from the cache, the time first measured. `replayed`: the server
    had made and billed this answer before.
    """

    text: str
    usage: Usage = Usage()
    seconds: float = 0.0
    finish_reason: str = ""
    model: str = ""
    cached: bool = False
    error: str = ""
    replayed: bool = False

    @property
    def ok(self) -> bool:
        return not self.error

    @property
    def refused(self) -> bool:
        """Whether the model or a filter before or after it declined; that is an answer, and asking again is no use."""
        return self.finish_reason in REFUSALS


class Piece(NamedTuple):
    """A part of an answer on its way. `usage` is that of the whole answer and comes once, near its end."""

    text: str
    usage: Usage | None = None


class Unreadable(Exception):
    """A 200 whose body holds no answer; the sentence says what it holds instead.

    `billed`: whether a model was probably asked; an HTML page comes from a proxy or a portal. `usage`: what the body
    says that was billed for it.
    """

    def __init__(self, why: str, billed: bool = True, usage: Usage | None = None) -> None:
        super().__init__(why)
        self.billed = billed
        self.usage = usage


def cache_key(url: str, model: str, ask: Ask) -> str:
    """SHA-256 over endpoint, model, payload (media by hash) and sample number."""
    turns = [
        [m.role, [p.text if isinstance(p, TextPart) else [p.type, p.sha256] for p in m.content]] for m in ask.messages
    ]
    knobs: list[Any] = [ask.max_tokens, ask.temperature, ask.response_format, ask.sample, ask.transcription]
    knobs += [ask.language] if ask.language else []  # answers of those that name none stay in the cache
    text = json.dumps([url, model, turns, knobs], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def chat_payload(model: str, ask: Ask, limit_field: str, formats: bool = True) -> JsonDict:
    """Body of /chat/completions; `limit_field` is max_tokens, or max_completion_tokens where a server insists.

    `formats`: the server takes response formats.
    """
    payload: JsonDict = {
        "model": model,
        "messages": [{"role": m.role, "content": _content(m, ask.media_root)} for m in ask.messages],
        limit_field: ask.max_tokens,
    }
    if ask.temperature is not None:
        payload["temperature"] = ask.temperature
    if ask.response_format is not None and (formats or ask.format_needed):
        payload["response_format"] = ask.response_format
    return payload


def transcription_file(ask: Ask) -> tuple[str, bytes]:
    """(file name, bytes) of the last recording of an Ask (examples come before it). Raises DataError without one."""
    for message in reversed(ask.messages):
        for part in message.content:
            if isinstance(part, AudioPart):
                return Path(part.path).name, media_bytes(part, ask.media_root)
    raise DataError("A transcription endpoint was given a row without a recording.", "Use `api: chat` instead.")


def media_bytes(part: ImagePart | AudioPart, root: Path | None) -> bytes:
    """The bytes of a medium; references that leave the dataset folder are refused."""
    return read_inside(root or Path(), part.path)


def _content(message: Message, root: Path | None) -> str | list[JsonDict]:
    if all(isinstance(part, TextPart) for part in message.content):
        return message.text
    return [_part(part, root) for part in message.content]


def _part(part: TextPart | ImagePart | AudioPart, root: Path | None) -> JsonDict:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    data = base64.b64encode(media_bytes(part, root)).decode("ascii")
    if isinstance(part, ImagePart):
        kind = mimetypes.guess_type(part.path)[0] or "image/png"
        return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
    suffix = Path(part.path).suffix.lstrip(".").lower() or "wav"
    return {"type": "input_audio", "input_audio": {"data": data, "format": suffix}}


def read_body(body: bytes) -> JsonDict:
    """The JSON object of a body. Raises Unreadable for HTML, cut JSON and anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        if body[:200].lstrip().lower().startswith((b"<!doctype", b"<html", b"<head")):
            raise Unreadable("the body is an HTML page", billed=False) from error
        raise Unreadable("the body is no complete JSON") from error
    if not isinstance(value, dict):
        raise Unreadable("the body is not a JSON object")
    return value


def chat_reply(value: JsonDict) -> Reply:
    """Reply of a /chat/completions body. Raises Unreadable when it holds no choice with text."""
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Unreadable("the answer has no choices", usage=read_usage(value.get("usage"), answered=False))
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise Unreadable("the answer's choice has no message", usage=read_usage(value.get("usage"), answered=False))
    finish = str(choices[0].get("finish_reason") or "")
    refusal = message.get("refusal")
    text = _text(message.get("content"))
    if text is None and isinstance(refusal, str) and refusal:
        text, finish = refusal, "refusal"
    # A reasoning model may spend its whole limit before the first word; what a filter withheld is refused again.
    if text is None and finish not in ("length", "content_filter"):
        raise Unreadable("the answer's message has no text", usage=read_usage(value.get("usage"), answered=False))
    usage = read_usage(value.get("usage"), answered=bool(text))
    return Reply(text or "", usage, 0.0, finish, str(value.get("model") or ""))


def is_replay(headers: Mapping[str, str]) -> bool:
    """Whether a server says that it made, and billed, this answer before."""
    return str(headers.get("idempotent-replayed", "")).lower() == "true"


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a streamed answer, without their ends."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace").rstrip("\r") for line in whole)
    yield rest.decode("utf-8", "replace")


def streamed_piece(line: str) -> Piece | None:
    """What one line of a streamed answer brings; None for a line that brings nothing. Raises Unreadable."""
    data = line.removeprefix("data:").strip()
    if not line.startswith("data:") or data == "[DONE]":
        return None
    value = read_body(data.encode())
    if value.get("error"):
        raise Unreadable("the server broke the answer off with an error")
    choices = value.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    delta = first.get("delta") if isinstance(first, dict) else None
    said = (_text(delta.get("content")) or _text(delta.get("refusal"))) if isinstance(delta, dict) else None
    usage = read_usage(value["usage"]) if isinstance(value.get("usage"), dict) else None
    return Piece(said or "", usage) if said or usage else None


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        pieces = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(piece for piece in pieces if isinstance(piece, str))
    return None


def transcription_reply(value: JsonDict) -> Reply:
    """Reply of an /audio/transcriptions body. Raises Unreadable without text."""
    text = value.get("text")
    if not isinstance(text, str):
        raise Unreadable("the transcription has no text")
    usage = value.get("usage")
    seconds = usage.get("seconds") if isinstance(usage, dict) else value.get("duration")
    known = float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < MAX_AUDIO_SEC else 0.0
    return Reply(text, read_usage(usage, answered=bool(text)).model_copy(update={"audio_sec": known}))


def worst_case(ask: Ask) -> Usage:
    """An upper estimate for the budget: the whole output limit, 2,000 tokens per image, 1 per 2 letters or spaces.

    Of all other characters each byte counts: many tokenizers take digits one by one, and signs of some scripts apart.
    """
    said = "".join(message.text for message in ask.messages)
    said += json.dumps(ask.response_format) if ask.response_format else ""
    data = said.encode("utf-8", "replace")
    others = len(data.translate(None, TWO_A_TOKEN))
    images = sum(isinstance(part, ImagePart) for message in ask.messages for part in message.content)
    tokens = others + (len(data) - others) // 2 + 16 + 2000 * images
    return Usage(input_tokens=tokens, output_tokens=ask.max_tokens)
