"""Speech models without a decoder: each frame of the encoder is a token or a blank (CTC, Graves et al. 2006).

For Parakeet CTC. A transcript is the likeliest token of each frame, repeated ones merged and blanks left out. The
loss is what the sum over all alignments of the transcript costs. Preference tuning is refused. Recordings are English,
transcripts what the model's own vocabulary can spell.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recipes.audio.backend import AudioBackend, Reading, Samples, Sound
from synth.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.audio.steps import Steps
    from recipes.models.loaded import Loaded

IGNORED = -100  # as in recipes.train.rows, which imports more than a backend needs
SHOWN = 10


class Ctc(AudioBackend):
    """Mel features of any length up to the longest recording that is read, one label for each frame of the encoder."""

    token_input = "input_ids"  # made for the statistics of the rows; the network reads none
    no_preferences = (
        "it has no decoder: each frame is decided by itself, so raising one whole transcript over another, which is "
        "what a preference does, is not what its answers follow"
    )
    limit_sec = 120.0

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        self.blank = self.pad = self.end = int(self.network.config.pad_token_id)
        self.ends = frozenset()
        # Layers that are skipped at random would leave their adapters without a gradient, unnoticed.
        if getattr(self.network.encoder, "layerdrop", 0.0):
            self.network.encoder.layerdrop = 0.0

    @property
    def closing(self) -> tuple[int, ...]:
        return ()

    def _prepare(self, recordings: Sequence[Samples], languages: Sequence[str]) -> list[Sound]:
        """Log-mel features, normalised over the recording alone."""
        import torch

        found = []
        for samples in recordings:
            made = self.processor.feature_extractor([np.asarray(samples)], sampling_rate=self.rate_hz)
            frames = int(made["attention_mask"].sum())
            features = made["input_features"][0, :frames].T.numpy().astype(np.float16)
            positions = int(self.network._get_subsampling_output_length(torch.tensor([frames]))[0])
            found.append(Sound(features, frames, positions, ()))
        return found

    def tensors(self, sounds: Sequence[Sound]) -> dict[str, Tensor]:
        """input_features (rows, frames, mel bands) and attention_mask (rows, frames)."""
        import torch

        longest = max(sound.frames for sound in sounds)
        features = [np.pad(s.features.T, ((0, longest - s.frames), (0, 0))) for s in sounds]
        mask = torch.arange(longest) < torch.tensor([sound.frames for sound in sounds])[:, None]
        return {"input_features": torch.from_numpy(np.stack(features).astype(np.float32)), "attention_mask": mask}

    def tokens_of(self, texts: Sequence[str]) -> list[list[int]]:
        """Transcripts as tokens: as written where the vocabulary has the letters, else in lower case and without the
        punctuation that it lacks. Raises DataError for digits and letters that it cannot spell.
        """
        spelled = [self._tokens(text) for text in texts]
        bad = [text for text, ids in zip(texts, spelled, strict=True) if ids is None]
        if bad:
            letters = Counter(letter for text in bad for letter in set(self._plain(text)) if self._lacks(letter))
            named = " ".join(letter for letter, _ in letters.most_common(SHOWN))
            raise DataError(
                f"{len(bad):,} of {len(texts):,} transcripts hold what {self.name} has no tokens for ({named}), so "
                f"that it would learn to leave it out; the first is {bad[0][:60]!r}.",
                "Write those in words (“forty milligrams”), or choose a Whisper, which spells everything.",
                "data.unspellable",
            )
        return [ids for ids in spelled if ids is not None]

    def _tokens(self, text: str) -> list[int] | None:
        for written in (text, self._plain(text)):
            ids: list[int] = self.tokenizer(written, add_special_tokens=False)["input_ids"]
            if self._known(ids):
                return ids
        return None

    def _plain(self, text: str) -> str:
        lower = text.lower()
        kept = "".join(letter for letter in lower if letter.isalnum() or letter.isspace() or not self._lacks(letter))
        return " ".join(kept.split())

    def _lacks(self, letter: str) -> bool:
        return not letter.isspace() and not self._known(self.tokenizer(letter, add_special_tokens=False)["input_ids"])

    def _known(self, ids: Sequence[int]) -> bool:
        unknown = self.tokenizer.unk_token_id
        return unknown is None or unknown not in ids

    def refuse_long(self, names: Sequence[str], sounds: Sequence[Sound], bodies: Sequence[Sequence[int]]) -> None:
        """A transcript needs a frame for each token, and one between two equal ones: no shorter recording says it."""
        needed = [len(ids) + sum(a == b for a, b in itertools.pairwise(ids)) for ids in bodies]
        rows = zip(needed, sounds, names, strict=True)
        over = [(count, sound.positions, name) for count, sound, name in rows if count > sound.positions]
        if over:
            count, room, name = max(over, key=lambda row: row[0] - row[1])
            raise DataError(
                f"{len(over)} of {len(sounds)} transcripts are longer than their recordings: {self.name} writes at "
                f"most one token for each frame of the encoder, and row {name} has {room} frames for {count} tokens.",
                "Check that recordings and transcripts belong together, or leave those rows out.",
                "data.long_transcript",
            )

    def spell(self, ids: Sequence[int], special: bool = True) -> str:
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=not special, group_tokens=False)
        return text

    def reading(self, sound: Sound, ids: Sequence[int]) -> Reading:
        """All frames count, and every answer ends, with its recording."""
        labels = [label for label, _ in itertools.groupby(ids[: sound.positions]) if label != self.blank]
        return Reading(labels, sound.positions, True)

    def most_tokens(self, sounds: Sequence[Sound]) -> int:
        return max(sound.positions for sound in sounds)

    def encode_batch(self, sounds: Sequence[Sound]) -> Any:
        return {"logits": self.network(**self._placed(self.tensors(sounds))).logits}

    def generate(self, sounds: Sequence[Sound], encoded: Any, max_new_tokens: int, steps: Steps) -> Tensor:
        """The label of each frame, (B, frames), blanks behind a recording's end; a limit of tokens changes nothing."""
        import torch

        logits = encoded["logits"]  # (B, frames, V)
        first = torch.empty((len(sounds), 0), dtype=torch.long, device=logits.device)
        labels = torch.stack([steps(first, frame).argmax(-1) for frame in logits.unbind(1)], dim=1)
        sounding = torch.tensor([sound.positions for sound in sounds], device=logits.device)[:, None]
        return labels.masked_fill(torch.arange(labels.shape[1], device=logits.device) >= sounding, self.blank)

    def loss(self, inputs: dict[str, Tensor], count: Any = None) -> Tensor | None:
        """The negative log-probability of the transcripts, a mean over their tokens."""
        import torch

        labels = inputs["labels"]  # (B, T)
        learned = labels != IGNORED
        logits = self.network(inputs["input_features"], inputs["attention_mask"]).logits  # (B, frames, V)
        frames = self.network._get_subsampling_output_length(inputs["attention_mask"].sum(-1))
        with torch.autocast(logits.device.type, enabled=False):
            scores = logits.float().log_softmax(-1).transpose(0, 1)
            total: Tensor = torch.nn.functional.ctc_loss(
                scores, labels[learned], frames.long(), learned.sum(1), blank=self.blank, reduction="sum"
            )
        return total / (learned.sum() if count is None else count)

    def pair_states(self, inputs: dict[str, Tensor]) -> Tensor:
        raise NotImplementedError(self.no_preferences)
