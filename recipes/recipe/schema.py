"""The recipe: every choice of one training run, as a YAML file that a person can read.

Names are TRL's, transformers' and PEFT's. Well-known names of LLaMA-Factory and Axolotl are accepted on
reading and written back under the canonical name. One description per field feeds the YAML comments, the
command line's help and the widgets of the studio. This module knows no torch: it checks a recipe against
itself only; whether the model, the data and the machine fit is for `recipes.train.preflight`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from recipes.methods import METHODS
from recipes.recipe import foreign
from recipes.recipe.options import Data, Dpo, Kto, Lora, Optim, Quant, Section, option
from synth.errors import RecipeError
from synth.strict import parse_yaml

CONFIGS = Path(__file__).parents[1] / "configs"


class Recipe(Section):
    """One training run. `modality` and `objective` follow from `method`."""

    version: Literal[1] = option(1, "Version", "Version of the recipe format.", advanced=True)
    name: str = option(
        "run", "Name", "Name of the recipe, used in run names.", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
    )
    method: str = option("text_sft", "Method", "Modality and objective of the training.")
    base_model: str = option(
        ...,
        "Base model",
        "Name of an embedded starter, a local folder, or a model id on the hub.",
        min_length=1,
    )
    revision: str | None = option(
        None, "Revision", "Commit of the hub model, so that the run can be repeated.", advanced=True
    )
    adapter: str | None = option(
        None, "Start from adapter", "Run id or folder of an adapter to continue from; empty starts a new one."
    )
    data: Data = Field(default_factory=Data, title="Data", description="What is learned from.")
    lora: Lora = Field(default_factory=Lora, title="LoRA", description="The adapter, in PEFT's names.")
    quant: Quant = Field(default_factory=Quant, title="Quantisation", description="How the base is held.")
    optim: Optim = Field(default_factory=Optim, title="Optimisation", description="In transformers' and TRL's names.")
    dpo: Dpo = Field(default_factory=Dpo, title="Preference", description="Used by the *_dpo methods only.")
    kto: Kto = Field(default_factory=Kto, title="Judged answers", description="Used by text_kto only.")
    seed: int = option(
        0,
        "Seed",
        "Fixes data order, adapter initialisation, dropout and which rows are drawn.",
        ge=0,
        lt=2**32,
        advanced=True,
    )
    save_steps: int = option(200, "Checkpoint every", "Optimiser steps between checkpoints.", ge=1, advanced=True)
    save_total_limit: int = option(2, "Checkpoints kept", "Older ones are removed.", ge=1, le=100, advanced=True)
    eval_steps: Literal["auto"] | Annotated[int, Field(ge=0)] = option(
        0,
        "Validate every",
        "Optimiser steps between validation losses. auto: ten times in a training; 0 never, and then no training ends "
        "early and the last step is kept.",
        advanced=True,
    )
    early_stopping_patience: int = option(
        0,
        "Early stopping",
        "Validations without a loss lower by 0.001 after which the training ends; 0 never ends it early.",
        ge=0,
        advanced=True,
    )
    load_best_model_at_end: bool = option(
        False,
        "Keep the best step",
        "Keep the adapter of the step with the lowest validation loss, not that of the last step.",
        advanced=True,
    )
    metric_for_best_model: Literal["loss", "task"] = option(
        "loss",
        "Best step by",
        "What says which step is the best, and ends a training early: the validation loss, or task: the task's metric "
        "on score_rows validation rows.",
        advanced=True,
    )
    logging_steps: int = option(5, "Log every", "Optimiser steps between logged losses.", ge=1, advanced=True)
    sample_steps: int = option(
        0,
        "Show answers every",
        "Optimiser steps after which the model answers a few validation rows, to be read beside the right answers "
        "while it trains (*_sft methods); 0 never. What is learned stays the same.",
        ge=0,
    )
    sample_rows: int = option(3, "Rows answered", "Validation rows that are answered each time.", ge=1, advanced=True)
    score_rows: int = option(
        0, "Rows scored", "Rows that the task's metric scores at each validation; 0: none.", ge=0, advanced=True
    )
    threads: int | None = option(
        None, "Threads", "Processor threads; empty uses every core given to the process.", ge=1, advanced=True
    )

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in METHODS:
            raise ValueError(f"should be one of {', '.join(METHODS)}")
        return value

    @property
    def modality(self) -> str:
        return METHODS[self.method].modality

    @property
    def objective(self) -> str:
        return METHODS[self.method].objective

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        faults = []
        if self.optim.max_steps == 0:
            faults.append("optim.max_steps is 0, so nothing would be trained: give a positive number, or -1 for epochs")
        if not self.quant.load_in_4bit and self.quant.weights != "auto":
            faults.append(f"quant.weights is {self.quant.weights}, but quant.load_in_4bit is off")
        if self.metric_for_best_model == "task" and not self.score_rows:
            faults.append("metric_for_best_model is task, but score_rows is 0: give it the rows to score, such as 40")
        faults += self.data.fold_faults(self.objective, self.eval_steps)
        if self.dpo.label_smoothing and self.dpo.loss_type != "sigmoid":
            faults.append(f"dpo.label_smoothing has no meaning with the {self.dpo.loss_type} loss, only with sigmoid")
        if faults:
            raise ValueError("; ".join(faults))
        return self


# Names that people bring along -> our dotted name. LLaMA-Factory's and Axolotl's documented options.
ALIASES: dict[str, str] = {
    "model_name_or_path": "base_model",
    "model": "base_model",
    "model_revision": "revision",
    "adapter_name_or_path": "adapter",
    "lora_model_dir": "adapter",
    "max_samples": "data.max_examples",
    "eval_dataset": "data.val_split",
    "lora_rank": "lora.r",
    "lora_r": "lora.r",
    "rank": "lora.r",
    "alpha": "lora.lora_alpha",
    "dropout": "lora.lora_dropout",
    "lora_target": "lora.target_modules",
    "lora_target_modules": "lora.target_modules",
    "lora_target_linear": "lora.target_modules",
    "double_quantization": "quant.bnb_4bit_use_double_quant",
    "quantization_type": "quant.bnb_4bit_quant_type",
    "lr": "optim.learning_rate",
    "num_epochs": "optim.num_train_epochs",
    "epochs": "optim.num_train_epochs",
    "micro_batch_size": "optim.per_device_train_batch_size",
    "batch_size": "optim.per_device_train_batch_size",
    "lr_scheduler": "optim.lr_scheduler_type",
    "cutoff_len": "optim.max_length",
    "sequence_len": "optim.max_length",
    "max_seq_length": "optim.max_length",
    "max_seq_len": "optim.max_length",
    "max_grad_norm_clip": "optim.max_grad_norm",
    "bfloat16": "optim.bf16",
    "pref_beta": "dpo.beta",
    "dpo_beta": "dpo.beta",
    "rl_beta": "dpo.beta",
    "pref_loss": "dpo.loss_type",
    "dpo_label_smoothing": "dpo.label_smoothing",
    "pref_ftx": "dpo.sft_weight",
    "rpo_alpha": "dpo.sft_weight",
}


def leaves(model: type[BaseModel] = Recipe, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of the recipe as (dotted name, pydantic FieldInfo), in reading order."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            yield from leaves(info.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, info


_LEAVES = dict(leaves())
_SECTIONS = {name.partition(".")[0] for name in _LEAVES if "." in name}
_BARE = {name.rpartition(".")[2]: name for name in _LEAVES}


def load_recipe(
    source: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), notices: list[str] | None = None
) -> Recipe:
    """Read a recipe from a YAML file, by the name of a ready one in `recipes/configs`, or from a mapping.

    `overrides` are `key=value` with dotted or bare keys ("optim.learning_rate=1e-3", "lr=1e-3"); values are YAML.
    Keys of LLaMA-Factory and Axolotl are translated (`recipes.recipe.foreign`); what is left out of them is told in
    `notices`. Raises RecipeError that lists every fault found, not only the first.
    """
    raw, label = (source, "the recipe") if isinstance(source, Mapping) else _read(Path(source))
    theirs = foreign.translate(raw)
    faults, flat = list(theirs.faults), dict[str, Any]()
    if notices is not None:
        notices += theirs.notices
    for key, value in _flatten(theirs.values):
        _put(flat, key, value, faults, override=False)
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals:
            faults.append(f"override '{item}' is not of the form key=value")
            continue
        try:
            _put(flat, key.strip(), parse_yaml(text), faults, override=True)
        except yaml.YAMLError:
            faults.append(f"override '{item}': the value is not valid YAML")
    try:
        recipe = Recipe.model_validate(_nest(flat))
    except ValidationError as error:
        # A dict keeps one sentence where each arm of a union complains.
        faults += dict.fromkeys(_sentence(fault) for fault in error.errors())
    else:
        faults += unused_sections(recipe)
    if faults:
        count = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
        raise RecipeError(f"{label} has {count}: " + "; ".join(faults) + ".", "Correct it and try again.")
    return recipe


def unused_sections(recipe: Recipe) -> list[str]:
    """Choices in a section that the method does not use: they would say something that is not done."""
    defaults = {name: info.get_default(call_default_factory=True) for name, info in Recipe.model_fields.items()}
    return [
        f"{section}.{name} is set to {value}, but the method {recipe.method} does not use the section {section}"
        for section in other_objectives(recipe.objective)
        for name, value in getattr(recipe, section)
        if value != getattr(defaults[section], name)
    ]


def other_objectives(objective: str) -> list[str]:
    """Sections that belong to other objectives."""
    return [section for section in ("dpo", "kto") if section != objective]


def ready_recipes() -> list[str]:
    """Names of the recipes that ship with the project, sorted."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def dump_recipe(recipe: Recipe, comments: bool = True) -> str:
    """The recipe as YAML that `load_recipe` reads back to an equal recipe; `comments` adds each description."""
    lines, section = [], ""
    values = recipe.model_dump(mode="json")
    for dotted, info in leaves():
        head, _, name = dotted.rpartition(".")
        if head != section and head:
            lines.append(f"{head}:")
        section, indent = head, "  " if head else ""
        value = values[head][name] if head else values[name]
        if comments:
            lines.append(f"{indent}# {info.description}")
        text = yaml.safe_dump([value], default_flow_style=True, width=10_000).strip()[1:-1]  # a list, without its []
        lines.append(f"{indent}{name}: {text}")
    return "\n".join(lines) + "\n"


