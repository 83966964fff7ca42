"""Which base models can be chosen, where they are, and what is known of each without loading it."""

from __future__ import annotations

from typing import Any, NamedTuple

from recipes.methods import methods_of
from recipes.models import catalogue, store
from recipes.models.catalogue import Entry
from recipes.models.estimate import Network, network_in, typical
from recipes.models.files import STARTERS, modality_of, starters
from recipes.models.fitting import Room, gib, here, verdict
from recipes.models.soundness import numbers_in
from recipes.recipe.schema import load_recipe, ready_recipes
from synth.errors import ModelError


class Choice(NamedTuple):
    """A base model in a list. `parameters` is None when only loading would tell; `fit` is for tuning it in a room."""

    name: str
    modality: str
    parameters: int | None
    licence: str
    where: str
    fit: str


def choices(room: Room | None = None) -> list[Choice]:
    """Starters, then added models, then those of the catalogue that are to be fetched; by default for this machine."""
    room = room or here()
    names = [*starters(), *(model.name for model in store.added() if model.there)]
    to_fetch = [entry.id for entry in catalogue.entries().values() if entry.id not in names]
    return [_choice(name, room) for name in (*names, *to_fetch)]


def model_choices(modality: str) -> list[str]:
    """Names to offer for a modality: starters, added models, and the bases of the ready recipes."""
    recipes = [load_recipe(name) for name in ready_recipes()]
    bases = [r.base_model for r in recipes if r.method in methods_of(modality)]
    here = [c.name for c in choices() if modality in ("", c.modality) and not c.where.startswith("to fetch")]
    shipped = [base for base in bases if base in starters()]
    return list(dict.fromkeys([*shipped, *(n for n in here if n not in starters()), *bases]))


def model_facts(model: str, room: Room | None = None) -> str:
    """Size, licence, memory and where it is, in one line; what it takes here, or in the room that is given."""
    if model not in starters() and store.readable(model) is None and catalogue.find(model) is None:
        return "A model from a folder or the hub: size and licence are known when it is loaded."
    found = _choice(model, room or here())
    size = f"{found.parameters / 1e6:,.1f} M parameters" if found.parameters else "size known when it is loaded"
    return " · ".join(part for part in (size, found.licence, found.where, _to_tune(found, room)) if part)


def _to_tune(found: Choice, room: Room | None) -> str:
    where = f" on {room.label}" if room and room.gpu else ""
    return f"to tune{where}: {found.fit}" if found.fit else ""


def facts(model: str) -> dict[str, Any]:
    """What is known of a model, by title. Raises ModelError for a name that means nothing."""
    added, entry = store.find(model), catalogue.find(model)
    if model not in starters() and added is None and entry is None:
        catalogue.entry(model)
    found = _choice(model, here())
    known: dict[str, Any] = {"name": model, "modality": found.modality, "where": found.where, "licence": found.licence}
    if entry:
        memory = entry.memory
        known |= {
            "class": entry.model_class,
            "parameters": f"{entry.parameters:,}",
            "context": entry.context,
            "languages": entry.languages,
            "memory": f"{memory.tune_gib:.1f} GiB to tune, {memory.answer_gib:.1f} GiB to answer ({memory.basis})",
            "recipe": f"smolstudio train {entry.recipe} base_model={entry.id} data.dataset=NAME",
            "tested here": entry.tested,
            "sources": "; ".join(source.label for source in entry.sources),
        }
    if added:
        more = {"source": added.source, "weights": added.precision, "SHA-256": added.sha256, "folder": str(added.path)}
        known |= {title: value for title, value in more.items() if value}
    return {**known, "to tune here": found.fit}


def _choice(name: str, room: Room) -> Choice:
    added, entry = store.readable(name), catalogue.find(name)
    if name in starters():
        stored = numbers_in(STARTERS / name)
        modality, network = modality_of(STARTERS / name), network_in(STARTERS / name)
        fitting = fit(network, room) if network else ""
        return Choice(name, modality, stored, "Apache-2.0", "ships with smolstudio", fitting)
    if added:
        return _added_choice(added, entry, room)
    if entry is None:
        raise ModelError(f"There is no model '{name}'.", "See `smolstudio models list`.", "model.unknown")
    where = f"to fetch ({entry.download_mb:,.0f} MB)"
    return Choice(name, entry.modality, entry.parameters, entry.licence, where, fit_of(entry, room))


def _added_choice(added: store.Added, entry: Entry | None, room: Room) -> Choice:
    """What is known of an added model; a damaged one says so, and hides no other of the list."""
    where = f"on this machine, {added.size_bytes / 1e6:,.0f} MB" if added.there else "its folder is gone"
    count = entry.parameters if entry else None
    try:
        count = numbers_in(added.path) if added.there else count
        modality = entry.modality if entry else modality_of(added.path) if added.there else ""
        network = network_in(added.path) if added.there else None
        if network is None and count and modality:
            network = typical(entry.model_class if entry else "", modality, count)
        fitting = fit(network, room, entry.recipe if entry else "") if network else ""
    except (ModelError, ValueError, TypeError, AttributeError):  # cut, or its config.json holds other things than sizes
        return Choice(added.name, entry.modality if entry else "", count, added.licence, "damaged: add it again", "")
    return Choice(added.name, modality, count, added.licence, where, fitting)


def fit_of(entry: Entry, room: Room) -> str:
    """Whether tuning a model of the catalogue fits."""
    if entry.measured and room.gpu is None:
        return f"{verdict(entry.measured.tune_gib, room)}, {entry.measured.tune_gib:.1f} GiB measured"
    return fit(entry.network, room, entry.recipe)


def fit(network: Network, room: Room, recipe: str = "") -> str:
    """Whether tuning fits, with the figure it follows from: as the ready recipe trains, on short rows."""
    needed = gib(network, *catalogue.usual(network, recipe), room)
    return f"{verdict(needed, room)}, {needed:.1f} GiB computed"
