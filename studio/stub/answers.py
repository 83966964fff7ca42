"""What the stub endpoint says: answers, token usage, tones. No HTTP here, and no model anywhere.

An answer is a template sentence that says it comes from a stub, or, where `--answers FILE` knows the prompt,
that file's answer, wrong on purpose in a settable share of cases. Everything is a function of the request and
a seed, so a rehearsal gives the same figures each time and no order of arrival changes an answer.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from synth.errors import DataError
from synth.storage import read_jsonl

SAMPLE_RATE_HZ = 16_000
CHARS_PER_TOKEN = 4  # the usual rule of thumb for English; a stub needs a stable count, not a true one
IMAGE_TOKENS = 85  # what one low-detail picture costs at a well-known vendor
AUDIO_TOKENS_PER_SEC = 10
CACHE_BLOCK_TOKENS = 128  # prompt caches bill in blocks of this size
NOTICE = "[stub endpoint: a template answer, no model was asked]"


class StubPrompt(NamedTuple):
    """A chat request boiled down: all its text, the last user text, and the SHA-256 of each media item."""

    text: str
    last_user: str
    media: tuple[str, ...]
    images: int
    audio_bytes: int


class Bill(NamedTuple):
    """Token counts as a vendor would bill them."""

    prompt: int
    cached: int
    completion: int

    def as_json(self) -> dict[str, Any]:
        """The `usage` object of a chat completion."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


def draw(*key: object) -> float:
    """A number in [0, 1) that depends on nothing but `key`."""
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def count_tokens(text: str) -> int:
    """Approximate number of tokens of `text`."""
    return math.ceil(len(text) / CHARS_PER_TOKEN)


def read_question(messages: list[Any]) -> StubPrompt:
    """Flatten OpenAI chat messages; raises ValueError with a sentence when they are malformed."""
    texts: list[str] = []
    media: list[str] = []
    last_user, images, audio_bytes = "", 0, 0
    for message in messages:
        if not isinstance(message, dict) or "role" not in message:
            raise ValueError("Each message needs a role and content.")
        own: list[str] = []
        for part in _parts(message.get("content")):
            if part.get("type") == "text":
                own.append(str(part.get("text", "")))
            elif part.get("type") == "image_url":
                media.append(_sha256_of_url(str(part.get("image_url", {}).get("url", ""))))
                images += 1
            elif part.get("type") == "input_audio":
                data = _decode(str(part.get("input_audio", {}).get("data", "")))
                media.append(hashlib.sha256(data).hexdigest())
                audio_bytes += len(data)
            else:
                raise ValueError(f"Unknown content part {part.get('type')!r}.")
        texts.append(f"{message['role']}: " + "\n".join(own))
        if message["role"] == "user":
            last_user = "\n".join(own)
    return StubPrompt("\n".join(texts), last_user, tuple(media), images, audio_bytes)


def _parts(content: Any) -> list[dict[str, Any]]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return content
    raise ValueError("Message content must be a string or a list of parts.")


