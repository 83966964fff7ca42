"""A JSON schema of answers as a grammar of llama.cpp (GBNF), with separators as `json.dumps` writes them.

    gbnf(schema)        # root ::= ("{" "\\"a\\": " (("true" | "false")) "}") …

llama.cpp's own translation lets spaces come anywhere, in which a model can stall until its token limit. Knows what
`recipes.decode.answer_schema` makes: every key of an object is there, in order.
"""

from __future__ import annotations

import json
from typing import Any

from synth.storage import JsonDict

MOST_REPEATED = 1000  # longer limits are left out: llama.cpp takes 2,000 repetitions in a grammar
_SHARED = r"""
char ::= [^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,15})?
"""


def gbnf(schema: JsonDict) -> str:
    """The grammar of a schema, or of `{"choice": [texts]}`: one of these and nothing else."""
    if "choice" in schema:
        return f"root ::= {_one_of(schema['choice'])}\n"
    return f"root ::= {_value(schema)}\n{_SHARED}"


def _value(schema: JsonDict) -> str:
    if "enum" in schema:
        return _one_of([json.dumps(value, ensure_ascii=False) for value in schema["enum"]])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return f"({' | '.join(_of_kind(kind, schema) for kind in kinds)})"


def _of_kind(kind: str, schema: JsonDict) -> str:
    if kind == "string":
        return rf'"\"" char{_times(schema.get("maxLength"))} "\""'
    if kind == "array":
        item, most = _value(schema["items"]), schema.get("maxItems")
        if most == 0:
            return '"[]"'
        return f'"[" ({item} (", " {item}){_times(None if most is None else most - 1)})? "]"'
    if kind == "object":
        fields = [f"{_text(json.dumps(key) + ': ')} {_value(one)}" for key, one in schema["properties"].items()]
        return f'"{{" {" ".join(_between(fields))} "}}"'
    return {"boolean": '("true" | "false")', "null": '"null"', "number": "number", "integer": "number"}[kind]


def _between(fields: list[str]) -> list[str]:
    return [part for place, field in enumerate(fields) for part in (['", "', field] if place else [field])]


def _times(most: Any) -> str:
    return "*" if most is None or most > MOST_REPEATED else f"{{0,{most}}}"


def _one_of(texts: list[str]) -> str:
    return f"({' | '.join(map(_text, texts))})"


def _text(text: str) -> str:
    """A literal: GBNF escapes as JSON does."""
    return json.dumps(text, ensure_ascii=False)
