"""Which importer serves which modality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synth.errors import DataError
from synth.workspace import Workspace


def import_rows(modality: str, source: Path, name: str, workspace: Workspace, mapping: dict[str, str] | None) -> Any:
    """Import a file or folder as a dataset of that modality; returns the importer's report (kept, rejected)."""
    if modality == "text":
        from synth.importers import import_text

        return import_text(source, name, workspace, mapping)
    if modality == "vision":
        from synth.import_images import import_images

        return import_images(source, name, workspace, mapping)
    if modality == "audio":
        from synth.import_audio import import_audio

        return import_audio(source, name, workspace)
    raise DataError(f"There is no modality '{modality}'.", "Choose text, vision or audio.")
