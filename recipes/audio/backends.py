"""Speech models by class: how each takes a recording, what its decoder reads before a transcript, how it answers.

`audio_backend(loaded)` gives the one for a loaded model. Whisper takes mel windows of one length; Moonshine bare
waveforms; Qwen3-ASR is a language model whose chat template has a place for the recording. All of them transcribe
English and read no other prompt. Rows, batches, masks and losses are the same for all and live elsewhere
(`recipes.audio.audio_rows`, `audio_sft`, `audio_dpo`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synth.errors import DataError, ModelError
from synth.storage import read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.models.loaded import Loaded

WINDOW_FILE = "window.json"
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


class Generated(NamedTuple):
    """New tokens, (B, T), and for each of the T steps the logits, (B, V)."""

    ids: Tensor
    logits: tuple[Tensor, ...]


class AudioBackend(ABC):
    """What belongs to one class of speech models.

    `limit_sec` is the longest recording that it takes; `end` closes a transcript, any of `ends` stops an answer.
    """

    token_input: ClassVar[str] = "decoder_input_ids"
    maskable: ClassVar[bool] = True  # whether its features are a picture that SpecAugment can mask
    limit_sec: float
    end: int
    ends: frozenset[int]
    pad: int

    def __init__(self, loaded: Loaded) -> None:
        model = loaded.model
        self.network = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.processor, self.tokenizer = loaded.processor, loaded.tokenizer
        self.rate_hz = int(loaded.processor.feature_extractor.sampling_rate)

    def fit(self, seconds: float) -> None:  # noqa: B027 - most classes have no windows
        """Take windows of `seconds` from now on, where the class has windows. Changes model and processor."""

    @abstractmethod
    def prepare(self, recordings: Sequence[Samples]) -> list[Sound]:
        """Recordings of at most `limit_sec` as the model takes them, in order."""

    @abstractmethod
    def tensors(self, sounds: Sequence[Sound]) -> dict[str, Tensor]:
        """The encoder's part of a batch."""

    def ready(self, inputs: dict[str, Tensor]) -> dict[str, Any]:
        """A batch as the network is called with it, for its ordinary loss."""
        return inputs

    @abstractmethod
    def most_tokens(self, sounds: Sequence[Sound]) -> int:
        """Tokens that an answer to any of these may have."""

    @abstractmethod
    def generate(self, sounds: Sequence[Sound], max_new_tokens: int, **how: Any) -> Generated:
        """Answers to a batch; `how` goes to transformers' `generate`."""

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
                "Cut them, leave them out, or choose a model with a longer window.",
                "data.too_long",
            )
        return min(self.limit_sec, max(1.0, math.ceil(longest)))

    def _placed(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """On the model's device, fractions in its precision."""
        device, dtype = self.network.device, self.network.dtype
        return {name: t.to(device, dtype if t.is_floating_point() else None) for name, t in tensors.items()}


class _EncoderDecoder(AudioBackend):
    """Models whose decoder looks at the encoder's states."""

    head: tuple[int, ...]

    @abstractmethod
    def encode(self, inputs: dict[str, Tensor]) -> Any:
        """The encoder's output for a batch, with an attention mask where sounds differ in length. What it says of a
        sound does not depend on the others.
        """

    def generate(self, sounds: Sequence[Sound], max_new_tokens: int, **how: Any) -> Generated:
        import torch
        from transformers import GenerationMixin

        # Whisper's own generate adds 30-second segments and fallbacks, which one short window does not need.
        out = GenerationMixin.generate(
            self.network,
            encoder_outputs=self.encode(self._placed(self.tensors(sounds))),
            decoder_input_ids=torch.tensor([self.head] * len(sounds), device=self.network.device),
            max_length=len(self.head) + max_new_tokens,  # max_new_tokens beside a model's own max_length is warned of
            pad_token_id=self.pad,
            eos_token_id=sorted(self.ends),
            num_beams=1,
            return_dict_in_generate=True,
            output_logits=True,
            **how,
        )
        return Generated(out.sequences[:, len(self.head) :], out.logits)

    def pair_states(self, inputs: dict[str, Tensor]) -> Tensor:
        states = self.encode(inputs)
        twice = type(states)(**{name: value.repeat(2, *[1] * (value.ndim - 1)) for name, value in states.items()})
        decoded = self.network.model(
            encoder_outputs=twice, decoder_input_ids=inputs["decoder_input_ids"], use_cache=False
        )
        return decoded.last_hidden_state


class Whisper(_EncoderDecoder):
    """Mel windows of one length, 30 s as published. Shorter ones cost less: silence costs the same as speech."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        self.limit_sec = float(self.processor.feature_extractor.n_samples / self.rate_hz)
        self.end = self.pad = int(self.tokenizer.eos_token_id)
        self.ends = frozenset({self.end})
        known = set(self.tokenizer.get_added_vocab())
        multilingual = "<|en|>" in known and getattr(self.tokenizer, "language", None) is not None
        words = ["<|startoftranscript|>", *(["<|en|>", "<|transcribe|>"] if multilingual else []), "<|notimestamps|>"]
        self.head = tuple(int(self.tokenizer.convert_tokens_to_ids(word)) for word in words)

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
        extractor.chunk_length = seconds
        extractor.n_samples, extractor.nb_max_frames = samples, samples // extractor.hop_length
        self.limit_sec = seconds

    def prepare(self, recordings: Sequence[Samples]) -> list[Sound]:
        """Log-mel features, padded with silence to the window."""
        extractor = self.processor.feature_extractor
        found: list[Sound] = []
        for start in range(0, len(recordings), RECORDINGS_AT_ONCE):
            part = [np.asarray(samples) for samples in recordings[start : start + RECORDINGS_AT_ONCE]]
            made = extractor(
                part, sampling_rate=self.rate_hz, padding="max_length", truncation=True, return_tensors="np"
            ).input_features
            for samples, features in zip(part, made, strict=True):
                frames = features.shape[1]
                sounding = min(frames, -(-len(samples) // extractor.hop_length))
                found.append(Sound(features.astype(np.float16), sounding, frames // 2, self.head))
        return found

    def tensors(self, sounds: Sequence[Sound]) -> dict[str, Tensor]:
        """input_features (rows, mel bands, frames)."""
        import torch

        return {"input_features": torch.from_numpy(np.stack([s.features.astype(np.float32) for s in sounds]))}

    def most_tokens(self, sounds: Sequence[Sound]) -> int:
        return int(self.network.config.max_target_positions) - len(self.head)

    def encode(self, inputs: dict[str, Tensor]) -> Any:
        return self.network.model.encoder(inputs["input_features"])


class Moonshine(_EncoderDecoder):
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

    def prepare(self, recordings: Sequence[Samples]) -> list[Sound]:
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

    def prepare(self, recordings: Sequence[Samples]) -> list[Sound]:
        """Log-mel features of whole seconds, and the prompt with an audio token for each feature that they become."""
        found = []
        for samples in recordings:
            request = self.processor.apply_transcription_request([np.asarray(samples)], language="en", tokenize=False)
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

    def generate(self, sounds: Sequence[Sound], max_new_tokens: int, **how: Any) -> Generated:
        import torch

        longest = max(len(sound.head) for sound in sounds)
        gaps = [longest - len(sound.head) for sound in sounds]
        ids = torch.tensor([[self.pad] * gap + list(s.head) for gap, s in zip(gaps, sounds, strict=True)])
        mask = torch.arange(longest) >= torch.tensor(gaps)[:, None]
        out = self.network.generate(
            **self._placed({**self.tensors(sounds), "input_ids": ids, "attention_mask": mask.long()}),
            max_new_tokens=max_new_tokens,
            pad_token_id=self.pad,
            eos_token_id=sorted(self.ends),
            num_beams=1,
            return_dict_in_generate=True,
            output_logits=True,
            **how,
        )
        return Generated(out.sequences[:, longest:], out.logits)

    def pair_states(self, inputs: dict[str, Tensor]) -> Tensor:
        import torch

        body, ids = self.network.model, inputs["input_ids"]
        features = body.get_audio_features(inputs["input_features"], inputs["input_features_mask"], return_dict=True)
        embedded = self.network.get_input_embeddings()(ids)
        places = (ids == self.network.config.audio_token_id)[..., None].expand_as(embedded)
        twice = torch.cat([features.pooler_output, features.pooler_output]).to(embedded.dtype)
        embedded = embedded.masked_scatter(places, twice)
        return body.language_model(inputs_embeds=embedded, use_cache=False).last_hidden_state


CLASSES: dict[str, type[AudioBackend]] = {"whisper": Whisper, "moonshine": Moonshine, "qwen3_asr": Qwen3Asr}


def audio_backend(loaded: Loaded) -> AudioBackend:
    """The backend of a loaded speech model."""
    return CLASSES[loaded.model.config.model_type](loaded)


def save_window(adapter: Path, seconds: float) -> None:
    """Keep the window beside the adapter that was trained with it."""
    write_json(adapter / WINDOW_FILE, {"seconds": seconds})


def saved_window(adapter: Path) -> float | None:
    """The window that an adapter was trained with; None for one made elsewhere."""
    file = adapter / WINDOW_FILE
    return float(read_json(file)["seconds"]) if file.is_file() else None


def restore_window(loaded: Loaded, adapter: Path) -> None:
    """Give the model the window that its adapter was trained with, where that is known. In place."""
    seconds = saved_window(adapter)
    if seconds is not None:
        audio_backend(loaded).fit(seconds)
