"""What happens to a voice between mouth and file: speed, room, noise, telephone line, gain. torchaudio does the
signal processing.

Every function takes and returns mono float32 samples at 16 kHz and changes nothing in place. Train and held-out
conditions (noises, rooms)
are disjoint sets that are named here. SpecAugment is not here: it belongs to training (`recipes.audio.audio_rows`).
"""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

import numpy as np

from synth.audio import recordings
from synth.audio.recordings import Recording
from synth.audio.voices import SAMPLE_RATE_HZ, Samples

TRAIN_NOISES: tuple[str, ...] = ("white", "pink", "babble")
HELD_OUT_NOISES: tuple[str, ...] = ("brown", "hum", "clatter")
RECORDED = "recording"
"""The kind of noise of a user's own recording."""
# Seconds until the room's sound has fallen by 60 dB: offices and bedrooms, against halls and stairwells.
TRAIN_ROOM_SEC = (0.15, 0.40)
HELD_OUT_ROOM_SEC = (0.50, 0.80)
SPEEDS: tuple[float, ...] = (0.90, 0.92, 0.94, 0.96, 0.98, 1.0, 1.02, 1.04, 1.06, 1.08, 1.10)
TELEPHONE_BAND_HZ = (300.0, 3400.0)
_POWER_SLOPE = {"white": 0.0, "pink": 1.0, "brown": 2.0}
_PEAK = 0.98


class Conditions(NamedTuple):
    """How one recording was made. None means: not applied."""

    speed: float
    room_sec: float | None
    noise: str | None
    snr_db: float | None
    telephone: bool
    gain_db: float


def draw_conditions(
    rng: Random,
    *,
    held_out: bool,
    snr_db: tuple[float, float],
    noise_share: float,
    room_share: float,
    telephone_share: float,
) -> Conditions:
    """Random conditions; the held-out noises and rooms when `held_out`, the training ones otherwise."""
    noises, rooms = (HELD_OUT_NOISES, HELD_OUT_ROOM_SEC) if held_out else (TRAIN_NOISES, TRAIN_ROOM_SEC)
    noisy = rng.random() < noise_share
    return Conditions(
        speed=rng.choice(SPEEDS),
        room_sec=round(rng.uniform(*rooms), 3) if rng.random() < room_share else None,
        noise=rng.choice(noises) if noisy else None,
        snr_db=round(rng.uniform(*snr_db), 1) if noisy else None,
        telephone=rng.random() < telephone_share,
        gain_db=round(rng.uniform(-12.0, 0.0), 1),
    )


class Own(NamedTuple):
    """A user's recordings that take the place of a generated noise and room."""

    noise: Recording | None = None
    room: Recording | None = None


GENERATED = Own()


def apply(
    samples: Samples, conditions: Conditions, rng: Random, babble: Samples | None = None, own: Own = GENERATED
) -> Samples:
    """The recording under these conditions, in the order of nature: mouth, room, noise, line, level.

    The signal-to-noise ratio is that at the microphone, over the whole recording; a telephone line comes after it.

    Args:
        babble: other people's speech, at least one sample; needed when the noise is "babble".
    """
    numbers = np.random.default_rng(rng.getrandbits(64))
    out = speed(samples, conditions.speed)
    if own.room is not None:
        out = reverberate(out, recordings.response(own.room))
    elif conditions.room_sec is not None:
        out = reverberate(out, room_response(conditions.room_sec, numbers))
    if conditions.noise is not None and conditions.snr_db is not None:
        disturbance = (
            recordings.part(own.noise, len(out), numbers)
            if own.noise is not None
            else noise(conditions.noise, len(out), numbers, babble)
        )
        out = add_noise(out, disturbance, conditions.snr_db)
    if conditions.telephone:
        out = telephone(out)
    return gain(out, conditions.gain_db)


def speed(samples: Samples, factor: float) -> Samples:
    """Faster (factor > 1) or slower, pitch included; the length becomes length / factor."""
    if factor == 1.0:
        return samples
    import torch

    changed, _ = _speed_filter(factor)(torch.from_numpy(samples))
    return np.asarray(changed, dtype=np.float32)


@lru_cache(maxsize=64)
def _speed_filter(factor: float) -> Any:
    import torchaudio

    return torchaudio.transforms.Speed(SAMPLE_RATE_HZ, factor)


def noise(kind: str, length: int, rng: np.random.Generator, babble: Samples | None = None) -> Samples:
    """`length` samples of a noise of TRAIN_NOISES or HELD_OUT_NOISES, at RMS 1. KeyError for any other kind."""
    if kind == "babble":
        if babble is None or not len(babble):
            raise ValueError("babble needs other people's speech")
        start = int(rng.integers(len(babble)))
        made = np.take(babble, np.arange(start, start + length), mode="wrap").astype(np.float64)
    elif kind == "hum":
        made = _hum(length, rng)
    elif kind == "clatter":
        made = _clatter(length, rng)
    else:
        made = _coloured(_POWER_SLOPE[kind], length, rng)
    return (made / max(float(np.sqrt(np.mean(made**2))), 1e-9)).astype(np.float32)


