"""Import users' own text rows as a dataset: good rows kept, faulty ones set aside with line number and reason.

    import_text(Path("mine.csv"), "mine", workspace, mapping={"question": "Q", "answer": "A"})

Rows without a split get one by a hash of their group (or of their prompt), so a group never spans two splits and the
same file always splits alike. Pictures and recordings have importers of their own.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from synth.build import check_name, now_utc
from synth.curation import leakage
from synth.dataset import Card, DatasetWriter
from synth.errors import DataError, did_you_mean
from synth.example import Example, Split
from synth.importing.files import RawRow, read_rows, sample_rows
from synth.importing.rows import ROLES, BadRow, guess_format, guess_mapping, own_example, read_row, to_example
from synth.progress import Meter, ProgressFn, silent
from synth.storage import atomic_dir, sha256_file
from synth.workspace import Workspace

SHARES: dict[Split, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
"""How rows without a split are shared out."""


class Guess(NamedTuple):
    """What a file or folder looks like. `columns` and `mapping` (role → column) are empty when it needs no mapping."""

    format: str
    columns: tuple[str, ...]
    mapping: dict[str, str]
    sample: list[dict[str, Any]]


class ImportReport(NamedTuple):
    """Rows kept, and (line, reason) of the rows set aside."""

    kept: int
    rejected: list[tuple[int, str]]
    splits: dict[str, int]
    leaks: tuple[str, ...]


def detect(path: Path) -> Guess:
    """Format and columns of a file, from its first rows. Raises DataError when none can be read."""
    rows = sample_rows(path)
    formats = [guess_format(row) for row in rows]
    found = max(set(formats), key=formats.count)
    if found != "columns":
        return Guess(found, (), {}, rows[:5])
    columns = list(dict.fromkeys(str(key) for row in rows for key in row))
    mapping = guess_mapping(columns)
    known = "question" in mapping and ("answer" in mapping or "target" in mapping)
    return Guess("question_answer" if known else "columns", tuple(columns), mapping, rows[:5])


def import_text(
    path: Path,
    name: str,
    workspace: Workspace,
    mapping: Mapping[str, str] | None = None,
    shares: Mapping[Split, float] = SHARES,
    on_progress: ProgressFn = silent,
) -> ImportReport:
    """Make the dataset `name` of the rows of a JSONL, JSON, CSV or TSV file.

    Args:
        mapping: role (`import_rows.ROLES`) → column; None when the rows have one of the known formats.
        shares: share of each split for rows that name none; sums to 1.

    Raises:
        DataError: the file cannot be read, the mapping names no column, or no row is left.
        StorageError: the name is taken, or the disk refuses.
    """
    if mapping is not None:
        check_mapping(path, mapping, ROLES)
        if "question" not in mapping or not {"answer", "target"} & set(mapping):
            raise DataError("The mapping needs a column for the question and one for the answer.", "Map both.")
    start = time.monotonic()
    rejected: list[tuple[int, str]] = []
    lines: dict[str, int] = {}
    with atomic_dir(workspace.datasets / check_name(name)) as folder:
        writer = DatasetWriter(folder)
        meter = Meter(f"import {name}", None, "rows", on_progress)
        for count, raw in enumerate(read_rows(path), start=1):
            example, fault = _example(raw, mapping, shares, name, path.name)
            reason = fault
            if example is not None and example.id in lines:
                fault, reason = f"same prompt as line {lines[example.id]}", "same prompt as an earlier line"
            if example is not None and not fault:
                lines[example.id] = raw.line
                writer.keep(example)
            else:
                rejected.append((raw.line, fault))
                row = raw.value if raw.value is not None else {"text": raw.text}
                writer.reject({"line": raw.line, **_printable(row)}, reason)
            meter.update(count, f"{len(rejected)} set aside")
        if not lines:
            raise DataError(*_nothing_left(path, mapping, rejected), "data.nothing_left")
        card = writer.finish(_card(path, name, mapping, shares, time.monotonic() - start))
        leaks = leakage.record(folder).faults
    return ImportReport(len(lines), rejected, dict(card.splits), leaks)


def _example(
    raw: RawRow, mapping: Mapping[str, str] | None, shares: Mapping[Split, float], name: str, file: str
) -> tuple[Example | None, str]:
    """The row as an Example with its split, or why it is none."""
    if raw.value is None:
        return None, raw.fault
    try:
        if mapping is None and guess_format(raw.value) == "example":
            return own_example(raw.value), ""
        fields = read_row(raw.value, mapping)
        source = {"importer": "columns" if mapping else guess_format(raw.value), "file": file, "line": raw.line}
        example = to_example(fields, fields.split or "train", name, source)
    except BadRow as fault:
        return None, str(fault)
    if not fields.split:
        example = example.model_copy(update={"split": split_of(fields.group or example.id, shares)})
    return example, ""


def split_of(key: str, shares: Mapping[Split, float]) -> Split:
    """The split of a group or prompt: by the place of its hash in the shares."""
    place = int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:6]) / 2**48
    for split, share in shares.items():
        if place < share:
            return split
        place -= share
    return next(iter(shares))


def columns_of(path: Path) -> list[str]:
    """The columns of a file's first rows. Raises DataError when none can be read."""
    return list(dict.fromkeys(str(key) for row in sample_rows(path) for key in row))


def check_mapping(path: Path, mapping: Mapping[str, str], roles: Sequence[str]) -> None:
    """Raises DataError for a role that is not one of `roles`, or a column that the file has not ("" is none)."""
    columns = columns_of(path)
    for role, column in mapping.items():
        if role not in roles:
            raise DataError(
                f"There is no role '{role}'{did_you_mean(role, list(roles))}.", f"Known: {', '.join(roles)}."
            )
        if column and column not in columns:
            hint = did_you_mean(column, columns)
            raise DataError(f"{path.name} has no column '{column}'{hint}.", f"It has: {', '.join(columns[:20])}.")


def _nothing_left(path: Path, mapping: Mapping[str, str] | None, rejected: list[tuple[int, str]]) -> tuple[str, str]:
    """Sentence and remedy for a file of which no row was kept."""
    if not rejected:
        return f"{path.name} has no rows.", "Put the questions and answers in, one a row."
    line, reason = rejected[0]
    sentence = f"None of the {len(rejected)} rows of {path.name} can be used; the first, line {line}: {reason}."
    try:
        columns = [column for column in columns_of(path) if column]
    except DataError:  # not one line could be taken apart
        columns = []
    if mapping is not None or len(columns) < 2:
        return sentence, "Fix the rows."
    known, (question, answer) = ", ".join(columns[:20]), columns[:2]
    return sentence, (
        f"Its columns are {known}: map one to the question and one to the answer, "
        f"for instance --map question='{question}' --map answer='{answer}'."
    )


def _printable(row: dict[str, Any]) -> dict[str, Any]:
    """A row as short text, for the record of rejected rows: nothing in it may break the record."""
    return {
        str(key)[:200]: value if isinstance(value, int) else str(value)[:2000].encode("utf-8", "replace").decode()
        for key, value in list(row.items())[:50]
    }


def _card(
    path: Path, name: str, mapping: Mapping[str, str] | None, shares: Mapping[Split, float], seconds: float
) -> Card:
    return Card(
        name=name,
        generator="import",
        spec={"file": path.name, "sha256": sha256_file(path), "mapping": dict(mapping or {}), "shares": dict(shares)},
        created=now_utc(),
        seconds=round(seconds, 3),
    )
