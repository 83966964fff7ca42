"""A user's own recordings as noises and rooms: which can be used, which only tests hear, and parts of them as samples.

    noises(folder)   anything that goes on behind speech; a random part of one is mixed in
    rooms(folder)    impulse responses; speech is convolved with one

Every audio file below the folder is looked at once: what is broken, silent, too short or a copy is left out by name and
reason. A fifth of the files (those with the smallest hashes, so that a name says nothing and a new file moves few) is
for test and test_ood alone. Parts of one long recording that were cut into files are not recognised as such.
"""

from __future__ import annotations

import hashlib
import math
import stat
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from synth.audio.voices import RATES_HZ, SAMPLE_RATE_HZ, Samples, resample
from synth.errors import DataError
from synth.example import Split
from synth.storage import sha256_bytes, sha256_file

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".m4a", ".aac", ".wma", ".webm")
"""What counts as a recording; of the last ones it is said that they are not read."""
MOST_FILES = 5000
LONGEST_SEC = 3600.0
SHORTEST_SEC = 0.5
SILENT = 1e-4
"""RMS (full scale is 1) of the loudest second up to which a recording holds nothing: −80 dB."""
LONGEST_ROOM_SEC = 10.0
SHORTEST_ROOM_SEC = 0.01
TESTS_SHARE = 5  # one file in so many is for tests
QUIET_PART = 0.1
"""A part whose RMS is below this share of its recording's is a pause, and another part is drawn."""
TRIES = 8
ONSET = 0.1  # of the peak: what comes before is the way to the microphone, or the recorder's noise
LEAD_SEC = 0.001
TAIL_ENERGY = 1e-4  # of all energy: what is left at the end, 40 dB down, is mostly the recorder's noise, and cut off
HALF_ENERGY_SEC = 0.5
"""After this much a room has given back half of what it ever will; music, speech and sweeps have not."""


class Recording(NamedTuple):
    """A file that can be used. `loudest`: the frame at which its loudest second begins; `rms` without its mean."""

    name: str
    path: Path
    sha256: str
    sound: str  # hash of its samples: the same in another lossless container
    rate_hz: int
    frames: int
    loudest: int
    rms: float


