"""Answers of a local text model: chat template, slot decoding, a batch size that fits the memory.

Decoding itself is in `recipes.decode.decoder`. Greedy only: an evaluation must give the same answers twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evaluate.predict.prediction import Prediction, Stop
from evaluate.predict.prompts import Question
from recipes.decode.constrained import Grammar, schema_of
from recipes.decode.decoder import Generated, decode, end_ids, rows_in_memory
from recipes.text import chat
from synth.errors import ModelError
from synth.usage import Usage

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.models.loaded import Loaded

BATCH_SIZE = 128
LATENCY = "seconds from a row's entry into the running batch until its last token"


# Decodes the prompts of these numbers, so many rows at a time, none beyond the limit in tokens; `place` counts in them.
Decode = Callable[[Sequence[int], int, int], Iterator[Generated]]


def answer(
    loaded: Loaded, questions: Sequence[Question], max_new_tokens: int, batch_size: int | None, stop: Stop
) -> Iterator[Prediction]:
    """One prediction per question, as rows finish; with a schema, each obeys it, all questions alike.

    Raises ModelError without a chat template or enough memory.
    """
    prompts = tokenise(loaded, questions)

    grammar = grammar_of(loaded, questions)

    def decode_some(chosen: Sequence[int], rows: int, limit: int) -> Iterator[Generated]:
        return decode(loaded, [prompts[i] for i in chosen], rows, max_new_tokens, limit, grammar=grammar)

    yield from answer_prompts(loaded, questions, prompts, decode_some, max_new_tokens, batch_size, stop)


def grammar_of(loaded: Loaded, questions: Sequence[Question]) -> Grammar | None:
    """The grammar of the schema that the questions ask for, all alike; None where they ask for none."""
    schema = next((schema_of(q.response_format) for q in questions if q.response_format), None)
    return Grammar.of(loaded, schema, end_ids(loaded)) if schema else None


def answer_prompts(
    loaded: Loaded,
    questions: Sequence[Question],
    prompts: Sequence[list[int]],
    decode_some: Decode,
    max_new_tokens: int,
    batch_size: int | None,
    stop: Stop,
) -> Iterator[Prediction]:
    """Predictions through `decode_some`, with half the rows at a time whenever the memory does not suffice."""
    limit = getattr(loaded.model.config.get_text_config(), "max_position_embeddings", None) or 1 << 30
    for question, prompt in zip(questions, prompts, strict=True):
        if len(prompt) >= limit:
            error = f"The prompt has {len(prompt)} tokens, and the model takes {limit}."
            yield Prediction(example_id=question.example_id, error=error)
    todo = [index for index, prompt in enumerate(prompts) if len(prompt) < limit]
    capacity = max((len(prompts[i]) for i in todo), default=1) + max_new_tokens
    rows = batch_size or rows_in_memory(loaded.model, capacity, BATCH_SIZE)
    while todo:
        left = set(todo)
        try:
            for done in decode_some(todo, rows, limit):
                index = todo[done.place]
                left.discard(index)
                yield _prediction(loaded, questions[index], prompts[index], done)
                if stop():
                    return
            return
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if rows == 1:
                message = f"{loaded.info.ref.name} does not fit into the memory, not even one row at a time."
                raise ModelError(message, "Choose a smaller model or lower max_new_tokens.", "model.memory") from error
        todo, rows = sorted(left), max(1, rows // 2)


def tokenise(loaded: Loaded, questions: Sequence[Question]) -> list[list[int]]:
    """Prompts through the chat template, as training saw them."""
    tokenizer = loaded.tokenizer
    if not tokenizer.chat_template:
        message = f"The tokenizer of {loaded.info.ref.name} has no chat template."
        raise ModelError(message, "Choose an instruct model, or a starter.", "model.template")
    return [
        chat.tokenise(
            chat.prompt_text([chat.message_dict(m, tokenizer) for m in q.messages], tokenizer, q.tools), tokenizer
        ).ids
        for q in questions
    ]


def bare_inputs(loaded: Loaded, questions: Sequence[Question]) -> list[list[int]]:
    """Token ids of each prompt."""
    return tokenise(loaded, questions)


def plain_chat(loaded: Loaded, question: Question) -> list[dict[str, Any]]:
    """The question's turns as any program takes them; empty where some are tool calls or hold control tokens."""
    turns = [chat.message_dict(message, loaded.tokenizer) for message in question.messages]
    plain = all(turn.keys() == {"role", "content"} and chat.BREAK not in turn["content"] for turn in turns)
    return turns if plain else []


def first_inputs(loaded: Loaded, question: Question) -> dict[str, Tensor]:
    """What the model reads before the first token of its answer: input_ids (1, tokens)."""
    import torch

    return {"input_ids": torch.tensor(tokenise(loaded, [question]), device=loaded.model.device)}


def _prediction(loaded: Loaded, question: Question, prompt: Sequence[int], done: Generated) -> Prediction:
    return Prediction(
        example_id=question.example_id,
        text=loaded.tokenizer.decode(done.tokens, skip_special_tokens=True).strip(),
        usage=Usage(input_tokens=len(prompt), output_tokens=len(done.tokens) + done.ended),
        seconds=done.seconds,
        confidence=done.confidence,
        truncated=not done.ended,
    )


def out_of_memory(error: RuntimeError) -> bool:
    """Whether torch ran out of memory; on a processor it says so in words only."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)
