"""Earlier versions of a dataset's task card: `task.jsonl` beside the card, one line a version, oldest first.

    {"at": "2026-05-01T10:00:00+00:00", "task": {…}}

The card of the dataset is what counts; the file only remembers. `synth.curation.amend` changes and restores; who was
trained with which version is `studio.read.task_uses`'.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from synth.dataset import DatasetDir
from synth.storage import Journal, read_jsonl
from synth.task import TaskCard

FILE = "task.jsonl"


class TaskVersion(NamedTuple):
    """A task card with its number, from 1, and when it came (ISO 8601; "" where that is not known)."""

    number: int
    since: str
    task: TaskCard

    @property
    def sha256(self) -> str:
        """Hash of the card's content, as runs and reports name it."""
        return self.task.sha256()


def versions(dataset: DatasetDir) -> list[TaskVersion]:
    """Every version of the task card, the present one last; a line that cannot be read is left out."""
    found = list(_read(dataset.path / FILE))
    if not found:
        found = [(dataset.card.created, dataset.task)]
    if found[-1][1] != dataset.task:  # a kill came between the card and its line
        found.append(("", dataset.task))
    return [TaskVersion(number, since, task) for number, (since, task) in enumerate(found, start=1)]


def note(dataset: DatasetDir, task: TaskCard) -> None:
    """Remember that `task` came after the card that `dataset` was opened with. Call it when the new card is written."""
    file = dataset.path / FILE
    known = list(_read(file))
    lines = [] if known else [(dataset.card.created, dataset.task)]
    if known and known[-1][1] != dataset.task:
        lines.append(("", dataset.task))
    with Journal(file) as journal:
        for since, version in [*lines, (datetime.now(UTC).isoformat(timespec="seconds"), task)]:
            journal.append({"at": since, "task": version.model_dump()})


def _read(file: Path) -> Iterator[tuple[str, TaskCard]]:
    for line in read_jsonl(file) if file.is_file() else ():
        try:
            if line.value is not None:
                yield str(line.value.get("at", "")), TaskCard.model_validate(line.value.get("task"))
        except ValidationError:
            continue
