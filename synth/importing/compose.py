"""The parts of a row (question, choices, turns, chosen, label …) put together: what is asked and what is learned.

Which key is which part is in `synth.importing.layouts`. Reads no files; pictures come through `Media`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from synth.example import Message, ToolCall, plain_turn
from synth.importing import dialogues, marks, requests, turns
from synth.importing.answers import accepted, listed, with_target
from synth.importing.judgements import verdict
from synth.importing.kinds import CLASS_QUESTION, ROW_KINDS
from synth.importing.layouts import ANSWERS
from synth.importing.media import Media
from synth.importing.raw import SPLIT_NAMES
from synth.importing.turns import Unused
from synth.importing.values import BadRow, Choices, json_text, missing, strings, text
from synth.scoring.answers import final_answer

MAX_CHARS = 1_000_000
_MEDIA = frozenset(("images", "pictures", "audio"))
_GIVEN = frozenset(("input", "choices", "choice", "numbered", "distractor"))
_CHATS = frozenset(("messages", "dialogue", "request", "previous"))
CAPTION = "Describe the picture."
"""What is asked where a picture comes with a text and no question."""


class Fields(NamedTuple):
    """A row read: the prompt's turns, the turn to learn, the short gold answers, and the rest.

    `place` is that of the right choice, counted from 0, where only a number told it; `given` is the input beside the
    question, in its own words; `several` says that the answer came as a list of different ones, `marked` that a text
    was taken apart into turns by marks in it.
    """

    prompt: tuple[Message, ...]
    target: Message
    answers: tuple[str, ...]
    rejected: str | None = None
    label: bool | None = None
    tools: tuple[dict[str, Any], ...] = ()
    split: str = ""
    choice: bool = False
    place: int | None = None
    facts: dict[str, Any] = {}
    given: str = ""
    several: bool = False
    marked: bool = False


def compose(parts: Mapping[str, Any], media: Media, unused: Unused) -> Fields:
    """The row of these parts. Raises BadRow."""
    parts = {part: value for part, value in parts.items() if not missing(value)}
    if "videos" in parts:
        raise BadRow("has a video")
    if "class" in parts:
        parts = {"question": CLASS_QUESTION, **parts, "answer": parts["class"]}
    if "previous" in parts:
        raise BadRow("the turns before it are in another request (previous_response_id)")
    if isinstance(parts.get("request"), dict):
        parts = requests.with_request(parts, unused)
    if {"messages", "rejected"} <= parts.keys() and "chosen" not in parts:
        parts = _with_chosen(parts)
    opening = _opening(parts, media, unused)
    extra: dict[str, Any] = {}
    if len(opening) > 1 and isinstance(parts.get("question", parts.get("dialogue")), str) and "history" not in parts:
        extra["marked"] = sum(turn.role != "system" for turn in opening) > 1 and "messages" not in parts
    if "tools" in parts:
        extra["tools"] = turns.read_tools(parts["tools"])
    if "excerpt" in parts or not requests.FACTS.isdisjoint(parts):
        extra["facts"] = requests.facts(parts, unused)
    if isinstance(parts.get("input"), str):
        extra["given"] = parts["input"]
    if "split" in parts:
        extra["split"] = split_name(parts["split"])
    if "label" in parts:
        extra["label"] = verdict(parts["label"])
    if "chosen" in parts and "rejected" in parts:
        fields = _preference(opening, parts, media, unused)
    else:
        fields = _answered(opening, parts, media, unused)
    if extra:
        fields = fields._replace(**extra)
    if "accepted" in parts:
        several = accepted(listed(parts["accepted"], "accepted_answers", unused), "accepted_answers", unused)
        fields = fields._replace(answers=tuple(_with_learned(several, fields.target.text, parts)))
    if not _MEDIA.isdisjoint(parts):
        named = [*strings(parts.get("images") or []), *parts.get("pictures", ())]
        pictures = [media.picture(item) for item in named]
        recordings = [media.recording(item, parts.get("excerpt")) for item in strings(parts.get("audio") or [])]
        prompt, pictures = marks.in_order(fields.prompt, pictures)
        fields = fields._replace(prompt=tuple(marks.place_media(prompt, pictures, recordings)))
    elif ROW_KINDS[media.modality].medium:
        marks.check_none(fields.prompt)
    return _checked(fields, media)


def with_question(parts: dict[str, Any], question: str) -> dict[str, Any]:
    """The parts of a picture's row, asked this where the row itself asks nothing."""
    own = {part: value for part, value in parts.items() if not missing(value)}
    is_chat = not _CHATS.isdisjoint(own) or isinstance(own.get("chosen"), list | dict)
    if is_chat or own.get("question", CLASS_QUESTION) != CLASS_QUESTION:
        return parts
    if "caption" in own and ANSWERS.isdisjoint(own.keys() - {"caption"}):
        own["answer"] = own.pop("caption")
    return {**own, "question": question}


