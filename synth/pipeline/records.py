"""The user's own rows as seeds and examples: any table that can be imported, as plain fields.

Rows of a dataset of ours have `question` (the user's text), `target` and `answer`. Every row has also `text` and
`label`, where a column is called like them in one of the languages that imports know, without white space around
them, and `whole`, the text with the target below it. Nothing is checked or split here; `synth.importing` does that for
datasets.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synth.curation.collapse import generation_of
from synth.errors import DataError
from synth.example import Example, text_of
from synth.importing import json_rows, streams
from synth.importing.files import read_rows
from synth.importing.pasted import read_pasted
from synth.importing.usual_names import ASKS, SAYS, best, no_content
from synth.storage import JsonDict

TEXTS = ("text", "message", "question", "prompt", "input", "instruction", "content", "query")
LABELS = ("label", "answer", "output", "target", "category", "class", "response", "completion", "intent", "urgency")


def read_records(path: Path) -> Iterator[JsonDict]:
    """Rows as fields. Raises DataError for a file that holds none, and for a line that cannot be read."""
    return map(_named, _pasted(path) if path.suffix == ".txt" else plain_rows(path))


def plain_rows(path: Path) -> Iterator[JsonDict]:
    """Rows of a table with its own columns alone. Raises as `read_records`."""
    count = 0
    for raw in read_rows(path):
        if raw.value is None:
            raise DataError(f"{path.name}, line {raw.line}: {raw.fault}.", "Fix or remove the line.", "data.torn")
        count += 1
        yield _plain(raw.value)
    if not count:
        raise DataError(f"{path.name} holds no row.", "Choose another file.", "data.no_rows")


def _pasted(path: Path) -> Iterator[JsonDict]:
    try:
        with streams.readable(path):
            pasted = read_pasted(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8.", "Save it as UTF-8.", "data.encoding") from error
    if pasted.suffix != ".jsonl":
        message = f"{path.name} holds neither lines of “text → label” nor JSON lines."
        raise DataError(message, "Put an arrow (→ or ->) before each label; name a table .csv or .tsv.", "data.format")
    for number, line in enumerate(pasted.text.splitlines(), start=1):
        if line.strip():
            value, fault = json_rows.parse(line)
            row, fault = (None, fault) if fault else json_rows.as_row(value, len(line))
            if row is None:
                raise DataError(f"{path.name}, line {number}: {fault}.", "Fix or remove the line.", "data.torn")
            yield _plain(row)


@functools.lru_cache(maxsize=256)
def _columns(texts: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, str]:
    """The columns of text and label: by the names above, by usual ones, or the only text that is left; "" for none."""
    label = next((name for name in LABELS if name in names), "")
    text = next((name for name in TEXTS if name in texts), "")
    if not text:
        others = [name for name in texts if name != (label or best(texts, SAYS)) and not no_content(name)]
        text = best(others, ASKS) or (others[0] if len(others) == 1 else "")
    return text, label or best((name for name in names if name != text), SAYS)


def _plain(row: Mapping[str, Any]) -> JsonDict:
    fields = {str(name).strip(): value for name, value in row.items()}
    if isinstance(fields.get("prompt"), list):
        try:
            example = Example.model_validate(dict(row))
        except ValidationError:
            pass
        else:
            fields = {"question": text_of(example), "target": example.target, "answer": example.answer}
            fields |= {"scorer": example.scorer, "example_id": example.id, "_generation": generation_of(example)}
            fields |= {"topic": example.family} if example.origin and example.origin.kind == "teacher" else {}
    return fields


def _named(fields: JsonDict) -> JsonDict:
    """The fields with `text`, `label` and `whole` where they can be told."""
    there = tuple(name for name, value in fields.items() if value is not None)
    texts, names = _columns(tuple(name for name in there if isinstance(fields[name], str)), there)
    fields = {**fields, **{name: fields[name].strip() for name in (texts, names) if isinstance(fields.get(name), str)}}
    text, label = fields.get(texts), fields.get(names)
    target = fields.get("target")
    whole = f"{text}\n\n{target}" if text and isinstance(target, str) else text
    found = {"text": text, "whole": whole} if text else {}
    return {**found, **({"label": str(label)} if label is not None else {}), **fields}


def distinct(path: Path, column: str) -> list[str]:
    """The different values of a column, in the order in which they come; of spellings that differ in upper and lower
    case alone, the most frequent one. Raises DataError when there is no value.
    """
    found: dict[str, Counter[str]] = {}
    for row in read_records(path):
        if value := str(row.get(column) if row.get(column) is not None else "").strip():
            found.setdefault(value.casefold(), Counter())[value] += 1
    if not found:
        message = f"No row of {path.name} has a '{column}'."
        raise DataError(message, f"Name the column '{column}', or give the values themselves.", "pipeline.column")
    return [spellings.most_common(1)[0][0] for spellings in found.values()]
