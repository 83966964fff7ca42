"""Which values of a recipe a sweep tries: `optim.learning_rate=1e-4:5e-3:log`, `lora.r=8,16,32`.

    space = parse_space(recipe, ["lr=1e-4:5e-3:log", "lora.r=8,16,32"])
    chosen = with_values(recipe, {"optim.learning_rate": 2e-3, "lora.r": 16})

Keys and values are checked as a recipe's are, before anything is trained. Which values are tried next is not decided
here.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from recipes.recipe.schema import Recipe, canonical, leaves, load_recipe
from synth.errors import RecipeError, UserError, did_you_mean
from synth.strict import parse_yaml

SEARCHED = ("lora", "optim", "quant", "dpo", "kto")
ALSO = ("base_model", "data.replay_fraction", "data.max_examples", "load_best_model_at_end", "early_stopping_patience")
CODE = "recipe.space"


class Range(NamedTuple):
    """Every number from `low` to `high`, both included; whole ones with `whole`, evenly by order of magnitude with
    `log`."""

    low: float
    high: float
    whole: bool
    log: bool

    @property
    def size(self) -> int | None:
        """How many values it has; None for numbers that are not whole."""
        return int(self.high) - int(self.low) + 1 if self.whole else None

    def values(self) -> Iterator[Any]:
        """The whole numbers of it."""
        return iter(range(int(self.low), int(self.high) + 1))


class Choices(NamedTuple):
    """One of these values."""

    options: tuple[Any, ...]

    @property
    def size(self) -> int:
        return len(self.options)

    def values(self) -> Iterator[Any]:
        """The options, in order."""
        return iter(self.options)


Axis = Range | Choices
Space = dict[str, Axis]


def parse_space(recipe: Recipe, words: Sequence[str]) -> Space:
    """The space that words like `key=low:high[:log]` and `key=a,b,c` name. Raises RecipeError with the first fault."""
    if not words:
        raise RecipeError("The sweep has no space to search.", "Give one, such as --space lora.r=8,16,32.", CODE)
    space: Space = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not text:
            message = f"'{word}' names no values."
            raise RecipeError(message, "Write key=low:high, key=low:high:log or key=a,b,c.", CODE)
        name = _searchable(key.strip())
        if name in space:
            raise RecipeError(f"The space names {name} twice.", "Name it once.", CODE)
        space[name] = _axis(recipe, name, text.strip())
    _refuse_pairs(recipe, space)
    return space


def _refuse_pairs(recipe: Recipe, space: Space) -> None:
    """Raise RecipeError for values of two options that a recipe refuses together; each was checked alone."""
    named = [
        [(name, v) for v in (axis[:2] if isinstance(axis, Range) else axis.options)] for name, axis in space.items()
    ]
    for one, other in itertools.combinations(named, 2):
        for pair in itertools.product(one, other):
            try:
                with_values(recipe, dict(pair))
            except UserError as error:
                what = " and ".join(f"{name}={value}" for name, value in pair)
                message = f"The space holds {what} together: {error.message}"
                raise RecipeError(message, "Leave one of them out, or search them apart.", CODE) from error


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with these values, by dotted name. Raises RecipeError where they do not go together."""
    raw = recipe.model_dump(mode="json")
    for dotted, value in values.items():
        head, _, name = dotted.rpartition(".")
        (raw[head] if head else raw)[name] = value
    return load_recipe(raw)


def combinations(space: Space) -> int | None:
    """How many different recipes a space holds; None for endlessly many."""
    sizes = [axis.size for axis in space.values()]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def every(space: Space) -> Iterator[dict[str, Any]]:
    """All combinations of a space that has finitely many."""
    return (
        dict(zip(space, values, strict=True)) for values in itertools.product(*(a.values() for a in space.values()))
    )


def as_json(space: Space) -> dict[str, Any]:
    """The space as JSON values, to be kept and compared."""
    return {name: [type(axis).__name__.lower(), *axis] for name, axis in space.items()}


def _searchable(key: str) -> str:
    names = [name for name, _ in leaves()]
    name = canonical(key)
    if name is None:
        known = [n for n in names if _is_searched(n)]
        near = did_you_mean(key, [*known, *(n.rpartition(".")[2] for n in known)])
        message = f"The space names '{key}', which is no option of a recipe{near}."
        raise RecipeError(message, "Name options as recipes do, such as optim.learning_rate.", CODE)
    if not _is_searched(name):
        message = f"{name} cannot be searched: it changes what is measured or kept, not what is learned."
        raise RecipeError(message, f"Search options of {', '.join(SEARCHED)}, or {', '.join(ALSO)}.", CODE)
    return name


def _is_searched(name: str) -> bool:
    return name.partition(".")[0] in SEARCHED or name in ALSO


def _axis(recipe: Recipe, name: str, text: str) -> Axis:
    parts = text.split(":")
    if len(parts) == 1 or text.startswith("["):
        try:
            listed = parse_yaml(text if text.startswith("[[") else f"[{text}]")
        except yaml.YAMLError as error:
            message = f"The values of {name} cannot be read: {text}."
            raise RecipeError(message, "Separate them by single commas, and close every bracket.", CODE) from error
        options = tuple(_value(recipe, name, option) for option in listed)
        keys = [json.dumps(option) for option in options]
        if len(set(keys)) < max(2, len(keys)):
            fault = "fewer than two values" if len(keys) < 2 else "a value twice"
            raise RecipeError(f"The space of {name} has {fault}: {text}.", "Give two or more different ones.", CODE)
        return Choices(tuple(json.loads(key) for key in keys))
    log = parts[-1] == "log"
    bounds = parts[:-1] if log else parts
    if len(bounds) != 2:
        raise RecipeError(f"'{text}' is no range.", f"Write {name}=low:high or {name}=low:high:log.", CODE)
    if log and _number(name, bounds[0]) <= 0:
        message = f"The range of {name} is logarithmic and begins at {bounds[0]}: zero and less have no logarithm."
        raise RecipeError(message, "Begin above zero, or leave out :log.", CODE)
    if not _number(name, bounds[0]) < _number(name, bounds[1]):
        raise RecipeError(f"The range of {name} is empty: {text}.", "Give the lower bound first, then a higher.", CODE)
    low, high = (_value(recipe, name, _number(name, bound)) for bound in bounds)
    if isinstance(low, bool | str) or isinstance(high, bool | str):
        raise RecipeError(f"{name} is no number, so it has no range.", f"Give choices: {name}=a,b.", CODE)
    return Range(low, high, isinstance(low, int) and isinstance(high, int), log)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RecipeError(f"The bound '{text}' of {name} is no number.", f"Give choices: {name}=a,b.", CODE)
    return int(value) if value.is_integer() and "." not in text and "e" not in text.lower() else value


def _value(recipe: Recipe, name: str, value: Any) -> Any:
    """The value as the recipe holds it. Raises RecipeError where it would refuse it."""
    try:
        chosen = with_values(recipe, {name: value})
    except UserError as error:
        raise RecipeError(f"The space holds {name}={value}: {error.message}", "Leave that value out.", CODE) from error
    head, _, bare = name.rpartition(".")
    return chosen.model_dump(mode="json")[head][bare] if head else getattr(chosen, bare)
