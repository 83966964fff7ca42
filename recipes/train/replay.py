"""Against forgetting: rows of the base's own training families, to mix into tuning and to measure what was lost.

An embedded starter's families are generated anew from a seed, so nothing is stored. A model from elsewhere has no known
families; its replay rows are whatever rows the caller has. It neither trains nor scores.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterable, Sequence

from recipes.modality import side
from recipes.models.files import ModelRef
from synth.errors import RecipeError
from synth.example import Example

FORGETTING_SEED = 990_001  # far from the seeds of replay: of 1,000 rows of the text starter one is in 4,000 of those


def base_rows(ref: ModelRef, n: int, seed: int) -> list[Example]:
    """`n` rows of the families that the base was trained on. Raises RecipeError for a base that is no starter."""
    if ref.kind != "starter":
        remedy = "Set data.replay_fraction to 0, or mix rows into the dataset yourself."
        message = f"Replay rows are known for embedded starters only, not for {ref.name}."
        raise RecipeError(message, remedy, "recipe.replay")
    data = importlib.import_module(side(ref.modality).replay)
    return list(data.examples(seed, n))


def replay_count(rows: int, fraction: float) -> int:
    """How many replay rows make up `fraction` of a mixture that also holds `rows` new ones."""
    return round(rows * fraction / (1 - fraction))


def mix(rows: Sequence[Example], replay: Iterable[Example], seed: int) -> list[Example]:
    """New and replay rows in one shuffled list; replay rows are marked in `source` and come without their split."""
    known = {row.id for row in rows}
    marked = [
        row.model_copy(update={"split": "train", "source": {**row.source, "replay": True}})
        for row in replay
        if row.id not in known
    ]
    mixed = [*rows, *marked]
    random.Random(seed).shuffle(mixed)
    return mixed


def forgetting_rows(ref: ModelRef, n: int) -> list[Example]:
    """Rows of its own families, on which to compare a base with its tuned self."""
    return [row.model_copy(update={"split": "test"}) for row in base_rows(ref, n, FORGETTING_SEED)]
