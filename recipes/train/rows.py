"""What a row is once it is tokens, and what of an example a model learns to say, in every modality.

The modalities make the tokens: `recipes.text.rows`, `recipes.vision.vision_rows`, `recipes.audio.audio_rows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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


def check_examples(examples: Sequence[Example], judged_by: str = "") -> None:
    """Raise DataError when there is nothing to learn from, or an answer that somebody judged as bad.

    `judged_by` is the method of the modality that learns from bad answers, "" for none.
    """
    if not examples:
        raise DataError("There are no rows to learn from.", "Check data.dataset and data.train_split.")
    if bad := sum(example.label is False for example in examples):
        message = f"{bad} of {len(examples)} rows hold an answer that is labelled as bad."
        remedy = f"Train them with {judged_by}, or import" if judged_by else "Import"
        raise DataError(message, f"{remedy} the good ones alone.", "data.bad_answers")


def refuse_endless(tokenizer: Any) -> None:
    """Raise DataError when the tokenizer names no token that ends an answer, for then no answer could be taught to."""
    if not tokenizer.eos_token:
        raise DataError("The model's tokenizer names no end token (eos_token).", "Choose an instruct model.")
