"""Usage objects of the known APIs, read into one `Usage`: what was consumed, by kind of token.

    read_usage({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, …}) -> Usage(output_tokens=103, …)

Shapes: OpenAI chat, Responses and transcription; Anthropic, native and through compatible servers; Gemini; DeepSeek's
cache counts; servers that count reasoning outside `completion_tokens` (xAI) or only in `total_tokens` (Gemini's
compatible route). What nobody reported stays None. No prices here: `evaluate.cost.formulas` applies them.
"""

from __future__ import annotations

from typing import Any

from synth.usage import Usage

JsonDict = dict[str, Any]


def read_usage(value: Any, *, answered: bool = True) -> Usage:
    """Usage as the server reported it. `answered`: the reply holds text, so that a count of zero is no count."""
    usage = value if isinstance(value, dict) else {}
    if "promptTokenCount" in usage or "totalTokenCount" in usage:
        found = _gemini(usage)
    elif _is_native_anthropic(usage):
        found = _anthropic(usage)
    else:
        found = _openai(usage)
    return without_empty_counts(found, answered)


def without_empty_counts(usage: Usage, answered: bool) -> Usage:
    """No prompt has zero tokens and no text either: servers that do not count report 0, which is not a price of $0."""
    no_input = usage.input_tokens == 0
    no_output = answered and usage.output_tokens == 0
    if not no_input and not no_output:
        return usage
    return usage.model_copy(
        update={"input_tokens": None if no_input else usage.input_tokens}
        | {"output_tokens": None if no_output or (no_input and not usage.output_tokens) else usage.output_tokens}
    )


def _count(value: Any) -> int | None:
    """A token count; None for anything that is not one."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
    return int(value) if good else None


def _part(usage: JsonDict, *names: str) -> JsonDict:
    """The first of these keys that holds an object; {} without one."""
    return next((usage[name] for name in names if isinstance(usage.get(name), dict)), {})


def _first(holder: JsonDict, *names: str) -> int | None:
    """The first of these keys that holds a count."""
    return next((count for name in names if (count := _count(holder.get(name))) is not None), None)


def _openai(usage: JsonDict) -> Usage:
    """Chat, Responses and transcription, and what compatible servers make of them."""
    into = _part(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    out = _part(usage, "completion_tokens_details", "output_tokens_details", "output_token_details")
    asked, said = _first(usage, "prompt_tokens", "input_tokens"), _first(usage, "completion_tokens", "output_tokens")
    read = _first(into, "cached_tokens") or _first(usage, "cache_read_input_tokens", "prompt_cache_hit_tokens") or 0
    written, written_1h = _written(into, usage)
    reasoning = _first(out, "reasoning_tokens") or _first(usage, "reasoning_tokens") or 0
    total = _first(usage, "total_tokens")
    if asked is None:
        hit, missed = _first(usage, "prompt_cache_hit_tokens"), _first(usage, "prompt_cache_miss_tokens")
        asked = hit + missed if hit is not None and missed is not None else None
    if asked is not None and said is not None:
        asked, said = _whole(asked, said, read + written, reasoning, total)
    cached_by_kind = _part(into, "cached_tokens_details")
    return Usage(
        input_tokens=asked,
        output_tokens=said,
        cached_tokens=read,
        cached_audio_tokens=_first(cached_by_kind, "audio_tokens") or 0,
        cache_write_tokens=written,
        cache_write_1h_tokens=written_1h,
        reasoning_tokens=reasoning,
        image_tokens=_first(into, "image_tokens") or 0,
        audio_tokens=_first(into, "audio_tokens") or 0,
        audio_output_tokens=_first(out, "audio_tokens") or 0,
    )


def _whole(asked: int, said: int, cache: int, reasoning: int, total: int | None) -> tuple[int, int]:
    """(input, output) with the parts that a server left out of them, judged by `total_tokens`.

    Without a total: cache counts larger than the prompt, or more reasoning than output, cannot be parts of it.
    """
    if total is None:
        return asked + cache if cache > asked else asked, said + reasoning if reasoning > said else said
    left = total - asked - said
    if cache and left != reasoning and left in (cache, cache + reasoning):  # the prompt without what the cache holds
        asked, left = asked + cache, left - cache
    elif cache > asked:
        asked = asked + cache
    left = max(left, 0)
    return asked, said + (reasoning if reasoning > said + left else left)


def _written(into: JsonDict, usage: JsonDict) -> tuple[int, int]:
    """Tokens written to a cache, and those of them that stay for an hour."""
    by_age = _part(usage, "cache_creation")
    hour = _first(by_age, "ephemeral_1h_input_tokens") or 0
    named = _first(into, "cache_write_tokens", "cache_creation_tokens") or _first(usage, "cache_creation_input_tokens")
    return max(named or 0, hour + (_first(by_age, "ephemeral_5m_input_tokens") or 0)), hour


def _is_native_anthropic(usage: JsonDict) -> bool:
    """`input_tokens` beside cache counts at the same level: there the cache is not a part of the input."""
    cache = {"cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"} & set(usage)
    return "input_tokens" in usage and "prompt_tokens" not in usage and bool(cache)


def _anthropic(usage: JsonDict) -> Usage:
    fresh, read = _first(usage, "input_tokens"), _first(usage, "cache_read_input_tokens") or 0
    written, written_1h = _written({}, usage)
    return Usage(
        input_tokens=None if fresh is None else fresh + read + written,
        output_tokens=_first(usage, "output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=written_1h,
        reasoning_tokens=_first(_part(usage, "output_tokens_details"), "thinking_tokens", "reasoning_tokens") or 0,
    )


def _gemini(usage: JsonDict) -> Usage:
    """Thoughts are billed as output and tool results as input; neither is a part of the counts they stand beside."""
    prompt, tool = _first(usage, "promptTokenCount"), _first(usage, "toolUsePromptTokenCount") or 0
    thoughts, said = _first(usage, "thoughtsTokenCount") or 0, _first(usage, "candidatesTokenCount")
    if said is None and prompt is not None:  # left out where every token went into thoughts
        total = _first(usage, "totalTokenCount")
        said = max(0, total - prompt - tool - thoughts) if total is not None else 0
    return Usage(
        input_tokens=None if prompt is None else prompt + tool,
        output_tokens=None if said is None else said + thoughts,
        cached_tokens=_first(usage, "cachedContentTokenCount") or 0,
        cached_audio_tokens=_modality(usage, "cacheTokensDetails", "AUDIO"),
        reasoning_tokens=thoughts,
        image_tokens=_modality(usage, "promptTokensDetails", "IMAGE"),
        audio_tokens=_modality(usage, "promptTokensDetails", "AUDIO"),
        audio_output_tokens=_modality(usage, "candidatesTokensDetails", "AUDIO"),
    )


def _modality(usage: JsonDict, name: str, kind: str) -> int:
    """Tokens of one modality in a list of {"modality": "AUDIO", "tokenCount": 960}."""
    listed = usage.get(name)
    parts = [part for part in listed if isinstance(part, dict)] if isinstance(listed, list) else []
    return sum(_count(part.get("tokenCount")) or 0 for part in parts if part.get("modality") == kind)