class Library(NamedTuple):
    """A folder's recordings in the order of their hashes, and (name, reason) of each file that is left out."""

    used: tuple[Recording, ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def sha256(self) -> str:
        """Changes when a file that is used changes, comes, goes or takes another name."""
        return sha256_bytes("\n".join(f"{one.sha256} {one.name}" for one in self.used).encode())

    def of(self, split: Split) -> tuple[Recording, ...]:
        """The recordings of a split: those of test and test_ood are heard in no other. One alone is everybody's."""
        if len(self.used) == 1:
            return self.used
        held = max(1, len(self.used) // TESTS_SHARE)
        return self.used[:held] if split in ("test", "test_ood") else self.used[held:]


def noises(folder: str, both: bool) -> Library:
    """The noises below a folder; `both`: training and tests are asked for, which need one each. Raises DataError."""
    return _library(folder, "noise", _noise, both)


def rooms(folder: str, both: bool) -> Library:
    """The impulse responses below a folder, as `noises`."""
    return _library(folder, "room", _room, both)


def _library(folder: str, what: str, look: Callable[[Path, int, int], Recording | str], both: bool) -> Library:
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise DataError(f"There is no folder {folder} of {what} recordings.", "Check its path.", "recording.folder")
    files = sorted(f for f in place.rglob("*") if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
    if len(files) > MOST_FILES:
        raise DataError(f"{folder} holds {len(files):,} recordings.", f"Give up to {MOST_FILES:,}.", "recording.folder")
    used: dict[str, Recording] = {}
    stems: set[Path] = set()
    left_out = []
    for file in files:
        name = file.relative_to(place).as_posix()
        found = _looked_at(look, file)
        if isinstance(found, str):
            left_out.append((name, found))
        elif found.sound in used:
            left_out.append((name, "the same sound as another"))
        elif file.with_suffix("") in stems:
            left_out.append((name, "the same name as another, in another format"))
        else:
            used[found.sound] = found._replace(name=name)
            stems.add(file.with_suffix(""))
    if not used:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out[:3]) or "it holds no WAV, FLAC, OGG or MP3"
        raise DataError(
            f"No {what} recording in {folder} can be used ({why}).", "Record or export them again.", "recording.folder"
        )
    if both and len(used) == 1:
        message = f"{folder} holds one {what} recording that can be used, and tests need one that training never hears."
        raise DataError(message, "Add another, or ask for no test rows.", "recording.folder")
    return Library(tuple(sorted(used.values(), key=lambda one: one.sha256)), tuple(left_out))


def _looked_at(look: Callable[[Path, int, int], Recording | str], file: Path) -> Recording | str:
    try:
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):
            return "no plain file"  # whoever opens a pipe waits for ever
        return look(file, state.st_size, state.st_mtime_ns)
    except OSError:
        return "cannot be opened"


@lru_cache(maxsize=2 * MOST_FILES)
def _noise(file: Path, _size: int, _changed: int) -> Recording | str:
    """A noise, or why it is none. The file is read once, in pieces of a second."""
    import soundfile

    heard, powers, frames = hashlib.sha256(), list[tuple[float, int]](), 0
    try:
        with soundfile.SoundFile(file) as sound:
            rate = sound.samplerate
            if rate not in RATES_HZ:
                return f"{rate} Hz is no usual rate"
            while len(block := sound.read(rate, dtype="float32", always_2d=True)):
                mono = block.mean(axis=1, dtype=np.float32)
                if not np.isfinite(mono).all():
                    return "samples that are not numbers"
                heard.update(mono.tobytes())
                powers.append((float(np.var(mono, dtype=np.float64)), len(mono)))
                frames += len(mono)
                if frames > LONGEST_SEC * rate:
                    return f"longer than {LONGEST_SEC / 60:.0f} minutes"
    except soundfile.LibsndfileError:
        return "not a readable recording"
    if frames < SHORTEST_SEC * rate:
        return f"shorter than {SHORTEST_SEC:g} s"
    whole = [power for power, count in powers if count >= rate // 2]
    if math.sqrt(max(whole)) <= SILENT:
        return "silent"
    rms, loudest = math.sqrt(sum(power * count for power, count in powers) / frames), whole.index(max(whole))
    return Recording(file.name, file, sha256_file(file), heard.hexdigest(), rate, frames, rate * loudest, rms)


@lru_cache(maxsize=2 * MOST_FILES)
def _room(file: Path, _size: int, _changed: int) -> Recording | str:
    """An impulse response, or why it is none."""
    import soundfile

    try:
        with soundfile.SoundFile(file) as sound:
            rate = sound.samplerate
            if rate not in RATES_HZ:
                return f"{rate} Hz is no usual rate"
            samples = sound.read(int(LONGEST_ROOM_SEC * rate) + 1, dtype="float32", always_2d=True)[:, 0]
    except soundfile.LibsndfileError:
        return "not a readable recording"
    if len(samples) > LONGEST_ROOM_SEC * rate:
        return f"longer than {LONGEST_ROOM_SEC:g} s, which no impulse response is"
    if not np.isfinite(samples).all():
        return "samples that are not numbers"
    if not len(samples) or float(np.abs(samples).max()) <= SILENT:
        return "silent"
    start, end = _bounds(samples, rate)
    if end - start < SHORTEST_ROOM_SEC * rate:
        return f"shorter than {SHORTEST_ROOM_SEC * 1000:g} ms"
    energy = np.cumsum(np.square(samples[start:end], dtype=np.float64))
    if int(np.searchsorted(energy, energy[-1] / 2)) > HALF_ENERGY_SEC * rate:
        return "no impulse response: its sound does not die away"
    sound_hash = sha256_bytes(samples.tobytes())
    return Recording(file.name, file, sha256_file(file), sound_hash, rate, len(samples), start, 0.0)


def _bounds(samples: Samples, rate_hz: int) -> tuple[int, int]:
    """Where a response begins, just before the direct sound, and where what is left lies 40 dB below the whole."""
    loud = np.abs(samples)
    onset = int(np.argmax(loud >= ONSET * loud.max()))
    start = max(0, onset - int(LEAD_SEC * rate_hz))
    energy = np.cumsum(np.square(samples[start:], dtype=np.float64))
    return start, start + int(np.searchsorted(energy, energy[-1] * (1 - TAIL_ENERGY))) + 1


def part(recording: Recording, length: int, rng: np.random.Generator) -> Samples:
    """`length` samples at 16 kHz from anywhere in a noise, at RMS 1 and without its mean; short ones go round.

    Pauses are avoided: where eight draws found nothing else, it is the loudest part of the loudest second, or of that
    second and what follows.
    """
    wanted = math.ceil(length * recording.rate_hz / SAMPLE_RATE_HZ) + 1
    if recording.frames <= wanted:
        whole = _read(recording, 0, recording.frames)
        turn = int(rng.integers(len(whole)))
        return _at_rms_1(np.take(whole, np.arange(turn, turn + length), mode="wrap"))
    last = recording.frames - wanted
    for _ in range(TRIES):
        found = _read(recording, int(rng.integers(last + 1)), wanted)[:length]
        if float(np.std(found)) >= QUIET_PART * recording.rms:
            return _at_rms_1(found)
    count = max(wanted, min(recording.rate_hz, recording.frames))
    heard = _read(recording, min(recording.loudest, recording.frames - count), count)
    energy = np.concatenate([[0.0], np.cumsum(np.square(heard, dtype=np.float64))])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return _at_rms_1(heard[start : start + length])


def _at_rms_1(samples: Samples) -> Samples:
    centred = samples.astype(np.float64) - float(np.mean(samples, dtype=np.float64))
    return (centred / max(float(np.sqrt(np.mean(centred**2))), 1e-9)).astype(np.float32)


def _read(recording: Recording, start: int, count: int) -> Samples:
    """A piece at 16 kHz, its channels mixed. Raises DataError where the file is no longer what was looked at."""
    import soundfile

    try:
        with soundfile.SoundFile(recording.path) as sound:
            sound.seek(start)
            frames = sound.read(count, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as fault:
        raise _changed(recording) from fault
    if len(frames) < count:
        raise _changed(recording)
    return resample(frames.mean(axis=1, dtype=np.float32), recording.rate_hz)


def _changed(recording: Recording) -> DataError:
    return DataError(
        f"{recording.name} changed while rows were made of it.", "Start again, and leave it alone.", "recording.changed"
    )


@lru_cache(maxsize=32)
def response(room: Recording) -> Samples:
    """A room's response at 16 kHz: its first channel, from the direct sound to 40 dB down. Raises DataError."""
    import soundfile

    try:
        with soundfile.SoundFile(room.path) as sound:
            samples = sound.read(room.frames, dtype="float32", always_2d=True)[:, 0]
    except (OSError, soundfile.LibsndfileError) as fault:
        raise _changed(room) from fault
    if len(samples) < room.frames:
        raise _changed(room)
    start, end = _bounds(samples, room.rate_hz)
    return resample(np.ascontiguousarray(samples[start:end]), room.rate_hz)