def _coloured(slope: float, length: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Gaussian noise whose power falls as 1/f^slope above 20 Hz."""
    size = 1 << max(length - 1, 1).bit_length()  # a power of two keeps the FFT quick
    bins = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    spectrum = rng.standard_normal(len(bins)) + 1j * rng.standard_normal(len(bins))
    spectrum[0] = 0
    return np.fft.irfft(spectrum * np.maximum(bins, 20.0) ** (-slope / 2), size)[:length]


def _hum(length: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mains hum and its harmonics over a fan's hiss."""
    seconds = np.arange(length) / SAMPLE_RATE_HZ
    base_hz = float(rng.choice((50.0, 60.0))) * (1 + 0.002 * rng.standard_normal())
    made = 0.15 * rng.standard_normal(length)
    for harmonic in range(1, 13):
        made += rng.uniform(0.2, 1.0) / harmonic * np.sin(2 * np.pi * (base_hz * harmonic * seconds + rng.random()))
    return made


def _clatter(length: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Dishes and keys: about six short ringing knocks a second."""
    made = 0.02 * rng.standard_normal(length)
    for start in rng.integers(0, length, size=max(1, int(6 * length / SAMPLE_RATE_HZ))):
        ring = np.arange(min(1600, length - start)) / SAMPLE_RATE_HZ
        made[start : start + len(ring)] += (
            rng.uniform(0.3, 1.0)
            * np.exp(-ring * rng.uniform(40, 120))
            * np.sin(2 * np.pi * rng.uniform(900, 5000) * ring)
        )
    return made


def add_noise(samples: Samples, disturbance: Samples, snr_db: float) -> Samples:
    """Mix in `disturbance` (same length) so that signal power over noise power is `snr_db`; silence adds nothing."""
    import torch
    import torchaudio.functional as F

    if not disturbance.any():
        return samples
    mixed = F.add_noise(torch.from_numpy(samples), torch.from_numpy(disturbance), torch.tensor(float(snr_db)))
    return np.asarray(mixed, dtype=np.float32)


def room_response(reverberation_sec: float, rng: np.random.Generator) -> Samples:
    """A generated room impulse response: the direct sound, six first reflections, a tail falling 60 dB in the given
    time."""
    length = int(reverberation_sec * SAMPLE_RATE_HZ)
    seconds = np.arange(length) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(length) * np.exp(-np.log(1000.0) * seconds / reverberation_sec)
    tail[: int(0.004 * SAMPLE_RATE_HZ)] = 0.0
    response = 0.05 * tail
    response[0] = 1.0
    for _ in range(6):
        response[int(rng.uniform(0.002, 0.02) * SAMPLE_RATE_HZ)] += rng.choice((-1.0, 1.0)) * rng.uniform(0.1, 0.5)
    return np.asarray(response, dtype=np.float32)


def reverberate(samples: Samples, response: Samples) -> Samples:
    """The samples heard in that room: longer by the response's tail, at the RMS level they had."""
    import torch
    import torchaudio.functional as F

    wet = np.asarray(F.fftconvolve(torch.from_numpy(samples), torch.from_numpy(response)), dtype=np.float32)
    before, after = float(np.sqrt(np.mean(samples**2))), float(np.sqrt(np.mean(wet**2)))
    return np.asarray(wet * (before / max(after, 1e-9)), dtype=np.float32)


def telephone(samples: Samples) -> Samples:
    """A G.711-like line: 300–3400 Hz, 8 kHz, 8-bit mu-law, and back to 16 kHz."""
    import torch
    import torchaudio.functional as F

    low_hz, high_hz = TELEPHONE_BAND_HZ
    narrow = _telephone_filter(SAMPLE_RATE_HZ, 8000)(torch.from_numpy(samples))
    for _ in range(2):  # twice: one biquad falls off too gently to sound like a line
        narrow = F.highpass_biquad(narrow, 8000, low_hz)
        narrow = F.lowpass_biquad(narrow, 8000, high_hz)
    coded = F.mu_law_decoding(F.mu_law_encoding(narrow.clamp(-1.0, 1.0), 256), 256)
    return np.asarray(_telephone_filter(8000, SAMPLE_RATE_HZ)(coded), dtype=np.float32)


@lru_cache(maxsize=2)
def _telephone_filter(source_hz: int, target_hz: int) -> Any:
    import torchaudio

    # A wider filter than the default: what lies above 4 kHz must be gone, not only quieter.
    return torchaudio.transforms.Resample(source_hz, target_hz, lowpass_filter_width=32)


def gain(samples: Samples, level_db: float) -> Samples:
    """Scaled by `level_db` relative to full scale at the peak, so that nothing clips."""
    peak = float(np.max(np.abs(samples), initial=0.0))
    if peak < 1e-6:
        return samples
    return samples * np.float32(_PEAK * 10 ** (level_db / 20) / peak)