def is_answered_picture(parts: Mapping[str, Any]) -> bool:
    """Whether parts with a question have all else that a row of pictures needs."""
    return not _MEDIA.isdisjoint(parts) and not {*ANSWERS, "class", "rejected"}.isdisjoint(parts)


def _with_chosen(parts: dict[str, Any]) -> dict[str, Any]:
    """A chat whose last answer is the chosen one of a pair; the rejected one comes alone or with its chat."""
    chat, other = (
        turns.turn_list(parts[part], role) for part, role in (("messages", "user"), ("rejected", "assistant"))
    )
    alone = len(other) == 1 or not isinstance(other[0], dict) or other[0].get("role") == "assistant"
    return {**parts, "messages": chat[:-1] if alone else None, "chosen": chat[-1:] if alone else chat}


def split_name(value: Any) -> str:
    """Our name of a split, "" for none. Raises BadRow."""
    if missing(value):
        return ""
    split = SPLIT_NAMES.get(str(value).strip().lower())
    if split is None:
        raise BadRow("unknown split")
    return split


_LAST_LINE = re.compile(r"(?:\A|\n)Answer: (-?\d{1,15}(?:\.\d{1,15})?)\Z", re.ASCII)


def short_answer(target: str) -> str:
    """The gold of a worked answer: what follows its last `Answer:` or `####`, else all of it."""
    if plain := _LAST_LINE.search(target):  # what is read in the end, without looking for every other mark
        return plain[1]
    marked = re.search(r"(?im)^\s*(?:####|(?:final )?answer\s*:)", target) or "\\boxed{" in target
    return final_answer(target) if marked else target.strip()


def _opening(parts: Mapping[str, Any], media: Media, unused: Unused) -> list[Message]:
    """The turns before the answer, or the whole chat where the row is one."""
    system = parts.get("system")
    if isinstance(system, dict) and isinstance(system.get("parts"), list):  # Gemini's systemInstruction
        system = system["parts"]
    first = [{"role": "system", "content": system}] if "system" in parts else []
    raw: list[Any] = []
    for pair in strings(parts["history"]) if "history" in parts else []:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise BadRow("the history is no list of question and answer")
        raw += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    if "dialogue" in parts:
        raw += dialogues.turns(text(parts["dialogue"], "dialogue"))
    elif "request" in parts:
        raw += turns.turn_list(parts["request"], "user")
    elif parts.get("messages"):
        chat = requests.asked_items(parts["messages"], unused) if "response" in parts else parts["messages"]
        raw += turns.turn_list(chat, "user")
        if "question" in parts and "chosen" in parts:
            unused("prompt", parts["question"])
    elif "question" in parts:
        raw += _question(parts["question"])
    raw = _with_given(raw, parts)
    if first and raw and isinstance(raw[0], dict) and raw[0].get("role", raw[0].get("from")) == "system":
        if raw[0].get("content", raw[0].get("value")) != parts["system"]:
            raise BadRow("two different system texts")
        first = []
    return turns.read([*first, *raw], media, unused)


def _question(question: Any) -> list[Any]:
    if isinstance(question, list | dict):
        if isinstance(question, list) and not all(isinstance(turn, dict) for turn in question):
            raise BadRow("the question is not text")
        return turns.turn_list(question, "user")
    asked = text(question, "question")
    return dialogues.turns(asked) if dialogues.is_dialogue(asked) else [{"role": "user", "content": asked}]


