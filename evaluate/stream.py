"""One answer of a local text model, token by token, for those who watch; comparisons use `evaluate.local_text`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evaluate.local_text import tokenise
from evaluate.prompts import Question
from recipes.decode import end_ids

if TYPE_CHECKING:
    from recipes.models import Loaded


def stream(loaded: Loaded, question: Question, max_new_tokens: int) -> Iterator[str]:
    """Pieces of the greedy answer as they come; joined they are the whole answer.

    Text is given out only when no byte of it can still change. Raises ModelError without a chat template.
    """
    import torch

    ends, tokens, shown, cache = end_ids(loaded), [], "", None
    feed = torch.tensor([tokenise(loaded, [question])[0]], device=loaded.model.device)
    for _ in range(max_new_tokens):
        with torch.inference_mode():
            out = loaded.model(input_ids=feed, past_key_values=cache, use_cache=True, logits_to_keep=1)
        token, cache = int(out.logits[0, -1].argmax()), out.past_key_values
        if token in ends:
            return
        tokens.append(token)
        text = loaded.tokenizer.decode(tokens, skip_special_tokens=True)
        if not text.endswith("�"):
            yield text[len(shown) :]
            shown = text
        feed = torch.tensor([[token]], device=loaded.model.device)
