"""The backend of a loaded speech model, and the window that an adapter was trained with.

`audio_backend(loaded)` gives the class of `recipes.audio.backend`: Whisper takes mel windows of one length; Moonshine
bare waveforms; Qwen3-ASR is a language model whose chat template has a place for the recording; Parakeet CTC has no
decoder at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recipes.audio.backend import AudioBackend
from recipes.audio.ctc import Ctc
from recipes.audio.moonshine import Moonshine
from recipes.audio.qwen3_asr import Qwen3Asr
from recipes.audio.whisper import Whisper
from synth.storage import read_json, write_json

if TYPE_CHECKING:
    from recipes.models.loaded import Loaded

WINDOW_FILE = "window.json"

CLASSES: dict[str, type[AudioBackend]] = {
    "whisper": Whisper,
    "moonshine": Moonshine,
    "qwen3_asr": Qwen3Asr,
    "parakeet_ctc": Ctc,
}


def audio_backend(loaded: Loaded) -> AudioBackend:
    """The backend of a loaded speech model."""
    return CLASSES[loaded.model.config.model_type](loaded)


def save_window(adapter: Path, seconds: float) -> None:
    """Keep the window beside the adapter that was trained with it."""
    write_json(adapter / WINDOW_FILE, {"seconds": seconds})


def saved_window(adapter: Path) -> float | None:
    """The window that an adapter was trained with; None for one made elsewhere."""
    file = adapter / WINDOW_FILE
    return float(read_json(file)["seconds"]) if file.is_file() else None


def restore_window(loaded: Loaded, adapter: Path) -> None:
    """Give the model the window that its adapter was trained with, where that is known. In place."""
    seconds = saved_window(adapter)
    if seconds is not None:
        audio_backend(loaded).fit(seconds)
