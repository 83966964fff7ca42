"""Who speaks: the one-function voice interface, and espeak-ng behind it.

A `Voice` turns text into mono float32 samples at 16 kHz; whatever does that can speak a dataset. Which names are used
for training and
which are held out is decided here, so that no recipe can mix them. No augmentation happens here (see `augment`).
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synth.errors import DataError

SAMPLE_RATE_HZ = 16_000

Samples = NDArray[np.float32]
_CHILD = Path(__file__).with_name("espeak_child.py")


class VoiceSpec(NamedTuple):
    """One speaker's settings: name (engine specific), rate in words per minute, pitch 0–99."""

    name: str
    rate_wpm: int = 175
    pitch: int = 50


Voice = Callable[[str, VoiceSpec], Samples]
"""(text, settings) → float32 mono samples at 16 kHz in −1…1."""

# An accent (which phonemes) plus a variant (which vocal tract). The held-out names share no variant with the training
# names.
ACCENTS: tuple[str, ...] = ("en-us", "en", "en-gb-x-rp")
TRAIN_VARIANTS: tuple[str, ...] = (
    "f1", "f2", "f3", "f5", "m1", "m2", "m3", "m5", "m6", "m8", "Alex", "Andrea", "Andy", "Gene", "Lee",
    "Michael", "adam", "anika", "belinda", "caleb", "david", "edward", "linda", "steph", "travis", "paul",
    "quincy", "Reed",
)  # fmt: skip
HELD_OUT_VARIANTS: tuple[str, ...] = (
    "f4", "m4", "m7", "Annie", "Mike", "john", "steph2", "rob",
)  # fmt: skip
TRAIN_VOICES: tuple[str, ...] = tuple(f"{accent}+{variant}" for variant in TRAIN_VARIANTS for accent in ACCENTS)
HELD_OUT_VOICES: tuple[str, ...] = tuple(f"{accent}+{variant}" for variant in HELD_OUT_VARIANTS for accent in ACCENTS)


def resample(samples: Samples, source_hz: int) -> Samples:
    """Mono samples at any rate → 16 kHz, with torchaudio's windowed-sinc filter."""
    if source_hz == SAMPLE_RATE_HZ:
        return samples
    import torch

    return np.asarray(_resampler(source_hz)(torch.from_numpy(np.ascontiguousarray(samples))), dtype=np.float32)


_resamplers: dict[int, Any] = {}


def _resampler(source_hz: int) -> Any:
    """The filter for one source rate; building it costs more than using it, so it is kept."""
    if source_hz not in _resamplers:
        import torchaudio

        _resamplers[source_hz] = torchaudio.transforms.Resample(source_hz, SAMPLE_RATE_HZ)
    return _resamplers[source_hz]


class EspeakVoice:
    """espeak-ng in a child process, as a `Voice`. Use it as a context manager; a dead child is started again once.

    Raises DataError when the child cannot speak a text or does not answer within `timeout_sec`.
    """

    def __init__(self, timeout_sec: float = 20.0) -> None:
        self._timeout_sec = timeout_sec
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EspeakVoice:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __call__(self, text: str, spec: VoiceSpec) -> Samples:
        request = {"text": text, "voice": spec.name, "rate": spec.rate_wpm, "pitch": spec.pitch}
        line = json.dumps(request).encode() + b"\n"
        try:
            header, audio = self._ask(line)
        except (BrokenPipeError, EOFError):
            self.close()
            try:
                header, audio = self._ask(line)
            except (BrokenPipeError, EOFError) as gone:
                self.close()
                raise DataError(
                    "The espeak-ng process ended while speaking.",
                    "Check that the espeakng-loader package is installed (`smolstudio doctor`).",
                    code="espeak-ended",
                ) from gone
        if "error" in header:
            raise DataError(
                str(header["error"]), "Choose one of the voices in synth.audio.voices.", code="espeak-refused"
            )
        samples = np.frombuffer(audio, dtype="<i2").astype(np.float32) / 32768.0
        return resample(samples, int(header["sample_rate"]))

    def close(self) -> None:
        """End the child; harmless when there is none."""
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # the child was already gone with bytes still buffered
                    continue
        try:
            child.wait(timeout=2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _ask(self, line: bytes) -> tuple[dict[str, Any], bytes]:
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-I", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
        assert self._child.stdin is not None
        self._child.stdin.write(line)
        deadline = time.monotonic() + self._timeout_sec
        head, _, rest = self._read_until(lambda got: b"\n" in got, b"", deadline).partition(b"\n")
        header: dict[str, Any] = json.loads(head)
        size = int(header.get("bytes", 0))
        return header, self._read_until(lambda got: len(got) >= size, rest, deadline)

    def _read_until(self, enough: Callable[[bytes | bytearray], bool], got: bytes, deadline: float) -> bytes:
        assert self._child is not None and self._child.stdout is not None
        pieces = bytearray(got)
        descriptor = self._child.stdout.fileno()
        while not enough(pieces):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self._child.kill()
                raise DataError(
                    f"espeak-ng did not answer within {self._timeout_sec:g} s.", "Shorten the text.", code="espeak-slow"
                )
            chunk = os.read(descriptor, 1 << 20)
            if not chunk:
                raise EOFError
            pieces += chunk
        return bytes(pieces)
