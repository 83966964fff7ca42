"""A request of a log: what was asked, what the endpoint answered (chat completions or Responses), and its facts.

Which keys of a log hold these is in `synth.importing.logs`; turns are read by `synth.importing.turns`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth.importing import turns
from synth.importing.judgements import CUT_OFF
from synth.importing.logs import price
from synth.importing.turns import Unused
from synth.importing.values import BadRow, missing, numbers, text

FACTS = frozenset(("usage", "usd", "time", "conversation", "model", "speaker", "language"))
_TURN = ("role", "content", "refusal", "tool_calls", "function_call", "name", *turns.REASONING)
_TOLD = ("usage", "model", "created", "type", "object")  # of a response: facts that have paths of their own, and kinds


def with_request(parts: dict[str, Any], unused: Unused) -> dict[str, Any]:
    """A request as it was sent: its turns and its tools; its other keys are settings, which nobody learns."""
    request = parts["request"]
    tools = next((key for key in ("tools", "functions") if not missing(request.get(key))), "")
    for key, value in request.items():
        if key not in ("messages", "system", tools) and not missing(value):
            unused(f"input.{key}", value)
    found = {"tools": request[tools]} if tools else {}
    if not missing(request.get("system")):
        found["system"] = request["system"]
    return {**found, **parts, "request": request.get("messages")}


def reply(value: Any, unused: Unused) -> Any:
    """The assistant's turn in an answer of an endpoint: choices, a response that holds them, a message, or text."""
    if isinstance(value, dict) and isinstance(value.get("choices"), list):
        _see(value, ("choices", *_TOLD), "response", unused)
        value = value["choices"]
    if isinstance(value, list) and value and isinstance(value[0], dict) and {"role", "type"} & value[0].keys():
        return _last(items(value, unused))
    if isinstance(value, list):
        value = _choice(value, unused)
    if isinstance(value, dict) and "stop_reason" in value:  # Anthropic's
        if value["stop_reason"] not in (None, "end_turn", "stop_sequence", "tool_use"):
            raise BadRow(CUT_OFF)
        _see(value, (*_TURN, *_TOLD, "stop_reason"), "response", unused)
        value = {key: value[key] for key in value if key in _TURN}
    if missing(value):
        raise BadRow("the request has no answer")
    if isinstance(value, str) and value.lstrip().startswith("data:") and '"delta"' in value:
        raise BadRow("the answer is a stream of events that nobody put together")
    return turns.turn_list(value, "assistant")[-1]


def _choice(choices: list[Any], unused: Unused) -> Any:
    if len(choices) > 1:
        unused("response.choices[1]", choices[1])
    first = choices[0] if choices and isinstance(choices[0], dict) else {}
    if first.get("finish_reason") not in (None, "stop", "tool_calls", "function_call"):
        raise BadRow(CUT_OFF)
    _see(first, ("index", "finish_reason", "message", "text"), "response.choices[]", unused)
    return first.get("message", first.get("text"))


def _see(value: Mapping[str, Any], used: tuple[str, ...], name: str, unused: Unused) -> None:
    for key, item in value.items():
        if key not in used and not missing(item):
            unused(f"{name}.{key}", item)


def _last(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The one turn that a response holds."""
    said = [turn for turn in found if turn.get("role") not in ("system", "user", "developer")]
    if not said:
        raise BadRow("the request has no answer")
    if len(said) > 1:
        raise BadRow("the answer holds several turns, or results of the endpoint's own tools")
    return said[0]


def items(value: list[Any], unused: Unused) -> list[dict[str, Any]]:
    """Turns of the items of a Responses request or answer; calls belong to the assistant's turn before them."""
    found: list[dict[str, Any]] = []
    for item in value:
        if not isinstance(item, dict):
            raise BadRow("a turn is not an object")
        kind = item.get("type", "message")
        if kind == "message" or ("role" in item and kind not in _ITEMS):
            found.append({key: part for key, part in item.items() if key not in ("type", "id", "status")})
        elif kind == "reasoning":
            _see(item, ("type", "id", "status"), "output[]", unused)
        elif kind == "function_call":
            call = {"id": item.get("call_id"), "name": item.get("name"), "arguments": item.get("arguments")}
            if not found or found[-1].get("role") != "assistant":
                found.append({"role": "assistant"})
            found[-1] = {**found[-1], "tool_calls": [*found[-1].get("tool_calls", []), call]}
        elif kind == "function_call_output":
            found.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")})
        else:
            raise BadRow(f"an item of type {str(kind)[:40]}")
    return found


_ITEMS = ("function_call", "function_call_output", "reasoning")


def asked_items(value: Any, unused: Unused) -> Any:
    """The turns of a Responses request, which is a text or items; other turns come back as they are."""
    if isinstance(value, list) and any(isinstance(item, dict) and item.get("type") in _ITEMS for item in value):
        return items(value, unused)
    return value


def facts(parts: Mapping[str, Any], unused: Unused) -> dict[str, Any]:
    """What a log says about a request, and a recording about itself, for `source`."""
    found: dict[str, Any] = {name: numbers(parts[name]) for name in FACTS & parts.keys()}
    if "usd" in found and (usd := price(found.pop("usd"))) is not None:
        found["usd"] = usd
    elif "usd" in parts:
        unused("price", parts["usd"])
    for name in ("speaker", "language"):
        if name in found:
            found[name] = text(found[name], name)[:64]
    if "excerpt" in parts:
        start, end = parts["excerpt"]
        found["excerpt"] = {"start_sec": start, "end_sec": end}
        if isinstance(parts.get("audio"), str):
            found["excerpt"]["of"] = parts["audio"][-256:]
    return found
