"""What a preflight found, as preflight.json and a picture in the run folder: records, reading and writing.

Pages and commands read it; `recipes.train.preflight` makes it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from recipes.train.ranks import ranks
from synth.errors import RunError
from synth.storage import atomic_write_bytes, read_json, write_json

if TYPE_CHECKING:
    from PIL.Image import Image

FILE = "preflight.json"
PICTURE = "preflight.png"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Piece(Frozen):
    """A stretch of the decoded sample; `masked` text carries no loss."""

    text: str
    masked: bool


class Tokens(Frozen):
    """Token counts over the rows; `learned` is the share that carries loss."""

    rows: int
    longest: int
    mean: float
    learned: float
    cut_targets: int


class Probe(Frozen):
    """What two optimiser steps measured; seconds are of one optimiser step on the longest batch."""

    problems: tuple[str, ...]
    memory_bytes: int
    memory_available_bytes: int
    seconds_per_step: float
    projected_sec: float
    trainable: int
    frozen: int


class PreflightReport(Frozen):
    """Whether the training may start, why not, and what it will cost.

    `probe` is None when rows were at fault and no step was taken. `picture` is a file name in the run folder.
    """

    version: int = 1
    ok: bool
    problems: tuple[str, ...]
    sample: tuple[Piece, ...]
    sample_text: str
    tokens: Tokens
    probe: Probe | None
    steps: int
    picture: str | None = None
    seconds: float

    def refuse(self) -> None:
        """Raise RunError with every problem when there is one."""
        if self.problems:
            listing = " ".join(f"({number}) {text}" for number, text in enumerate(self.problems, start=1))
            raise RunError(
                f"The training was not started, and nothing was changed: {listing}",
                "Correct that, and start again.",
                "run.preflight",
            )


def save_report(report: PreflightReport, run_path: Path) -> None:
    """Write the report into the run folder; of several processes, one does."""
    if ranks().leads:
        write_json(run_path / FILE, report.model_dump())


def read_report(run_path: Path) -> PreflightReport | None:
    """The report in a run folder, or None when there is none."""
    file = run_path / FILE
    return PreflightReport.model_validate(read_json(file)) if file.is_file() else None


def keep_picture(image: Image, run_path: Path) -> str:
    """Save a PIL image of what the model gets in the run folder; returns its file name."""
    if not ranks().leads:
        return PICTURE
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    atomic_write_bytes(run_path / PICTURE, buffer.getvalue())
    return PICTURE
