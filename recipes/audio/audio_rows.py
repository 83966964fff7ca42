"""Audio rows for training: recordings read, transcripts as decoder tokens, batches with SpecAugment.

The loss is on the transcript and the end token; what stands before them is given (`recipes.audio.backend`, which also
turns recordings into features). SpecAugment follows from (seed, epoch, row) alone, so that a resumed run masks what it
would have masked. Nothing here trains or scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recipes.audio.backend import AudioBackend, Samples, Sound
from recipes.recipe.options import Data
from recipes.train.report import keep_picture
from recipes.train.rows import IGNORED, TokenRow, check_examples, target_text
from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.example import AudioPart, Example, media_parts
from synth.languages import MOST_FOREIGN, code, not_english

if TYPE_CHECKING:
    from torch import Tensor


class AudioRow(NamedTuple):
    """One training row: its recording, and its transcript as tokens (what stands before it masked in the labels)."""

    sound: Sound
    tokens: TokenRow


def recording(example: Example, dataset: DatasetDir | None) -> Samples:
    """The row's recording, mono float32 at 16 kHz.

    Raises DataError for a row without exactly one recording, a broken file, or a reference that leaves the dataset.
    """
    from recipes.starters.scratch import media_file
    from synth.audio.files import read_audio

    parts = [part for part in media_parts(example) if isinstance(part, AudioPart)]
    if len(parts) != 1:
        raise DataError(
            f"Row {example.id} has {len(parts)} recordings.",
            "Make a row of each of them, or remove the row: audio models take one.",
        )
    return read_audio(media_file(None if dataset is None else dataset.path, parts[0].path, "recording"))


def language(example: Example) -> str:
    """The code of the language that the row names, "" where it names none."""
    return code(example.source.get("language"))


def languages(examples: Sequence[Example], backend: AudioBackend) -> list[str]:
    """The languages of rows to learn from.

    Raises DataError where a multilingual model would learn other languages as English, because no row says otherwise.
    """
    given = [language(example) for example in examples]
    if backend.multilingual:
        unnamed = [example for example, name in zip(examples, given, strict=True) if not name]
        foreign = sum(not_english(example.target) for example in unnamed)
        if foreign > MOST_FOREIGN * len(unnamed):
            message = (
                f"{foreign:,} of {len(unnamed):,} transcripts without a language hold letters that English does not "
                f"have, and {backend.name} must be told which language it hears."
            )
            remedy = "Import the recordings anew with a column `language` (or `locale`), such as sv or sv-SE."
            raise DataError(message, remedy, "data.language")
    return given


def encode(examples: Sequence[Example], sounds: Sequence[Sound], backend: AudioBackend, data: Data) -> list[TokenRow]:
    """Transcripts as tokens after the sound's own: transcript, and the end where there is one; the loss is on these.

    Raises DataError when there are no rows, or when a transcript is longer than the decoder: it is never cut, because a
    model that learned the first half of a recording's words would stop there.
    """
    check_examples(examples)
    texts = [target_text(example, data.target) for example in examples]
    bodies = backend.tokens_of(texts)
    backend.refuse_long([example.id for example in examples], sounds, bodies)
    learned = [[*ids, *backend.closing] for ids in bodies]
    return [
        TokenRow([*sound.head, *ids], [IGNORED] * len(sound.head) + ids)
        for sound, ids in zip(sounds, learned, strict=True)
    ]


def show(sounds: Sequence[Sound], folder: Path) -> str | None:
    """Draw the first recording as the model gets it into `folder`; the file's name, None for a bare waveform."""
    from PIL import Image

    features = sounds[0].features.astype(np.float32) if sounds else np.zeros(0, np.float32)
    if features.ndim != 2:
        return None
    low, high = features.min(), features.max()
    shades = (255 * (features[::-1] - low) / max(high - low, 1e-6)).astype(np.uint8)  # low tones at the bottom
    return keep_picture(Image.fromarray(shades.repeat(2, 0).repeat(2, 1)), folder)


def longest_attention(sounds: Sequence[Sound], rows: Sequence[TokenRow]) -> int:
    """The longest sequence that any attention of the model sees."""
    return max(max(sound.positions for sound in sounds), max(len(row.input_ids) for row in rows))


class Rows:
    """What a DataLoader reads: (number, row). Rows to learn from have a number, on which their masks depend; rows that
    are only watched have None and are never masked."""

    def __init__(self, rows: Sequence[Any], *, eval_rows: bool = False) -> None:
        self.rows, self.eval_rows = rows, eval_rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> tuple[int | None, Any]:
        return None if self.eval_rows else number, self.rows[number]


class Batcher:
    """Sounds and tokens as tensors; learned features are masked where they can be (SpecAugment, arXiv 1904.08779).

    `epoch()` is the epoch that is being read. Tokens are padded on the right, where a causal decoder never looks.
    """

    def __init__(self, backend: AudioBackend, seed: int, epoch: Callable[[], int]) -> None:
        self.backend, self.seed, self.epoch = backend, seed, epoch

    def sounds(self, items: Sequence[tuple[int | None, Sound]]) -> dict[str, Tensor]:
        """The encoder's tensors."""
        return self.backend.tensors([self._masked(number, sound) for number, sound in items])

    def _masked(self, number: int | None, sound: Sound) -> Sound:
        if number is None or not self.backend.maskable:
            return sound
        chance = np.random.default_rng((self.seed, self.epoch(), number))
        return sound._replace(features=masked(sound.features.astype(np.float32), sound.frames, chance))

    def tokens(self, rows: Sequence[TokenRow]) -> dict[str, Tensor]:
        """The decoder's tokens and labels, (rows, longest)."""
        import torch

        longest = max(len(row.input_ids) for row in rows)
        pad = self.backend.pad
        return {
            self.backend.token_input: torch.tensor([r.input_ids + [pad] * (longest - len(r.input_ids)) for r in rows]),
            "labels": torch.tensor([r.labels + [IGNORED] * (longest - len(r.labels)) for r in rows]),
        }


class Collator(Batcher):
    """Batches of training rows."""

    def __call__(self, items: Sequence[tuple[int | None, AudioRow]]) -> dict[str, Tensor]:
        sounds = self.sounds([(number, row.sound) for number, row in items])
        return {**sounds, **self.tokens([row.tokens for _, row in items])}


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