def _decode(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("Media data is not valid base64.") from None


def _sha256_of_url(url: str) -> str:
    """Hash the bytes of a data URL; a web address is hashed as text and never fetched."""
    head, comma, data = url.partition(",")
    if head.startswith("data:") and head.endswith(";base64") and comma:
        return hashlib.sha256(_decode(data)).hexdigest()
    if not url.startswith(("http://", "https://")):
        raise ValueError("image_url must be a base64 data URL or a web address.")
    return hashlib.sha256(url.encode()).hexdigest()


class AnswerBook:
    """Known answers by prompt (and media), right in a share `accuracy` of them, template sentences otherwise.

    `path` is JSONL: `{"prompt": str, "answer": str, "media": [sha256, …]}`, or dataset rows, whose target is said.
    """

    def __init__(self, path: Path | None = None, accuracy: float = 1.0, seed: int = 0) -> None:
        self.accuracy = accuracy
        self.seed = seed
        if path and not path.is_file():
            raise DataError(f"There is no file of answers at {path}.", "Check the path.")
        self._answers = dict(_read_answers(path)) if path else {}
        self._order = list(self._answers.values())
        if path and not self._answers:
            raise DataError(f"{path} holds no answers.", 'Give lines of {"prompt": …, "answer": …}.')

    def answer(self, question: StubPrompt, response_format: Any, sample: object) -> str:
        """The text for one choice of a chat request; `sample` tells it from others to the same question."""
        key = self._find(question)
        if key is not None:
            right = self._answers[key]
            return right if draw(self.seed, *key, sample) < self.accuracy else self._other(right, key, sample)
        kind = response_format.get("type") if isinstance(response_format, dict) else None
        if kind == "json_schema":
            schema = response_format.get("json_schema", {}).get("schema", {})
            return json.dumps(fill_schema(schema, (self.seed, question.text, sample)))
        if kind == "json_object":
            return json.dumps({"stub": NOTICE, "question": question.last_user[:80]})
        number = int(draw(self.seed, question.text, *question.media, sample) * 100)
        return f"{NOTICE} You wrote {len(question.last_user)} characters.\nAnswer: {number}"

    def transcript(self, audio: bytes) -> str:
        """What a transcription request hears: the known text for these bytes, or the stub's sentence."""
        sha256 = hashlib.sha256(audio).hexdigest()
        for (_, media), text in self._answers.items():
            if media == (sha256,):
                return text
        return f"{NOTICE} {len(audio)} bytes of audio"

    def _find(self, question: StubPrompt) -> tuple[str, tuple[str, ...]] | None:
        asked = _squash(question.last_user)
        if (asked, question.media) in self._answers:
            return asked, question.media
        # Instructions (a schema, "think step by step") may surround the known prompt: take the longest inside.
        inside = [k for k in self._answers if k[0] and k[0] in asked and k[1] in ((), question.media)]
        return max(inside, key=lambda k: (len(k[0]), len(k[1])), default=None)

    def _other(self, right: str, key: tuple[str, tuple[str, ...]], sample: object) -> str:
        """Another prompt's answer: parseable, plausible and wrong."""
        start = int(draw(self.seed, "other", *key, sample) * len(self._order))
        around = self._order[start:] + self._order[:start]
        return next((text for text in around if text != right), f"{NOTICE} a wrong answer on purpose")


def _read_answers(path: Path) -> Iterator[tuple[tuple[str, tuple[str, ...]], str]]:
    for line, row, fault in read_jsonl(path):
        if row is None:
            raise DataError(f"{path}, line {line}: {fault}.", "Fix or remove the line.")
        prompt, answer = row.get("prompt"), row.get("answer")
        media: tuple[str, ...] = tuple(row.get("media", ()))
        if isinstance(prompt, list):  # a dataset row
            users = [message for message in prompt if message.get("role") == "user"]
            parts = [part for message in users for part in _parts(message.get("content"))]
            media = tuple(part["sha256"] for part in parts if "sha256" in part)
            texts = [part["text"] for part in _parts(users[-1]["content"]) if "text" in part] if users else []
            prompt, answer = "\n".join(texts), row.get("target")
        if not isinstance(prompt, str) or not isinstance(answer, str):
            raise DataError(
                f'{path}, line {line}: "prompt" and "answer" must be there as text.', "Fix or remove the line."
            )
        yield (_squash(prompt), media), answer


def _squash(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def fill_schema(schema: dict[str, Any], key: tuple[object, ...]) -> Any:
    """The plainest value that fits a JSON schema (objects, arrays, enums, strings, numbers, booleans)."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][int(draw(*key) * len(schema["enum"]))]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        fields = schema.get("properties", {})
        return {name: fill_schema(inner, (*key, name)) for name, inner in fields.items()}
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return [fill_schema(schema.get("items", {}), (*key, index)) for index in range(count)]
    if kind in ("integer", "number"):
        low = schema.get("minimum", 1)
        return low + int(draw(*key) * (schema.get("maximum", low + 99) - low))
    return {"boolean": draw(*key) < 0.5, "null": None}.get(kind, f"{NOTICE} {int(draw(*key) * 10_000)}")


class PromptCache:
    """Bills a prompt prefix as cached once its whole block was seen before, like vendors' prompt caches."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def bill(self, question: StubPrompt, answers: list[str]) -> Bill:
        """Count a request and remember its prefix blocks."""
        media_tokens = question.images * IMAGE_TOKENS + _audio_tokens(question.audio_bytes)
        size = CACHE_BLOCK_TOKENS * CHARS_PER_TOKEN
        blocks = range(size, len(question.text) + 1, size)
        hashes = [hashlib.sha256(question.text[:end].encode()).hexdigest() for end in blocks]
        cached = sum(h in self._seen for h in hashes) * CACHE_BLOCK_TOKENS
        self._seen.update(hashes)
        return Bill(count_tokens(question.text) + media_tokens, cached, sum(map(count_tokens, answers)))


def _audio_tokens(audio_bytes: int) -> int:
    return math.ceil(audio_bytes / (2 * SAMPLE_RATE_HZ) * AUDIO_TOKENS_PER_SEC)


def tone(text: str, file_format: str) -> bytes:
    """A beep as long as `text` would take to say (about 15 characters a second), as an audio file."""
    import numpy as np
    import soundfile

    seconds = min(30.0, max(0.2, len(text) / 15))
    time = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = 0.2 * np.sin(2 * np.pi * (300 + 400 * draw("pitch", text)) * time)
    if file_format == "pcm":
        return (wave * 32767).astype("<i2").tobytes()
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, SAMPLE_RATE_HZ, format=file_format.upper())
    return buffer.getvalue()
