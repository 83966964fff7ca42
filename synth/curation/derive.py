"""A new dataset from the rows of another: each kept, or dropped with its reason; media copied, the parent on record.

Knows how such a dataset is written, not which rows it keeps: that is for `curate` and `review`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from synth.build import check_name, now_utc
from synth.curation import leakage
from synth.dataset import MADE_OF, REAL, Card, DatasetDir, DatasetWriter
from synth.errors import DataError, RunError
from synth.example import Example, media_parts
from synth.progress import Meter, ProgressFn, silent
from synth.storage import atomic_dir, atomic_write_bytes
from synth.workspace import Workspace


class Dropped(NamedTuple):
    """A row that is not kept, and the counted reason."""

    example: Example
    reason: str


def derive(
    source: DatasetDir,
    name: str,
    workspace: Workspace,
    rows: Iterable[Example | Dropped],
    notes: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
    on_progress: ProgressFn = silent,
    stop: Callable[[], bool] = lambda: False,
) -> DatasetDir:
    """Make the dataset `name` of `rows`, which hold every row of `source` once.

    Args:
        notes: what the card says of how it was made; the parent, its hashes and its own notes are added.
        files: further files for its folder, by name.
        stop: asked between rows; when it answers True nothing is left and RunError is raised.

    Raises:
        DataError: the source's files are not those of its card, or no training row is left.
        StorageError: the name is taken, or the disk refuses.
    """
    if faults := source.verify():
        message = f"{source.name} cannot be a parent: {faults[0]}."
        raise DataError(message, "Restore its files, or make it again.", "data.changed")
    start = time.monotonic()
    target = workspace.datasets / check_name(name)
    meter = Meter(f"make {name}", sum(source.card.splits.values()), "rows", on_progress)
    with atomic_dir(target) as folder:
        writer = DatasetWriter(folder)
        for done, row in enumerate(rows, start=1):
            if stop():
                raise RunError("It was stopped; nothing was kept.", "Start it again.", "run.stopped")
            if isinstance(row, Dropped):
                writer.reject(row.example, row.reason)
            else:
                _copy_media(source, row, folder)
                writer.keep(row)
            meter.update(done, f"{sum(writer.reasons.values())} dropped")
        if source.count("train") and not writer.counts["train"]:
            raise DataError("No training row would be left.", "Drop fewer rows.", "data.nothing_left")
        for file, data in (files or {}).items():
            atomic_write_bytes(folder / file, data)
        writer.finish(_card(source.card, name, notes, time.monotonic() - start))
        leakage.record(folder)
    return DatasetDir(target)


def _card(parent: Card, name: str, notes: Mapping[str, Any], seconds: float) -> Card:
    """The parent's card for the new dataset; the whole line of ancestors stays in its notes."""
    before = {key: value for key, value in parent.notes.items() if key != "leakage"}
    ancestor = {"name": parent.name, "created": parent.created, "sha256": parent.sha256, "notes": before}
    kept = {note: parent.notes[note] for note in (REAL, MADE_OF) if note in parent.notes}
    return parent.model_copy(
        update={
            "name": name,
            "created": now_utc(),
            "seconds": round(parent.seconds + seconds, 3),
            "notes": {**kept, **notes, "parent": ancestor},
        }
    )


def _copy_media(source: DatasetDir, example: Example, folder: Path) -> None:
    for part in media_parts(example):
        original, copy = source.media_path(part.path), folder / part.path
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(original, copy)
