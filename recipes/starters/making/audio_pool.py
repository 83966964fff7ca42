"""A pool of spoken sentences on disk, as log-mel frames, so that training the audio starter never waits for speech.

The pool is made once, in shards that appear whole or not at all (a killed build continues where it was), and lies
outside the repository. `batch` mixes it, moves it in time, adds coloured noise and SpecAugment, all on mel frames,
which is cheap.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.starters.audio_data import TAUGHT, sentences
from recipes.starters.making import audio_model
from synth.audio import augment
from synth.audio.voices import HELD_OUT_VOICES, TRAIN_VOICES, EspeakVoice, Samples, VoiceSpec
from synth.storage import atomic_dir

SHARD_ROWS = 2000
WINDOW_FRAMES = audio_model.WINDOW_SEC * audio_model.SAMPLE_RATE_HZ // audio_model.HOP_SAMPLES
MAX_TOKENS = 94  # of one window: the decoder has 96 positions
_SILENCE = -10.0  # log10 of the extractor's floor

Mel = NDArray[np.float32]


class Row(NamedTuple):
    """One utterance: (frames, 80) log10 mel power before the extractor's scaling, its transcript, its voice."""

    mel: NDArray[np.float16]
    text: str
    voice: str


class Features:
    """The arithmetic of WhisperFeatureExtractor for recordings of any length, without its padding and scaling."""

    def __init__(self, extractor: Any) -> None:
        import torch

        self._filters = torch.from_numpy(np.asarray(extractor.mel_filters)).float()
        self._window = torch.hann_window(audio_model.FFT_SAMPLES)

    def __call__(self, samples: Samples) -> Mel:
        import torch

        spectrum = torch.stft(
            torch.from_numpy(np.ascontiguousarray(samples)),
            audio_model.FFT_SAMPLES,
            audio_model.HOP_SAMPLES,
            window=self._window,
            return_complex=True,
        )
        power = self._filters.T @ spectrum.abs() ** 2
        return np.asarray(power.clamp(min=1e-10).log10().T.contiguous(), dtype=np.float32)


def scaled(window: Mel) -> Mel:
    """What the extractor does last, per window: 80 dB of range below the loudest point, then about −1…1."""
    return np.asarray((np.maximum(window, window.max() - 8.0) + 4.0) / 4.0, dtype=np.float32)


