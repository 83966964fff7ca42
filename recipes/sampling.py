"""Answers of a text model to dataset rows: batched by length, greedy and sampled, reproducible.

For mining preference pairs and for the forgetting check. It does not score, and the comparison of systems has its own
predictor with journal and usage (`evaluate.predict`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from recipes.models import Loaded
from recipes.rows import chat_messages, prompt_text
from synth.example import Example

ROWS_PER_BATCH = 256  # sequences decoded together; wider batches gain nothing more on two cores


class Answer(NamedTuple):
    """One answer, and whether the model ended it by itself (False: cut at the token limit)."""

    text: str
    finished: bool


# What mining and forgetting need of any modality: for each row, the greedy answer and then n - 1 sampled ones.
Generate = Callable[[Sequence[Example], int], list[list[Answer]]]


def text_generator(loaded: Loaded, temperature: float, max_new_tokens: int, seed: int) -> Generate:
    """A `Generate` over a text model in eval mode; the caller's random state is left as it was."""

    def generate(examples: Sequence[Example], n: int) -> list[list[Answer]]:
        import torch

        prompts = [prompt_text(chat_messages(example), loaded.tokenizer) for example in examples]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
        answers: list[list[Answer]] = [[] for _ in examples]
        step = max(1, ROWS_PER_BATCH // n)
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(seed)
            for start in range(0, len(order), step):
                chosen = order[start : start + step]
                texts = [prompts[i] for i in chosen]
                for sampled in _decode(loaded, texts, n, temperature, max_new_tokens):
                    for i, answer in zip(chosen, sampled, strict=True):
                        answers[i].extend(answer)
        return answers

    return generate


def longest_target_tokens(loaded: Loaded, examples: Sequence[Example]) -> int:
    """Tokens that the longest target needs, with room for a longer try and the end token."""
    longest = max((len(ids) for ids in loaded.tokenizer([e.target for e in examples])["input_ids"]), default=0)
    return int(longest * 1.25) + 8


def _decode(
    loaded: Loaded, prompts: list[str], n: int, temperature: float, max_new_tokens: int
) -> list[list[list[Answer]]]:
    """First the greedy answers (one per prompt), then the sampled ones (n - 1 per prompt)."""
    tokenizer = loaded.tokenizer
    batch = tokenizer(
        prompts,
        return_tensors="pt",
        padding=True,
        padding_side="left",
        add_special_tokens=False,
        return_token_type_ids=False,
    ).to(loaded.model.device)
    common = {"max_new_tokens": max_new_tokens, "pad_token_id": tokenizer.pad_token_id}
    passes: list[dict[str, Any]] = [{"do_sample": False, "temperature": None, "top_p": None, "top_k": None}]
    if n > 1:
        passes.append(
            {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0, "num_return_sequences": n - 1}
        )
    rounds = []
    for options in passes:
        ids = loaded.model.generate(**batch, **common, **options)[:, batch["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        finished = (ids == tokenizer.eos_token_id).any(dim=1).tolist()
        flat = [Answer(text.strip(), bool(end)) for text, end in zip(texts, finished, strict=True)]
        width = len(flat) // len(prompts)
        rounds.append([flat[i : i + width] for i in range(0, len(flat), width)])
    return rounds
