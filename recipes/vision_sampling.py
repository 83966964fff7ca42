"""Answers of a vision model to dataset rows, greedy and sampled, for mining preference pairs.

As `recipes.sampling` for text; the comparison of systems has its own, faster predictor (`evaluate.local_vision`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipes import vision_rows
from recipes.models import Loaded
from recipes.sampling import Answer, Generate
from synth.dataset import DatasetDir
from synth.example import Example

ROWS_PER_BATCH = 128  # sequences decoded together


def vision_generator(
    loaded: Loaded, dataset: DatasetDir, temperature: float, max_new_tokens: int, seed: int
) -> Generate:
    """A `Generate` over a vision model in eval mode; the caller's random state is left as it was."""

    def generate(examples: Sequence[Example], n: int) -> list[list[Answer]]:
        import torch

        answers: list[list[Answer]] = [[] for _ in examples]
        order = sorted(range(len(examples)), key=lambda i: len(examples[i].target), reverse=True)
        step = max(1, ROWS_PER_BATCH // n)
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(seed)
            for start in range(0, len(order), step):
                chosen = order[start : start + step]
                inputs = _inputs([examples[i] for i in chosen], loaded, dataset)
                for i, found in zip(chosen, _decode(loaded, inputs, n, temperature, max_new_tokens), strict=True):
                    answers[i] = found
        return answers

    return generate


def _inputs(examples: Sequence[Example], loaded: Loaded, dataset: DatasetDir) -> dict[str, Any]:
    """Prompts padded on the left, with the pixels of their pictures."""
    import torch

    files = [vision_rows.picture_files(e, dataset) for e in examples]
    prompts = [vision_rows.prompt_text(vision_rows.chat(e.prompt), loaded.processor) for e in examples]
    ids = vision_rows.encode_prompts(prompts, files, loaded.processor)
    longest = max(map(len, ids))
    pad = loaded.tokenizer.pad_token_id
    batch = {
        "input_ids": torch.tensor([[pad] * (longest - len(row)) + row for row in ids]),
        "attention_mask": torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids]),
        **vision_rows.pixels(files, loaded.processor),
    }
    return {name: value.to(loaded.model.device) for name, value in batch.items()}


def _decode(
    loaded: Loaded, inputs: dict[str, Any], n: int, temperature: float, max_new_tokens: int
) -> list[list[Answer]]:
    """For each row the greedy answer, then n - 1 sampled ones."""
    tokenizer = loaded.tokenizer
    common = {
        "max_new_tokens": max_new_tokens,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    passes: list[dict[str, Any]] = [{"do_sample": False, "temperature": None, "top_p": None, "top_k": None}]
    if n > 1:
        passes.append(
            {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0, "num_return_sequences": n - 1}
        )
    rows, width = inputs["input_ids"].shape
    answers: list[list[Answer]] = [[] for _ in range(rows)]
    for options in passes:
        ids = loaded.model.generate(**inputs, **common, **options)[:, width:]
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        finished = (ids == tokenizer.eos_token_id).any(dim=1).tolist()
        each = len(texts) // rows
        for number, (text, end) in enumerate(zip(texts, finished, strict=True)):
            answers[number // each].append(Answer(text.strip(), bool(end)))
    return answers
