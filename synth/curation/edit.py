"""The texts of a row that a person may change by hand, and the row with them changed.

Knows rows, not reviews. Whether a changed row is still right is asked in `recheck`.
"""

from __future__ import annotations

from collections.abc import Mapping

from synth.errors import DataError, did_you_mean
from synth.example import Example, Message, Part, TextPart, prompt_id
from synth.importing.compose import MAX_CHARS

FIELDS = ("question", "answer", "rationale", "target")
_TARGETS = ("{rationale}\nAnswer: {answer}", "Answer: {answer}", "{answer}")
"""Targets that are made of the other fields, and follow when those are edited."""


def fields_of(example: Example) -> dict[str, str]:
    """Field → text, in the order of FIELDS; fields that the row does not have are left out.

    The question is the text of the last user turn, the rationale what the generator keeps under that name.
    """
    place = _last_user(example.prompt)
    texts = {
        "question": None if place is None else example.prompt[place].text,
        "answer": example.answer,
        "rationale": example.source.get("rationale"),
        "target": example.target,
    }
    return {field: text for field, text in texts.items() if isinstance(text, str)}


def changes(example: Example, values: Mapping[str, str]) -> dict[str, str]:
    """Those of `values` (field → text) that differ from the row, with a target that follows the other fields.

    Raises DataError for a field that the row has not, an empty text, text that is too long or no valid Unicode.
    """
    before = fields_of(example)
    for field, text in values.items():
        if field not in before:
            known = list(before)
            raise DataError(
                f"The row has no '{field}'{did_you_mean(field, known)}.", f"Choose one of {', '.join(known)}."
            )
        _check_text(field, text, may_be_empty=not before[field].strip())
    changed = {field: text for field, text in values.items() if text != before[field]}
    if changed and "target" not in changed and (followed := _followed(before, {**before, **changed})):
        changed["target"] = followed
    return changed


def with_fields(example: Example, values: Mapping[str, str]) -> Example:
    """The row with those texts. Another question gives it another id."""
    source = dict(example.source)
    if "rationale" in values:
        source["rationale"] = values["rationale"]
    answer = values.get("answer", example.answer)
    if isinstance(several := source.get("answers"), list):  # scorers look there first
        source["answers"] = [answer if gold == example.answer else gold for gold in several]
    row = example.model_copy(
        update={"target": values.get("target", example.target), "answer": answer, "source": source}
    )
    if "question" not in values:
        return row
    prompt = _with_question(example.prompt, values["question"])
    return row.model_copy(update={"prompt": prompt, "id": prompt_id(prompt, row.tools)})


def _check_text(field: str, text: str, may_be_empty: bool) -> None:
    if not text.strip() and not may_be_empty:
        raise DataError(f"The {field} would be empty.", "Write something, or reject the row.")
    if len(text) > MAX_CHARS:
        raise DataError(f"The {field} is longer than {MAX_CHARS:,} characters.", "Shorten it.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"The {field} is not valid Unicode (lone surrogate).", "Retype it.") from error


def _followed(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """The new target when the old one was made of the other fields and comes out otherwise now."""
    for shape in _TARGETS:
        if before["target"] == shape.format_map({"rationale": "", "answer": "", **before}):
            target = shape.format_map({"rationale": "", "answer": "", **after})
            return target if target != before["target"] else None
    return None


def _last_user(prompt: tuple[Message, ...]) -> int | None:
    return max((place for place, message in enumerate(prompt) if message.role == "user"), default=None)


def _with_question(prompt: tuple[Message, ...], question: str) -> tuple[Message, ...]:
    """The prompt with the text of its last user turn replaced; pictures and recordings stay where they are."""
    place = _last_user(prompt)
    if place is None:
        return prompt
    parts: list[Part] = []
    for part in prompt[place].content:
        if not isinstance(part, TextPart):
            parts.append(part)
        elif not any(isinstance(known, TextPart) for known in parts):
            parts.append(TextPart(text=question))
    if not any(isinstance(part, TextPart) for part in parts):
        parts.append(TextPart(text=question))
    turn = prompt[place].model_copy(update={"content": tuple(parts)})
    return (*prompt[:place], turn, *prompt[place + 1 :])
