"""Which importer serves which modality, what its columns can be, and which columns a file has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synth.errors import DataError
from synth.importing.table import Guess, ImportReport
from synth.progress import ProgressFn, silent
from synth.workspace import Workspace

MODALITIES = ("text", "vision", "audio")


def roles_of(modality: str) -> tuple[str, ...]:
    """What a column of such rows can be."""
    if modality == "vision":
        from synth.importing.images import ROLES as PICTURE_ROLES

        return tuple(PICTURE_ROLES)
    if modality == "audio":
        from synth.importing.audio import ROLES as RECORDING_ROLES

        return tuple(RECORDING_ROLES)
    from synth.importing.rows import ROLES

    return ROLES


def detect(modality: str, source: Path) -> Guess:
    """Format and columns of a file or folder, and which role each column seems to have. Raises DataError."""
    if modality == "vision":
        from synth.importing import images as import_images

        return import_images.detect(source)
    if modality == "audio":
        from synth.importing import audio as import_audio

        return import_audio.detect(source)
    from synth.importing import table as importers

    return importers.detect(source)


def import_rows(
    modality: str,
    source: Path,
    name: str,
    workspace: Workspace,
    mapping: Mapping[str, str] | None,
    on_progress: ProgressFn = silent,
) -> ImportReport:
    """Import a file or folder as a dataset of that modality. Raises DataError."""
    if modality == "text":
        from synth.importing.table import import_text

        return import_text(source, name, workspace, mapping, on_progress=on_progress)
    if modality == "vision":
        from synth.importing.images import import_images

        return import_images(source, name, workspace, mapping, on_progress=on_progress)
    if modality == "audio":
        from synth.importing.audio import import_audio

        return import_audio(source, name, workspace, mapping, on_progress=on_progress)
    raise DataError(f"There is no modality '{modality}'.", f"Choose one of {', '.join(MODALITIES)}.")
