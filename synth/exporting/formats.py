"""Rows in other programs' forms, one function each, in a table. A new form is one function and one line of `FORMATS`.

What `synth.importing` reads of such a row is the row again: prompt, target, tool calls, accepted answers, labels. A
row that a form cannot hold raises Unheld; nothing is left out in silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from synth.example import AudioPart, Example, ImagePart, Message, TextPart, ToolCall, media_parts
from synth.importing.compose import short_answer
from synth.importing.dialogues import is_dialogue

Row = dict[str, Any]


class Unheld(ValueError):
    """What a row has, and the form cannot hold."""


class Format(NamedTuple):
    """A form of rows. `file` is jsonl or parquet; media lie in `media/` or, for `media_beside`, beside each table."""

    row: Callable[[Example], Row]
    file: str = "jsonl"
    media_beside: bool = False
    what: str = ""


def messages(example: Example) -> Row:
    """`messages` as chat templates take them; arguments of tool calls are objects."""
    return {**_judged(example, _turn), **_rest(example)}


def openai(example: Example) -> Row:
    """As OpenAI's fine-tuning takes them: arguments of tool calls are texts, `weight` 0 marks turns not to learn."""
    if example.label is not None:
        raise Unheld("labels of single answers")
    if example.rejected is not None:
        asked = {"messages": [_openai_turn(m) for m in example.prompt], **_tools(example)}
        answers = [[{"role": "assistant", "content": text}] for text in (example.target, example.rejected)]
        return {
            "input": asked,
            "preferred_output": answers[0],
            "non_preferred_output": answers[1],
            **_audio(example),
            **_answers(example),
        }
    turns = [_openai_turn(message) for message in (*example.prompt, example.target_message)]
    return {"messages": turns, **_rest(example)}


def trl(example: Example) -> Row:
    """As TRL's SFTTrainer, DPOTrainer and KTOTrainer take them: conversational prompt with completion or pair."""
    prompt = [_turn(message, images=False) for message in example.prompt]
    row: Row = {"prompt": prompt}
    if example.rejected is not None:
        row["chosen"] = [{"role": "assistant", "content": example.target}]
        row["rejected"] = [{"role": "assistant", "content": example.rejected}]
    else:
        row["completion"] = [_turn(example.target_message)]
    if example.label is not None:
        row["label"] = example.label
    if any(message.learn is False for message in example.prompt):
        raise Unheld("turns that are not to be learned")
    if media := [part.path for part in media_parts(example)]:
        row["images" if example.prompt and _has(example, ImagePart) else "audio"] = media
    return {**row, **_rest(example)}


def sharegpt(example: Example) -> Row:
    """ShareGPT as LLaMA-Factory reads it: from and value, system and tools beside, `<image>` marks."""
    if any(m.reasoning or m.learn is False for m in (*example.prompt, example.target_message)):
        raise Unheld("reasoning or turns that are not to be learned")
    turns = [_spoken(m) for m in example.prompt if m.role != "system"]
    row: Row = {"conversations": turns}
    if example.prompt[0].role == "system":
        row["system"] = example.prompt[0].text
    if example.rejected is not None:
        row["chosen"] = {"from": "gpt", "value": example.target}
        row["rejected"] = {"from": "gpt", "value": example.rejected}
    else:
        turns.append(_spoken(example.target_message))
    if example.label is not None:
        row["kto_tag"] = example.label
    for name, kind in (("images", ImagePart), ("audios", AudioPart)):
        if paths := [part.path for part in media_parts(example) if isinstance(part, kind)]:
            row[name] = paths
    rest = _rest(example)
    return {**row, **rest, **({"tools": json.dumps(rest["tools"], ensure_ascii=False)} if "tools" in rest else {})}


def alpaca(example: Example) -> Row:
    """instruction, input, output, with system and history."""
    turns = [m for m in example.prompt if m.role != "system"]
    odd = any(m.reasoning or m.tool_calls or m.learn is False for m in (*turns, example.target_message))
    if odd or example.tools or media_parts(example) or any(m.role == "tool" for m in turns):
        raise Unheld("tools, reasoning, media or turns that are not to be learned")
    sides = (example.target, example.rejected) if example.rejected is not None else ()
    _plain(turns[-1].text, *sides)
    row: Row = {"instruction": turns[-1].text, "input": ""}
    if example.prompt[0].role == "system":
        row["system"] = example.prompt[0].text
    if len(turns) > 1:
        row["history"] = [[one.text, two.text] for one, two in zip(turns[0:-1:2], turns[1:-1:2], strict=True)]
    if example.rejected is not None:
        row |= {"chosen": example.target, "rejected": example.rejected}
    else:
        row["output"] = example.target
    if example.label is not None:
        row["kto_tag"] = example.label
    return {**row, **_answers(example)}


def imagefolder(example: Example) -> Row:
    """A line of an imagefolder's metadata: file_name, question, answer."""
    pictures = [part for part in media_parts(example) if isinstance(part, ImagePart)]
    last = example.prompt[-1]
    if len(pictures) != 1 or len(example.prompt) > 2 or not isinstance(last.content[0], ImagePart):
        raise Unheld("several turns or pictures")
    row = _one_file(example, pictures[0].path, "question", "answer")
    if example.prompt[0].role == "system":
        row["system"] = example.prompt[0].text
    return row | ({"rejected": example.rejected} if example.rejected is not None else {})


