"""Text rows as tokens: prompt and target through the model's chat template, with the loss on the assistant's turns.

The prompt is tokenised apart from the target, exactly as it will be when the model answers. Rows are never cut;
`recipes.train.preflight` refuses those that do not fit. Media are for the vision and audio modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from recipes.recipe.options import Data
from recipes.text.chat import Rendered, chat_messages, prompt_text, render, tokenise
from synth.errors import DataError
from synth.example import Example

IGNORED = -100


class TokenRow(NamedTuple):
    """`labels` are `input_ids` with what is not learned replaced by -100; both as long as the row."""

    input_ids: list[int]
    labels: list[int]


def target_text(example: Example, kind: str) -> str:
    """What the model learns to say; `kind` is the recipe's data.target. Raises DataError where the row lacks it."""
    if kind == "target":
        return example.target
    if example.answer is None:
        raise DataError(f"Row {example.id} has no short answer.", "Set data.target to target.")
    if kind == "answer":
        return example.answer
    rationale = example.source.get("rationale")
    if not rationale:
        raise DataError(f"Row {example.id} has no rationale.", "Set data.target to target.")
    return f"{rationale}\nAnswer: {example.answer}"


def with_training_target(example: Example, kind: str) -> Example:
    """The row with `target_text` as its target. Raises DataError where the row lacks it."""
    return example.model_copy(update={"target": target_text(example, kind)})


def target_suffix(tokenizer: Any) -> str:
    """What the template puts after an answer, up to the token that ends the turn."""
    ask = [{"role": "user", "content": "a"}]
    answer = "reply"
    full = str(tokenizer.apply_chat_template([*ask, {"role": "assistant", "content": answer}], tokenize=False))
    before, found, after = full.rpartition(answer)
    if not found or before != prompt_text(ask, tokenizer):
        # A template that adds something between the two, such as an empty thinking part.
        after = ""
    end = str(tokenizer.eos_token)
    head, ends, _ = after.partition(end)
    return head + end if ends else end


def refuse_endless(tokenizer: Any) -> None:
    """Raise DataError when the tokenizer names no token that ends an answer, for then no answer could be taught to."""
    if not tokenizer.eos_token:
        raise DataError("The model's tokenizer names no end token (eos_token).", "Choose an instruct model.")


def encode(examples: Sequence[Example], tokenizer: Any, data: Data) -> list[TokenRow]:
    """Token rows of `examples`, in order and uncut. Raises DataError when there is nothing to encode."""
    if not examples:
        raise DataError("There are no rows to learn from.", "Check data.dataset and data.train_split.")
    if not tokenizer.chat_template:
        raise DataError("The model's tokenizer has no chat template.", "Choose an instruct model, or a starter.")
    refuse_endless(tokenizer)
    if bad := sum(example.label is False for example in examples):
        message = f"{bad} of {len(examples)} rows hold an answer that is labelled as bad."
        raise DataError(message, "Train them with text_kto, or import the good ones alone.", "data.bad_answers")
    suffix = target_suffix(tokenizer)
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
