"""Greedy answers of a text model to generated rows, and how many are right by family."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from recipes.starters.making.text_tokenizer import chat_text
from recipes.starters.text_data.row import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


class Tally(NamedTuple):
    """Right answers out of n."""

    right: int
    n: int


def answers(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    rows: Sequence[Row],
    batch: int = 64,
    new_tokens: int = 288,
) -> list[str]:
    """The greedy reply to each row, in the order of the rows; batches are of like length."""
    import torch

    model.eval()
    order = sorted(range(len(rows)), key=lambda number: len(rows[number].target) + len(chat_text(rows[number].prompt)))
    replies = [""] * len(rows)
    for at in range(0, len(order), batch):
        numbers = order[at : at + batch]
        texts = [chat_text(rows[number].prompt) for number in numbers]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
        said = tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for number, text in zip(numbers, said, strict=True):
            replies[number] = text
    return replies


def is_right(row: Row, reply: str) -> bool:
    """The text after the last `Answer:` (else the whole reply) is the gold, to the letter."""
    return reply.rsplit("Answer:", 1)[-1].strip() == row.answer.strip()


def tallies(rows: Sequence[Row], replies: Sequence[str]) -> dict[str, Tally]:
    """Right answers by family."""
    out: dict[str, Tally] = {}
    for row, reply in zip(rows, replies, strict=True):
        before = out.get(row.family, Tally(0, 0))
        out[row.family] = Tally(before.right + is_right(row, reply), before.n + 1)
    return out
