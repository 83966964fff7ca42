"""Turns of chats in every spelling (OpenAI, ShareGPT, TRL) as Messages, with tool calls, reasoning, weights and media.

A key of a turn that plays no part is reported through `unused`, as `messages[].key`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from synth.example import Message, Part, Role, TextPart, ToolCall, plain_turn
from synth.importing.judgements import CUT_OFF, ended_too_early, says_bad
from synth.importing.kinds import ROW_KINDS
from synth.importing.media import Media
from synth.importing.values import BadRow, judged, missing, numbers, text

Unused = Callable[[str, Any], None]

_ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "developer": "system",
    **dict.fromkeys(("human", "prompter"), "user"),
    **dict.fromkeys(("gpt", "bot", "model", "chatgpt", "chatbot", "bing", "bard", "function_call"), "assistant"),
    **dict.fromkeys(("function", "observation", "function_response", "ipython"), "tool"),
}
REASONING = ("reasoning_content", "reasoning", "thinking")
_LEARNED = ("weight", "train", "training", "trainable", "loss", "learn", "loss_weight")
_KNOWN = {
    *("role", "from", "content", "value", "parts", "tool_calls", "function_call", "tool_call_id", "name"),
    *REASONING,
    *_LEARNED,
}


def turn_list(value: Any, role: str) -> list[Any]:
    """The turns in a value: a text or one message is one turn; a JSON text is parsed. Raises BadRow."""
    if isinstance(value, str) and value.lstrip()[:2] in ("[{", "[\n"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise BadRow("turns that are not JSON") from None
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if isinstance(value, dict):
        return [{"role": role, **value} if "from" not in value else value]
    if not isinstance(value, list) or not value:
        raise BadRow("no turns")
    return value


def read(turns: Sequence[Any], media: Media, unused: Unused) -> list[Message]:
    """Turns as Messages, in order. Raises BadRow with the first fault."""
    found: list[Message] = []
    for turn in turns:
        if type(turn) is dict and type(turn.get("content")) is list:
            found += [_turn(each, media, unused) for each in _with_results(turn)]
        else:
            found.append(_turn(turn, media, unused))
    return found


def _with_results(turn: dict[str, Any]) -> list[dict[str, Any]]:
    """A turn with parts; those that are results of tools, as Anthropic has them, as turns of the tool before it."""
    results, rest = [], []
    for part in turn["content"]:
        if isinstance(part, dict) and part.get("type") == "tool_result":
            own = {key: value for key, value in part.items() if key not in ("type", "tool_use_id")}
            results.append({"role": "tool", "tool_call_id": part.get("tool_use_id"), **own})
        else:
            rest.append(part)
    return [*results, *([{**turn, "content": rest}] if rest or not results else [])]


def role_of(turn: Mapping[str, Any]) -> Role | None:
    """Who speaks, in our words; None where it is nobody who is known."""
    speaker = turn.get("role") or turn.get("from")
    return _ROLES.get(speaker.strip().lower()) if isinstance(speaker, str) else None


def _turn(turn: Any, media: Media, unused: Unused) -> Message:
    if not isinstance(turn, dict):
        raise BadRow("a turn is not an object")
    speaker = turn.get("role") or turn.get("from")
    role = _ROLES.get(speaker.strip().lower()) if isinstance(speaker, str) else None
    if role is None:
        raise BadRow("wrong roles: not system, user, assistant or tool")
    content = turn.get("content")
    if missing(content):
        content = turn.get("parts") if missing(turn.get("value")) else turn["value"]
    if len(turn) == 2 and isinstance(content, str) and content.strip() and speaker != "function_call":
        return plain_turn(role, str(content))
    if isinstance(content, list):
        turn, content = _unfolded(turn, content)
    _agreeing(turn)
    if not missing(turn.get("train_detail")):  # Axolotl's
        raise BadRow("a turn of which only parts are to be learned (train_detail)")
    calls = _calls(turn, speaker, content, unused)
    parts = () if speaker == "function_call" else _parts(content, role, media, unused)
    if not calls and not any(p.text.strip() if isinstance(p, TextPart) else True for p in parts):
        raise BadRow("an empty turn")
    for key in turn:
        if key not in _KNOWN and not missing(turn[key]) and not says_bad(key, turn[key]):
            if ended_too_early(key, turn[key]):
                raise BadRow(CUT_OFF)
            unused(f"messages[].{key}", turn[key])
    reasons = [turn[key] for key in REASONING if not missing(turn.get(key))]
    if len(reasons) > 1 and any(reason != reasons[0] for reason in reasons):
        raise BadRow("a turn has two different texts of reasoning")
    weights = {_learn(turn[key], role) for key in _LEARNED if not missing(turn.get(key))}
    if role == "assistant" and any(says_bad(key, turn[key]) for key in turn):
        weights = {False}  # an answer that somebody judged as bad is context, and nothing to learn
    if len(weights) > 1:
        raise BadRow("a turn is to be learned by one of its keys, and not by another")
    return Message(
        role=role,
        content=parts,
        reasoning=text(reasons[0], "reasoning") if reasons else None,
        tool_calls=calls,
        tool_call_id=_name(turn.get("tool_call_id")),
        name=_name(turn.get("name")),
        learn=next(iter(weights), None),
    )


def _agreeing(turn: dict[str, Any]) -> None:
    """Raises BadRow for a turn that says the same thing in two ways which differ."""
    for first, second in (("content", "value"), ("role", "from"), ("content", "parts")):
        one, other = turn.get(first), turn.get(second)
        if not missing(one) and not missing(other) and one != other:
            raise BadRow(f"a turn has both '{first}' and '{second}', and they differ")


def _unfolded(turn: dict[str, Any], content: list[Any]) -> tuple[dict[str, Any], list[Any]]:
    """A turn with the reasoning and tool calls among its parts under keys of their own, and its other parts."""
    aside: dict[str, list[Any]] = {"reasoning": [], "tool_calls": []}
    rest = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("reasoning", "thinking"):
            aside["reasoning"].append(part.get("value") or part.get(kind) or part.get("text"))
        elif kind == "tool_call":
            aside["tool_calls"].append(_json(part.get("value"), "a tool call is not JSON"))
        elif kind == "tool_use":
            aside["tool_calls"].append({"id": part.get("id"), "name": part.get("name"), "arguments": part.get("input")})
        else:
            rest.append(part)
    found: dict[str, Any] = {}
    if aside["reasoning"]:
        found["reasoning"] = "\n".join(text(item, "reasoning") for item in aside["reasoning"])
    if aside["tool_calls"]:
        found["tool_calls"] = [
            call for item in aside["tool_calls"] for call in (item if isinstance(item, list) else [item])
        ]
    return ({**turn, **found} if found else turn), rest


def _name(value: Any) -> str | None:
    return None if missing(value) else text(value, "name")


def _learn(value: Any, role: str) -> bool | None:
    try:
        chosen = judged(value)
    except BadRow:
        raise BadRow("a turn's weight is neither 0 nor 1") from None
    if role == "assistant":
        return None if chosen else False
    if chosen:
        raise BadRow("a turn that is not the assistant's is to be learned")
    return None


def _calls(turn: dict[str, Any], speaker: Any, content: Any, unused: Unused) -> tuple[ToolCall, ...]:
    raw: Any = turn.get("tool_calls")
    if missing(raw) and not missing(turn.get("function_call")):
        raw = [turn["function_call"]]
    if speaker == "function_call":
        raw = _json(content, "a function_call turn is not JSON")
    if missing(raw):
        return ()
    if isinstance(raw, str):
        raw = _json(raw, "tool_calls are not JSON")
    return tuple(_call(call, unused) for call in (raw if isinstance(raw, list) else [raw]))


_OF_CALL = ("id", "type", "index", "name", "function", "parsed_arguments")
_ARGUMENTS = ("arguments", "parameters", "args", "input")


def _call(call: Any, unused: Unused) -> ToolCall:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRow("a tool call without the name of its function")
    named = next((key for key in _ARGUMENTS if key in function), "")
    arguments = function.get(named)
    for key, value in {**call, **function}.items():
        if key not in (*_OF_CALL, named) and not missing(value):
            unused(f"messages[].tool_calls[].{key}", value)
    if isinstance(arguments, str):
        try:
            parsed = json.loads(arguments)
        except (ValueError, RecursionError):
            parsed = None
        arguments = parsed if isinstance(parsed, dict) else arguments
    return ToolCall(name=function["name"], arguments=numbers(arguments), id=_name(call.get("id")))


def _json(value: Any, fault: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise BadRow(fault) from None


def read_tools(value: Any) -> tuple[dict[str, Any], ...]:
    """The tools of a row in OpenAI's form; a JSON text is parsed, old `functions` are wrapped. Raises BadRow."""
    if missing(value):
        return ()
    tools = _json(value, "the tools are not JSON")
    if missing(tools):
        return ()
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise BadRow("the tools are no list of objects")
    plain = [numbers(tool) for tool in tools]
    return tuple(
        {"type": "function", "function": {_OF_TOOL.get(key, key): part for key, part in tool.items() if key != "type"}}
        if "name" in tool and "function" not in tool
        else tool
        for tool in plain
    )


