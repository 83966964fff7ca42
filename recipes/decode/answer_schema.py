"""The JSON schema of a dataset's answers, from its gold records or its labels. `recipes.decode.constrained` decodes
within one.

Fields whose values form a closed set are an enum. Closed is what the rows show to be: few values that come again and
again, and that are mostly not copied from the text; a platform that complaints name is open, however few are named.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from synth.example import Example, text_of
from synth.scoring.label import labels_of
from synth.scoring.scorers import known_scorer
from synth.storage import JsonDict

ANSWER_SCHEMA: JsonDict = {
    "type": "object",
    "properties": {
        "working": {"type": "string", "description": "The steps that lead to the answer."},
        "answer": {"type": "string", "description": "The final answer alone."},
    },
    "required": ["working", "answer"],
    "additionalProperties": False,
}

MOST_VALUES = 40  # of a closed set
_VALUE_CHARS = 60
_ROWS_PER_VALUE, _FEWEST_TIMES = 15, 3
"""Each value came so often on average, and the rarest so often: then another one would be seen in 1 of 100 at most."""
_MOST_COPIED = 0.5

LEAST_ROOM = {"maxLength": 32, "maxItems": 2}  # beside twice the longest


def answer_schema(train: Sequence[Example]) -> JsonDict:
    """JSON schema of the answer: keys and types of the gold records, or working and answer, which is one of the labels
    where the task has a closed set.

    Vendors' strict mode wants every key in every reply; one that some records lack, or hold as null, may be null.
    """
    found = record_schema(train)
    if found is not None or not (labels := closed_labels(train)):
        return found or ANSWER_SCHEMA
    fields = ANSWER_SCHEMA["properties"]
    return {**ANSWER_SCHEMA, "properties": {**fields, "answer": {**fields["answer"], "enum": labels}}}


def has_working(schema: JsonDict) -> bool:
    """Whether a schema is that of an answer with the steps that lead to it, so that the answer is to be taken out."""
    fields = schema.get("properties")
    return isinstance(fields, dict) and fields.get("working") == ANSWER_SCHEMA["properties"]["working"]


def closed_labels(train: Sequence[Example]) -> list[str]:
    """The labels that every answer is one of; empty where rows have different sets, or none."""
    sets = {tuple(labels_of(row)) for row in train}
    labels = list(sets.pop()) if len(sets) == 1 else []
    return labels if {row.answer for row in train} <= set(labels) else []


def bare_labels(train: Sequence[Example]) -> JsonDict | None:
    """A choice among the labels as they stand, for a model that was tuned to answer with one and nothing else."""
    labels = closed_labels(train)
    return {"choice": labels} if labels and all(row.target.strip() in labels for row in train) else None


def record_schema(train: Sequence[Example], bounded: bool = False) -> JsonDict | None:
    """JSON schema of gold answers that are records; None where none is.

    `bounded`: texts and lists end at twice the longest of their field, for decoding: a model that repeats itself inside
    a text would fill it until its token limit, and the record would stay open. Vendors' strict mode takes no lengths.
    """
    rows = [(e, record) for e in train if known_scorer(e.scorer).shape == "record" and (record := _record(e.answer))]
    if not rows:
        return None
    schema = _schema_of([record for _, record in rows], bounded)
    texts = [text_of(example).casefold() for example, _ in rows]
    for key, field in schema["properties"].items():
        values = [record.get(key) for _, record in rows]
        if field["type"] in ("string", ["string", "null"]) and (closed := _closed(values, texts)):
            field.pop("maxLength", None)
            field["enum"] = [*closed, *([None] if None in values else [])]
    return schema


def _closed(values: Sequence[Any], texts: Sequence[str]) -> list[str]:
    """The values of a field that is a closed set, the commonest first; empty where it may hold others."""
    filled = [(value, text) for value, text in zip(values, texts, strict=True) if value is not None]
    counts = Counter(value for value, _ in filled)
    if not 2 <= len(counts) <= MOST_VALUES or any(len(value) > _VALUE_CHARS or "\n" in value for value in counts):
        return []
    often = len(filled) >= _ROWS_PER_VALUE * len(counts) and min(counts.values()) >= _FEWEST_TIMES
    copied = sum(value.casefold() in text for value, text in filled)
    return [value for value, _ in counts.most_common()] if often and copied <= _MOST_COPIED * len(filled) else []


def response_format(schema: JsonDict) -> JsonDict:
    """The schema as a request to an OpenAI-compatible endpoint carries it; a choice among texts is our own form."""
    if "choice" in schema:
        return {"type": "choice", **schema}
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def obeys(schema: JsonDict, value: Any) -> bool:
    """Whether a value is what a schema of this module describes."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if _kind(value) not in kinds or value not in schema.get("enum", (value,)):
        return False
    if isinstance(value, dict):
        fields = schema["properties"]
        return fields.keys() == value.keys() and all(obeys(fields[key], item) for key, item in value.items())
    return not isinstance(value, list) or all(obeys(schema["items"], item) for item in value)


def _record(answer: str | None) -> JsonDict | None:
    try:
        value = json.loads(answer or "")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _schema_of(values: Sequence[Any], bounded: bool = False) -> JsonDict:
    """The narrowest schema that all these values fit, `bounded` in length."""
    found = {_kind(value) for value in values}
    kinds = [kind for kind in ("object", "array", "string", "number", "boolean", "null") if kind in found]
    schema: JsonDict = {"type": kinds[0] if len(kinds) == 1 else kinds}
    records = [value for value in values if isinstance(value, dict)]
    if records:
        keys = dict.fromkeys(key for record in records for key in record)
        fields = {key: _schema_of([record.get(key) for record in records], bounded) for key in keys}
        schema |= {"properties": fields, "required": list(fields), "additionalProperties": False}
    if "array" in found:
        items = [item for value in values if isinstance(value, list) for item in value]
        schema["items"] = _schema_of(items or [""], bounded)
    for kind, word in ((str, "maxLength"), (list, "maxItems")) if bounded else ():
        if lengths := [len(value) for value in values if isinstance(value, kind)]:
            schema[word] = 2 * max(lengths) + LEAST_ROOM[word]
    return schema


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")
