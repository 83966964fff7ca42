"""What memory the training of a recipe would take, computed from base, rows and batch before anything is loaded.

told = forecast(recipe, workspace, room)
told.sentence      "About 1.3 GiB on this machine (18 GiB free): fits. …"
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipes.models import catalogue
from recipes.models.estimate import Batch, Choices, Estimate, Network, network_in
from recipes.models.files import resolve
from recipes.models.fitting import Room, parts, verdict
from recipes.recipe.schema import Recipe
from recipes.train.rows import target_text
from synth.dataset import DatasetDir, open_dataset
from synth.errors import ModelError
from synth.example import AudioPart, Example, Message, media_parts
from synth.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

DRAWN = 300  # rows of which the longest is taken
LETTERS_A_TOKEN = 4.0  # where no tokenizer is here to count
TEMPLATE_TOKENS = 24


class Forecast(NamedTuple):
    """Bytes by part, for that batch; `basis` says how tokens were counted."""

    estimate: Estimate
    batch: Batch
    room: Room
    basis: str
    choices: Choices

    @property
    def gib(self) -> float:
        """At the peak of the first steps."""
        return self.estimate.total / 2**30

    @property
    def verdict(self) -> str:
        """ "fits", "tight" or "does not fit"."""
        return verdict(self.gib, self.room)

    @property
    def sentence(self) -> str:
        """Verdict, figures, and what they rest on."""
        heard = f" and {self.batch.seconds:g} s of sound" if self.batch.seconds else ""
        rows = f"{self.batch.rows} rows of {self.batch.tokens} tokens{heard}"
        named = ", ".join(f"{name} {value / 2**30:.2f}" for name, value in self.estimate._asdict().items())
        said = (
            f"{self.verdict}: about {self.gib:.1f} GiB on {self.room.label}, for {rows} ({self.basis}). GiB: {named}."
        )
        return f"{said[0].upper()}{said[1:]} {self.room.sentence_of(self.choices)}".strip()


def forecast(recipe: Recipe, workspace: Workspace, room: Room) -> Forecast | None:
    """What training the recipe takes in a room; None for a base whose sizes are not known.

    Raises DataError for a dataset that is not there or is damaged, ModelError for damaged files.
    """
    network, folder = _network(recipe)
    if network is None:
        return None
    dataset = open_dataset(recipe.data.dataset, workspace.datasets)
    rows = dataset.draw(recipe.data.train_split, DRAWN, recipe.seed)
    batch, basis = _longest_batch(recipe, network, dataset, rows, folder)
    chosen = catalogue.choices_of(recipe, network)
    return Forecast(parts(network, batch, chosen, room), batch, room, basis, chosen)


def _network(recipe: Recipe) -> tuple[Network | None, Path | None]:
    """The base's sizes and folder; of a model that is not here those of one like it."""
    try:
        folder = resolve(recipe.base_model, recipe.revision, fetch=False).path
    except ModelError:
        entry = catalogue.find(recipe.base_model)
        return (entry.network if entry else None), None
    return network_in(folder), folder


def _longest_batch(
    recipe: Recipe, network: Network, dataset: DatasetDir, rows: Sequence[Example], folder: Path | None
) -> tuple[Batch, str]:
    """A batch of the longest of some rows, as batches of similar length are, and how their tokens were counted."""
    instruction = dataset.task.instruction if recipe.data.task else ""
    supervised = recipe.objective == "sft"
    every_turn = supervised and recipe.data.loss_turns == "all" and recipe.data.target == "target"
    asked = [" ".join([instruction, *map(_turn, row.prompt), *map(json.dumps, row.tools)]) for row in rows]
    before = [" ".join(_turn(turn) for turn in row.prompt if every_turn and _is_learned(turn)) for row in rows]
    said = [_said(row, recipe.data.target if supervised else "target") for row in rows]
    (heads, turns, answers), how = _counted([asked, before, said], folder)
    pictures = max((sum(not isinstance(part, AudioPart) for part in media_parts(row)) for row in rows), default=0)
    seconds = _seconds(dataset, rows) if network.rate else 0.0
    beside = pictures * network.picture_tokens + (0 if network.text.crossed else round(seconds * network.rate))
    spoken = bool(network.rate)  # the question is no part of what a speech model reads
    lengths = [(0 if spoken else head) + answer for head, answer in zip(heads, answers, strict=True)]
    longest = max(lengths, default=0) + TEMPLATE_TOKENS + beside
    pairs = 2 if recipe.objective == "dpo" else 1
    batch = Batch(
        recipe.optim.per_device_train_batch_size * pairs,
        min(longest, recipe.optim.max_length or longest),
        max((turn + answer for turn, answer in zip(turns, answers, strict=True)), default=0) + 2,
        seconds,
    )
    return batch, f"the longest of {len(rows):,} rows, {how}"


def _turn(turn: Message) -> str:
    """What a template writes of a turn: its words, its thoughts and its calls."""
    calls = (json.dumps(call.model_dump(mode="json")) for call in turn.tool_calls)
    return " ".join(part for part in (turn.reasoning, turn.text, *calls) if part)


def _is_learned(turn: Message) -> bool:
    return turn.role == "assistant" and turn.learn is not False


def _said(row: Example, kind: str) -> str:
    """The longest answer that is learned."""
    target = row.model_copy(update={"target": target_text(row, kind)}).target_message
    return max((_turn(target), row.rejected or ""), key=len)


def _counted(texts: Sequence[Sequence[str]], folder: Path | None) -> tuple[list[list[int]], str]:
    """Tokens of each text, by the base's own tokenizer where it is here, and how they were counted."""
    file = folder / "tokenizer.json" if folder else None
    if file is None or not file.is_file():
        guessed = [[round(len(text) / LETTERS_A_TOKEN) for text in part] for part in texts]
        return guessed, f"a token for {LETTERS_A_TOKEN:g} letters, since its tokenizer is not here"
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain Exceptions
        raise ModelError(f"{file} is no tokenizer.", "Add the model again.", "model.damaged") from error
    counts = [[len(made.ids) for made in tokenizer.encode_batch(list(part))] for part in texts]
    return counts, "counted by its tokenizer"


def _seconds(dataset: DatasetDir, rows: Sequence[Example]) -> float:
    """The longest recording, in whole seconds, as windows are."""
    from synth.audio.files import seconds_of

    heard = [part for row in rows for part in media_parts(row) if isinstance(part, AudioPart)]
    longest = max((seconds_of(dataset.media_path(part.path)) for part in heard), default=0.0)
    return float(-(-longest // 1))
