"""A rejected row as a person reads it: a row of a dataset, a line of an import, or a candidate of a pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MOST_CHARACTERS = 1000
"""Of one value."""


def lines_of(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and texts, in the order in which one reads them; a value that is empty is left out.

    Of a candidate: what was found, and the last answer of each step. Of a row: each message and what was to be learned.
    """
    found: list[tuple[str, Any]]
    if isinstance(row.get("lineage"), list):
        notes = [note for note in row["lineage"] if isinstance(note, dict)]
        answers = [(str(note.get("step", "")), note["answers"][-1]) for note in notes if _answers(note)]
        fields = row.get("fields")
        document = fields.get("document") if isinstance(fields, dict) else None
        found = [("document", document), ("found", row.get("detail")), *answers]
        if not any(text for _, text in found):
            found = list(fields.items()) if isinstance(fields, dict) else []
    elif isinstance(row.get("prompt"), list):
        messages = [message for message in row["prompt"] if isinstance(message, dict)]
        found = [(str(message.get("role", "")), message.get("content")) for message in messages]
        found += [("target", row.get("target")), ("rejected", row.get("rejected"))]
    else:
        found = list(row.items())
    return [(name, _text(value)) for name, value in found if value not in (None, "", [], {})]


def _answers(note: Mapping[str, Any]) -> bool:
    return isinstance(note.get("answers"), list) and bool(note["answers"])


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} […]"