def build(
    folder: Path, rows: int, *, held_out: bool = False, workers: int = 1, families: Sequence[str] = TAUGHT
) -> None:
    """Speak `rows` sentences of the families into shards under `folder`, keeping those that exist.

    Held-out voices are spoken clean. Each of `workers` processes speaks whole shards, with its own espeak-ng; the
    shards are the same for any number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        started = [
            pool.submit(_build_shard, target, shard, min(SHARD_ROWS, rows - shard * SHARD_ROWS), held_out, families)
            for shard in range(-(-rows // SHARD_ROWS))
            if not (target := folder / f"shard-{shard:04d}").exists()
        ]
        for finished in as_completed(started):
            print(f"{finished.result()} done", flush=True)


def _build_shard(target: Path, shard: int, rows: int, held_out: bool, families: Sequence[str]) -> str:
    import torch

    torch.set_num_threads(1)
    with EspeakVoice() as voice:
        mels, lines = _speak(shard, rows, voice, held_out, families)
    with atomic_dir(target) as folder:
        np.save(folder / "mel.npy", np.concatenate(mels), allow_pickle=False)
        (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return target.name


def _speak(
    shard: int, rows: int, voice: EspeakVoice, held_out: bool, families: Sequence[str]
) -> tuple[list[NDArray[np.float16]], list[dict[str, Any]]]:
    features = Features(audio_model.build_extractor())
    rng = Random(f"audio-pool/{held_out}/{shard}")
    texts = sentences(rng, families)
    voices = HELD_OUT_VOICES if held_out else TRAIN_VOICES
    mels: list[NDArray[np.float16]] = []
    lines: list[dict[str, Any]] = []
    last: Samples = np.zeros(1600, dtype=np.float32)
    while len(mels) < rows:
        text = next(texts)
        speaker = VoiceSpec(rng.choice(voices), rng.randint(150, 200), rng.randint(30, 70))
        clean = voice(text.spoken, speaker)
        transcripts = clean if held_out else augment.apply(clean, _conditions(rng), rng, babble=last)
        last = clean
        mel = features(transcripts)
        if len(mel) <= WINDOW_FRAMES:
            mels.append(mel.astype(np.float16))
            lines.append({"text": text.written, "voice": speaker.name, "frames": len(mel)})
    return mels, lines


def _conditions(rng: Random) -> augment.Conditions:
    return augment.draw_conditions(
        rng, held_out=False, snr_db=(8.0, 25.0), noise_share=0.2, room_share=0.25, telephone_share=0.15
    )


def load(folder: Path) -> list[Row]:
    """All rows of a pool; frames stay on disk (memory-mapped) until they are used."""
    rows: list[Row] = []
    for shard in sorted(folder.glob("shard-*")):
        frames = np.lib.format.open_memmap(shard / "mel.npy", mode="r")  # arrays of numbers only, never objects
        start = 0
        for line in (shard / "rows.jsonl").read_text().splitlines():
            item = json.loads(line)
            rows.append(Row(frames[start : start + item["frames"]], item["text"], item["voice"]))
            start += item["frames"]
    return rows


def window(mel: Mel, start: int = 0) -> Mel:
    """The (80, 400) input of the model: the utterance at `start`, digital silence elsewhere, scaled."""
    full = np.full((WINDOW_FRAMES, audio_model.MEL_BANDS), _SILENCE, dtype=np.float32)
    full[start : start + len(mel)] = mel[: WINDOW_FRAMES - start]
    return np.ascontiguousarray(scaled(full).T)


def disturbed(mel: Mel, rng: np.random.Generator) -> Mel:
    """The utterance again: faster or slower by up to 10 %, half of the time under coloured noise at 5–30 dB."""
    factor = rng.uniform(0.9, 1.1)
    steps = np.arange(0, len(mel) - 1, factor)
    low = steps.astype(int)
    part = (steps - low).astype(np.float32)[:, None]
    out: Mel = mel[low] * (1 - part) + mel[low + 1] * part
    if rng.random() < 0.5:
        power = 10.0**out
        profile = 10.0 ** (rng.uniform(-2.0, 0.5) * np.linspace(0, 1, mel.shape[1]))
        grain = rng.gamma(3.0, 1 / 3.0, size=out.shape) * profile
        level = power.mean() / grain.mean() * 10 ** (-rng.uniform(5.0, 30.0) / 10)
        out = np.log10(power + level * grain).astype(np.float32)
    return out[:WINDOW_FRAMES]


def masked(features: Mel, rng: np.random.Generator, frames: int) -> Mel:
    """SpecAugment on a scaled (80, 400) window: up to two bands and two stretches become its mean."""
    mean = features[:, :frames].mean()
    for _ in range(rng.integers(0, 3)):
        band, width = rng.integers(0, len(features) - 10), rng.integers(1, 11)
        features[band : band + width, :frames] = mean
    for _ in range(rng.integers(0, 3)):
        start, width = rng.integers(0, max(1, frames - 16)), rng.integers(1, 17)
        features[:, start : start + width] = mean
    return features


class Batch(NamedTuple):
    """features (rows, 80, 400) and labels (rows, longest) with −100 as padding, both torch tensors."""

    features: Any
    labels: Any


def batch(rows: Sequence[Row], tokenizer: Any, size: int, seed: int, step: int) -> Batch:
    """Batch number `step` of an endless shuffled stream; it depends on the arguments alone, so that a run can resume.

    Most windows are filled with utterances, one after the other: the encoder costs the same for silence as for speech.
    """
    import torch

    per_epoch = len(rows) // size
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng((seed, epoch)).permutation(len(rows))
    rng = np.random.default_rng((seed, epoch, place))
    made = [_spoken_together(rows, int(first), rng, tokenizer) for first in order[place * size : (place + 1) * size]]
    return Batch(torch.from_numpy(np.stack([m for m, _ in made])), labels_of([text for _, text in made], tokenizer))


def _spoken_together(rows: Sequence[Row], first: int, rng: np.random.Generator, tokenizer: Any) -> tuple[Mel, str]:
    """A window that begins with row `first`, and its transcript. One in four holds nothing else."""
    pieces = [disturbed(rows[first].mel.astype(np.float32), rng)]
    texts = [rows[first].text]
    start = int(rng.integers(0, min(25, WINDOW_FRAMES - len(pieces[0])) + 1))
    end = start + len(pieces[0])
    for _ in range(int(rng.choice((0, 2, 4, 6)))):
        row = rows[int(rng.integers(len(rows)))]
        pause, mel = int(rng.integers(3, 25)), disturbed(row.mel.astype(np.float32), rng)
        text = " ".join((*texts, row.text))
        if end + pause + len(mel) > WINDOW_FRAMES or len(tokenizer(text).input_ids) > MAX_TOKENS:
            break
        pieces += [np.full((pause, mel.shape[1]), _SILENCE, dtype=np.float32), mel]
        texts.append(row.text)
        end += pause + len(mel)
    return masked(window(np.concatenate(pieces), start), rng, end), " ".join(texts)


def labels_of(texts: Sequence[str], tokenizer: Any) -> Any:
    """Label ids without the start token (the model puts it in front again), −100 beyond each end."""
    import torch

    ids = [tokenizer(text).input_ids[1:] for text in texts]
    longest = max(map(len, ids))
    return torch.tensor([row + [-100] * (longest - len(row)) for row in ids])
