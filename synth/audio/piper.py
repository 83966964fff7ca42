"""Piper's voices: files that a user names or added, and the engine, in a process of its own, that speaks them.

A voice is `NAME.onnx` with `NAME.onnx.json` beside it, and often a MODEL_CARD that says its licence. It may hold
several speakers; each of them is a voice here, named `NAME#3`. Only English ones are taken, because the sentences are
English. Piper (the package piper-tts, GPL-3) is never imported: any Python that has it runs `piper_child.py`.

Added voices lie in SMOLSTUDIO_VOICES, else smolstudio/voices in the user's cache, a folder each.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from synth.audio.voices import RATES_HZ, USUAL_WPM, Engine, Samples, SpeakingProcess, VoiceSpec, audible
from synth.errors import DataError, StorageError, did_you_mean
from synth.storage import read_json, sha256_file

PIPER = "piper"
PYTHON = "SMOLSTUDIO_PIPER_PYTHON"
HOME = "SMOLSTUDIO_VOICES"
CARDS = ("MODEL_CARD", "MODEL_CARD.md", "README.md")
MOST_SPEAKERS = 1000
TIMEOUT_SEC = 60.0
"""Loading a voice takes half a second on a quiet core, and a sentence as much."""
_LICENCE = re.compile(r"^\W*licen[cs]e\W+(.{2,80})$", re.IGNORECASE | re.MULTILINE)
_INSTALL = (
    "Install it with `pip install 'smolstudio[piper]'` (GPL-3, runs in a process of its own), "
    f"or name a Python that has it in {PYTHON}."
)


class PiperFile(NamedTuple):
    """A voice on disk: its name, model, number of speakers and rate, and the licence that its card states."""

    name: str
    model: Path
    speakers: int
    rate_hz: int
    licence: str

    @property
    def names(self) -> tuple[str, ...]:
        """Its speakers, as names of voices."""
        return (self.name,) if self.speakers == 1 else tuple(f"{self.name}#{n}" for n in range(self.speakers))


def home() -> Path:
    """Where added voices are kept."""
    if chosen := os.environ.get(HOME):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smolstudio" / "voices"


def find(where: str) -> tuple[PiperFile, ...]:
    """The voices of a folder, a .onnx file, or the name of an added voice, by name. Raises DataError."""
    folder, added = Path(where).expanduser(), home() / where
    if not folder.exists() and re.fullmatch(r"[\w.-]+", where) and added.is_dir():
        folder = added
    if not folder.exists():
        known = sorted(path.name for path in home().glob("*") if path.is_dir())
        hint = did_you_mean(where, known)
        raise DataError(
            f"There is no folder or added voice '{where}'{hint}.",
            "Give a folder that holds a .onnx and its .onnx.json, or add a voice: smolstudio voices add.",
            "voice.missing",
        )
    models = sorted(folder.rglob("*.onnx")) if folder.is_dir() else [folder]
    if not models:
        raise DataError(
            f"{folder} holds no .onnx file.", "A voice is NAME.onnx with NAME.onnx.json beside it.", "voice.missing"
        )
    found = {voice.name: voice for voice in map(_read, models)}
    if len(found) < len(models):
        raise DataError(f"Two voices below {folder} have the same name.", "Rename one of them.", "voice.broken")
    return tuple(found[name] for name in sorted(found))


def _read(model: Path) -> PiperFile:
    """What a voice's files say of it. Raises DataError for one that lacks a part or is in another language."""
    config = model.with_name(f"{model.name}.json")
    if not config.is_file():
        raise DataError(
            f"{model.name} has no {config.name} beside it.", "Fetch both files of the voice.", "voice.missing"
        )
    try:
        said = read_json(config)
        rate, speakers = said["audio"]["sample_rate"], said["num_speakers"]
        language = str(said["espeak"]["voice"])
    except (StorageError, KeyError, TypeError) as fault:
        message = f"{config.name} does not describe a voice of Piper."
        raise DataError(message, "Fetch the voice again.", "voice.broken") from fault
    if not isinstance(rate, int) or rate not in RATES_HZ:
        message = f"{config.name} claims {str(rate)[:20]} Hz."
        raise DataError(message, "Fetch the voice again: usual are 16,000 and 22,050.", "voice.broken")
    if not isinstance(speakers, int) or not 1 <= speakers <= MOST_SPEAKERS:
        message = f"{config.name} claims {str(speakers)[:20]} speakers."
        raise DataError(message, "Fetch the voice again.", "voice.broken")
    if not language.startswith("en"):
        message = f"{model.name} speaks '{language[:20]}', and the sentences are English."
        raise DataError(message, "Give a folder of English voices only.", "voice.language")
    return PiperFile(model.name.removesuffix(".onnx"), model.absolute(), speakers, rate, _licence(model))


def _licence(model: Path) -> str:
    for name in CARDS:
        card = model.with_name(name)
        if card.is_file() and (stated := _LICENCE.search(card.read_text("utf-8", "replace")[:20_000])):
            return f"{stated.group(1).strip()} (its {name})"
    return "not stated in its folder"


def sha256(voice: PiperFile) -> str:
    """SHA-256 of the model, read again only where the file changed."""
    state = voice.model.stat()
    return _sha256(voice.model, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(model: Path, _size: int, _changed: int) -> str:
    return sha256_file(model)


class PiperVoice(SpeakingProcess):
    """Piper as a `Voice` that knows these files. The same words by the same speaker are always the same samples.

    That holds for one kind of processor and one version of onnxruntime: others round the network's sums differently.
    Raises DataError: Piper is not installed, a voice's files are broken, the process ended, or nothing can be heard.
    """

    def __init__(self, files: tuple[PiperFile, ...], timeout_sec: float = TIMEOUT_SEC) -> None:
        python = os.environ.get(PYTHON) or sys.executable
        child = Path(__file__).with_name("piper_child.py")
        remedy = f"Start again; if it ends again, try another voice or another Python ({PYTHON})."
        super().__init__(Engine("Piper", (python, "-I", str(child)), remedy), timeout_sec)
        self._speakers = {
            name: (voice, number if voice.speakers > 1 else None)
            for voice in files
            for number, name in enumerate(voice.names)
        }

    def __call__(self, text: str, spec: VoiceSpec) -> Samples:
        voice, speaker = self._speakers[spec.name]
        header, samples = self.answer(
            {
                "text": text,
                "model": str(voice.model),
                "speaker": speaker,
                "length_scale": USUAL_WPM / spec.rate_wpm,
            }
        )
        _refuse(header)
        if header["sample_rate"] != voice.rate_hz:
            raise DataError(
                f"{voice.name} came at {header['sample_rate']} Hz, and its file says {voice.rate_hz}.",
                "Fetch the voice again.",
                "voice.broken",
            )
        return audible(samples, text, spec)


def _refuse(header: Mapping[str, Any]) -> None:
    """Raise DataError for an answer that is a refusal."""
    if "error" not in header:
        return
    said, kind = str(header["error"])[:300], header.get("kind")
    if kind == "missing":
        raise DataError(said, _INSTALL, "voice.engine")
    if kind == "voice":
        raise DataError(said, "Fetch both files of the voice again.", "voice.broken")
    raise DataError(said, "Take that sentence out, or use another voice.", "voice.refused")
