"""Who speaks: the one-function voice interface, engines in processes of their own, and espeak-ng as one of them.

A `Voice` turns text into mono float32 samples at 16 kHz; whatever does that can speak a dataset. Which names of
espeak-ng are used for training and which are held out is decided here, so that no recipe can mix them; who speaks a
split is `cast`. No augmentation happens here (see `augment`).
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
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from synth.errors import DataError

SAMPLE_RATE_HZ = 16_000
RATES_HZ = range(4_000, 192_001)
MAX_BYTES = 1 << 27
"""Of one utterance: ten minutes at 96 kHz."""

Samples = NDArray[np.float32]
_CHILD = Path(__file__).with_name("espeak_child.py")


ESPEAK = "espeak-ng"
SILENT = 1e-3
"""Largest sample (full scale is 1) up to which what came back is no speech: each sentence is near full scale."""
USUAL_WPM = 175


class VoiceSpec(NamedTuple):
    """One speaker's settings: name (engine specific), rate in words per minute, pitch 0–99 where the engine has one."""

    name: str
    rate_wpm: int = USUAL_WPM
    pitch: int | None = 50
    engine: str = ESPEAK


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


class Engine(NamedTuple):
    """A speech engine behind pipes: its command, and what to do about a process that ends."""

    name: str
    command: tuple[str, ...]
    remedy: str


class Answer(NamedTuple):
    """What the process said: its line, and the samples that came behind it at the rate that the line names."""

    header: dict[str, Any]
    samples: Samples


class SpeakingProcess:
    """A speech engine in a child process. Use it as a context manager; a dead child is started again once.

    Protocol, one request at a time: a JSON line there; back a JSON line, and as many bytes of little-endian 16-bit mono
    samples as its `bytes` says (at `sample_rate` Hz), or a line with `error`. Raises DataError when the child ends,
    says what is no answer, or does not answer within `timeout_sec`; a refusal is the caller's to word.
    """

    def __init__(self, engine: Engine, timeout_sec: float) -> None:
        self._engine, self._timeout_sec = engine, timeout_sec
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def answer(self, request: dict[str, Any]) -> Answer:
        """What the engine answers; the samples are at 16 kHz."""
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
                    f"The {self._engine.name} process ended while speaking.",
                    self._engine.remedy,
                    code="voice.ended",
                ) from gone
        samples = np.frombuffer(audio, dtype="<i2").astype(np.float32) / 32768.0
        return Answer(header, resample(samples, int(header["sample_rate"])) if audio else samples)

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
            try:
                self._child = subprocess.Popen(
                    self._engine.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
                )
            except OSError as fault:
                raise DataError(
                    f"{self._engine.command[0]}, which should run {self._engine.name}, cannot be started.",
                    self._engine.remedy,
                    code="voice.ended",
                ) from fault
        assert self._child.stdin is not None
        self._child.stdin.write(line)
        deadline = time.monotonic() + self._timeout_sec
        head, _, rest = self._read_until(lambda got: b"\n" in got, b"", deadline).partition(b"\n")
        header = self._header(head)
        size = int(header.get("bytes", 0))
        audio = self._read_until(lambda got: len(got) >= size, rest, deadline)
        if len(audio) > size:
            raise self._no_answer()
        return header, audio

    def _header(self, head: bytes) -> dict[str, Any]:
        """The line as an object. Raises DataError for one that is no answer."""
        try:
            header = json.loads(head)
        except (ValueError, RecursionError) as fault:
            raise self._no_answer() from fault
        if not isinstance(header, dict):
            raise self._no_answer()
        size, rate = header.get("bytes", 0), header.get("sample_rate", 0)
        whole = all(isinstance(number, int) and not isinstance(number, bool) for number in (size, rate))
        if "error" not in header and not (whole and 0 <= size <= MAX_BYTES and not size % 2 and rate in RATES_HZ):
            raise self._no_answer()
        return header

    def _no_answer(self) -> DataError:
        """What the child said was not in the protocol; the child is ended, because what it says next is unclear too."""
        if self._child is not None:
            self._child.kill()
        self.close()
        return DataError(
            f"The {self._engine.name} process gave something that is no speech.",
            self._engine.remedy,
            code="voice.answer",
        )

    def _read_until(self, enough: Callable[[bytes | bytearray], bool], got: bytes, deadline: float) -> bytes:
        assert self._child is not None and self._child.stdout is not None
        pieces = bytearray(got)
        descriptor = self._child.stdout.fileno()
        while not enough(pieces):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self._child.kill()
                self.close()
                raise DataError(
                    f"{self._engine.name} did not answer within {self._timeout_sec:g} s.",
                    "Shorten the text.",
                    code="voice.slow",
                )
            chunk = os.read(descriptor, 1 << 20)
            if not chunk:
                raise EOFError
            pieces += chunk
        return bytes(pieces)


def audible(samples: Samples, text: str, spec: VoiceSpec) -> Samples:
    """The samples. Raises DataError where there is nothing to hear in them, as of a text without words."""
    if not len(samples) or float(np.abs(samples).max()) < SILENT:
        message = f"{spec.name} gave silence for “{text[:60]}”."
        raise DataError(message, "Take that sentence out, or use another voice.", "voice.silent")
    return samples


class EspeakVoice(SpeakingProcess):
    """espeak-ng as a `Voice`. Raises DataError also for a text or a name that it cannot speak."""

    def __init__(self, timeout_sec: float = 20.0) -> None:
        remedy = "Check that the espeakng-loader package is installed (`smolstudio doctor`)."
        super().__init__(Engine(ESPEAK, (sys.executable, "-I", str(_CHILD)), remedy), timeout_sec)

    def __call__(self, text: str, spec: VoiceSpec) -> Samples:
        request = {"text": text, "voice": spec.name, "rate": spec.rate_wpm, "pitch": spec.pitch}
        header, samples = self.answer(request)
        if "error" in header:
            raise DataError(
                str(header["error"]), "Choose one of the voices in synth.audio.voices.", code="voice.refused"
            )
        return audible(samples, text, spec)
