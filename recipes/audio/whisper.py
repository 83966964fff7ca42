"""Whisper: mel windows of one length, and a decoder that is given language and task.

Published Whispers are decoded as their makers decode them: a transcript that fails their checks is decoded anew at
higher temperatures (`recipes.audio.audio_answers`), and tokens of timestamps are forbidden, because none is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.audio.backend import RECORDINGS_AT_ONCE, EncoderDecoder, Samples, Sound
from synth.errors import ModelError
from synth.languages import ENGLISH

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.models.loaded import Loaded

ENGLISH_ONLY_TOKENS, MULTILINGUAL_TOKENS = 51_864, 51_865  # of published vocabularies, padding of neither included


class Whisper(EncoderDecoder):
    """Mel windows of one length, 30 s as published. Shorter ones cost less: silence costs the same as speech."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        self.limit_sec = float(self.processor.feature_extractor.n_samples / self.rate_hz)
        self.end = self.pad = int(self.tokenizer.eos_token_id)
        self.ends = frozenset({self.end})
        self._known = set(self.tokenizer.get_added_vocab())
        self.falls_back = self._vocabulary >= ENGLISH_ONLY_TOKENS
        self.head = self._head(ENGLISH)

    @property
    def _vocabulary(self) -> int:
        return int(self.network.config.vocab_size)

    @property
    def multilingual(self) -> bool:
        """Whether the decoder is given a language. Tokenizers of published models do not tell: those of English-only
        ones hold the tokens of all languages too, and those of multilingual ones need not name one.
        """
        said = getattr(self.network.generation_config, "is_multilingual", None)
        if said is None and self.falls_back:
            said = self._vocabulary >= MULTILINGUAL_TOKENS
        return bool(getattr(self.tokenizer, "language", None) if said is None else said) and "<|en|>" in self._known

    def knows(self, language: str) -> bool:
        return f"<|{language}|>" in self._known if self.multilingual and language else super().knows(language)

    def _head(self, language: str) -> tuple[int, ...]:
        given = [f"<|{language or ENGLISH}|>", "<|transcribe|>"] if self.multilingual else []
        words = ["<|startoftranscript|>", *given, "<|notimestamps|>"]
        return tuple(int(self.tokenizer.convert_tokens_to_ids(word)) for word in words)

    def fit(self, seconds: float) -> None:
        """The encoder keeps its first positions. Raises ModelError when it has none for so long a window."""
        import torch

        encoder, extractor = self.network.model.encoder, self.processor.feature_extractor
        samples = int(seconds * self.rate_hz)
        positions = samples // extractor.hop_length // 2
        table = encoder.embed_positions.weight
        if positions > len(table):
            raise ModelError(f"The model has no positions for {seconds:g} s.", "Choose a shorter window.")
        if positions < len(table):
            encoder.embed_positions = torch.nn.Embedding.from_pretrained(table.data[:positions].clone(), freeze=True)
            self.network.config.max_source_positions = encoder.max_source_positions = positions
        # A whole number where it is one: transformers multiplies it into a count of samples when it reads it back.
        extractor.chunk_length = int(seconds) if float(seconds).is_integer() else seconds
        extractor.n_samples, extractor.nb_max_frames = samples, samples // extractor.hop_length
        self.limit_sec = seconds

    def _prepare(self, recordings: Sequence[Samples], languages: Sequence[str]) -> list[Sound]:
        """Log-mel features, padded with silence to the window."""
        extractor = self.processor.feature_extractor
        found: list[Sound] = []
        for start in range(0, len(recordings), RECORDINGS_AT_ONCE):
            part = [np.asarray(samples) for samples in recordings[start : start + RECORDINGS_AT_ONCE]]
            made = extractor(
                part, sampling_rate=self.rate_hz, padding="max_length", truncation=True, return_tensors="np"
            ).input_features
            spoken = languages[start : start + RECORDINGS_AT_ONCE]
            for samples, features, language in zip(part, made, spoken, strict=True):
                frames = features.shape[1]
                sounding = min(frames, -(-len(samples) // extractor.hop_length))
                found.append(Sound(features.astype(np.float16), sounding, frames // 2, self._head(language)))
        return found

    def tensors(self, sounds: Sequence[Sound]) -> dict[str, Tensor]:
        """input_features (rows, mel bands, frames)."""
        import torch

        return {"input_features": torch.from_numpy(np.stack([s.features.astype(np.float32) for s in sounds]))}

    def most_tokens(self, sounds: Sequence[Sound]) -> int:
        return int(self.network.config.max_target_positions) - len(self.head)

    def encode(self, inputs: dict[str, Tensor]) -> Any:
        return self.network.model.encoder(inputs["input_features"])

    def forbidden(self) -> dict[str, Any]:
        """Tokens of timestamps, which stand behind all others in published vocabularies, beside those of the model."""
        if not self.falls_back:
            return {}
        own = self.network.generation_config.suppress_tokens or []
        return {"suppress_tokens": sorted({*own, *range(self.head[-1] + 1, self._vocabulary)})}

    def silence(self, encoded: Any) -> list[float]:
        """What the decoder says of "no speech" where a transcript would begin, as its makers read it."""
        import torch

        named = next((word for word in ("<|nospeech|>", "<|nocaptions|>") if word in self._known), None)
        if named is None:
            return super().silence(encoded)
        first = torch.full((len(encoded.last_hidden_state), 1), self.head[0], device=self.network.device)
        logits = self.network(encoder_outputs=encoded, decoder_input_ids=first, use_cache=False).logits[:, 0]
        found: list[float] = logits.float().softmax(-1)[:, self.tokenizer.convert_tokens_to_ids(named)].tolist()
        return found
