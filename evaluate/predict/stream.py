"""One answer of a local model as it is written, for those who watch; comparisons decode many rows at once.

Token by token where the modality's runner has `first_inputs` (`evaluate.predict.runners`), else whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evaluate.predict.local_text import grammar_of
from evaluate.predict.prompts import Question
from evaluate.predict.runners import Runner, runner_of
from recipes.decode.decoder import end_ids
from synth.endpoint import Piece
from synth.errors import DataError
from synth.usage import Usage

if TYPE_CHECKING:
    from recipes.decode.constrained import Grammar
    from recipes.models.loaded import Loaded


def stream(loaded: Loaded, question: Question, max_new_tokens: int) -> Iterator[Piece]:
    """Pieces of the greedy answer as they come; joined they are the whole answer. The last one has the usage.

    An answer of a question that asks for a schema obeys it.

    Raises ModelError without a chat template, DataError for a picture or recording that cannot be read.
    """
    runner: Any = runner_of(loaded)
    if hasattr(runner, "first_inputs"):
        grammar = grammar_of(loaded, [question])
        yield from _by_token(loaded, runner.first_inputs(loaded, question), max_new_tokens, grammar)
    else:
        yield from _whole(loaded, runner, question, max_new_tokens)


def _whole(loaded: Loaded, runner: Runner, question: Question, max_new_tokens: int) -> Iterator[Piece]:
    for prediction in runner.answer(loaded, [question], max_new_tokens, 1, lambda: False):
        if prediction.error:
            raise DataError(prediction.error, "")
        yield Piece(prediction.text, prediction.usage)


def _by_token(loaded: Loaded, feed: dict[str, Any], max_new_tokens: int, grammar: Grammar | None) -> Iterator[Piece]:
    """Text is given out only when no byte of it can still change; `feed` holds input_ids (1, tokens)."""
    import torch

    asked, ends, cache = feed["input_ids"].shape[1], end_ids(loaded), None
    tokens: list[int] = []
    text, shown, ended = "", "", False
    state = grammar.start(max_new_tokens) if grammar else None
    while not ended and len(tokens) < max_new_tokens:
        with torch.inference_mode():
            out = loaded.model(**feed, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits, cache = out.logits[0, -1], out.past_key_values
        if state:
            logits = logits.masked_fill(torch.from_numpy(state.forbidden()).to(logits.device), -math.inf)
        token = int(logits.argmax())
        ended = token in ends
        if state and not ended:
            state.take(token)
        if not ended:
            tokens.append(token)
            text = loaded.tokenizer.decode(tokens, skip_special_tokens=True)
            if not text.endswith("\ufffd"):
                yield Piece(text[len(shown) :])
                shown = text
        feed = {"input_ids": torch.tensor([[token]], device=loaded.model.device)}
    yield Piece(text[len(shown) :], Usage(input_tokens=asked, output_tokens=len(tokens) + ended))