def audiofolder(example: Example) -> Row:
    """A line of an audiofolder's metadata: file_name, transcription, and what is asked if it is not to transcribe."""
    from synth.audio.generate import INSTRUCTION

    recordings = [part for part in media_parts(example) if isinstance(part, AudioPart)]
    if len(recordings) != 1 or len(example.prompt) > 1:
        raise Unheld("several turns or recordings")
    row = _one_file(example, recordings[0].path, "question", "transcription")
    if row["question"] == INSTRUCTION:
        del row["question"]
    return {**row, **_audio(example)}


FORMATS: dict[str, Format] = {
    "messages": Format(messages, what="JSONL of chats, as chat templates take them"),
    "trl": Format(trl, what="JSONL for TRL's SFTTrainer, DPOTrainer and KTOTrainer"),
    "sharegpt": Format(sharegpt, what="JSONL in ShareGPT's form, as LLaMA-Factory reads it"),
    "alpaca": Format(alpaca, what="JSONL of instruction, input, output"),
    "openai": Format(openai, what="JSONL for OpenAI's fine-tuning, supervised or preference"),
    "parquet": Format(messages, file="parquet", what="Parquet of chats"),
    "imagefolder": Format(imagefolder, media_beside=True, what="pictures with metadata.jsonl for each split"),
    "audiofolder": Format(audiofolder, media_beside=True, what="recordings with metadata.jsonl for each split"),
}


def _judged(example: Example, turn: Callable[[Message], Row]) -> Row:
    """The whole chat, or prompt with chosen and rejected; a label where the answer is judged."""
    opening = [turn(message) for message in example.prompt]
    if example.rejected is not None:
        sides = [[{"role": "assistant", "content": text}] for text in (example.target, example.rejected)]
        return {"messages": opening, "chosen": sides[0], "rejected": sides[1]}
    row: Row = {"messages": [*opening, turn(example.target_message)]}
    return row if example.label is None else {**row, "label": example.label}


def _turn(message: Message, images: bool = True) -> Row:
    turn: Row = {"role": message.role, "content": _content(message, images)}
    if message.reasoning:
        turn["reasoning_content"] = message.reasoning
    if message.tool_calls:
        turn["tool_calls"] = [_call(call, call.arguments) for call in message.tool_calls]
    for key in ("tool_call_id", "name"):
        if value := getattr(message, key):
            turn[key] = value
    return turn if message.learn is None else {**turn, "weight": int(message.learn)}


def _openai_turn(message: Message) -> Row:
    turn = _turn(message)
    if message.tool_calls:
        turn["tool_calls"] = [_call(c, _text_arguments(c), "function") for c in message.tool_calls]
    return turn


def _text_arguments(call: ToolCall) -> str:
    if isinstance(call.arguments, str):
        return call.arguments
    return json.dumps(call.arguments, ensure_ascii=False)


def _call(call: ToolCall, arguments: Any, kind: str = "function") -> Row:
    made: Row = {"type": kind, "function": {"name": call.name, "arguments": arguments}}
    return {**({"id": call.id} if call.id else {}), **made}


def _content(message: Message, images: bool = True) -> Any:
    if all(isinstance(part, TextPart) for part in message.content):
        return message.text
    parts: list[Row] = []
    for part in message.content:
        if isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.text})
        else:
            parts.append({"type": part.type, part.type: part.path} if images else {"type": part.type})
    return parts


def _spoken(message: Message) -> Row:
    if message.tool_calls:
        if message.text:
            raise Unheld("text beside a tool call")
        calls = [{"name": call.name, "arguments": call.arguments} for call in message.tool_calls]
        return {"from": "function_call", "value": json.dumps(calls if len(calls) > 1 else calls[0], ensure_ascii=False)}
    speaker = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}[message.role]
    marks = {"image": "<image>", "audio": "<audio>"}
    said = "".join(part.text if isinstance(part, TextPart) else marks[part.type] for part in message.content)
    return {"from": speaker, "value": said}


def _one_file(example: Example, path: str, question: str, answer: str) -> Row:
    text = "\n".join(part.text for part in example.prompt[-1].content if isinstance(part, TextPart))
    if example.tool_calls or example.tools or example.reasoning or example.label is not None:
        raise Unheld("tools, reasoning or labels")
    _plain(text)
    return {"file_name": PurePosixPath(path).name, question: text, answer: example.target, **_answers(example)}


def _plain(*texts: str) -> None:
    """Raises Unheld for a text that an import would take apart into turns."""
    if any(map(is_dialogue, texts)):
        raise Unheld("texts with marks of a dialogue, as in 'User: … Assistant: …'")


def _rest(example: Example) -> Row:
    return {**_tools(example), **_audio(example), **_answers(example)}


def _audio(example: Example) -> Row:
    """Who speaks in a recording, and in which language: without it a model of several languages has to guess."""
    if not _has(example, AudioPart):
        return {}
    return {name: example.source[name] for name in ("speaker", "language") if name in example.source}


def _tools(example: Example) -> Row:
    return {"tools": list(example.tools)} if example.tools else {}


def _answers(example: Example) -> Row:
    """The accepted answers, where they are not what an import would find in the target."""
    several = example.source.get("answers")
    found = [str(answer) for answer in several] if isinstance(several, list) and several else []
    found = found or ([example.answer] if example.answer is not None else [])
    plain = [short_answer(example.target)]
    return {} if not found or found == plain or example.tool_calls else {"accepted_answers": found}


def _has(example: Example, kind: type) -> bool:
    return any(isinstance(part, kind) for part in media_parts(example))
