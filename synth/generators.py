"""The generators that `smolstudio synth` and the UI offer: a plain dict; a generator is imported when used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

from pydantic import BaseModel

from synth.errors import RecipeError, did_you_mean
from synth.example import Example

AddMedia = Callable[[bytes, str], str]


class Candidate(NamedTuple):
    """A row that a generator offers: kept when `reason` is empty, else recorded as rejected with that reason."""

    example: Example | None
    row: dict[str, Any]
    reason: str = ""


def kept(example: Example) -> Candidate:
    """A candidate to keep."""
    return Candidate(example, {})


def rejected(row: dict[str, Any], reason: str) -> Candidate:
    """A candidate to record as rejected."""
    return Candidate(None, row, reason)


class GeneratorInfo(NamedTuple):
    """A generator; `module` holds `Spec` (pydantic, its fields are the form), `generate(spec, add_media)`, VERSION.

    unseen_unit: what test_ood samples, "family" where it holds whole families out. Its rows are then as many
    independent looks at unseen tasks as there are families.
    """

    key: str
    title: str
    modality: str
    module: str
    about: str
    unseen_unit: str = "template"

    def spec_class(self) -> type[BaseModel]:
        """The pydantic model of the generator's settings."""
        return cast(type[BaseModel], importlib.import_module(self.module).Spec)

    def generate(self, spec: BaseModel, add_media: AddMedia) -> Iterator[Candidate]:
        """Candidates, deterministic by spec; media bytes go through `add_media(bytes, suffix) -> relative path`."""
        return cast(Iterator[Candidate], importlib.import_module(self.module).generate(spec, add_media))

    def version(self) -> int:
        """The generator's version: rows of different versions may differ for the same spec."""
        return int(importlib.import_module(self.module).VERSION)


GENERATORS: dict[str, GeneratorInfo] = {
    info.key: info
    for info in (
        GeneratorInfo(
            "math",
            "Math problems",
            "text",
            "synth.math",
            "Word problems about invoices, rates and mixtures, and schedules, with worked solutions.",
            unseen_unit="family",
        ),
        GeneratorInfo(
            "vision",
            "Charts, receipts and forms",
            "vision",
            "synth.vision",
            "Questions about rendered charts, receipts, tables and shapes.",
        ),
        GeneratorInfo(
            "audio",
            "Dictated speech",
            "audio",
            "synth.audio",
            "Spoken notes, orders and calls with numbers, names and codes.",
            unseen_unit="family",
        ),
    )
}


def generator(key: str) -> GeneratorInfo:
    """The generator of that name. Raises RecipeError with the nearest one."""
    if key not in GENERATORS:
        hint = did_you_mean(key, list(GENERATORS))
        raise RecipeError(f"There is no generator '{key}'{hint}.", f"Known: {', '.join(GENERATORS)}.")
    return GENERATORS[key]


def sampling_unit(key: str, split: str) -> str:
    """What one independent draw is in a split: "template" (a phrasing, image or text), or "family" of unseen ones.

    `key`: the generator on a dataset's card; one that is not ours samples rows by their template.
    """
    return GENERATORS[key].unseen_unit if split == "test_ood" and key in GENERATORS else "template"


def parse_spec(info: GeneratorInfo, values: dict[str, Any]) -> BaseModel:
    """A generator's spec from plain values, with every fault in one RecipeError."""
    from pydantic import ValidationError

    spec_class = info.spec_class()
    try:
        return spec_class.model_validate(values)
    except ValidationError as error:
        known = list(spec_class.model_fields)
        faults = []
        for item in error.errors():
            field = ".".join(map(str, item["loc"])) or "spec"
            hint = did_you_mean(field, known) if item["type"] == "extra_forbidden" else ""
            faults.append(f"{field}: {'unknown setting' if item['type'] == 'extra_forbidden' else item['msg']}{hint}")
        raise RecipeError(
            f"The settings of '{info.key}' have faults: {'; '.join(faults)}.", "Fix them and try again."
        ) from error
