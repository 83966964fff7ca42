"""From a user's row (a dict) to an Example: which format it is, and what is wrong with it.

Formats: our own rows; `messages` (or ShareGPT `conversations`); `prompt` with `completion`, or with `chosen` and
`rejected`; `instruction`/`input`/`output`; columns with a mapping from roles. Text only; reading files is elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from synth.example import Example, Message, make_example, media_parts, text_of, user
from synth.example import system as system_message
from synth.scoring.answers import final_answer
from synth.scoring.scorers import scorer_for

ROLES = ("question", "answer", "target", "system", "rejected", "group", "split")
"""What a column can be. `target` is what to learn to say when it is more than the answer (a worked solution)."""
MAX_CHARS = 1_000_000
_SPEAKERS = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "prompter": "user"}
_SPLITS = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "eval": "val"}
_NAMES = {
    "question": ("question", "prompt", "instruction", "query", "problem", "input", "q"),
    "answer": ("answer", "completion", "response", "output", "label", "reply", "chosen", "a"),
    "target": ("target", "solution", "rationale", "worked"),
    "system": ("system", "system_prompt"),
    "rejected": ("rejected",),
    "group": ("group", "family", "topic", "category", "document", "source"),
    "split": ("split",),
}


class BadRow(ValueError):
    """A row that cannot be used; the message is the counted reason."""


class Fields(NamedTuple):
    """A row read: the prompt's turns, what to say, the short gold, and the rest."""

    prompt: tuple[Message, ...]
    target: str
    answer: str
    rejected: str | None = None
    group: str = ""
    split: str = ""


def guess_format(row: Mapping[str, Any]) -> str:
    """The name of a row's format: example, messages, preference, prompt_completion, instruction or columns."""
    keys = set(row)
    if {"prompt", "target", "template"} <= keys:
        return "example"
    if keys & {"messages", "conversations"}:
        return "messages"
    if {"chosen", "rejected"} <= keys:
        return "preference"
    if {"prompt", "completion"} <= keys:
        return "prompt_completion"
    if {"instruction", "output"} <= keys:
        return "instruction"
    return "columns"


def guess_mapping(columns: list[str], usual: Mapping[str, tuple[str, ...]] = _NAMES) -> dict[str, str]:
    """Role → column, by the `usual` names; roles without one are left out."""
    by_name = {column.strip().casefold(): column for column in columns}
    mapping: dict[str, str] = {}
    for role, names in usual.items():
        column = next((by_name[n] for n in names if n in by_name and by_name[n] not in mapping.values()), None)
        if column is not None:
            mapping[role] = column
    return mapping


def role_columns(usual: Mapping[str, tuple[str, ...]], mapping: Mapping[str, str] | None) -> dict[str, tuple[str, ...]]:
    """Role → the columns to look in: the mapped one, none when it is mapped to "", else those with the usual names."""
    mapped = {role: (column,) if column else () for role, column in (mapping or {}).items()}
    return {role: mapped.get(role, names) for role, names in usual.items()}


