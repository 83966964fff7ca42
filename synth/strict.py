"""Config files read strictly: unknown keys refused with a "did you mean", every fault named at once.

Knows YAML and pydantic models, not what any key means.
"""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from synth.errors import RecipeError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)
MAX_YAML_BYTES = 16 << 20


def parse_yaml(text: str) -> Any:
    """The value of a YAML document in plain types, read by libyaml where it is there (9 times faster).

    Raises yaml.YAMLError, also for nesting and numbers that no person writes.
    """
    import yaml

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    except UnicodeError as error:  # halves of surrogate pairs: bytes of a command line that are no text
        raise yaml.YAMLError(" ".join(str(error).split())[:200]) from error
    try:
        return loader.get_single_data()
    except (ValueError, OverflowError, RecursionError, TypeError) as error:  # thousands of digits, no such date …
        raise yaml.YAMLError(" ".join(str(error).split())[:200]) from error
    finally:
        loader.dispose()


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The mapping of a YAML file; `what` names it in errors ("plan"). Raises RecipeError."""
    import yaml

    if path.exists() and not path.is_file():  # a pipe would be waited for, and a device has no end
        raise RecipeError(f"{path} is no plain file.", f"Give the file of the {what}.", f"{what}.yaml")
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            message = f"{path} has more than {MAX_YAML_BYTES >> 20} MiB."
            raise RecipeError(message, f"Give the file of the {what}.", f"{what}.yaml")
        value = parse_yaml(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"There is no {what} at {path}.", "Check the path.", f"{what}.missing") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        message = f"{path} cannot be read as YAML: {reason}."
        raise RecipeError(message, "Fix the file.", f"{what}.yaml") from error
    if not isinstance(value, dict):
        message = f"{path} holds no `key: value` pairs."
        raise RecipeError(message, f"Start from an example {what}.", f"{what}.yaml")
    return value


def validated(model: type[Model], value: Any, what: str) -> Model:
    """An instance of `model`; otherwise one RecipeError that lists every fault with its place."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = sorted(fault_lines(model, error))
        count = "One fault" if len(faults) == 1 else f"{len(faults)} faults"
        listing = "".join(f"\n  - {fault}" for fault in faults)
        message = f"{count} in the {what}:{listing}\n"
        raise RecipeError(message, f"Fix the {what}.", f"{what}.invalid") from error


def fault_lines(model: type[BaseModel], error: ValidationError) -> list[str]:
    """One line per fault: ``place: what is wrong``."""
    lines = []
    faults = error.errors(include_url=False)
    inner = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    for fault in faults:
        if fault["loc"] in inner and fault["loc"]:  # a list is "too short" only because its items are faulty
            continue
        *parents, last = fault["loc"] or ("",)
        place = ".".join(str(step) for step in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"{place}: unknown key{did_you_mean(str(last), _fields_at(model, parents))}")
        elif fault["type"] == "missing":
            lines.append(f"{place}: is missing")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            shown = f" (it is {fault['input']!r})" if isinstance(fault["input"], str | int | float) else ""
            lines.append(f"{place}: {message}{shown}" if place else message)
    return lines


def _fields_at(model: type[BaseModel], steps: list[Any]) -> list[str]:
    """Names of the fields of the nested model that `steps` lead to."""
    current: type[BaseModel] | None = model
    for step in steps:
        if current is not None and isinstance(step, str) and step in current.model_fields:
            current = _model_in(current.model_fields[step].annotation)
    return list(current.model_fields) if current is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first pydantic model inside an annotation such as ``tuple[Model, ...]`` or ``Model | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in typing.get_args(annotation))
    return next((inner for inner in found if inner is not None), None)
