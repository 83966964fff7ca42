"""Audio rows for training and answering: recordings as Whisper windows, transcripts as decoder tokens, the collator.

A window is as long as the longest recording needs (`window_seconds`, `shorten`), not 30 s: Whisper's encoder costs
the same for silence as for speech. The loss is on the transcript and the end token; language and task tokens are
given. SpecAugment follows from (seed, epoch, row) alone, so that a resumed run masks what it would have masked.
Nothing here trains or scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.options import Data
from recipes.rows import IGNORED, TokenRow, target_text
from synth.dataset import DatasetDir
from synth.errors import DataError, ModelError
from synth.example import AudioPart, Example, media_parts
from synth.storage import read_json, write_json

WINDOW_FILE = "window.json"
RECORDINGS_AT_ONCE = 32

Samples = NDArray[np.float32]


class Windowed(NamedTuple):
    """A recording as the encoder sees it, (mel bands, frames) in float16, and how many of the frames hold sound."""

    features: NDArray[np.float16]
    frames: int


class AudioRow(NamedTuple):
    """One training row: its window and its transcript as tokens (prefix masked in the labels)."""

    sound: Windowed
    tokens: TokenRow


def recording(example: Example, dataset: DatasetDir | None) -> Samples:
    """The row's recording, mono float32 at 16 kHz.

    Raises DataError for a row without exactly one recording, a broken file, or a reference that leaves the dataset.
    Replay rows lie in the scratch folder of `recipes.starters.audio_data`, which is allowed too.
    """
    from recipes.starters.audio_data import scratch
    from synth.audio.files import read_audio

    parts = [part for part in media_parts(example) if isinstance(part, AudioPart)]
    if len(parts) != 1:
        raise DataError(f"Row {example.id} has {len(parts)} recordings.", "Audio models take one for each row.")
    path = Path(parts[0].path)
    if path.is_absolute() and path.is_relative_to(scratch()):
        return read_audio(path)
    if dataset is None:
        raise DataError(f"Row {example.id} has a recording, but no dataset folder to look in.", "Give the dataset.")
    return read_audio(dataset.media_path(parts[0].path))


def rate_hz(processor: Any) -> int:
    """Samples per second that the model listens to."""
    return int(processor.feature_extractor.sampling_rate)


def full_window(processor: Any) -> float:
    """Seconds of the window that the model listens to."""
    return float(processor.feature_extractor.n_samples / rate_hz(processor))


def window_seconds(recordings: Sequence[Samples], processor: Any) -> float:
    """The shortest whole number of seconds that holds each recording. Raises DataError when the model's own is
    shorter.
    """
    longest = max((len(samples) for samples in recordings), default=0) / rate_hz(processor)
    limit = full_window(processor)
    if longest > limit + 0.01:
        over = sum(len(samples) > limit * rate_hz(processor) for samples in recordings)
        raise DataError(
            f"{over} of {len(recordings)} recordings exceed the model's window of {limit:g} s; the longest has "
            f"{longest:.1f} s.",
            "Cut them, leave them out, or choose a model with a longer window.",
            "data.too_long",
        )
    return min(limit, max(1.0, math.ceil(longest)))


def shorten(model: Any, processor: Any, seconds: float) -> None:
    """Make a Whisper and its extractor listen to windows of `seconds`: the encoder keeps its first positions. In
    place.

    Raises ModelError when the model has no positions for so long a window.
    """
    import torch

    network = model.get_base_model() if hasattr(model, "get_base_model") else model
    encoder, extractor = network.model.encoder, processor.feature_extractor
    samples = int(seconds * rate_hz(processor))
    positions = samples // extractor.hop_length // 2
    table = encoder.embed_positions.weight
    if positions > len(table):
        raise ModelError(f"The model has no positions for {seconds:g} s.", "Choose a shorter window.")
    if positions < len(table):
        encoder.embed_positions = torch.nn.Embedding.from_pretrained(table.data[:positions].clone(), freeze=True)
        network.config.max_source_positions = encoder.max_source_positions = positions
    extractor.chunk_length = seconds
    extractor.n_samples, extractor.nb_max_frames = samples, samples // extractor.hop_length


def note_window(adapter: Path, seconds: float) -> None:
    """Keep the window beside the adapter that was trained with it."""
    write_json(adapter / WINDOW_FILE, {"seconds": seconds})


def listen_as_trained(model: Any, processor: Any, adapter: Path) -> None:
    """Give the model the window that its adapter was trained with, where that is known. In place."""
    seconds = noted_window(adapter)
    if seconds is not None:
        shorten(model, processor, seconds)


def noted_window(adapter: Path) -> float | None:
    """The window that an adapter was trained with; None for one made elsewhere."""
    file = adapter / WINDOW_FILE
    return float(read_json(file)["seconds"]) if file.is_file() else None


def windows(recordings: Sequence[Samples], processor: Any, seconds: float | None = None) -> list[Windowed]:
    """The extractor's log-mel features of each recording, padded with silence to `seconds` (by default the model's
    window), in order."""
    extractor = processor.feature_extractor
    size = int((seconds or full_window(processor)) * rate_hz(processor))
    found: list[Windowed] = []
    for start in range(0, len(recordings), RECORDINGS_AT_ONCE):
        part = [np.asarray(samples[:size]) for samples in recordings[start : start + RECORDINGS_AT_ONCE]]
        made = extractor(
            part,
            sampling_rate=rate_hz(processor),
            padding="max_length",
            max_length=size,
            truncation=True,
            return_tensors="np",
        ).input_features
        for samples, features in zip(part, made, strict=True):
            sounding = min(features.shape[1], -(-len(samples) // extractor.hop_length))
            found.append(Windowed(features.astype(np.float16), sounding))
    return found


def encode(examples: Sequence[Example], processor: Any, data: Data) -> list[TokenRow]:
    """Transcripts as decoder tokens: start, language, task, transcript, end; the loss is on the transcript and the
    end.

    The model's own prefix is used: `.en` models have no language and task. Raises DataError when there are no rows.
    """
    if not examples:
        raise DataError("There are no rows to learn from.", "Check data.dataset and data.train_split.")
    tokenizer = processor.tokenizer
    head = prefix(tokenizer)
    bodies = tokenizer([target_text(e, data.target) for e in examples], add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    return [TokenRow([*head, *ids, end], [IGNORED] * len(head) + [*ids, end]) for ids in bodies]


def prefix(tokenizer: Any) -> list[int]:
    """The tokens before a transcript without timestamps, in English where the model knows languages."""
    known = set(tokenizer.get_added_vocab())
    multilingual = "<|en|>" in known and getattr(tokenizer, "language", None) is not None
    words = ["<|startoftranscript|>", *(["<|en|>", "<|transcribe|>"] if multilingual else []), "<|notimestamps|>"]
    return [int(tokenizer.convert_tokens_to_ids(word)) for word in words]


class Rows:
    """What a DataLoader reads: (number, row). Rows to learn from have a number, on which their masks depend; rows that
    are only watched have None and are never masked."""

    def __init__(self, rows: Sequence[Any], *, watched: bool = False) -> None:
        self.rows, self.watched = rows, watched

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> tuple[int | None, Any]:
        return None if self.watched else number, self.rows[number]


class Batcher:
    """Windows and tokens as tensors; learned windows are masked (SpecAugment, arXiv 1904.08779).

    `epoch()` is the epoch that is being read. Tokens are padded on the right, where a causal decoder never looks.
    """

    def __init__(self, pad: int, seed: int, epoch: Callable[[], int]) -> None:
        self.pad, self.seed, self.epoch = pad, seed, epoch

    def sounds(self, items: Sequence[tuple[int | None, Windowed]]) -> Any:
        """(rows, mel bands, frames) float32."""
        import torch

        made = []
        for number, sound in items:
            features = sound.features.astype(np.float32)
            if number is not None:
                features = masked(features, sound.frames, np.random.default_rng((self.seed, self.epoch(), number)))
            made.append(features)
        return torch.from_numpy(np.stack(made))

    def tokens(self, rows: Sequence[TokenRow]) -> dict[str, Any]:
        """decoder_input_ids and labels, (rows, longest)."""
        import torch

        longest = max(len(row.input_ids) for row in rows)
        return {
            "decoder_input_ids": torch.tensor([r.input_ids + [self.pad] * (longest - len(r.input_ids)) for r in rows]),
            "labels": torch.tensor([r.labels + [IGNORED] * (longest - len(r.labels)) for r in rows]),
        }


class Collator(Batcher):
    """Batches of training rows."""

    def __call__(self, items: Sequence[tuple[int | None, AudioRow]]) -> dict[str, Any]:
        sounds = self.sounds([(number, row.sound) for number, row in items])
        return {"input_features": sounds, **self.tokens([row.tokens for _, row in items])}


def masked(features: Samples, frames: int, rng: np.random.Generator) -> Samples:
    """SpecAugment in place: up to two bands of at most an eighth of the mel bands, and up to two stretches of at most
    a tenth of the sounding `frames`, set to the window's mean.
    """
    mean = features[:, :frames].mean() if frames else 0.0
    bands, stretch = len(features) // 8, max(1, frames // 10)
    for _ in range(int(rng.integers(0, 3))):
        low, width = int(rng.integers(0, len(features) - bands)), int(rng.integers(1, bands + 1))
        features[low : low + width, :frames] = mean
    for _ in range(int(rng.integers(0, 3))):
        start, width = int(rng.integers(0, max(1, frames - stretch))), int(rng.integers(1, stretch + 1))
        features[:, start : start + width] = mean
    return features
