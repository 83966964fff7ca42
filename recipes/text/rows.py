"""Text rows as tokens: prompt and target through the model's chat template, with the loss on the target only.

The prompt is tokenised apart from the target, exactly as it will be when the model answers. Rows are never cut;
`recipes.train.preflight` refuses those that do not fit. Media are for the vision and audio modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from recipes.recipe.options import Data
from synth.errors import DataError
from synth.example import Example

IGNORED = -100


class TokenRow(NamedTuple):
    """`labels` are `input_ids` with the prompt replaced by -100; both as long as the row."""

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


def chat_messages(example: Example) -> list[dict[str, str]]:
    """The prompt in the form that chat templates take, text parts only."""
    return [{"role": m.role, "content": m.text} for m in example.prompt]


def prompt_text(messages: list[dict[str, str]], tokenizer: Any) -> str:
    """The prompt as the model sees it, up to where its answer begins."""
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


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
    suffix = target_suffix(tokenizer)
    prompts = [prompt_text(chat_messages(e), tokenizer) for e in examples]
    targets = [target_text(e, data.target) + suffix for e in examples]
    heads = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    tails = tokenizer(targets, add_special_tokens=False)["input_ids"]
    return [TokenRow(h + t, [IGNORED] * len(h) + t) for h, t in zip(heads, tails, strict=True)]
