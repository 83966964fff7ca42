"""Where the pictures and recordings of replay rows lie: a temporary folder that lives as long as the process.

Such rows belong to no dataset, so that their references begin with `replay/`; `media_file` finds either kind.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

from synth.errors import DataError
from synth.media import resolve_inside
from synth.storage import sha256_bytes

REPLAY = "replay"


@lru_cache(maxsize=1)
def _holder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="smolstudio-replay-")


def scratch() -> Path:
    """This process's folder of replay media, removed when it ends."""
    return Path(_holder().name)


def add_media(data: bytes, suffix: str) -> str:
    """Store the bytes under their hash; the reference by which `media_file` finds them."""
    path = f"{REPLAY}/{sha256_bytes(data)[:32]}{suffix}"
    file = scratch() / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    return path


def media_file(root: Path | None, path: str, what: str = "medium") -> Path:
    """The file of a reference: of a replay row in the scratch folder, of another below `root`, the dataset's folder.

    Raises DataError as `synth.media.resolve_inside`, and when there is no dataset to look in.
    """
    if path.startswith(f"{REPLAY}/"):
        return resolve_inside(scratch(), path, what)
    if root is None:
        raise DataError(f"The {what} {path} belongs to a dataset, and none is given.", "Give the dataset.")
    return resolve_inside(root, path, what)
