"""Qwen3-ASR: a language model whose chat prompt holds the recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.audio.backend import AudioBackend, Samples, Sound
from synth.languages import ENGLISH

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.audio.steps import Steps
    from recipes.models.loaded import Loaded


class Qwen3Asr(AudioBackend):
    """A Qwen3 language model that finds audio features in the place of the audio tokens of its chat prompt.

    The prompt is the one of the processor's transcription request, the language given; the transcript is the answer.
    """

    token_input = "input_ids"
    limit_sec = 120.0  # the longest recording that is read at all
    MOST_TOKENS = 512

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        config = self.network.config
        ends = config.eos_token_id
        self.end = int(self.tokenizer.convert_tokens_to_ids("<|im_end|>"))
        self.ends = frozenset({self.end, *([ends] if isinstance(ends, int) else ends)})
        self.pad = int(config.pad_token_id)

    @property
    def multilingual(self) -> bool:
        """It is published for many languages."""
        return True

    def knows(self, language: str) -> bool:
        from transformers.models.qwen3_asr.processing_qwen3_asr import LANGUAGE_CODE_TO_NAME

        return super().knows(language) or language in LANGUAGE_CODE_TO_NAME

    def _prepare(self, recordings: Sequence[Samples], languages: Sequence[str]) -> list[Sound]:
        """Log-mel features of whole seconds, and the prompt with an audio token for each feature that they become."""
        found = []
        for samples, language in zip(recordings, languages, strict=True):
            request = self.processor.apply_transcription_request(
                [np.asarray(samples)], language=language or ENGLISH, tokenize=False
            )
            made = self.processor(text=request, audio=[np.asarray(samples)])
            features = made["input_features"][0].numpy().astype(np.float16)
            head = tuple(made["input_ids"][0].tolist())
            found.append(Sound(features, int(made["input_features_mask"].sum()), 0, head))
        return found

    def tensors(self, sounds: Sequence[Sound]) -> dict[str, Tensor]:
        """input_features (rows, mel bands, frames) and input_features_mask (rows, frames)."""
        import torch

        longest = max(sound.features.shape[1] for sound in sounds)
        features = [np.pad(s.features, ((0, 0), (0, longest - s.features.shape[1]))) for s in sounds]
        mask = torch.arange(longest) < torch.tensor([sound.frames for sound in sounds])[:, None]
        return {
            "input_features": torch.from_numpy(np.stack(features).astype(np.float32)),
            "input_features_mask": mask.long(),
        }

    def most_tokens(self, sounds: Sequence[Sound]) -> int:
        return self.MOST_TOKENS

    def encode_batch(self, sounds: Sequence[Sound]) -> Any:
        import torch

        longest = max(len(sound.head) for sound in sounds)
        gaps = [longest - len(sound.head) for sound in sounds]
        ids = torch.tensor([[self.pad] * gap + list(s.head) for gap, s in zip(gaps, sounds, strict=True)])
        mask = torch.arange(longest) >= torch.tensor(gaps)[:, None]
        return self._placed({**self.tensors(sounds), "input_ids": ids, "attention_mask": mask.long()})

    def generate(self, sounds: Sequence[Sound], encoded: Any, max_new_tokens: int, steps: Steps) -> Tensor:
        out: Tensor = self.network.generate(
            **encoded,
            max_new_tokens=max_new_tokens,
            pad_token_id=self.pad,
            eos_token_id=sorted(self.ends),
            num_beams=1,
            do_sample=False,
            logits_processor=steps.processors(),
        )
        return out[:, encoded["input_ids"].shape[1] :]

    def pair_states(self, inputs: dict[str, Tensor]) -> Tensor:
        import torch

        body, ids = self.network.model, inputs["input_ids"]
        features = body.get_audio_features(inputs["input_features"], inputs["input_features_mask"], return_dict=True)
        embedded = self.network.get_input_embeddings()(ids)
        places = (ids == self.network.config.audio_token_id)[..., None].expand_as(embedded)
        twice = torch.cat([features.pooler_output, features.pooler_output]).to(embedded.dtype)
        embedded = embedded.masked_scatter(places, twice)
        return body.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
