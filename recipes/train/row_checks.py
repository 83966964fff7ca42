"""What tokenised rows and a chat template must be like before a training, and a row as people read it.

It needs no model: `recipes.train.probe` takes the real steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from recipes.text.chat import control_tokens
from recipes.train.report import Piece, Tokens
from recipes.train.rows import IGNORED, TokenRow

SHOWN_TOKENS = 400  # of the decoded sample; the middle of longer ones is left out


def check_rows(rows: Sequence[TokenRow], max_length: int | None) -> list[str]:
    """Problems of tokenised rows: none at all, rows without a learned token, targets that `max_length` would cut."""
    if not rows:
        return ["There are no rows to learn from."]
    problems = []
    empty = [number for number, row in enumerate(rows, start=1) if not any(x != IGNORED for x in row.labels)]
    if empty:
        problems.append(f"{len(empty)} of {len(rows)} rows have nothing to learn (first: row {empty[0]}).")
    cut = [length for row in rows if max_length is not None and (length := len(row.input_ids)) > max_length]
    if cut:
        problems.append(
            f"optim.max_length = {max_length} would cut the target of {len(cut)} of {len(rows)} rows; the longest has "
            f"{max(cut)} tokens. Set optim.max_length to {max(cut)} or more, or remove those rows."
        )
    return problems


def check_known(rows: Iterable[TokenRow], known: int | None) -> list[str]:
    """A problem where rows hold tokens beyond the `known` ones of a model, whose tokenizer is then another's."""
    highest = max((max(row.input_ids, default=0) for row in rows), default=0)
    if known is None or highest < known:
        return []
    return [
        f"The tokenizer writes token {highest:,}, but the model knows {known:,}: they do not belong together. Fetch "
        "the model again, with its own tokenizer."
    ]


def check_template(tokenizer: Any, chats: Iterable[tuple[list[dict[str, Any]], str]]) -> list[str]:
    """Problems of the chat template: the rendered prompt must be a prefix of prompt + answer, which ends the turn.

    `chats` are (messages, target). Otherwise the model is trained on another context than it will meet.
    """
    if not getattr(tokenizer, "chat_template", None):
        return ["The tokenizer has no chat template, so prompts and answers cannot be told apart."]
    broken, endless, total, example = 0, 0, 0, ""
    for messages, target in chats:
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        full = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": target}], tokenize=False)
        total += 1
        if not full.startswith(prompt):
            broken += 1
            example = example or repr(prompt[-60:])
        elif tokenizer.eos_token and not _ends(full[len(prompt) :], tokenizer):
            endless += 1
    problems = []
    if broken:
        problems.append(
            f"The chat template renders the prompt differently with an answer in {broken} of {total} rows (the prompt "
            f"ends in {example}), so training and use would not match."
        )
    if endless:
        problems.append(
            f"The chat template does not end the answer with {tokenizer.eos_token} in {endless} of {total} rows, so "
            "the model would never learn to stop."
        )
    return problems


def _ends(answer: str, tokenizer: Any) -> bool:
    """Whether a rendered answer holds the end token, or closes with another control token, as some templates do."""
    return tokenizer.eos_token in answer or answer.rstrip().endswith(control_tokens(tokenizer))


def count(rows: Sequence[TokenRow], max_length: int | None) -> Tokens:
    """Token statistics of the rows."""
    lengths = [len(row.input_ids) for row in rows]
    learned = sum(label != IGNORED for row in rows for label in row.labels)
    total = sum(lengths)
    return Tokens(
        rows=len(rows),
        longest=max(lengths, default=0),
        mean=round(total / len(rows), 2) if rows else 0.0,
        learned=round(learned / total, 4) if total else 0.0,
        cut_targets=sum(max_length is not None and length > max_length for length in lengths),
    )


def pieces(row: TokenRow, decode: Callable[[Sequence[int]], str]) -> tuple[Piece, ...]:
    """The row decoded, stretches with and without loss apart; the middle of a long stretch is left out."""
    parts = []
    half = SHOWN_TOKENS // 2
    for masked, group in itertools.groupby(
        zip(row.input_ids, row.labels, strict=True), lambda pair: pair[1] == IGNORED
    ):
        ids = [token for token, _ in group]
        text = decode(ids) if len(ids) <= SHOWN_TOKENS else f"{decode(ids[:half])} … {decode(ids[-half:])}"
        parts.append(Piece(text=text, masked=masked))
    return tuple(parts)


def mark(sample: Sequence[Piece]) -> str:
    """The sample for a terminal: text without loss stands in ⟦ ⟧."""
    return "".join(f"⟦{piece.text}⟧" if piece.masked else piece.text for piece in sample)
