"""The base that a dataset is tuned on at first, what choosing a starter for one's own data costs, and fetching a base.

Rows of a generator begin with a starter, which needs no network; a person's own rows with a real model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipes.models import catalogue, store
from recipes.models.catalogue import Entry
from recipes.models.files import starters
from recipes.models.fitting import here
from recipes.recipe.schema import Recipe, canonical, load_recipe, ready_recipes
from studio.read.models import fit_of
from synth.dataset import Card, open_dataset
from synth.errors import UserError
from synth.workspace import Workspace

# Real rows, each starter beside the published model of its modality that this project ran.
MEASURED = {
    "text": "of 40 reworded public complaints, the tuned starter made 2 readable objects and SmolLM2-135M 37",
    "audio": "on ten human recordings, the tuned starter had a word error rate of 106 % and Whisper tiny.en of 11 %",
}
# What a person's own rows get whatever the recipe says; real models' recipes say the same.
FITTED = {"eval_steps": "auto", "early_stopping_patience": 3, "load_best_model_at_end": True}
LENGTHS = {"optim.num_train_epochs", "optim.max_steps"}


def is_own(dataset: Card) -> bool:
    """Whether the rows are a person's own, and not those of a generator."""
    return dataset.generator in ("", "import")


def is_here(entry: Entry) -> bool:
    """Whether the model was added on this machine and its files are still there."""
    found = store.readable(entry.id)
    return found is not None and found.there


def preset(modality: str) -> Entry | None:
    """The real model to begin with: the first of the catalogue that is here, else the first that fits."""
    offered = [entry for entry in catalogue.entries().values() if entry.modality == modality]
    room = here()
    fitting = [entry for entry in offered if not fit_of(entry, room).startswith("does not")] or offered
    free = [entry for entry in fitting if not entry.accept]
    return next((entry for entry in fitting if is_here(entry)), free[0] if free else None)


def local_name(base: str) -> str:
    """The name under which a base was added on this machine, else `base` itself."""
    entry = catalogue.find(base)
    return entry.id if entry and is_here(entry) else base


def to_fetch(base: str) -> Entry | None:
    """The catalogue's model that `base` names, when it is not on this machine."""
    entry = catalogue.find(base)
    return None if entry is None or is_here(entry) else entry


def starter_warning(base: str, modality: str) -> str:
    """What was measured of a starter on real rows; empty for other models."""
    if base not in starters():
        return ""
    measured = f" Measured: {found}." if (found := MEASURED.get(modality)) else ""
    return (
        f"{base} is a starter: it is made to try everything in a minute without a network, on generated rows.{measured}"
    )


def begins_fitted(name: str, recipe: Recipe, dataset: Card) -> bool:
    """Whether the recipe of that name is a ready one of SFT and the rows are a person's own: then as `fitted`."""
    return name in ready_recipes() and recipe.objective == "sft" and is_own(dataset)


def fitted(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's values with a length that follows from the rows, and validation that decides what is kept."""
    return {**values, **FITTED, "optim": {**values["optim"], "num_train_epochs": "auto"}}


def load_fitted(source: str, overrides: Sequence[str], workspace: Workspace, notices: list[str]) -> tuple[Recipe, str]:
    """The recipe of a command, and sentences where it is not as written. A ready one, as on the Train page, takes the
    model that was added on this machine, and for a person's own rows as many steps as they need; what is among the
    overrides wins in any case.

    Raises RecipeError.
    """
    told = {canonical(item.partition("=")[0].strip()) for item in overrides}
    recipe, said = load_recipe(source, overrides, notices), []
    if source in ready_recipes() and not told & {"base_model", "revision"}:
        here = store.readable(local_name(recipe.base_model))
        if here and here.name != recipe.base_model:
            said = [f"{here.name} as it was added here, from {here.source}; the hub's: base_model={recipe.base_model}."]
            overrides = [*overrides, f"base_model={here.name}"]
            recipe = load_recipe(source, overrides)
    try:
        card = open_dataset(recipe.data.dataset, workspace.datasets).card
    except UserError:  # said where the training starts
        return recipe, " ".join(said)
    if told & LENGTHS or not begins_fitted(source, recipe, card):
        return recipe, " ".join(said)
    length = recipe.optim.num_train_epochs
    recipe = load_recipe(fitted(load_recipe(source).model_dump(mode="json")), overrides)
    if length == "auto":
        return recipe, " ".join(said)
    said.append(
        f"{recipe.data.dataset} has rows of your own: as many epochs as they need, as on the Train page, instead of "
        f"the {length:g} of {source}, and the best by validation is kept. For those of the recipe: "
        f"num_train_epochs={length:g}."
    )
    return recipe, " ".join(said)


def fetch(entry: Entry) -> str:
    """Bring the model onto this machine, which takes a minute; returns its name. Raises UserError."""
    from recipes.models.adding import add

    return add(entry.id).name
