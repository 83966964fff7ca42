"""Decoding of prompts about pictures: `recipes.decode.decoder` with features in the places of image tokens.

Pictures are read when their row enters the running batch and dropped after it, so ten thousand pictures never sit in
memory. It knows tokens and picture files only: no texts, no scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from recipes.decode.decoder import Generated, Sampling, SlotDecoder, end_ids, fits, generate_batch, refuse_grammar
from recipes.vision import vision_rows

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.decode.constrained import Grammar
    from recipes.models.loaded import Loaded

Files = tuple[str, ...]


def decode_pictures(
    loaded: Loaded,
    prompts: Sequence[list[int]],
    files: Sequence[Files],
    rows: int,
    max_new_tokens: int,
    limit: int = 1 << 30,
    sampling: Sampling | None = None,
    grammar: Grammar | None = None,
) -> Iterator[Generated]:
    """Finished rows in the order they finish, `rows` at a time, none beyond `limit` tokens; greedy by default.

    `prompts` hold their image tokens, `files` the pictures of each prompt. With a `grammar` every answer obeys it;
    raises ModelError where the model's class does not fit the slots.
    """
    if fits(loaded.model):
        return PictureDecoder(loaded, files, rows, max_new_tokens, limit, sampling, grammar).run(prompts)
    refuse_grammar(loaded, grammar)
    return one_by_one(loaded, prompts, files, max_new_tokens, sampling)


def pixel_tensors(loaded: Loaded, files: Sequence[Files]) -> dict[str, Tensor]:
    """The processor's tensors for some rows, on the model's device."""
    return {name: value.to(loaded.model.device) for name, value in vision_rows.pixels(files, loaded.processor).items()}


class PictureDecoder(SlotDecoder):
    """Slot decoding whose prefill puts the features of each row's pictures in the place of its image tokens."""

    def __init__(
        self,
        loaded: Loaded,
        files: Sequence[Files],
        slots: int,
        max_new_tokens: int,
        limit: int,
        sampling: Sampling | None = None,
        grammar: Grammar | None = None,
    ) -> None:
        super().__init__(loaded.model, end_ids(loaded), slots, max_new_tokens, limit, sampling, grammar)
        self._loaded, self._files = loaded, files

    def _prefix(self, prompts: Sequence[list[int]]) -> list[int]:
        return []  # the same image tokens stand for other pictures

    def _forward(self, tokens: Tensor, positions: Tensor, mask: Tensor | None) -> Tensor:
        if self._plan.filling is None:
            return super()._forward(tokens, positions, mask)
        rows = [self._rows[slot] for slot in self._plan.filling.tolist()]
        return self._decoder(
            inputs_embeds=self._embedded(tokens, [self._files[row.index] for row in rows if row is not None]),
            position_ids=positions,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state

    def _embedded(self, tokens: Tensor, files: list[Files]) -> Tensor:
        """Embeddings (B, T, D) of tokens (B, T); features fill the image tokens in reading order."""
        import torch

        embedded = self._model.get_input_embeddings()(tokens)
        if not any(files):
            return embedded
        tensors = pixel_tensors(self._loaded, files)
        features = torch.cat(list(self._model.model.get_image_features(**tensors, return_dict=True).pooler_output))
        places = (tokens == self._model.config.image_token_id)[..., None].expand_as(embedded)
        return embedded.masked_scatter(places, features.to(embedded.dtype))


def one_by_one(
    loaded: Loaded,
    prompts: Sequence[list[int]],
    files: Sequence[Files],
    max_new_tokens: int,
    sampling: Sampling | None = None,
) -> Iterator[Generated]:
    """The same through transformers' `generate`, for models that do not fit the slots."""
    import torch

    ends, pad = end_ids(loaded), loaded.tokenizer.pad_token_id
    for place, (prompt, shown) in enumerate(zip(prompts, files, strict=True)):
        ids = torch.tensor([prompt], device=loaded.model.device)
        found = pixel_tensors(loaded, [shown])
        found |= vision_rows.kinds(ids, found, loaded.processor)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **found}
        seeded = sampling and sampling._replace(seed=sampling.seed + place)
        for done in generate_batch(loaded.model, inputs, ends, max_new_tokens, pad, seeded):
            yield done._replace(place=place)
