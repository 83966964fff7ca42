"""Transcripts by a Whisper: greedy and sampled, in batches, reproducible. For mining pairs and for
`evaluate.local_audio`.

It decodes one window for each recording, as training does; recordings longer than the window are refused by
`audio_rows.window_seconds`. It does not score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from recipes import audio_rows
from recipes.audio_rows import Windowed
from recipes.models import Loaded
from recipes.sampling import Answer, Generate
from synth.dataset import DatasetDir
from synth.example import Example

WINDOWS_AT_ONCE = 32


class Heard(NamedTuple):
    """A transcript, its tokens (the end included), whether the model ended it, exp(mean log-probability)."""

    text: str
    tokens: int
    finished: bool
    confidence: float


def transcribe(
    loaded: Loaded, sounds: Sequence[Windowed], max_new_tokens: int | None = None, temperature: float = 0.0
) -> list[Heard]:
    """One transcript for each window, in order: greedy at temperature 0, else sampled with torch's generator.

    `max_new_tokens` is by default as many as the decoder has positions for.
    """
    heard: list[Heard] = []
    for start in range(0, len(sounds), WINDOWS_AT_ONCE):
        heard += _decode(loaded, sounds[start : start + WINDOWS_AT_ONCE], max_new_tokens, temperature)
    return heard


def _decode(loaded: Loaded, sounds: Sequence[Windowed], max_new_tokens: int | None, temperature: float) -> list[Heard]:
    import numpy as np
    import torch
    from transformers import GenerationMixin

    model, tokenizer = loaded.model, loaded.tokenizer
    network = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = audio_rows.prefix(tokenizer)
    most = network.config.max_target_positions - len(head)
    features = torch.from_numpy(np.stack([s.features for s in sounds])).to(network.device, network.dtype)
    how: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    with torch.inference_mode():
        # Whisper's own generate adds 30-second segments and fallbacks, which one short window does not need.
        out = GenerationMixin.generate(
            network,
            input_features=features,
            decoder_input_ids=torch.tensor([head] * len(sounds), device=network.device),
            max_new_tokens=min(most, max_new_tokens or most),
            pad_token_id=tokenizer.pad_token_id,
            num_beams=1,
            return_dict_in_generate=True,
            output_logits=True,
            **how,
        )
    ids = out.sequences[:, len(head) :]
    scores = torch.stack(out.logits, dim=1).float().log_softmax(-1).gather(2, ids[..., None])[..., 0]
    return [_heard(tokenizer, row, logps) for row, logps in zip(ids.tolist(), scores.tolist(), strict=True)]


def _heard(tokenizer: Any, ids: list[int], logps: list[float]) -> Heard:
    finished = tokenizer.eos_token_id in ids
    count = ids.index(tokenizer.eos_token_id) + 1 if finished else len(ids)
    confidence = math.exp(sum(logps[:count]) / max(1, count))
    return Heard(tokenizer.decode(ids[:count], skip_special_tokens=True).strip(), count, finished, confidence)


def audio_generator(loaded: Loaded, dataset: DatasetDir, temperature: float, seed: int) -> Generate:
    """A `Generate` over a speech model in eval mode; the caller's random state is left as it was."""

    def generate(examples: Sequence[Example], n: int) -> list[list[Answer]]:
        import torch

        recordings = [audio_rows.recording(example, dataset) for example in examples]
        sounds = audio_rows.windows(recordings, loaded.processor)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            rounds = [transcribe(loaded, sounds)]
            rounds += [transcribe(loaded, sounds, temperature=temperature) for _ in range(n - 1)]
        return [[Answer(heard.text, heard.finished) for heard in given] for given in zip(*rounds, strict=True)]

    return generate
