"""Training of the vision starter: packed conversations, each about its own picture, on the text starters' loop.

Several documents lie in one sequence and never see each other; each has one picture. The loss counts replies only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from recipes.starters.making.team import Team
from recipes.starters.making.text_tokenizer import END, START
from recipes.starters.making.text_training import Plan, Trainer, document_mask
from recipes.starters.making.vision_model import IMAGE_RUN, IMAGE_TOKENS
from recipes.starters.making.vision_tower import image_tokens
from recipes.starters.vision_data import FAMILIES, SIZE, VisionRow, rows

if TYPE_CHECKING:
    import torch

LIST_START, LIST_END, LIST_FADE_STEPS = 0.7, 0.1, 150
"""Share of rows that only transcribe: high at first, to join tower and language."""


class Pictured(NamedTuple):
    """As `text_training.Packed`, with pixels [pictures, 3, 128, 128] in [-1, 1] and the flat places of their tokens.

    Unused picture slots are zero and their places point one past the end.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    documents: torch.Tensor
    weights: torch.Tensor
    pixels: torch.Tensor
    places: torch.Tensor


class Document(NamedTuple):
    ids: list[int]
    replied: list[bool]


def encode(tokenizer: Any, batch: list[VisionRow]) -> list[Document]:
    """Ids of whole conversations in the chat template's form, and which of them the model says."""
    pieces: list[str] = []
    for row in batch:
        for number, (question, reply) in enumerate(row.turns):
            picture = IMAGE_RUN if number == 0 else ""
            before = "" if number == 0 else "\n"
            pieces.append(f"{before}{START}user\n{picture}{question}{END}\n{START}assistant\n")
            pieces.append(f"{reply}{END}")
    coded = iter(tokenizer(pieces, add_special_tokens=False)["input_ids"])
    documents = []
    for row in batch:
        ids: list[int] = []
        replied: list[bool] = []
        for _ in row.turns:
            for spoken in (False, True):
                part = next(coded)
                ids += part
                replied += [spoken] * len(part)
        documents.append(Document(ids, replied))
    return documents


def pack(tokenizer: Any, stream: Any, batch: int, length: int, image_id: int, slots: int) -> Pictured:
    """Fill `batch` sequences of `length`, first fit, until no row fits any more or all picture `slots` are taken."""
    import numpy as np
    import torch

    lines: list[list[tuple[VisionRow, Document]]] = [[] for _ in range(batch)]
    room, misses, taken = [length] * batch, 0, 0
    while misses < 6 and taken < slots:
        drawn = [next(stream) for _ in range(8)]
        for row, document in zip(drawn, encode(tokenizer, drawn), strict=True):
            place = next((n for n in range(batch) if room[n] >= len(document.ids)), None)
            if place is None or taken == slots:
                misses += 1
                continue
            lines[place].append((row, document))
            room[place] -= len(document.ids)
            taken += 1
    whole = torch.zeros(4, batch, length, dtype=torch.long)
    weights = torch.zeros(batch, length)
    pixels = np.zeros((slots, 3, SIZE, SIZE), dtype=np.float32)
    picture = 0
    for line, filled in enumerate(lines):
        at = 0
        for number, (row, document) in enumerate(filled, 1):
            end = at + len(document.ids)
            whole[0, line, at:end] = torch.tensor(document.ids)
            whole[1, line, at : end - 1] = torch.tensor(document.ids[1:])
            whole[2, line, at:end] = torch.arange(end - at)
            whole[3, line, at:end] = number
            weights[line, at : end - 1] = torch.tensor(document.replied[1:]).float()
            pixels[picture] = np.asarray(row.image, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1
            picture += 1
            at = end
    places = torch.full((slots * IMAGE_TOKENS,), batch * length, dtype=torch.long)
    found = (whole[0].flatten() == image_id).nonzero().flatten()
    places[: len(found)] = found
    return Pictured(whole[0], whole[1], whole[2], whole[3], weights, torch.from_numpy(pixels), places)


def pictured_loss(model: Any, batch: Pictured) -> torch.Tensor:
    """Mean cross-entropy over reply tokens (nats a token); attention stays within a document."""
    import torch

    inner = model.model
    lines, length = batch.ids.shape
    seen = image_tokens(inner.vision_model, inner.connector, batch.pixels).flatten(0, 1)
    embedded = inner.text_model.embed_tokens(batch.ids).flatten(0, 1)
    spare = embedded.new_zeros(1, embedded.shape[1])
    merged = torch.cat([embedded, spare]).index_copy(0, batch.places, seen.to(embedded.dtype))[:-1]
    mask = document_mask(batch.documents)
    spoken = inner.text_model(
        inputs_embeds=merged.view(lines, length, -1), position_ids=batch.positions, attention_mask=mask, use_cache=False
    ).last_hidden_state
    logits = model.lm_head(spoken).float().flatten(0, 1)
    losses = torch.nn.functional.cross_entropy(logits, batch.labels.flatten(), reduction="none")
    return (losses * batch.weights.flatten()).sum() / batch.weights.sum()


class VisionTrainer(Trainer):
    """The text starters' loop over pictured batches."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        plan: Plan,
        out: Path,
        slots: int,
        team: Team | None = None,
        families: Mapping[str, float] = FAMILIES,
    ) -> None:
        super().__init__(model, processor.tokenizer, None, plan, out, team)  # type: ignore[arg-type]
        self.processor, self.slots, self.families = processor, slots, families

    def loss(self, model: Any, batch: Pictured) -> torch.Tensor:
        """See `pictured_loss`."""
        return pictured_loss(model, batch)

    def batch(self) -> Pictured:
        """Batch number `step`."""
        rng = Random(f"vision/{self.place}")
        share = LIST_END + (LIST_START - LIST_END) * math.exp(-self.step / LIST_FADE_STEPS)
        image_id = self.model.config.image_token_id
        return pack(
            self.tokenizer, rows(rng, share, self.families), self.plan.batch, self.plan.length, image_id, self.slots
        )
