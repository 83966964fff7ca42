"""Answers of a local vision model: pictures through its own processor, slot decoding, a batch size that fits.

As `evaluate.predict.local_text`, with pixels; decoding itself is in `recipes.vision.vision_decode`. Greedy only: an
evaluation must give the same answers twice.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evaluate.predict.local_text import answer_prompts, grammar_of
from evaluate.predict.prediction import Prediction, Stop
from evaluate.predict.prompts import Question
from recipes.decode.decoder import Generated
from synth.errors import DataError
from synth.usage import Usage

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.export.exporter import PicturedChat
    from recipes.models.loaded import Loaded

BATCH_SIZE = 64
LATENCY = "seconds from a row's entry into the running batch until its last token, its pictures included"


def answer(
    loaded: Loaded, questions: Sequence[Question], max_new_tokens: int, batch_size: int | None, stop: Stop
) -> Iterator[Prediction]:
    """One prediction per question, as rows finish; an unreadable picture is an error of its row."""
    from recipes.vision.vision_decode import decode_pictures

    asked: list[Question] = []
    prompts: list[list[int]] = []
    pictures: list[tuple[str, ...]] = []
    for question in questions:
        try:
            prompt, files = encoded(loaded, question)
        except DataError as fault:
            yield Prediction(example_id=question.example_id, usage=Usage(requests=0), error=str(fault))
            continue
        asked.append(question)
        prompts.append(prompt)
        pictures.append(files)

    grammar = grammar_of(loaded, asked)

    def decode_some(chosen: Sequence[int], rows: int, limit: int) -> Iterator[Generated]:
        some, files = [prompts[i] for i in chosen], [pictures[i] for i in chosen]
        return decode_pictures(loaded, some, files, rows, max_new_tokens, limit, grammar=grammar)

    token = getattr(loaded.model.config, "image_token_id", -1)
    seen = {question.example_id: prompt.count(token) for question, prompt in zip(asked, prompts, strict=True)}
    size = min(batch_size or BATCH_SIZE, max(1, len(asked)))
    for prediction in answer_prompts(loaded, asked, prompts, decode_some, max_new_tokens, size, stop):
        usage = prediction.usage.model_copy(update={"image_tokens": seen[prediction.example_id]})
        yield prediction.model_copy(update={"usage": usage})


def bare_inputs(loaded: Loaded, questions: Sequence[Question]) -> list[PicturedChat]:
    """Each question as a chat. Raises DataError for a broken picture."""
    from recipes.export.exporter import PicturedChat

    return [PicturedChat(plain_chat(loaded, one), len(encoded(loaded, one)[0])) for one in questions]


def plain_chat(loaded: Loaded, question: Question) -> list[dict[str, Any]]:
    """The question's turns as OpenAI's clients send them, pictures as PNG inside. Raises DataError as `encoded`."""
    from recipes.vision import vision_rows

    files = iter(vision_rows.message_files(question.messages, question.media_root))
    turns = vision_rows.chat(question.messages)
    return [
        {**turn, "content": [_picture(next(files)) if part["type"] == "image" else part for part in turn["content"]]}
        for turn in turns
    ]


def _picture(file: str) -> dict[str, Any]:
    from recipes.vision import vision_rows

    content = io.BytesIO()
    vision_rows.open_picture(file).save(content, "PNG")
    encoded = base64.b64encode(content.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}


def first_inputs(loaded: Loaded, question: Question) -> dict[str, Tensor]:
    """What the model reads before the first token of its answer: input_ids (1, tokens), and pixels of its pictures."""
    import torch

    from recipes.vision.vision_decode import pixel_tensors

    ids, files = encoded(loaded, question)
    pixels = pixel_tensors(loaded, [files]) if files else {}
    return {"input_ids": torch.tensor([ids], device=loaded.model.device), **pixels}


def encoded(loaded: Loaded, question: Question) -> tuple[list[int], tuple[str, ...]]:
    """Token ids of the prompt with its image tokens, and the picture files. Raises DataError for a broken picture."""
    from recipes.vision import vision_rows

    files = vision_rows.message_files(question.messages, question.media_root)
    text = vision_rows.prompt_text(vision_rows.chat(question.messages), loaded.processor)
    return vision_rows.encode_prompts([text], [files], loaded.processor)[0], files