EARLIER: dict[str, Any] = {
    "data.task": False,
    "data.loss_turns": "last",
    "data.folds": 0,
    "data.fold": 0,
    "dpo.compare": "first_difference",
    "kto.beta": 0.1,
    "kto.desirable_weight": 1.0,
    "kto.undesirable_weight": 1.0,
    "early_stopping_patience": 0,
    "load_best_model_at_end": False,
    "score_rows": 0,
    "metric_for_best_model": "loss",
}
"""Options that came after the first version, with the value that trains as it was done before there was a choice."""


def load_earlier(path: Path) -> Recipe:
    """The recipe of a run, whatever version made it: an option that it does not name was not there, see `EARLIER`."""
    return earlier(_read(path)[0])


def earlier(raw: Mapping[str, Any]) -> Recipe:
    """As `load_earlier`, from the recipe's values."""
    flat = dict(_flatten(raw))
    unused = other_objectives(str(flat.get("method", "")).rpartition("_")[2])
    return load_recipe({**{k: v for k, v in EARLIER.items() if k.partition(".")[0] not in unused}, **flat})


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 over every choice but the recipe's name: two recipes with the same hash train the same thing.

    Options of `EARLIER` count where they differ from what was done before, so that older runs keep their hash.
    """
    flat, unused = dict(_flatten(recipe.model_dump(mode="json", exclude={"name"}))), other_objectives(recipe.objective)
    as_before = {k for k, v in EARLIER.items() if flat.get(k) == v or k.partition(".")[0] in unused}
    values = _nest({key: value for key, value in flat.items() if key not in as_before})
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def differences(recipes: Sequence[Recipe]) -> dict[str, list[Any]]:
    """The choices, by dotted name, in which these recipes are not all alike, each with one value a recipe."""
    flat = [dict(_flatten(recipe.model_dump(mode="json"))) for recipe in recipes]
    columns = {key: [choices[key] for choices in flat] for key in flat[0] if key != "name"}
    return {key: values for key, values in columns.items() if any(value != values[0] for value in values)}


def _read(path: Path) -> tuple[Mapping[str, Any], str]:
    found = path if path.is_file() else CONFIGS / f"{path}.yaml"
    if not found.is_file():
        close = difflib.get_close_matches(path.stem, ready_recipes(), n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Ready recipes: {', '.join(ready_recipes())}."
        raise RecipeError(f"There is no recipe '{path}'.", hint)
    try:
        raw = parse_yaml(found.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise RecipeError(f"{found.name} is not valid YAML{where}.", "Check indentation and quotes.") from error
    if not isinstance(raw, Mapping):
        raise RecipeError(f"{found.name} holds no keys.", "Write it as `key: value` lines.")
    return raw, found.name


def _flatten(raw: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in raw.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        elif value is not None or f"{prefix}{key}" not in _SECTIONS:  # an empty section is its defaults
            yield f"{prefix}{key}", value


def _put(flat: dict[str, Any], key: str, value: Any, faults: list[str], *, override: bool) -> None:
    name = canonical(key)
    if key in _SECTIONS:
        faults.append(f"{key} is a section: write its options on indented lines below it")
        return
    if name is None:
        close = _closest(key)
        faults.append(f"unknown key '{key}'" + (f" (did you mean '{close}'?)" if close else ""))
        return
    if name == "lora.target_modules" and value in ("all", True):
        value = "all-linear"
    if name in flat and not override and flat[name] != value:
        faults.append(f"'{key}' and another key both set {name}, to {value} and {flat[name]}")
        return
    flat[name] = value


def canonical(key: str) -> str | None:
    """The dotted name that `key` stands for ("cutoff_len" -> "optim.max_length"), or None when nothing does."""
    head, _, bare = key.rpartition(".")
    if key in _LEAVES:
        return key
    name = ALIASES.get(bare) or (_BARE.get(bare) if not head else None)
    return name if name and (not head or name.startswith(f"{head}.")) else None


def _closest(key: str) -> str | None:
    bare = key.rpartition(".")[2]
    for word, names in ((key, [*_LEAVES]), (bare, [*_BARE, *ALIASES])):
        close = difflib.get_close_matches(word, names, n=1, cutoff=0.7)
        if close:
            return canonical(close[0])
    return None


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for dotted, value in flat.items():
        head, _, name = dotted.rpartition(".")
        (nested.setdefault(head, {}) if head else nested)[name] = value
    return nested


def _sentence(fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"] if str(part) in _BARE or str(part) in _SECTIONS)
    if fault["type"] == "missing":
        return f"{where} is missing"
    if fault["type"] == "value_error" and not where:
        return str(fault["msg"]).removeprefix("Value error, ")
    message = str(fault["msg"]).removeprefix("Value error, ").replace("Input should be", "should be")
    return f"{where} is {fault['input']!r} but {message[:1].lower()}{message[1:]}"
