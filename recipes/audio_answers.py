"""Transcripts by a Whisper: greedy and sampled, in batches, reproducible. For mining pairs and for
`evaluate.local_audio`.

It decodes one window for each recording, as training does; recordings longer than the window are refused by
`audio_rows.window_seconds`. It does not score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipes import audio_rows
from recipes.audio_rows import Windowed
from recipes.models import Loaded
from recipes.sampling import Answer, Generate
from synth.dataset import DatasetDir
from synth.example import Example

WINDOWS_AT_ONCE = 32


def transcribe(
    loaded: Loaded, sounds: Sequence[Windowed], max_new_tokens: int | None = None, temperature: float = 0.0
) -> list[Answer]:
    """One transcript for each window, in order: greedy at temperature 0, else sampled with torch's generator.

    `max_new_tokens` is by default as many as the decoder has positions for.
    """
    answers: list[Answer] = []
    for start in range(0, len(sounds), WINDOWS_AT_ONCE):
        answers += _decode(loaded, sounds[start : start + WINDOWS_AT_ONCE], max_new_tokens, temperature)
    return answers


def _decode(loaded: Loaded, sounds: Sequence[Windowed], max_new_tokens: int | None, temperature: float) -> list[Answer]:
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
        ids = GenerationMixin.generate(
            network,
            input_features=features,
            decoder_input_ids=torch.tensor([head] * len(sounds), device=network.device),
            max_new_tokens=min(most, max_new_tokens or most),
            pad_token_id=tokenizer.pad_token_id,
            num_beams=1,
            **how,
        )[:, len(head) :]
    ended = (ids == tokenizer.eos_token_id).any(dim=1).tolist()
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    return [Answer(text.strip(), bool(end)) for text, end in zip(texts, ended, strict=True)]


def audio_generator(loaded: Loaded, dataset: DatasetDir, seconds: float, temperature: float, seed: int) -> Generate:
    """A `Generate` over a speech model in eval mode; the caller's random state is left as it was."""

    def generate(examples: Sequence[Example], n: int) -> list[list[Answer]]:
        import torch

        recordings = [audio_rows.recording(example, dataset) for example in examples]
        sounds = audio_rows.windows(recordings, loaded.processor, seconds)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            rounds = [transcribe(loaded, sounds)]
            rounds += [transcribe(loaded, sounds, temperature=temperature) for _ in range(n - 1)]
        return [list(given) for given in zip(*rounds, strict=True)]

    return generate
