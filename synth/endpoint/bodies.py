"""Bodies of other routes than /chat/completions, as batch results hold them: Responses, Anthropic messages, Gemini.

    reply_of({"type": "message", "content": […], "usage": {…}}) -> Reply

The client itself asks /chat/completions and /audio/transcriptions only (`wire`).
"""

from __future__ import annotations

from typing import Any

from synth.endpoint.reported_usage import read_usage
from synth.endpoint.wire import JsonDict, Reply, Unreadable, chat_reply, transcription_reply

# Their words for "cut at the limit" and "refused", in those of /chat/completions.
FINISHES = {
    "max_tokens": "length",
    "max_output_tokens": "length",
    "MAX_TOKENS": "length",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "STOP": "stop",
    "SAFETY": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "BLOCKLIST": "content_filter",
    "RECITATION": "content_filter",
    "SPII": "content_filter",
}


def reply_of(body: JsonDict) -> Reply:
    """The reply in a body of any known route. Raises Unreadable when there is none."""
    if "choices" in body:
        return chat_reply(body)
    if isinstance(body.get("output"), list):
        return _responses(body)
    if body.get("type") == "message" or "stop_reason" in body:
        return _anthropic(body)
    if "candidates" in body or "promptFeedback" in body:
        return _gemini(body)
    if isinstance(body.get("text"), str):
        return transcription_reply(body)
    raise Unreadable("the body is of no known route")


def _reply(text: str, usage: Any, finish: str, model: Any) -> Reply:
    finish = FINISHES.get(finish, finish)
    found = read_usage(usage, answered=bool(text))
    if not text and finish not in ("length", "content_filter", "refusal"):
        raise Unreadable("the answer has no text", usage=found)
    return Reply(text, found, 0.0, finish, str(model or ""))


def _dicts(value: Any) -> list[JsonDict]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _joined(parts: list[JsonDict], name: str = "text") -> str:
    return "".join(part[name] for part in parts if isinstance(part.get(name), str))


def _responses(body: JsonDict) -> Reply:
    """OpenAI Responses: messages among `output`, which also holds reasoning."""
    parts = [part for item in _dicts(body["output"]) for part in _dicts(item.get("content"))]
    text = _joined([part for part in parts if part.get("type") == "output_text"])
    refusal = _joined([part for part in parts if part.get("type") == "refusal"], "refusal")
    cut = body.get("incomplete_details")
    finish = str(cut.get("reason") or "") if isinstance(cut, dict) else "stop"
    return _reply(text or refusal, body.get("usage"), finish if text or not refusal else "refusal", body.get("model"))


def _anthropic(body: JsonDict) -> Reply:
    parts = [part for part in _dicts(body.get("content")) if part.get("type") == "text"]
    return _reply(_joined(parts), body.get("usage"), str(body.get("stop_reason") or ""), body.get("model"))


def _gemini(body: JsonDict) -> Reply:
    candidates = _dicts(body.get("candidates"))
    feedback = body.get("promptFeedback")
    blocked = isinstance(feedback, dict) and bool(feedback.get("blockReason"))
    first: JsonDict = candidates[0] if candidates else {}
    content = first.get("content")
    parts = _dicts(content.get("parts")) if isinstance(content, dict) else []
    text = _joined([part for part in parts if not part.get("thought")])
    finish = "content_filter" if blocked else str(first.get("finishReason") or "")
    return _reply(text, body.get("usageMetadata"), finish, body.get("modelVersion"))