def _with_given(raw: list[Any], parts: Mapping[str, Any]) -> list[Any]:
    """The turns with the input and the choices of their row in the last one, which asks."""
    if _GIVEN.isdisjoint(parts):
        return raw
    beside = text(parts["input"], "input") if "input" in parts else ""
    given = f"\n\n{beside}" if beside.strip() else ""
    if (choices := _choices(parts)) is not None:
        given += f"\n{choices.lines()}"
    if not given:
        return raw
    last = raw[-1] if raw and isinstance(raw[-1], dict) else {}
    key = next((key for key in ("content", "value") if isinstance(last.get(key), str)), "")
    if not key or turns.role_of(last) != "user":
        raise BadRow("an input or choices, and no question in text at the end of the turns")
    return [*raw[:-1], {**last, key: last[key] + given}]


def _choices(parts: Mapping[str, Any]) -> Choices | None:
    if "distractor" in parts:
        wrong = [item for value in parts["distractor"] for item in strings(value)]
        # By their letters, so that the right one stands anywhere.
        return Choices(sorted([text(parts["correct"], "answer"), *(text(item, "choice") for item in wrong)]))
    if "choice" in parts:
        return Choices([*parts["choice"]])
    if "numbered" in parts:
        return Choices([*parts["numbered"]], first=1)
    return None if "choices" not in parts else Choices(parts["choices"])


def _preference(opening: list[Message], parts: Mapping[str, Any], media: Media, unused: Unused) -> Fields:
    sides = []
    for role in ("chosen", "rejected"):
        value = parts[role]
        if isinstance(value, str) and dialogues.is_dialogue(value):
            value = dialogues.turns(value)
        sides.append(turns.read(turns.turn_list(value, "assistant"), media, unused))
    chosen, rejected = sides
    if chosen[0].role != "assistant":  # the whole chat, the prompt included
        system, asked = [m for m in opening if m.role == "system"], [m for m in opening if m.role != "system"]
        if asked and not _within(asked, chosen):
            raise BadRow("the prompt is another one than that inside the chosen answer")
        if system and chosen[0].role == "system":
            if chosen[0].text.strip() != system[0].text.strip():
                raise BadRow("two different system texts")
        else:
            chosen, rejected = [*system, *chosen], [*system, *rejected]
    else:
        chosen, rejected = [*opening, *chosen], [*opening, *rejected]
    good, bad = _conversation(chosen), _conversation(rejected)
    if good.prompt != bad.prompt:
        raise BadRow("the chosen and the rejected answer have different prompts")
    if bad.target.tool_calls or good.target.tool_calls:
        raise BadRow("preference between tool calls")
    if bad.target.reasoning or good.target.reasoning:
        raise BadRow("preference between answers with reasoning of their own")
    if bad.target.text.strip() == good.target.text.strip():
        raise BadRow("the chosen and the rejected answer are equal")
    return good._replace(rejected=bad.target.text)


def _within(opening: list[Message], chat: list[Message]) -> bool:
    """Whether the prompt that a row also names is what its chat begins with, or the last or first question in it."""
    asked = [message.text.strip() for message in chat if message.role == "user"]
    if len(opening) == 1:
        return opening[0].text.strip() in (asked[0], asked[-1])
    own = [m for m in chat if m.role != "system"]
    return [m for m in opening if m.role != "system"] == own[: len([m for m in opening if m.role != "system"])]


