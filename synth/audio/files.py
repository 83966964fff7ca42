"""Bytes on disk ↔ samples: 16 kHz FLAC out, anything that libsndfile reads in. A hostile file costs a bounded amount
of memory.

torchaudio's own file functions moved to TorchCodec, so soundfile reads and writes; torchaudio resamples.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from synth.audio.voices import SAMPLE_RATE_HZ, Samples, resample
from synth.errors import DataError

MAX_SECONDS = 120.0
MIN_SECONDS = 0.05
"""Shorter recordings hold no word."""
SILENCE = 1e-4
"""Largest sample (full scale is 1) up to which a recording holds nothing: −80 dB."""
MAX_FILE_BYTES = 64 << 20
_RATES_HZ = range(4_000, 384_001)


def encode_flac(samples: Samples) -> bytes:
    """16-bit mono FLAC at 16 kHz; samples outside −1…1 are clipped."""
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, np.clip(samples, -1.0, 1.0), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def decode(content: bytes, name: str, max_seconds: float = MAX_SECONDS) -> Samples:
    """Any recording → mono float32 at 16 kHz.

    The header is judged first, and no more than `max_seconds` is ever decoded, whatever the header claims. `name` is
    for messages.
    Raises DataError: not audio, empty, longer than `max_seconds`, an absurd sample rate, or samples that are not
    finite.
    """
    import soundfile

    if len(content) > MAX_FILE_BYTES:
        raise DataError(
            f"{name} has {len(content) >> 20} MiB.",
            f"Recordings of up to {MAX_FILE_BYTES >> 20} MiB are read.",
            "recording is too large",
        )
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, channels = file.samplerate, file.channels
            if rate not in _RATES_HZ or not 1 <= channels <= 32:
                raise DataError(
                    f"{name} claims {rate} Hz and {channels} channels.",
                    "Export it again as 16 kHz mono.",
                    "recording is broken",
                )
            cap = int(max_seconds * rate)
            if file.frames > cap:
                raise DataError(
                    f"{name} lasts {file.frames / rate:.0f} s.",
                    f"Cut recordings to at most {max_seconds:g} s.",
                    "recording is too long",
                )
            frames = file.read(cap, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as fault:
        raise DataError(
            f"{name} is not a readable recording.", "Use WAV, FLAC, OGG or MP3.", "recording is broken"
        ) from fault
    if not len(frames):
        raise DataError(f"{name} holds no samples.", "Record it again or leave it out.", "recording is empty")
    mono = frames.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise DataError(f"{name} holds samples that are not numbers.", "Export it again.", "recording is broken")
    if channels > 1 and _cancelled(frames, mono):
        raise DataError(
            f"The channels of {name} cancel each other out.",
            "Export one of them as mono.",
            "recording's channels cancel each other out",
        )
    return resample(mono, rate)


def read_audio(path: Path, max_seconds: float = MAX_SECONDS) -> Samples:
    """A recording from disk, as `decode`. The size is checked before the file is read. Raises DataError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(
                f"{path.name} has more than {MAX_FILE_BYTES >> 20} MiB.",
                "Cut it into shorter recordings.",
                "recording is too large",
            )
        content = path.read_bytes()
    except OSError as fault:
        raise DataError(
            f"{path.name} cannot be read.", "Check that the file is there.", "recording is missing"
        ) from fault
    return decode(content, path.name, max_seconds)


def _cancelled(frames: Samples, mono: Samples) -> bool:
    """Whether channels are loud, and their mean is not: one is (nearly) the other turned upside down."""
    loudest = float(np.sqrt((frames.astype(np.float64) ** 2).mean(axis=0)).max())
    return loudest > SILENCE and float(np.sqrt((mono.astype(np.float64) ** 2).mean())) < 0.02 * loudest