def first_text(row: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    """The first of these columns that holds a text or number, case aside; "" when none does."""
    by_name = {str(key).strip().casefold(): value for key, value in row.items()}
    values = (by_name.get(column.strip().casefold()) for column in columns)
    found = next((value for value in values if value not in (None, "")), "")
    return str(found).strip() if isinstance(found, str | int | float) else ""


def read_row(row: Mapping[str, Any], mapping: Mapping[str, str] | None) -> Fields:
    """Read a row by the mapping, or by its own format. Raises BadRow."""
    if mapping is not None:
        fields = _columns(row, mapping)
    else:
        readers = {
            "messages": _messages,
            "preference": _preference,
            "prompt_completion": _prompt_completion,
            "instruction": _instruction,
        }
        name = guess_format(row)
        fields = readers[name](row) if name in readers else _columns(row, guess_mapping(list(row)))
    if not any(message.role == "user" and message.text.strip() for message in fields.prompt):
        raise BadRow("the question is empty")
    if not fields.target.strip():
        raise BadRow("the answer is empty")
    if sum(len(message.text) for message in fields.prompt) + len(fields.target) > MAX_CHARS:
        raise BadRow(f"longer than {MAX_CHARS:,} characters")
    if fields.rejected is not None and fields.rejected.strip() == fields.target.strip():
        raise BadRow("the chosen and the rejected answer are equal")
    return fields


def to_example(fields: Fields, split: str, family: str, source: dict[str, Any]) -> Example:
    """An Example with its scorer chosen by the gold answer. Raises BadRow for text that is not valid Unicode."""
    try:
        "".join(m.text for m in fields.prompt).encode()
        (fields.target + fields.answer + (fields.rejected or "") + family).encode()
    except UnicodeEncodeError as error:
        raise BadRow("broken Unicode (lone surrogate)") from error
    example = make_example(
        fields.prompt,
        fields.target,
        answer=fields.answer,
        rejected=fields.rejected,
        split=split,  # type: ignore[arg-type]
        family=fields.group or family,
        template=fields.group or "row",
        scorer=scorer_for(fields.answer),
        source=source,
    )
    return example if fields.group else example.model_copy(update={"template": example.id})


def own_example(row: Mapping[str, Any]) -> Example:
    """A row in our own format, its id computed anew. Raises BadRow."""
    try:
        example = Example.model_validate({**row, "id": ""})
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRow(f"not a row of ours: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if media_parts(example):
        raise BadRow("has a picture or recording; import it as vision or audio")
    if not text_of(example).strip() or not example.target.strip():
        raise BadRow("the question or the answer is empty")
    kept = example.model_dump(exclude={"id", "version", "prompt", "target"})
    return make_example(example.prompt, example.target, **kept)


def short_answer(target: str) -> str:
    """The gold of a worked answer: what follows its last `Answer:` or `####`, else all of it."""
    marked = re.search(r"(?im)^\s*(?:####|(?:final )?answer\s*:)", target) or "\\boxed{" in target
    return final_answer(target) if marked else target.strip()


# --- formats -----------------------------------------------------------------------------------------------------


def _text(value: Any, what: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadRow(f"no {what}" if value is None else f"the {what} is not text")
    return str(value)


def _simple(question: str, target: str, system: str = "", **more: Any) -> Fields:
    prompt = (*((system_message(system),) if system.strip() else ()), user(question))
    return Fields(prompt, target, more.pop("answer", None) or short_answer(target), **more)


def _split_name(row: Mapping[str, Any], column: str) -> str:
    value = str(row.get(column) or "").strip().lower()
    split = _SPLITS.get(value, value)
    if split not in ("", "train", "val", "test", "test_ood"):
        raise BadRow("unknown split")
    return split


def _columns(row: Mapping[str, Any], mapping: Mapping[str, str]) -> Fields:
    if "question" not in mapping or not {"answer", "target"} & set(mapping):
        raise BadRow("no column for the question and the answer")
    value = {role: row.get(column) for role, column in mapping.items()}
    answer = _text(value["answer"], "answer") if "answer" in mapping else ""
    target = _text(value["target"], "answer") if value.get("target") is not None else answer
    return _simple(
        _text(value["question"], "question"),
        target,
        str(value.get("system") or ""),
        answer=answer.strip() if target != answer else None,
        rejected=None if value.get("rejected") in (None, "") else _text(value["rejected"], "rejected answer"),
        group=str(value.get("group") or "").strip(),
        split=_split_name(row, mapping.get("split", "")),
    )


def _instruction(row: Mapping[str, Any]) -> Fields:
    question = _text(row["instruction"], "question")
    if row.get("input"):
        question = f"{question}\n\n{_text(row['input'], 'input')}"
    return _simple(
        question, _text(row["output"], "answer"), str(row.get("system") or ""), split=_split_name(row, "split")
    )


def _prompt_completion(row: Mapping[str, Any]) -> Fields:
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, str) and isinstance(completion, str):
        return _simple(prompt, completion, str(row.get("system") or ""), split=_split_name(row, "split"))
    return _conversation([*_turn_list(prompt, "user"), *_turn_list(completion, "assistant")], _split_name(row, "split"))


def _messages(row: Mapping[str, Any]) -> Fields:
    turns = row.get("messages", row.get("conversations"))
    system = [{"role": "system", "content": row["system"]}] if row.get("system") else []
    return _conversation([*system, *_turn_list(turns, "user")], _split_name(row, "split"))


def _preference(row: Mapping[str, Any]) -> Fields:
    opening = _turn_list(row["prompt"], "user") if row.get("prompt") else []
    split = _split_name(row, "split")
    chosen = _conversation([*opening, *_turn_list(row["chosen"], "assistant")], split)
    rejected = _conversation([*opening, *_turn_list(row["rejected"], "assistant")], split)
    if chosen.prompt != rejected.prompt:
        raise BadRow("the chosen and the rejected answer have different prompts")
    return chosen._replace(rejected=rejected.target)


def _turn_list(value: Any, role: str) -> list[Any]:
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, list) or not value:
        raise BadRow("no turns")
    return value


def _conversation(turns: list[Any], split: str) -> Fields:
    """All turns but the last are the prompt; the last has to be the assistant's."""
    messages = [_turn(turn) for turn in turns]
    roles = [message.role for message in messages]
    if roles[-1] != "assistant":
        raise BadRow("no assistant turn at the end")
    if "system" in roles[1:]:
        raise BadRow("wrong roles: a system turn after the first")
    spoken = [role for role in roles if role != "system"]
    if spoken != ["user", "assistant"] * (len(spoken) // 2):
        raise BadRow("wrong roles: user and assistant do not alternate")
    target = messages[-1].text
    return Fields(tuple(messages[:-1]), target, short_answer(target), split=split)


def _turn(turn: Any) -> Message:
    if not isinstance(turn, dict):
        raise BadRow("a turn is not an object")
    role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    role = _SPEAKERS.get(role, role) if isinstance(role, str) else None
    if role not in ("system", "user", "assistant"):
        raise BadRow("wrong roles: not system, user or assistant")
    if isinstance(content, list):
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise BadRow("a turn has parts that are not text")
        content = "\n".join(part["text"] for part in content)
    if not isinstance(content, str) or not content.strip():
        raise BadRow("an empty turn")
    return Message.model_validate({"role": role, "content": content})
