"""Bytes on disk ↔ samples: 16 kHz FLAC out, anything that libsndfile reads in. A hostile file costs a bounded amount
of memory.

torchaudio's own file functions moved to TorchCodec, so soundfile reads and writes; torchaudio resamples.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np

from synth.audio.voices import SAMPLE_RATE_HZ, Samples, resample
from synth.errors import DataError

MAX_SECONDS = 120.0
MIN_SECONDS = 0.05
"""Shorter recordings hold no word."""
SILENCE = 1e-4
"""Largest sample (full scale is 1) up to which a recording holds nothing: −80 dB."""
MAX_FILE_BYTES = 64 << 20
LOUDEST = 8.0
"""Samples beyond it were never meant as fractions of full scale: 16-bit numbers stored as fractions."""
END_TOLERANCE_SEC = 0.1
"""How far the end of a part may lie behind the end of the recording: times are rounded."""
MAX_SAMPLES = 64_000_000
"""Of all channels together, as they are decoded (256 MB): two minutes of eight channels at 48 kHz are 46 million."""
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
    if len(content) > MAX_FILE_BYTES:
        raise DataError(
            f"{name} has {len(content) >> 20} MiB.",
            f"Cut it into recordings of up to {MAX_FILE_BYTES >> 20} MiB.",
            "recording.too_large",
        )
    return _decode(io.BytesIO(content), name, max_seconds)


def decode_excerpt(
    file: BinaryIO, name: str, start_sec: float, end_sec: float, max_seconds: float = MAX_SECONDS
) -> Samples:
    """Part of a recording, of which no more is decoded than that. Raises DataError as `decode`, and where the recording
    is shorter than `end_sec`.
    """
    return _decode(file, name, max_seconds, (start_sec, end_sec))


def _decode(file: BinaryIO, name: str, max_seconds: float, part: tuple[float, float] | None = None) -> Samples:
    import soundfile

    try:
        with soundfile.SoundFile(file) as sound:
            rate, channels = sound.samplerate, sound.channels
            if rate not in _RATES_HZ or not 1 <= channels <= 32:
                raise DataError(
                    f"{name} claims {rate} Hz and {channels} channels.",
                    "Export it again as 16 kHz mono.",
                    "recording.broken",
                )
            start, wanted = 0, sound.frames
            if part is not None:
                start = round(part[0] * rate)
                wanted = min(round(part[1] * rate), sound.frames) - start
                if part[1] * rate > sound.frames + END_TOLERANCE_SEC * rate or wanted <= 0:
                    raise DataError(
                        f"{name} ends at {sound.frames / rate:.1f} s, and a row is about its part up to {part[1]:.1f}.",
                        "Check offset and duration: they are seconds.",
                        "recording is shorter than its times say",
                    )
            cap = int(max_seconds * rate)
            if wanted > cap:
                raise DataError(
                    f"{name} lasts {wanted / rate:.0f} s.",
                    f"Cut recordings to at most {max_seconds:g} s.",
                    "recording.too_long",
                )
            if wanted * channels > MAX_SAMPLES:
                raise DataError(
                    f"{name} holds {wanted * channels / 1e6:.0f} million samples ({channels} channels at {rate} Hz).",
                    "Export it again as 16 kHz mono.",
                    "recording.too_large",
                )
            if start:
                sound.seek(start)
            frames = sound.read(cap if part is None else wanted, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as fault:
        kind = _container(file)
        raise DataError(
            f"{name} is {f'in {kind}, which is not read' if kind else 'not a readable recording'}.",
            "Use WAV, FLAC, OGG or MP3.",
            f"recording is in {kind}, which is not read: use WAV, FLAC, OGG or MP3" if kind else "recording.broken",
        ) from fault
    return _mono(frames, rate, name)


def _mono(frames: Samples, rate: int, name: str) -> Samples:
    """Channels mixed, at 16 kHz. Raises DataError for what cannot be heard in it."""
    if not len(frames):
        raise DataError(f"{name} holds no samples.", "Record it again or leave it out.", "recording.empty")
    mono = frames.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise DataError(f"{name} holds samples that are not numbers.", "Export it again.", "recording.broken")
    if float(np.abs(mono).max()) > LOUDEST:
        raise DataError(
            f"The samples of {name} lie far outside -1 to 1.",
            "Export it again: fractions are full scale at 1.",
            "recording's samples lie far outside -1 to 1",
        )
    if frames.shape[1] > 1 and _cancelled(frames, mono):
        raise DataError(
            f"The channels of {name} cancel each other out.",
            "Export one of them as mono.",
            "recording.cancelled",
        )
    return resample(mono, rate)


def _container(file: BinaryIO) -> str:
    """The format of a file that libsndfile does not know, as far as its first bytes tell; "" for none known."""
    file.seek(0)
    head = file.read(16)
    if head[4:8] == b"ftyp":
        return "MP4 (m4a)"
    kinds = {b"\x1aE\xdf\xa3": "Matroska (webm)", b"0&\xb2u": "ASF (wma)", b"#!AMR": "AMR"}
    if head[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return "AAC"
    return next((kind for mark, kind in kinds.items() if head.startswith(mark)), "")


def read_audio(path: Path, max_seconds: float = MAX_SECONDS) -> Samples:
    """A recording from disk, as `decode`. The size is checked before the file is read. Raises DataError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(
                f"{path.name} has more than {MAX_FILE_BYTES >> 20} MiB.",
                "Cut it into shorter recordings.",
                "recording.too_large",
            )
        content = path.read_bytes()
    except OSError as fault:
        raise DataError(f"{path.name} cannot be read.", "Check that the file is there.", "recording.missing") from fault
    return decode(content, path.name, max_seconds)


def seconds_of(path: Path) -> float:
    """How long a recording is, by its head. Raises DataError."""
    import soundfile

    try:
        return float(soundfile.info(str(path)).duration)
    except (OSError, RuntimeError) as fault:
        message = f"{path.name} cannot be read as a recording."
        raise DataError(message, "Check that the file is there and whole.", "recording.missing") from fault


def _cancelled(frames: Samples, mono: Samples) -> bool:
    """Whether channels are loud, and their mean is not: one is (nearly) the other turned upside down."""
    loudest = float(np.sqrt((frames.astype(np.float64) ** 2).mean(axis=0)).max())
    return loudest > SILENCE and float(np.sqrt((mono.astype(np.float64) ** 2).mean())) < 0.02 * loudest
