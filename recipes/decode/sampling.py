"""Answers of a text model to dataset rows: greedy and sampled, reproducible, through `recipes.decode.decoder`.

For mining preference pairs and for checking what preference tuning did. It does not score, and the comparison of
systems has its own predictor with journal and usage (`evaluate.predict.journal`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from recipes.decode.decoder import Generated, Sampling, decode, rows_in_memory
from recipes.models.loaded import Loaded
from recipes.text.rows import prompt_ids
from synth.example import Example

ROWS_AT_ONCE = 128


class Answer(NamedTuple):
    """One answer, and whether the model ended it by itself (False: cut at the token limit)."""

    text: str
    finished: bool


# What mining needs of any modality: for each row, the greedy answer and then n - 1 sampled ones.
Generate = Callable[[Sequence[Example], int], list[list[Answer]]]

# Decodes the prompts of these numbers, greedily or sampled; `place` counts in them.
DecodeSome = Callable[[Sequence[int], Sampling | None], Iterator[Generated]]


def text_generator(loaded: Loaded, temperature: float, max_new_tokens: int, seed: int) -> Generate:
    """A `Generate` over a text model in eval mode; the caller's random state is left as it was."""

    def generate(examples: Sequence[Example], n: int) -> list[list[Answer]]:
        prompts = [prompt_ids(example, loaded.tokenizer) for example in examples]
        rows = rows_in_memory(loaded.model, max(map(len, prompts)) + max_new_tokens, ROWS_AT_ONCE)

        def decode_some(chosen: Sequence[int], sampling: Sampling | None) -> Iterator[Generated]:
            return decode(loaded, [prompts[i] for i in chosen], rows, max_new_tokens, sampling=sampling)

        return answer_all(loaded, len(prompts), n, Sampling(temperature, seed), decode_some)

    return generate


def answer_all(loaded: Loaded, count: int, n: int, sampling: Sampling, decode_some: DecodeSome) -> list[list[Answer]]:
    """For each of `count` prompts the greedy answer, then n - 1 sampled ones."""
    answers: list[list[Answer]] = [[] for _ in range(count)]
    once, again = range(count), [number for number in range(count) for _ in range(n - 1)]
    for numbers, how in ((once, None), (again, sampling)):
        for done in decode_some(numbers, how):
            text = loaded.tokenizer.decode(done.tokens, skip_special_tokens=True)
            answers[numbers[done.place]].append(Answer(text.strip(), done.ended))
    return answers


def longest_target_tokens(loaded: Loaded, examples: Sequence[Example]) -> int:
    """Tokens that the longest target needs, with room for a longer try and the end token."""
    longest = max((len(ids) for ids in loaded.tokenizer([e.target for e in examples])["input_ids"]), default=0)
    return int(longest * 1.25) + 8
