"""What may change in a finished dataset: its task card, and the rows of `test_real`. Training rows never do.

    add_real(dataset, rows, Origin(kind="real"), folder)     rows that no generator made, to be tested on and never more
    add_real_file(dataset, Path("may.csv"), "real")          the same from a user's file, read as an import
    set_task(dataset, instruction="…")                       what the dataset asks of a model
    restore_task(dataset, 2)                                 the same from an earlier version of it

Real rows are decontaminated the other way round: a real row that stands in training is refused, because models may
have been trained on it already. How files are read is for `synth.importing`.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import ValidationError

from synth.curation import leakage, task_history
from synth.dataset import CARD, MEDIA, REAL, REJECTED, TASK, Card, DatasetDir
from synth.errors import DataError, did_you_mean
from synth.example import (
    AudioPart,
    Example,
    ImagePart,
    Message,
    Origin,
    OriginKind,
    Part,
    TextPart,
    media_parts,
    text_of,
)
from synth.media import read_inside
from synth.modality import modality
from synth.scoring import label
from synth.scoring.verify import quote
from synth.storage import DirLock, atomic_write_bytes, sha256_bytes, write_json
from synth.task import KINDS, MAX_LABELS, TaskCard, TaskKind, kinds_for
from synth.workspace import Workspace

WAIT_SEC = 30.0


class RealReport(NamedTuple):
    """Rows added now, rows refused by counted reason, and how many real rows the dataset has."""

    added: int
    refused: dict[str, int]
    total: int


def add_real(
    dataset: DatasetDir, rows: Iterable[Example], origin: Origin | None, folder: Path | None = None, said: str = ""
) -> RealReport:
    """Add rows to the split `test_real`, in place: no other split changes.

    Args:
        rows: of any split; they get this split, and the scorer that all rows of the dataset have, if it has one for
            all.
        origin: of all the rows; None leaves each its own.
        folder: where the media of the rows lie.
        said: what these rows are, for the card and the report ("notes of three wards, 2024").

    Raises:
        DataError: no row can be used, or the dataset's files are not those of its card.
        StorageError: the disk refuses, or another process changes the dataset.
    """
    with DirLock(dataset.path, WAIT_SEC):
        dataset = DatasetDir(dataset.path)
        if faults := dataset.verify():
            raise DataError(f"{dataset.name} cannot take rows: {faults[0]}.", "Restore its files.", "data.changed")
        gate = _Gate(dataset)
        kept: list[Example] = []
        refused: list[tuple[Example, str]] = []
        for row in map(gate.as_labelled, rows):
            reason = gate.reason(row)
            if reason:
                refused.append((row, reason))
            else:
                kept.append(_as_real(row, origin, gate.scorer, folder, dataset.path))
        reasons = Counter(reason for _, reason in refused)
        if not kept:
            first = f"; the first because {refused[0][1]}" if refused else ", there is none"
            raise DataError(f"No row can be added to {dataset.name}{first}.", "Give other rows.", "data.nothing_left")
        _write(dataset, kept, refused, said)
    return RealReport(len(kept), dict(reasons), dataset.count(REAL) + len(kept))


class RealImport(NamedTuple):
    """What was added; (line, reason) of lines that could not be read; how the others were: notes, unused keys."""

    report: RealReport
    unread: list[tuple[int, str]]
    said: tuple[str, ...] = ()


def add_real_file(
    dataset: DatasetDir,
    source: Path,
    kind: OriginKind,
    mapping: Mapping[str, str] | None = None,
    said: str = "",
    answer_columns: Sequence[str] = (),
) -> RealImport:
    """Add the rows of a file or folder, as an import of the dataset's modality reads them. Raises as `add_real`."""
    several: dict[str, Any] = {"answer_columns": answer_columns} if answer_columns else {}
    if question := _one_question(dataset):
        several["question"] = question
    with tempfile.TemporaryDirectory(prefix="smolstudio-real-") as folder:
        workspace = Workspace(Path(folder))
        import_rows = modality(dataset.card.modality).import_rows()
        found = import_rows(source, "rows", workspace, mapping, split_near_duplicates=True, **several)
        read = DatasetDir(workspace.datasets / "rows")
        rows = (row for split in read.splits() for row in read.examples(split))
        report = add_real(dataset, rows, Origin(kind=kind, by=source.name), read.path, said)
    return RealImport(report, list(found.rejected), (*found.notes, *(f"not used: {key}" for key in found.unused)))