def _answered(opening: list[Message], parts: Mapping[str, Any], media: Media, unused: Unused) -> Fields:
    if "response" in parts:
        turn = requests.reply(parts["response"], unused)
        return _conversation([*opening, *turns.read([turn], media, unused)])
    if "dialogue" in parts or "messages" in parts:
        return _conversation(opening)
    if "caption" in parts:
        if not opening and "answer" not in parts:
            opening = turns.read([{"role": "user", "content": CAPTION}], media, unused)
            parts = {**parts, "answer": parts["caption"]}
        else:
            unused("caption", parts["caption"])
    if not opening and "audio" in parts:
        opening = [Message(role="user", content=())]
    if not opening:
        raise BadRow("no question")
    choices = _choices(parts)
    if choices is not None:
        gold = choices.letter(parts["correct"] if "correct" in parts else parts.get("choice_answer"))
        worked = "" if "target" not in parts else f"{text(parts['target'], 'answer')}\nAnswer: "
        place = None if "numbered" in parts else choices.place
        for key, item in choices.beside.items():
            unused(f"choices[].{key}", item)
        return _simple(opening, f"{worked}{gold}", (gold,), parts)._replace(choice=True, place=place)
    value, several = parts.get("answer"), listed(parts.get("answers"), "answers", unused)
    if not missing(value) and isinstance(value, list | dict) and _is_turns(value):
        return _conversation([*opening, *turns.read(turns.turn_list(value, "assistant"), media, unused)])
    said = [] if missing(value) else accepted(value, "answer", unused)
    answers = said if missing(several) else accepted(several, "answers", unused)
    target = text(parts["target"], "answer") if "target" in parts else (said or answers or [""])[0]
    if not target:
        raise BadRow("no answer")
    if not answers or (len(answers) == 1 and answers[0] == target):
        answers = [short_answer(target)]
    answers = _with_learned(answers, target, parts)
    rejected = None if "rejected" not in parts else text(parts["rejected"], "rejected answer")
    found = _simple(opening, target, tuple(a.strip() for a in answers), parts)._replace(rejected=rejected)
    return found._replace(several=True) if len(said) > 1 and isinstance(value, list) else found


def _with_learned(answers: list[str], target: str, parts: Mapping[str, Any]) -> list[str]:
    """What is learned counts as right too; a worked answer under its own key is told apart from the short ones."""
    return answers if "target" in parts or not target else with_target(target, short_answer(target), answers)


def _is_turns(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, dict) and ({"role", "from"} & set(item)) for item in items)


def _simple(opening: list[Message], target: str, answers: tuple[str, ...], parts: Mapping[str, Any]) -> Fields:
    if opening and opening[-1].role != "user":
        raise BadRow("wrong roles: user and assistant do not alternate")
    message = plain_turn("assistant", target)
    if len(opening) > 1:
        _check_roles([*opening, message])
    return Fields(tuple(opening), message, answers)


def _conversation(messages: list[Message]) -> Fields:
    """All turns but the last learned one are the prompt. Later turns that are not to be learned are left out."""
    while messages and messages[-1].learn is False:
        messages = messages[:-1]
        while messages and messages[-1].role != "assistant":
            messages = messages[:-1]
    if not messages:
        raise BadRow("no turn is to be learned")
    if messages[-1].role != "assistant":
        raise BadRow("no assistant turn at the end")
    _check_roles(messages)
    last = messages[-1]
    if last.tool_calls:
        return Fields(tuple(messages[:-1]), last, _gold_of(last.tool_calls))
    return Fields(tuple(messages[:-1]), last, (short_answer(last.text),))


def _gold_of(calls: tuple[ToolCall, ...]) -> tuple[str, ...]:
    """A single call as the record that a scorer can compare."""
    return (json_text({"name": calls[0].name, "arguments": calls[0].arguments}),) if len(calls) == 1 else ()


def _check_roles(messages: list[Message]) -> None:
    fault = _fault_of_roles(tuple([message.role for message in messages]))
    if fault:
        raise BadRow(fault)


@functools.lru_cache(1024)
def _fault_of_roles(roles: tuple[str, ...]) -> str:
    if "system" in roles[1:]:
        return "wrong roles: a system turn after the first"
    spoken = roles[1:] if roles[0] == "system" else roles
    follows = {"user": ("assistant",), "assistant": ("user", "tool"), "tool": ("tool", "assistant")}
    alternate = spoken and spoken[0] == "user" and all(b in follows[a] for a, b in pairwise(spoken))
    return "" if alternate else "wrong roles: user and assistant do not alternate"


def _checked(fields: Fields, media: Media) -> Fields:
    asked = any(m.role == "user" and (m.text.strip() or len(m.content)) for m in fields.prompt)
    if not asked and ROW_KINDS[media.modality].asks:
        raise BadRow("the question is empty")
    said = fields.target.text
    if not said.strip() and not fields.target.tool_calls:
        raise BadRow("the answer is empty")
    if sum(len(message.text) for message in fields.prompt) + len(said) > MAX_CHARS:
        raise BadRow(f"longer than {MAX_CHARS:,} characters")
    if fields.rejected is not None and fields.rejected.strip() == said.strip():
        raise BadRow("the chosen and the rejected answer are equal")
    return fields
