"""A class of speech models, as trainings and answers use it: how it takes a recording, what its decoder reads before
a transcript, how it answers.

The classes are in `recipes.audio.whisper`, `moonshine`, `qwen3_asr` and `ctc`; `recipes.audio.backends` finds the one
of a loaded model. All of them transcribe and read no other prompt. Rows, batches and masks are the same for all and
live elsewhere (`recipes.audio.audio_rows`, `audio_sft`, `audio_dpo`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synth.errors import DataError
from synth.languages import ENGLISH, name_of

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.audio.steps import Steps
    from recipes.models.loaded import Loaded

RECORDINGS_AT_ONCE = 32

Samples = NDArray[np.float32]


class Sound(NamedTuple):
    """A recording as its model takes it, and the tokens that the decoder reads before the transcript.

    `features` are (mel bands, frames) in float16 or the waveform (samples,) in int16; `frames` is how many of the
    frames hold sound; `positions` is what the encoder makes of it (0 where `head` has a token for each).
    """

    features: NDArray[Any]
    frames: int
    positions: int
    head: tuple[int, ...]


class Reading(NamedTuple):
    """What the steps of a decoder mean: the transcript's tokens, how many steps belong to it, whether it was ended."""

    tokens: list[int]
    steps: int
    finished: bool


class AudioBackend(ABC):
    """What belongs to one class of speech models.

    `limit_sec` is the longest recording that it takes; `end` closes a transcript, any of `ends` stops an answer;
    `falls_back` says that its makers decode failed transcripts anew (`recipes.audio.audio_answers`);
    `no_preferences` why no preference between transcripts can be taught to it, "" where one can.
    """

    token_input: ClassVar[str] = "decoder_input_ids"
    maskable: ClassVar[bool] = True  # whether its features are a picture that SpecAugment can mask
    falls_back = False
    no_preferences: ClassVar[str] = ""
    limit_sec: float
    end: int
    ends: frozenset[int]
    pad: int

    def __init__(self, loaded: Loaded) -> None:
        model = loaded.model
        self.name = loaded.info.ref.name
        self.network = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.processor, self.tokenizer = loaded.processor, loaded.tokenizer
        self.rate_hz = int(loaded.processor.feature_extractor.sampling_rate)

    def fit(self, seconds: float) -> None:  # noqa: B027 - most classes have no windows
        """Take windows of `seconds` from now on, where the class has windows. Changes model and processor."""

    def knows(self, language: str) -> bool:
        """Whether it transcribes this language (`synth.languages`); "" is one that nobody named, taken for English."""
        return language in ("", ENGLISH)

    @property
    def multilingual(self) -> bool:
        """Whether it knows other languages than English."""
        return False

    def refuse_unknown(self, languages: Sequence[str]) -> None:
        """Raise DataError where recordings are in a language that the model does not know."""
        unknown = Counter(language for language in languages if not self.knows(language))
        if unknown:
            named = ", ".join(f"{count:,} in {name_of(language)}" for language, count in unknown.most_common(3))
            message = f"{self.name} transcribes {'other languages' if self.multilingual else 'English only'}: of "
            raise DataError(
                f"{message}{len(languages):,} recordings {named}.",
                "Choose a model that knows the language, such as openai/whisper-tiny, or leave those rows out.",
                "data.language",
            )

    def prepare(self, recordings: Sequence[Samples], languages: Sequence[str] | None = None) -> list[Sound]:
        """Recordings of at most `limit_sec` as the model takes them, in order; `languages` are theirs, "" for none.

        Raises DataError for a language that the model does not know.
        """
        given = [""] * len(recordings) if languages is None else languages
        self.refuse_unknown(given)
        return self._prepare(recordings, given)

    @abstractmethod
    def _prepare(self, recordings: Sequence[Samples], languages: Sequence[str]) -> list[Sound]: ...

    @abstractmethod
    def tensors(self, sounds: Sequence[Sound]) -> dict[str, Tensor]:
        """The encoder's part of a batch."""

    def ready(self, inputs: dict[str, Tensor]) -> dict[str, Any]:
        """A batch as the network is called with it, for its ordinary loss."""
        return inputs

    @property
    def closing(self) -> tuple[int, ...]:
        """What stands behind a transcript that is learned."""
        return (self.end,)

    def tokens_of(self, texts: Sequence[str]) -> list[list[int]]:
        """Transcripts as tokens, nothing before or behind them. Raises DataError for what it cannot spell."""
        ids: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return ids

    def refuse_long(self, names: Sequence[str], sounds: Sequence[Sound], bodies: Sequence[Sequence[int]]) -> None:
        """Raise DataError where transcripts are longer than the decoder; `names` are those of their rows."""
        limit = getattr(self.network.config, "max_target_positions", None)
        lengths = [len(sound.head) + len(ids) for sound, ids in zip(sounds, bodies, strict=True)]
        over = [(length, name) for length, name in zip(lengths, names, strict=True) if limit and length > limit]
        if over:
            length, name = max(over)
            raise DataError(
                f"{len(over)} of {len(names)} transcripts are longer than the decoder, which takes {limit} tokens; the "
                f"longest, of row {name}, has {length} tokens.",
                "Cut those recordings at pauses, or leave them out: smolstudio data curate NAME max_target_chars=….",
                "data.long_transcript",
            )

    def spell(self, ids: Sequence[int], special: bool = True) -> str:
        """Tokens as text, with or without special ones."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=not special)
        return text

    def reading(self, sound: Sound, ids: Sequence[int]) -> Reading:
        """What the tokens that were generated for a sound mean: everything up to the first end, which counts too."""
        ended = next((place for place, token in enumerate(ids) if token in self.ends), None)
        count = len(ids) if ended is None else ended + 1
        return Reading(list(ids[:count]), count, ended is not None)

    def loss(self, inputs: dict[str, Tensor], count: Any = None) -> Tensor | None:
        """The loss of a batch as a mean over `count` learned tokens; None where it is a language model's."""
        return None

    @abstractmethod
    def most_tokens(self, sounds: Sequence[Sound]) -> int:
        """Tokens that an answer to any of these may have."""

    @abstractmethod
    def encode_batch(self, sounds: Sequence[Sound]) -> Any:
        """What of a batch is computed once however often it is decoded: a mapping of tensors, rows first."""

    @abstractmethod
    def generate(self, sounds: Sequence[Sound], encoded: Any, max_new_tokens: int, steps: Steps) -> Tensor:
        """New tokens of a batch, (B, T), each chosen by `steps`; `encoded` is `encode_batch` of the same sounds."""

    def silence(self, encoded: Any) -> list[float]:
        """For each sound the probability that nobody speaks; 0 where the class does not tell."""
        return [0.0] * len(next(iter(encoded.values())))

    @abstractmethod
    def pair_states(self, inputs: dict[str, Tensor]) -> Tensor:
        """Last hidden states (2 × pairs, tokens, width) for a batch with two transcripts to each sound: the first of
        all pairs, then the second ones. The encoder runs once for both.
        """

    def window_seconds(self, recordings: Sequence[Samples]) -> float:
        """The shortest whole number of seconds that holds each recording. Raises DataError when one is too long."""
        longest = max((len(samples) for samples in recordings), default=0) / self.rate_hz
        if longest > self.limit_sec + 0.01:
            over = sum(len(samples) > self.limit_sec * self.rate_hz for samples in recordings)
            raise DataError(
                f"{over} of {len(recordings)} recordings exceed the model's window of {self.limit_sec:g} s; the "
                f"longest has {longest:.1f} s.",
                "Import them with the times of their sentences (docs/formats.md: segments, subtitles, offset and "
                "duration), which cuts them there; or leave them out, or choose a model with a longer window.",
                "data.too_long",
            )
        return min(self.limit_sec, max(1.0, math.ceil(longest)))

    def _placed(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """On the model's device, fractions in its precision."""
        device, dtype = self.network.device, self.network.dtype
        return {name: t.to(device, dtype if t.is_floating_point() else None) for name, t in tensors.items()}


def rows_of(encoded: Any, rows: Sequence[int]) -> Any:
    """Some rows of what `AudioBackend.encode_batch` made."""
    import torch

    picked = {name: value[torch.tensor(rows, device=value.device)] for name, value in encoded.items()}
    return picked if type(encoded) is dict else type(encoded)(**picked)


class EncoderDecoder(AudioBackend):
    """Models whose decoder looks at the encoder's states."""

    head: tuple[int, ...]

    @abstractmethod
    def encode(self, inputs: dict[str, Tensor]) -> Any:
        """The encoder's output for a batch, with an attention mask where sounds differ in length. What it says of a
        sound does not depend on the others.
        """

    def encode_batch(self, sounds: Sequence[Sound]) -> Any:
        return self.encode(self._placed(self.tensors(sounds)))

    def forbidden(self) -> dict[str, Any]:
        """What `generate` is told beyond the model's own settings about tokens that no transcript has."""
        return {}

    def generate(self, sounds: Sequence[Sound], encoded: Any, max_new_tokens: int, steps: Steps) -> Tensor:
        import torch
        from transformers import GenerationMixin

        # Whisper's own generate works on 30-second segments; its further attempts are made by `audio_answers`.
        out: Tensor = GenerationMixin.generate(
            self.network,
            encoder_outputs=encoded,
            decoder_input_ids=torch.tensor([sound.head for sound in sounds], device=self.network.device),
            max_length=len(self.head) + max_new_tokens,  # max_new_tokens beside a model's own max_length is warned of
            pad_token_id=self.pad,
            eos_token_id=sorted(self.ends),
            num_beams=1,
            do_sample=False,
            logits_processor=steps.processors(),
            **self.forbidden(),
        )
        return out[:, len(self.head) :]

    def pair_states(self, inputs: dict[str, Tensor]) -> Tensor:
        states = self.encode(inputs)
        twice = type(states)(**{name: value.repeat(2, *[1] * (value.ndim - 1)) for name, value in states.items()})
        decoded = self.network.model(
            encoder_outputs=twice, decoder_input_ids=inputs["decoder_input_ids"], use_cache=False
        )
        return decoded.last_hidden_state