def _one_question(dataset: DatasetDir) -> str:
    """What all pictures of a dataset are asked: as its import was told, or as its training rows agree; else ""."""
    kind = modality(dataset.card.modality)
    if kind.part is None or not kind.asks:
        return ""
    if told := str(dataset.card.spec.get("question", "")):
        return told
    first = ""
    for row in dataset.examples("train"):
        first = first or row.prompt[-1].text
        if row.prompt[-1].text != first:
            return ""
    return first


class _Gate:
    """Which rows may become real test rows of a dataset. Remembers those it let through."""

    def __init__(self, dataset: DatasetDir) -> None:
        part = modality(dataset.card.modality).part
        self.parts = () if part is None else (part,)
        self.labels, self.name = list(dataset.task.labels), dataset.name
        self.unknown: set[str] = set()
        self.splits: dict[str, str] = {}
        self.media: set[str] = set()
        texts: list[str] = []
        scorers = set()
        for split in dataset.splits():
            for row in dataset.examples(split):
                self.splits.setdefault(row.id, split)
                scorers.add(row.scorer)
                if split in ("train", "val"):
                    self.media.update(part.sha256 for part in media_parts(row))
                    if not media_parts(row):
                        texts.append(text_of(row))
        self.scorer = scorers.pop() if len(scorers) == 1 else None
        self._train = leakage.Known(texts)

    def reason(self, row: Example) -> str:
        """Why the row cannot be used; "" when it can."""
        media = media_parts(row)
        if tuple(map(type, media)) != self.parts:
            return "it has not the picture or recording that rows of this dataset have"
        if row.label is False:
            return "its answer is judged as bad, so that nothing can be measured against it"
        if reason := self._no_label(row):
            return reason
        if row.id in self.splits:
            return f"the same prompt is in {self.splits[row.id]}"
        if any(part.sha256 in self.media for part in media):
            return "its picture or recording is in training"
        if not media and self._train.near(text_of(row)):
            return "it nearly stands in training"
        self.splits[row.id] = REAL
        return ""

    def as_labelled(self, row: Example) -> Example:
        """The row with its answer written as the label that it is, so that it is counted and measured as one."""
        found = label.member(row.answer, self.labels) if self.labels and row.answer else None
        if found is None or found == row.answer:
            return row
        target = found if row.target == row.answer else row.target
        return row.model_copy(update={"answer": found, "target": target})

    def _no_label(self, row: Example) -> str:
        """Why nobody could answer right, where the answer is none of the task's labels."""
        if not self.labels or row.answer is None or row.answer in self.labels or label.labels_of(row):
            return ""
        if len(self.unknown) >= MAX_LABELS and row.answer not in self.unknown:
            return "its answer, too, is no label of the task"
        self.unknown.add(row.answer)
        return (
            f"its answer {quote(row.answer)} is no label of the task, so that no model could be right: add it to the "
            f"labels first (page Task, or `smolstudio data task {self.name}` with a --label for each)"
        )


def _as_real(row: Example, origin: Origin | None, scorer: str | None, source: Path | None, target: Path) -> Example:
    prompt = tuple(
        Message.model_copy(message, update={"content": tuple(_copied(p, source, target) for p in message.content)})
        for message in row.prompt
    )
    changes = {
        "prompt": prompt,
        "split": REAL,
        "origin": origin or row.origin,
        "scorer": scorer or row.scorer,
        "rejected": None,
    }
    return row.model_copy(update=changes)


def _copied(part: Part, source: Path | None, target: Path) -> Part:
    if isinstance(part, TextPart) or source is None or source == target:
        return part
    data = read_inside(source, part.path)
    path = f"{MEDIA}/{sha256_bytes(data)}{Path(part.path).suffix}"
    if not (target / path).exists():
        atomic_write_bytes(target / path, data)
    kind = ImagePart if isinstance(part, ImagePart) else AudioPart
    return kind(path=path, sha256=sha256_bytes(data))


