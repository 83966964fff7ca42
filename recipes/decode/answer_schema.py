"""The JSON schema of a dataset's answers, from its gold records. `recipes.decode.constrained` decodes within one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from synth.example import Example
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

LEAST_ROOM = {"maxLength": 32, "maxItems": 2}  # beside twice the longest


def answer_schema(train: Sequence[Example]) -> JsonDict:
    """JSON schema of the answer: keys and types of the gold records, or working and answer.

    Vendors' strict mode wants every key in every reply; one that some records lack, or hold as null, may be null.
    """
    return record_schema(train) or ANSWER_SCHEMA


def record_schema(train: Sequence[Example], bounded: bool = False) -> JsonDict | None:
    """JSON schema of gold answers that are records; None where none is.

    `bounded`: texts and lists end at twice the longest of their field, for decoding: a model that repeats itself inside
    a text would fill it until its token limit, and the record would stay open. Vendors' strict mode takes no lengths.
    """
    records = [record for e in train if known_scorer(e.scorer).shape == "record" and (record := _record(e.answer))]
    return _schema_of(records, bounded) if records else None


def response_format(schema: JsonDict) -> JsonDict:
    """The schema as a request to an OpenAI-compatible endpoint carries it."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def obeys(schema: JsonDict, value: Any) -> bool:
    """Whether a value is what a schema of this module describes."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if _kind(value) not in kinds:
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