_OF_TOOL = {"input_schema": "parameters"}  # as Anthropic calls it


def _parts(content: Any, role: str, media: Media, unused: Unused) -> tuple[Part, ...]:
    if missing(content):
        return ()
    if isinstance(content, list):
        parts = [_part(part, media, unused) for part in content if not missing(part)]
        if all(isinstance(part, TextPart) for part in parts):
            # An answer comes in pieces (citations), which follow each other; what is asked, in paragraphs.
            between = "" if role == "assistant" else "\n"
            joined = between.join(part.text for part in parts if isinstance(part, TextPart))
            return (TextPart(text=joined),) if joined else ()
        return tuple(parts)
    if isinstance(content, dict) and role == "tool":
        return (TextPart(text=json.dumps(numbers(content), ensure_ascii=False)),)
    return (TextPart(text=text(content, "turn")),)


def _mark(kind: str, part: dict[str, Any], media: Media) -> TextPart:
    """TRL's mark, whose picture or recording is in `images` or `audio`. Raises BadRow for anything else."""
    named = next((key for key in part if key != "type"), "")
    if named or ROW_KINDS[media.modality].medium != {"image": "images", "audio": "audio"}[kind]:
        what = "picture" if kind == "image" else "recording"
        raise BadRow(f"a {what} that is named by '{named[:40]}'" if named else f"has a {what}")
    return TextPart(text=f"<{kind}>")


