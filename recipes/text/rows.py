"""Text rows as tokens: prompt and target through the model's chat template, with the loss on the assistant's turns.

The prompt is tokenised apart from the target, exactly as it will be when the model answers. Rows are never cut;
`recipes.train.preflight` refuses those that do not fit. Media are for the vision and audio modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipes.recipe.options import Data
from recipes.text.chat import Rendered, answer_end, chat_messages, prompt_text, render, tokenise
from recipes.train.rows import IGNORED, TokenRow, check_examples, refuse_endless, target_text
from synth.errors import DataError
from synth.example import Example


def encode(examples: Sequence[Example], tokenizer: Any, data: Data) -> list[TokenRow]:
    """Token rows of `examples`, in order and uncut. Raises DataError when there is nothing to encode."""
    check_examples(examples, "text_kto")
    if not tokenizer.chat_template:
        raise DataError("The model's tokenizer has no chat template.", "Choose an instruct model, or a starter.")
    refuse_endless(tokenizer)
    suffix = answer_end(tokenizer)
    every_turn = data.loss_turns == "all" and data.target == "target"
    return [_row(render(e, target_text(e, data.target), tokenizer, suffix, every_turn), tokenizer) for e in examples]


def prompt_ids(example: Example, tokenizer: Any) -> list[int]:
    """The prompt as tokens, up to where the answer begins, as in training."""
    return tokenise(prompt_text(chat_messages(example, tokenizer), tokenizer, example.tools), tokenizer).ids


def _row(rendered: Rendered, tokenizer: Any) -> TokenRow:
    head = tokenise(rendered.prompt, tokenizer, places=bool(rendered.learned))
    tail = tokenise(rendered.completion, tokenizer).ids
    labels = [IGNORED] * len(head.ids)
    for span in rendered.learned:
        for place, token in enumerate(head.places):
            if span.start <= token.start and token.start < token.end <= span.end:
                labels[place] = head.ids[place]
    return TokenRow(head.ids + tail, labels + tail)
