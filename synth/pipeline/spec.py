"""The YAML file of a pipeline: what the user gives, the steps, and how rows are split.

    pipeline = find_pipeline("describe-a-domain")          # a shipped one, or the path of a file of one's own
    bound = pipeline.bind({"task": "…", "labels": ["a", "b"]})

A setting of a step that reads `$name` is the input of that name. Unknown keys are refused, all faults at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synth.errors import RecipeError, did_you_mean
from synth.example import Split
from synth.pipeline.prompts import PROMPTS, is_file, read_prompt
from synth.pipeline.records import distinct
from synth.pipeline.step import Settings, StepKind
from synth.pipeline.steps import KINDS
from synth.storage import atomic_write_text, sha256_bytes
from synth.strict import fault_lines, read_yaml, validated
from synth.task import TaskKind
from synth.workspace import Workspace

SHIPPED = Path(__file__).with_name("shipped")
OWN = "methods"
"""Folder of a workspace with pipelines that were made one's own."""
REFERENCE = re.compile(r"\$([a-z_]\w*)")
InputKind = Literal["text", "long_text", "path", "paths", "list", "integer", "number"]
"""`path` is a file (a table, with what it names beside it), `paths` a file or a folder."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Input(_Frozen):
    """Something that the user gives. Without a default it must be given."""

    title: str
    about: str = ""
    kind: InputKind = "text"
    default: Any = None
    values_of: str = Field(
        default="", description="When empty: the values of a column of another input's file, as file.column"
    )

    def read(self, value: Any) -> Any:
        """The value in its type. Raises ValueError."""
        if self.kind == "list":
            found = [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)
            return [part for part in found if part != ""]
        if self.kind in ("integer", "number"):
            return int(value) if self.kind == "integer" else float(value)
        return str(Path(value).expanduser().absolute()) if self.kind in ("path", "paths") and value else str(value)


class SplitRule(_Frozen):
    """How rows are shared out: rows of one `template` stay together, some families are held out whole."""

    train: float = Field(default=0.8, ge=0, le=1)
    val: float = Field(default=0.1, ge=0, le=1)
    test: float = Field(default=0.1, ge=0, le=1)
    held_out_families: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the families without given rows that only test_ood has",
    )

    def shares(self) -> dict[Split, float]:
        """Split → share."""
        return {"train": self.train, "val": self.val, "test": self.test}


class TaskRule(_Frozen):
    """The dataset's task card; texts may refer to inputs as `{{ name }}`, lists as `$name`."""

    kind: TaskKind = "free_text"
    instruction: str = ""
    labels: Any = ()
    answer_format: str = ""


class PipelineFile(_Frozen):
    """What the file holds."""

    version: Literal[1] = 1
    title: str
    about: str
    inputs: dict[str, Input] = {}
    steps: tuple[dict[str, Any], ...] = Field(min_length=1)
    split: SplitRule = SplitRule()
    task: TaskRule = TaskRule()
    coverage: tuple[str, ...] = Field(default=(), description="Fields whose values are counted in the dataset's card")


class BoundStep(NamedTuple):
    """A step with its settings; `name` is unique in its pipeline."""

    name: str
    kind: StepKind
    settings: Settings


