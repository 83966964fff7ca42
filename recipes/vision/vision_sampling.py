"""Answers of a vision model to dataset rows, greedy and sampled: `recipes.decode.sampling` with pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recipes.decode.decoder import Generated, Sampling
from recipes.decode.sampling import Answer, Generate, answer_all
from recipes.models.loaded import Loaded
from recipes.vision import vision_rows
from recipes.vision.vision_decode import decode_pictures
from synth.dataset import DatasetDir
from synth.example import Example

ROWS_AT_ONCE = 64


def vision_generator(
    loaded: Loaded, dataset: DatasetDir, temperature: float, max_new_tokens: int, seed: int
) -> Generate:
    """A `Generate` over a vision model in eval mode; the caller's random state is left as it was."""

    def generate(examples: Sequence[Example], n: int) -> list[list[Answer]]:
        files = [vision_rows.picture_files(example, dataset) for example in examples]
        texts = [vision_rows.prompt_text(vision_rows.chat(example.prompt), loaded.processor) for example in examples]
        prompts = vision_rows.encode_prompts(texts, files, loaded.processor)

        def decode_some(chosen: Sequence[int], sampling: Sampling | None) -> Iterator[Generated]:
            some, shown = [prompts[i] for i in chosen], [files[i] for i in chosen]
            return decode_pictures(loaded, some, shown, ROWS_AT_ONCE, max_new_tokens, sampling=sampling)

        return answer_all(loaded, len(prompts), n, Sampling(temperature, seed), decode_some)

    return generate
