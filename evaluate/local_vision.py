"""Answers of a local vision model: pictures through its own processor, slot decoding, a batch size that fits.

As `evaluate.local_text`, with pixels: pictures are decoded when their row enters the running batch and dropped after
it, so ten thousand pictures never sit in memory. Greedy only: an evaluation must give the same answers twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evaluate.decode import Generated, SlotDecoder, fits
from evaluate.local_text import answer_prompts, end_ids
from evaluate.prompts import Question
from evaluate.systems import Prediction, Stop
from synth.errors import DataError
from synth.usage import Usage

if TYPE_CHECKING:
    from recipes.models import Loaded

BATCH_SIZE = 64
LATENCY = "seconds from a row's entry into the running batch until its last token, its pictures included"

Files = tuple[str, ...]


def answer(
    loaded: Loaded, questions: Sequence[Question], max_new_tokens: int, batch_size: int | None, stop: Stop
) -> Iterator[Prediction]:
    """One prediction per question, as rows finish; an unreadable picture is an error of its row."""
    asked: list[Question] = []
    prompts: list[list[int]] = []
    pictures: list[Files] = []
    for question in questions:
        try:
            prompt, files = encoded(loaded, question)
        except DataError as fault:
            yield Prediction(example_id=question.example_id, usage=Usage(requests=0), error=str(fault))
            continue
        asked.append(question)
        prompts.append(prompt)
        pictures.append(files)

    def decode(chosen: Sequence[int], rows: int, limit: int) -> Iterator[Generated]:
        some, files = [prompts[i] for i in chosen], [pictures[i] for i in chosen]
        if fits(loaded.model):
            return PictureDecoder(loaded, files, rows, max_new_tokens, limit).run(some)
        return one_by_one(loaded, some, files, max_new_tokens)

    token = getattr(loaded.model.config, "image_token_id", -1)
    seen = {question.example_id: prompt.count(token) for question, prompt in zip(asked, prompts, strict=True)}
    size = min(batch_size or BATCH_SIZE, max(1, len(asked)))
    for prediction in answer_prompts(loaded, asked, prompts, decode, max_new_tokens, size, stop):
        usage = prediction.usage.model_copy(update={"image_tokens": seen[prediction.example_id]})
        yield prediction.model_copy(update={"usage": usage})


def encoded(loaded: Loaded, question: Question) -> tuple[list[int], Files]:
    """Token ids of the prompt with its image tokens, and the picture files. Raises DataError for a broken picture."""
    from recipes import vision_rows

    files = vision_rows.message_files(question.messages, question.media_root)
    text = vision_rows.prompt_text(vision_rows.chat(question.messages), loaded.processor)
    return vision_rows.encode_prompts([text], [files], loaded.processor)[0], files


def pixel_tensors(loaded: Loaded, files: Sequence[Files]) -> dict[str, Any]:
    """The processor's tensors for some rows, on the model's device."""
    from recipes import vision_rows

    return {name: value.to(loaded.model.device) for name, value in vision_rows.pixels(files, loaded.processor).items()}


class PictureDecoder(SlotDecoder):
    """Slot decoding whose prefill puts the features of each row's pictures in the place of its image tokens."""

    def __init__(self, loaded: Loaded, files: Sequence[Files], slots: int, max_new_tokens: int, limit: int) -> None:
        super().__init__(loaded.model, end_ids(loaded), slots, max_new_tokens, limit)
        self._loaded, self._files = loaded, files

    def _prefix(self, prompts: Sequence[list[int]]) -> list[int]:
        return []  # the same image tokens stand for other pictures

    def _forward(self, tokens: Any, positions: Any, mask: Any) -> Any:
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

    def _embedded(self, tokens: Any, files: list[Files]) -> Any:
        """Embeddings [rows, tokens, width]; features fill the image tokens in reading order."""
        import torch

        embedded = self._model.get_input_embeddings()(tokens)
        if not any(files):
            return embedded
        tensors = pixel_tensors(self._loaded, files)
        features = torch.cat(list(self._model.model.get_image_features(**tensors, return_dict=True).pooler_output))
        places = (tokens == self._model.config.image_token_id)[..., None].expand_as(embedded)
        return embedded.masked_scatter(places, features.to(embedded.dtype))


def one_by_one(
    loaded: Loaded, prompts: Sequence[list[int]], files: Sequence[Files], max_new_tokens: int
) -> Iterator[Generated]:
    """The same through transformers' `generate`, for models that do not fit the slots."""
    import time

    import torch

    ends = end_ids(loaded)
    for place, (prompt, shown) in enumerate(zip(prompts, files, strict=True)):
        began = time.perf_counter()
        ids = torch.tensor([prompt], device=loaded.model.device)
        with torch.inference_mode():
            output = loaded.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                **pixel_tensors(loaded, [shown]),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=sorted(ends),
                pad_token_id=loaded.tokenizer.pad_token_id,
                output_logits=True,
                return_dict_in_generate=True,
            )
        tokens = output.sequences[0, len(prompt) :].tolist()
        length = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
        ended = length < len(tokens)
        logits = torch.cat(list(output.logits))[: length + ended].float()
        confidence = float((logits.amax(-1) - logits.logsumexp(-1)).mean().exp())
        yield Generated(place, tokens[:length], confidence, time.perf_counter() - began, ended)
