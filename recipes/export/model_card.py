"""What every export's card says beyond its target: what was measured, what it learned from, under which licences.

    text = completed(card, facts, figures, run)    # README.md, with a head that a model hub reads

Figures come from a comparison (`evaluate.report.model_card`); where none measured exactly this adapter, the card says
that nothing was measured. Of the dataset the card tells counts, origins and what leaks between its splits: no rows, no
names of families and no settings, which may hold what nobody meant to publish.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipes.export.licence import Licence, chain, with_licence
from synth.errors import UserError
from synth.example import ORIGINS
from synth.storage import JsonDict

if TYPE_CHECKING:
    from synth.dataset import Card


class Figures(NamedTuple):
    """What a comparison measured of an adapter. `results`: those of `model-index`, as model hubs define it."""

    section: str
    results: list[JsonDict]


NOTHING = "Nothing was measured: no comparison of this adapter was at hand when it was exported."


def completed(card: str, facts: JsonDict, figures: Figures | None, run: Path | None) -> str:
    """A target's card with the sections that all cards have, and its head. `run`: the folder of the run, if known."""
    sections = [
        f"## What was measured\n\n{figures.section if figures else NOTHING}",
        f"## What it learned from\n\n{_learned(run)}",
        f"## Licences\n\n{chain(Licence(**facts['licence']), facts)}",
    ]
    whole = "\n\n".join([with_licence(card, Licence(**facts["licence"])).rstrip("\n"), *sections]) + "\n"
    return _with_results(whole, facts["run"] or "tuned", figures.results) if figures and figures.results else whole


def _with_results(card: str, name: str, results: list[JsonDict]) -> str:
    import yaml

    head, end, rest = card.partition("\n---\n")
    if not card.startswith("---\n") or not end:
        return card
    index = yaml.safe_dump({"model-index": [{"name": name, "results": results}]}, sort_keys=False, allow_unicode=True)
    return f"{head}\n{index.rstrip()}{end}{rest}"


def _learned(folder: Path | None) -> str:
    """The dataset of the run in a few lines."""
    from recipes.run.directory import Run

    gone = "The dataset of the run was not at hand when it was exported."
    if folder is None:
        return gone
    try:
        run = Run(folder)
        name, card = run.recipe.data.dataset, run.dataset().card
    except UserError:
        return gone
    made = f" by the generator `{card.generator}`" if card.generator else ""
    parent = f", from `{card.notes['parent']}`" if isinstance(card.notes.get("parent"), str) else ""
    learned = run.recipe.data.train_split
    lines = [
        f"`{card.name}`, made{made}{parent} on {card.created or 'an unknown day'}; the split `{learned}` was learned. "
        f"The dataset's own card is `README.md` in its folder (`{name.rsplit('/', 1)[-1]}`), no part of this.",
        "",
        "| split | rows | where they come from |",
        "|---|---|---|",
        *(f"| {split} | {rows:,} | {_origins(card, split)} |" for split, rows in card.splits.items()),
        "",
        *(f"- {sentence}" for sentence in _known_faults(card)),
    ]
    return "\n".join(lines)


def _origins(card: Card, split: str) -> str:
    titles = {str(kind): title for kind, title in ORIGINS.items()}
    found = card.origins.get(split, {})
    if len(found) == 1:
        return titles.get(next(iter(found)), "not recorded")
    return ", ".join(f"{count:,} {titles.get(kind, kind)}" for kind, count in found.items()) or "not recorded"


def _known_faults(card: Card) -> list[str]:
    """Who wrote rows, and what its leakage report says."""
    written = sum(found.get("teacher", 0) for found in card.origins.values())
    said = [f"Teachers: {written:,} rows were written by a model." if written else "Teachers: no row is known to be."]
    leakage = card.notes.get("leakage")
    if not isinstance(leakage, dict):
        return [*said, "Leakage between splits was not looked for."]
    return [*said, *(f"Leakage: {fault}." for fault in leakage.get("faults", ()))] + (
        [] if leakage.get("faults") else ["Leakage: nothing of a test split was found in training."]
    )