class Pipeline(NamedTuple):
    """A pipeline as it lies on disk."""

    name: str
    path: Path
    file: PipelineFile

    def prompts(self) -> dict[str, str]:
        """Every prompt that is a file beside the pipeline, by name."""
        values = [value for step in self.file.steps for value in step.values() if isinstance(value, str)]
        return {value: read_prompt(value, self.path.parent) for value in values if is_file(value)}

    def write(self, folder: Path, prompts: Mapping[str, str], name: str = "") -> Path:
        """Write it and these prompts into a folder, over what is there; returns the file, by a name of its own."""
        for prompt, text in prompts.items():
            atomic_write_text(folder / PROMPTS / prompt, text.rstrip() + "\n")
        target = folder / f"{name or self.name}.yaml"
        atomic_write_text(target, self.path.read_text("utf-8"))
        return target

    def sha256(self) -> str:
        """Hex digest of the file and its prompts."""
        parts = [self.path.read_text("utf-8"), *(f"{name}\n{text}" for name, text in sorted(self.prompts().items()))]
        return sha256_bytes("\n".join(parts).encode())

    def read_inputs(self, given: dict[str, Any]) -> dict[str, Any]:
        """All inputs by name, defaults filled in. Raises RecipeError with every fault."""
        known, values, faults = self.file.inputs, {}, []
        faults += [f"{name}: there is no such input{did_you_mean(name, list(known))}" for name in given.keys() - known]
        for name, one in known.items():
            value = given.get(name, one.default)
            try:
                values[name] = one.read(value) if value is not None else None
            except (ValueError, TypeError):
                faults.append(f"{name}: {value!r} is no {one.kind}")
        for name, one in known.items():
            source, _, column = one.values_of.partition(".")
            file = values.get(source)
            if not values.get(name) and file:
                values[name] = distinct(Path(str(file)), column)
            if one.default is None and values.get(name) in (None, "", []) and name in values:
                faults.append(f"{name}: is missing ({one.title}{f', or {source}' if one.values_of else ''})")
        if faults:
            listing = "".join(f"\n  - {fault}" for fault in sorted(faults))
            remedy = f"Correct them; `smolstudio pipeline show {self.name}` lists the inputs."
            raise RecipeError(f"The inputs of '{self.name}' have faults:{listing}\n", remedy, "pipeline.inputs")
        return values

    def bind(self, inputs: dict[str, Any]) -> tuple[BoundStep, ...]:
        """The steps with their settings. Raises RecipeError with every fault."""
        bound: list[BoundStep] = []
        faults: list[str] = []
        for number, step in enumerate(self.file.steps, start=1):
            values = {key: _resolved(value, inputs) for key, value in step.items() if key not in ("step", "name")}
            key = str(step.get("step", ""))
            kind = KINDS.get(key)
            if kind is None:
                faults.append(f"step {number}: there is no kind '{key}'{did_you_mean(key, list(KINDS))}")
                continue
            name = _unique(str(step.get("name") or key), [one.name for one in bound])
            try:
                bound.append(BoundStep(name, kind, kind.settings.model_validate(values)))
            except ValidationError as error:
                faults += [f"step {number} ({name}): {line}" for line in fault_lines(kind.settings, error)]
        if not faults and bound[-1].kind is not KINDS["row"]:
            faults.append("the last step must be a `row`")
        if faults:
            listing = "".join(f"\n  - {fault}" for fault in faults)
            raise RecipeError(
                f"The pipeline {self.path.name} has faults:{listing}\n", "Fix the file.", "pipeline.invalid"
            )
        return tuple(bound)

    def task(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The task card's values, inputs put in."""
        return {name: _resolved(value, inputs) for name, value in self.file.task.model_dump().items()}


def _resolved(value: Any, inputs: dict[str, Any]) -> Any:
    """A setting with `$name` replaced, inside lists and mappings too. Raises RecipeError for an unknown one."""
    if isinstance(value, dict):
        return {key: _resolved(one, inputs) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(one, inputs) for one in value]
    found = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    name = found.group(1)
    if name not in inputs:
        message = f"A step refers to the input ${name}, which is not declared{did_you_mean(name, list(inputs))}."
        raise RecipeError(message, "Add it to `inputs`.", "pipeline.invalid")
    return inputs[name]


def _unique(name: str, taken: list[str]) -> str:
    return name if name not in taken else next(f"{name}-{n}" for n in range(2, 100) if f"{name}-{n}" not in taken)


def shipped_pipelines() -> dict[str, Path]:
    """Pipelines that come with smolstudio, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}


def own_pipelines(workspace: Workspace) -> dict[str, Path]:
    """Pipelines that somebody made their own in the studio, by name."""
    return {path.stem: path for path in sorted((workspace.path / OWN).glob("*/*.yaml"))}


def find_pipeline(name_or_path: str) -> Pipeline:
    """A shipped pipeline by name, or one's own by path. Raises RecipeError with the nearest name."""
    known = shipped_pipelines()
    path = known.get(name_or_path)
    if path is None:
        path = Path(name_or_path).expanduser().absolute()
        if not path.is_file():
            hint = did_you_mean(name_or_path, list(known))
            remedy = f"Choose one of {', '.join(known)}; or give the path of a YAML file."
            raise RecipeError(f"There is no pipeline '{name_or_path}'{hint}.", remedy, "pipeline.missing")
    return Pipeline(path.stem, path, validated(PipelineFile, read_yaml(path, "pipeline"), "pipeline"))