def _write(dataset: DatasetDir, kept: list[Example], refused: list[tuple[Example, str]], said: str) -> None:
    """Files first, the card last: a kill in between is one that `verify` names."""
    card = dataset.card
    hashes = dict(card.sha256)
    lines = {
        f"{REAL}.jsonl": [row.model_dump() for row in kept],
        REJECTED: [{"reason": reason, "row": row.model_dump()} for row, reason in refused],
    }
    for name, rows in lines.items():
        if rows:
            file = dataset.path / name
            before = file.read_bytes() if file.is_file() else b""
            data = before + b"".join(_line(row) for row in rows)
            atomic_write_bytes(file, data)
            hashes[name] = sha256_bytes(data)
    families = Counter(card.families.get(REAL, {})) + Counter(row.family for row in kept)
    origins = Counter(card.origins.get(REAL, {})) + Counter(row.origin.kind for row in kept)
    reasons = Counter(card.rejected) + Counter(reason for _, reason in refused)
    write_card(
        dataset.path,
        card.model_copy(
            update={
                "splits": {**card.splits, REAL: card.splits.get(REAL, 0) + len(kept)},
                "rejected": dict(sorted(reasons.items())),
                "rows_in": card.rows_in + len(kept) + len(refused),
                "families": {**card.families, REAL: dict(sorted(families.items()))},
                "origins": {**card.origins, REAL: dict(sorted(origins.items()))},
                "sha256": hashes,
                "notes": {**card.notes, **({REAL: said} if said else {})},
            }
        ),
    )
    leakage.record(dataset.path)


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def set_task(dataset: DatasetDir, **changes: Any) -> TaskCard:
    """Change fields of the task card (`TaskCard`'s names; None leaves one as it is) and return it.

    What becomes a classification without labels gets the answers of its rows.

    Raises DataError for a kind that there is not or that other media have, a value that is no text, or rows with too
    many answers to be labels.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    with DirLock(dataset.path, WAIT_SEC):
        dataset = DatasetDir(dataset.path)
        try:
            task = TaskCard.model_validate({**dataset.task.model_dump(), **given})
        except ValidationError as error:
            if "kind" in given and given["kind"] not in (kinds := list(get_args(TaskKind))):
                hint = did_you_mean(str(given["kind"]), kinds)
                message = f"There is no kind of task '{given['kind']}'{hint}."
                raise DataError(message, f"Choose one of {', '.join(kinds)}.") from error
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(f"The task card cannot hold that: {first['msg']} at {place}.", "Give a text.") from error
        if task.kind != dataset.task.kind:
            task = _become(dataset, task)
        card = dataset.card
        if task == card.task:
            return task
        hashes = {**card.sha256, TASK: task.sha256()}
        write_card(dataset.path, card.model_copy(update={"task": task, "sha256": hashes}))
        task_history.note(dataset, task)
    return task


def _become(dataset: DatasetDir, task: TaskCard) -> TaskCard:
    """The card, of another kind than before, with labels where that wants some. Raises DataError as `set_task`."""
    possible = kinds_for(modality(dataset.card.modality).part)
    if task.kind not in possible:
        message = f"{KINDS[task.kind]} is no task for rows such as those of {dataset.name}."
        raise DataError(message, f"Choose one of {', '.join(possible)}.")
    if task.kind != "classification" or task.labels:
        return task
    labels = dataset.labels_in_rows()
    if not labels:
        message = f"The rows of {dataset.name} do not have a few short answers that repeat, so no labels can be listed."
        raise DataError(message, "List the labels (--label, once for each; on the page Task one a line).")
    return task.model_copy(update={"labels": labels})


def restore_task(dataset: DatasetDir, number: int) -> TaskCard:
    """Make an earlier version of the task card the present one. Raises DataError where there is none of that number."""
    known = task_history.versions(dataset)
    if not 1 <= number <= len(known):
        message = f"{dataset.name} has no version {number} of its task card."
        raise DataError(message, f"There are versions 1 to {len(known)}: `smolstudio data task NAME --history`.")
    return set_task(dataset, **known[number - 1].task.model_dump())


def write_card(folder: Path, card: Card) -> None:
    """The card, and the README that shows it."""
    write_json(folder / CARD, card.model_dump())
    leakage.write_readme(folder, card)
