"""Widgets from pydantic fields: title, help, limits and type of a field decide its widget.

Knows Streamlit and field descriptions, not what any setting means; so a new generator or recipe option needs no page
code. The draft lives in the widgets' own keys, under a prefix that the caller chooses.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

import annotated_types
import streamlit as st
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from studio.widgets import ui
from synth.errors import RecipeError
from synth.strict import parse_yaml


def read_yaml(text: str | bytes, what: str) -> dict[str, Any]:
    """The settings in a YAML text or file; `what` names it. Raises RecipeError."""
    try:
        value = parse_yaml(text if isinstance(text, str) else text.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise RecipeError(f"{what} is not valid YAML{where}.", "Check indentation and quotes.") from error
    if not isinstance(value, dict | None):
        raise RecipeError(f"{what} holds no settings.", "Write one `key: value` on each line.")
    return value or {}


def is_section(info: FieldInfo) -> type[BaseModel] | None:
    """The nested model of a field, when it is one."""
    kind = info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def default_of(info: FieldInfo) -> Any:
    """A field's default in plain JSON values; None for required fields."""
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return None
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, tuple | set | frozenset) else value


def is_advanced(info: FieldInfo) -> bool:
    """Whether a field hides behind the fold."""
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("advanced"))


def _limits(info: FieldInfo) -> tuple[Any, Any]:
    low: Any = None
    high: Any = None
    for item in info.metadata:
        if isinstance(item, annotated_types.Ge):
            low = item.ge
        elif isinstance(item, annotated_types.Gt):
            low = item.gt
        elif isinstance(item, annotated_types.Le):
            high = item.le
        elif isinstance(item, annotated_types.Lt):
            high = item.lt
    return low, high


def _without_none(kind: Any) -> tuple[Any, bool]:
    """An annotation without its `| None`, and whether it had one."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        arms = [a for a in typing.get_args(kind) if a is not type(None)]
        return (arms[0] if len(arms) == 1 else kind), len(arms) < len(typing.get_args(kind))
    return kind, False


def field(name: str, info: FieldInfo, value: Any, prefix: str) -> Any:
    """Draw one field and return its value, plain enough for YAML."""
    label, help_text, key = info.title or name.replace("_", " "), info.description, f"{prefix}.{name}"
    kind, optional = _without_none(info.annotation)
    origin = typing.get_origin(kind)
    if kind is bool:
        return st.toggle(label, bool(value), key=key, help=help_text)
    if origin is Literal:
        options = list(typing.get_args(kind))
        return st.selectbox(label, options, options.index(value) if value in options else 0, key=key, help=help_text)
    if kind in (int, float):
        return _number(label, kind, info, value, key)
    if origin in (tuple, list) and typing.get_origin(typing.get_args(kind)[0]) is Literal:
        options = list(typing.get_args(typing.get_args(kind)[0]))
        return st.multiselect(label, options, [v for v in value or [] if v in options], key=key, help=help_text)
    if origin in (tuple, list) and typing.get_args(kind)[0] is str:
        shown = ", ".join(map(str, value or ()))
        said = st.text_input(label, shown, key=key, help=help_text, placeholder="separated by commas")
        return [part for each in said.split(",") if (part := each.strip())]
    if kind is str:
        return st.text_input(label, value or "", key=key, help=help_text) or (None if optional else "")
    return _as_yaml(label, value, key, help_text)


def _number(label: str, kind: type, info: FieldInfo, value: Any, key: str) -> Any:
    low, high = _limits(info)
    if kind is float and value is not None and 0 < abs(value) < 0.01:
        return _as_yaml(label, value, key, info.description)
    options: dict[str, Any] = {"key": key, "help": info.description}
    if low is not None:
        options["min_value"] = kind(low)
    if high is not None and high <= 1e15:
        options["max_value"] = kind(high)
    if kind is float:
        options |= {"step": 0.01, "format": "%g"}
    return st.number_input(label, value=None if value is None else kind(value), **options)


def _as_yaml(label: str, value: Any, key: str, help_text: str | None) -> Any:
    shown = yaml.safe_dump(value, default_flow_style=True, width=10_000).strip().removesuffix("...").strip()
    text = st.text_input(label, "" if value is None else shown, key=key, help=help_text)
    if not text.strip():
        return None
    try:
        read = parse_yaml(text)
        return float(read) if isinstance(value, float) else read
    except (yaml.YAMLError, ValueError):
        return text


def form(
    model: type[BaseModel],
    values: Mapping[str, Any],
    prefix: str,
    skip: frozenset[str] = frozenset(),
    nested: bool = False,
) -> dict[str, Any]:
    """Draw every field of a model, advanced ones behind a fold; returns the values by name, nested like the model.

    `skip` are names of fields that are left out, with a dot those within a section.
    """
    result: dict[str, Any] = {}
    simple = [(n, i) for n, i in model.model_fields.items() if n not in skip and not is_advanced(i)]
    folded = [(n, i) for n, i in model.model_fields.items() if n not in skip and is_advanced(i)]
    _grid([(n, i) for n, i in simple if not is_section(i)], values, prefix, result)
    for name, info in simple:
        if section := is_section(info):
            within = values.get(name) or default_of(info) or {}
            within_skip = frozenset(s.removeprefix(f"{name}.") for s in skip if s.startswith(f"{name}."))
            result[name] = _folded(name, info, section, within, f"{prefix}.{name}", within_skip)
    if nested and folded:
        st.caption("Advanced")  # a fold cannot hold another
        _grid(folded, values, prefix, result)
    elif folded:
        box = ui.fold("Advanced", f"{prefix}.advanced", ":material/tune:")
        if box is None:
            result |= {name: values.get(name, default_of(info)) for name, info in folded}
        else:
            with box:
                _grid(folded, values, prefix, result)
    return result


def _folded(
    name: str,
    info: FieldInfo,
    section: type[BaseModel],
    values: Mapping[str, Any],
    prefix: str,
    skip: frozenset[str],
) -> dict[str, Any]:
    """A section behind its fold: its fields once that was opened, its values as they are before."""
    box = ui.fold(info.title or name, prefix, ":material/tune:")
    if box is None:
        return {n: values.get(n, default_of(i)) for n, i in section.model_fields.items() if n not in skip}
    with box:
        st.caption(info.description or "")
        return form(section, values, prefix, skip, nested=True)


def _grid(fields: list[tuple[str, FieldInfo]], values: Mapping[str, Any], prefix: str, result: dict[str, Any]) -> None:
    """Three fields a row; those that hold lists come last, each as wide as the page, so that they can be read."""
    narrow = [item for item in fields if not _is_list(item[1])]
    for start in range(0, len(narrow), 3):
        row = narrow[start : start + 3]
        for column, (name, info) in zip(st.columns(3, vertical_alignment="bottom"), row, strict=False):
            with column:
                result[name] = field(name, info, values.get(name, default_of(info)), prefix)
    for name, info in fields:
        if _is_list(info):
            result[name] = field(name, info, values.get(name, default_of(info)), prefix)


def _is_list(info: FieldInfo) -> bool:
    return typing.get_origin(_without_none(info.annotation)[0]) in (tuple, list)
