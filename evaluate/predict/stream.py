"""One answer of a local text or vision model, token by token, for those who watch; comparisons decode many at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evaluate.predict.prompts import Question
from recipes.decode.decoder import end_ids
from synth.endpoint import Piece
from synth.usage import Usage

if TYPE_CHECKING:
    from recipes.models.loading import Loaded


def stream(loaded: Loaded, question: Question, max_new_tokens: int) -> Iterator[Piece]:
    """Pieces of the greedy answer as they come; joined they are the whole answer. The last one has the usage.

    Text is given out only when no byte of it can still change. Raises ModelError without a chat template, DataError
    for a picture that cannot be read.
    """
    import torch

    feed = _prompt(loaded, question)
    asked, ends, cache = feed["input_ids"].shape[1], end_ids(loaded), None
    tokens: list[int] = []
    text, shown, ended = "", "", False
    while not ended and len(tokens) < max_new_tokens:
        with torch.inference_mode():
            out = loaded.model(**feed, past_key_values=cache, use_cache=True, logits_to_keep=1)
        token, cache = int(out.logits[0, -1].argmax()), out.past_key_values
        ended = token in ends
        if not ended:
            tokens.append(token)
            text = loaded.tokenizer.decode(tokens, skip_special_tokens=True)
            if not text.endswith("�"):
                yield Piece(text[len(shown) :])
                shown = text
        feed = {"input_ids": torch.tensor([[token]], device=loaded.model.device)}
    yield Piece(text[len(shown) :], Usage(input_tokens=asked, output_tokens=len(tokens) + ended))


def _prompt(loaded: Loaded, question: Question) -> dict[str, Any]:
    """What the model reads before its first token: ids [1, tokens], and pixels where there are pictures."""
    import torch

    if loaded.info.ref.modality == "vision":
        from evaluate.predict.local_vision import encoded
        from recipes.vision.vision_decode import pixel_tensors

        ids, files = encoded(loaded, question)
        pixels = pixel_tensors(loaded, [files]) if files else {}
    else:
        from evaluate.predict.local_text import tokenise

        ids, pixels = tokenise(loaded, [question])[0], {}
    return {"input_ids": torch.tensor([ids], device=loaded.model.device), **pixels}