def _embedded(source: Any) -> Any:
    """Anthropic's object around a picture, as a data address."""
    if isinstance(source, dict) and source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    return source


def _part(part: Any, media: Media, unused: Unused) -> Part:
    if isinstance(part, str):
        return TextPart(text=part)
    if not isinstance(part, dict):
        raise BadRow("a turn has parts that are not text, picture or recording")
    part = {key: value for key, value in part.items() if not missing(value)}
    kind = part.get("type")
    if "value" in part and kind in ("text", "image_url", "audio_url"):
        part[kind] = part.pop("value")
    reference = part.get(kind) if isinstance(kind, str) and not missing(part.get(kind)) else None
    if kind in ("text", "input_text", "output_text") and "text" not in part:
        raise BadRow("a turn has a part without its text")
    found: Part
    used: tuple[str, ...]
    if isinstance(part.get("text"), str) and kind in (None, "text", "input_text", "output_text"):
        found, used = TextPart(text=part["text"]), ("text",)
    elif kind in ("image", "image_url", "input_image") or (kind is None and "image" in part):
        key = next((k for k in ("image", "image_url", "url", "path", "source") if k in part), "")
        if not key:
            return _mark("image", part, media)
        found, used = media.picture(_embedded(part[key]) if key == "source" else part[key]), (key, "detail")
    elif kind in ("audio", "input_audio", "audio_url"):
        key = next((k for k in ("input_audio", "audio", "audio_url", "url", "path") if k in part), "")
        if not key:
            return _mark("audio", part, media)
        found, used = media.recording(part[key]), (key,)
    else:
        raise BadRow(f"a turn has a part of type {str(kind)[:40]}" if kind else "a turn has parts that are not text")
    for key, value in part.items():
        if key not in ("type", *used) and value is not reference:
            unused(f"messages[].content[].{key}", value)
    return found
