"""Moonshine: bare waveforms, English only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.audio.backend import EncoderDecoder, Samples, Sound

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.models.loaded import Loaded


class Moonshine(EncoderDecoder):
    """Waveforms of any length up to the 30 s of its training, unpadded.

    Its first layer normalises over the whole row, padding included, so that a batch would change the states of a
    recording: each is encoded alone, and the decoder works on all of a batch.
    """

    maskable = False
    limit_sec = 30.0
    STRIDE_SAMPLES = 384
    SHORTEST_SAMPLES = 1600
    # The published limit against endless answers, with room for the codes and numbers of very short recordings.
    TOKENS_PER_SEC, TOKENS_AT_LEAST = 6.5, 32

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        config = self.network.config  # the published tokenizer names no special tokens
        self.end = int(config.eos_token_id)
        self.pad = self.end if config.pad_token_id is None else int(config.pad_token_id)
        self.ends = frozenset({self.end})
        self.head = (int(config.decoder_start_token_id),)

    def _prepare(self, recordings: Sequence[Samples], languages: Sequence[str]) -> list[Sound]:
        """Samples as 16-bit numbers, which is what recordings on disk have."""
        extractor = self.processor.feature_extractor
        found = []
        for samples in recordings:
            values = extractor(np.asarray(samples), sampling_rate=self.rate_hz, return_tensors="np").input_values[0]
            values = np.pad(values, (0, max(0, self.SHORTEST_SAMPLES - len(values))))
            whole = np.clip(np.rint(values * 32768.0), -32768, 32767).astype(np.int16)
            found.append(Sound(whole, len(whole), len(whole) // self.STRIDE_SAMPLES, self.head))
        return found

    def tensors(self, sounds: Sequence[Sound]) -> dict[str, Tensor]:
        """input_values and attention_mask, (rows, samples)."""
        import torch

        longest = max(sound.frames for sound in sounds)
        values = np.stack([np.pad(s.features, (0, longest - s.frames)) for s in sounds]).astype(np.float32) / 32768.0
        mask = torch.arange(longest) < torch.tensor([sound.frames for sound in sounds])[:, None]
        return {"input_values": torch.from_numpy(values), "attention_mask": mask.long()}

    def most_tokens(self, sounds: Sequence[Sound]) -> int:
        longest = max(sound.frames for sound in sounds) / self.rate_hz
        return max(self.TOKENS_AT_LEAST, math.ceil(longest * self.TOKENS_PER_SEC))

    def ready(self, inputs: dict[str, Tensor]) -> dict[str, Any]:
        rest = {name: value for name, value in inputs.items() if name not in ("input_values", "attention_mask")}
        return {**rest, "encoder_outputs": self.encode(inputs)}

    def encode(self, inputs: dict[str, Tensor]) -> Any:
        import torch

        lengths = inputs["attention_mask"].sum(1).tolist()
        values = zip(inputs["input_values"], lengths, strict=True)
        alone = [self.network.model.encoder(row[None, :length]) for row, length in values]
        states = [output.last_hidden_state[0] for output in alone]
        sizes = torch.tensor([len(state) for state in states], device=self.network.device)
        mask = torch.arange(int(sizes.max()), device=sizes.device) < sizes[:, None]
        padded = torch.nn.utils.rnn.pad_sequence(states, batch_first=True)
        return type(alone[0])(last_hidden_state=padded, attention_mask=mask.int())
