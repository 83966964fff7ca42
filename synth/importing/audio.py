"""Users' own recordings with transcripts: audiofolder, LJSpeech or Common Voice layouts, or any table with paths.

    import_audio("calls/", "calls", workspace)       # metadata.csv|jsonl: file_name, transcription (audiofolder)
    import_audio("LJSpeech/", "lj", workspace)       # metadata.csv of id|text|normalised text, and wavs/
    import_audio("cv/en/", "cv", workspace)          # train.tsv, dev.tsv, test.tsv: path, sentence, and clips/

Each recording is decoded once, under caps, brought to 16 kHz mono by torchaudio and stored as FLAC under its hash. A
row that cannot be used is set aside with line and reason; nothing outside the folder is read, and addresses found in
data are never fetched. Rows of one speaker (else of one text) stay in one split.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from synth.audio.files import MAX_SECONDS, encode_flac, read_audio
from synth.audio.generate import INSTRUCTION
from synth.audio.grammar import text_id
from synth.build import check_name, now_utc
from synth.curation import leakage
from synth.dataset import Card, DatasetWriter
from synth.errors import DataError
from synth.example import SPLITS, AudioPart, Example, Split, make_example, user
from synth.importing.files import read_rows, sample_rows
from synth.importing.rows import first_text, guess_mapping, role_columns
from synth.importing.table import SHARES, Guess, ImportReport, check_mapping, columns_of, split_of
from synth.progress import Meter, ProgressFn, silent
from synth.scoring.names import WER
from synth.storage import atomic_dir, sha256_bytes, sha256_file
from synth.workspace import Workspace

Columns = Mapping[str, tuple[str, ...]]
ROLES: Columns = {
    "path": ("file_name", "path", "audio", "file", "wav"),
    "transcript": ("transcription", "transcript", "sentence", "text", "normalized_text"),
    "speaker": ("client_id", "speaker", "speaker_id"),
    "split": ("split",),
}
"""What a column can be, and the names under which it is found without a mapping."""
COMMON_VOICE: dict[str, Split] = {"train.tsv": "train", "dev.tsv": "val", "test.tsv": "test"}


class Row(NamedTuple):
    """A row of any layout: where it stands, its fields ("" where absent), and why it could not be read."""

    line: int
    path: str = ""
    transcript: str = ""
    speaker: str = ""
    split: str = ""
    fault: str = ""


class Layout(NamedTuple):
    """A recognised layout: its tables, the folder that recordings start from, its rows, whether columns have names."""

    name: str
    tables: tuple[Path, ...]
    root: Path
    rows: Callable[[Columns], Iterator[Row]]
    named: bool = True


def import_audio(
    source: str | Path,
    name: str,
    workspace: Workspace,
    mapping: Mapping[str, str] | None = None,
    shares: Mapping[Split, float] = SHARES,
    max_seconds: float = MAX_SECONDS,
    on_progress: ProgressFn = silent,
) -> ImportReport:
    """Make the dataset `name` of a folder in one of the layouts, or of a table with paths.

    Args:
        mapping: role (`ROLES`) -> column, "" for none; roles that are not in it are found by the usual names.
        shares: share of each split for rows that name none.
        max_seconds: longer recordings are set aside, by their header, before decoding.

    Raises:
        DataError: no layout is recognised, the mapping is wrong, or no row is left.
        StorageError: the name is taken, or the disk refuses.
    """
    layout = recognise(Path(source))
    if mapping:
        _check(layout, mapping)
    columns = role_columns(ROLES, mapping)
    start = time.monotonic()
    rejected: list[tuple[int, str]] = []
    seen: set[str] = set()
    with atomic_dir(workspace.datasets / check_name(name)) as folder:
        writer = DatasetWriter(folder)
        meter = Meter(f"import {name}", None, "rows", on_progress)
        for count, row in enumerate(layout.rows(columns), start=1):
            example = _example(row, layout, writer, shares, max_seconds)
            if not isinstance(example, str) and example.id in seen:
                example = "same recording as an earlier row"
            if isinstance(example, str):
                rejected.append((row.line, example))
                writer.reject({"line": row.line, "path": row.path[:500], "text": row.transcript[:2000]}, example)
            else:
                seen.add(example.id)
                writer.keep(example)
            meter.update(count, f"{len(rejected)} set aside")
        if not seen:
            first = f"; the first, line {rejected[0][0]}: {rejected[0][1]}" if rejected else ", it has none"
            remedy = "Fix the rows, or map the columns: path, transcript."
            raise DataError(f"No row of {layout.name} can be used{first}.", remedy, "data.nothing_left")
        card = writer.finish(_card(layout, name, mapping, time.monotonic() - start))
        leaks = leakage.record(folder).faults
    return ImportReport(len(seen), rejected, dict(card.splits), leaks)


def detect(source: str | Path) -> Guess:
    """The layout, its columns and which role each seems to have; none where columns have no names. Raises DataError."""
    layout = recognise(Path(source))
    if not layout.named:
        return Guess("LJSpeech: id, text, normalised text", (), {}, [])
    columns = columns_of(layout.tables[0])
    sample = sample_rows(layout.tables[0])[:5]
    return Guess(f"rows of {layout.name}", tuple(columns), guess_mapping(columns, ROLES), sample)


def _check(layout: Layout, mapping: Mapping[str, str]) -> None:
    if not layout.named:
        raise DataError(f"The columns of {layout.name} have no names.", "Import it without a mapping.")
    for table in layout.tables:
        check_mapping(table, mapping, list(ROLES))


def recognise(source: Path) -> Layout:
    """Which layout a folder or table has. Raises DataError when it has none."""
    if source.is_file():
        return Layout(source.name, (source,), source.parent, lambda columns: _table_rows(source, columns))
    voices = tuple(source / file for file in COMMON_VOICE if (source / file).is_file())
    if voices and (source / "clips").is_dir():
        return Layout(
            "the Common Voice tables",
            voices,
            source / "clips",
            lambda columns: (row for t in voices for row in _table_rows(t, columns, COMMON_VOICE[t.name])),
        )
    table = source / "metadata.csv"
    if table.is_file() and (source / "wavs").is_dir() and _has_pipes(table):
        return Layout("metadata.csv", (table,), source / "wavs", lambda _: _ljspeech_rows(table), named=False)
    for listing in (source / "metadata.jsonl", table):
        if listing.is_file():
            return _audiofolder(listing)
    remedy = "Put a metadata.csv or metadata.jsonl with the columns file_name and transcription into the folder."
    raise DataError(f"{source} has no layout that is known here.", remedy, "data.metadata")


def _audiofolder(table: Path) -> Layout:
    return Layout(table.name, (table,), table.parent, lambda columns: _table_rows(table, columns))


def _has_pipes(table: Path) -> bool:
    with table.open("rb") as file:
        return file.readline(10_000).count(b"|") >= 1


def _table_rows(table: Path, columns: Columns, split: str = "") -> Iterator[Row]:
    for raw in read_rows(table):
        if raw.value is None:
            yield Row(raw.line, fault=raw.fault)
            continue
        found = {role: first_text(raw.value, names) for role, names in columns.items()}
        yield Row(raw.line, **{**found, "split": split or found["split"]})


def _ljspeech_rows(table: Path) -> Iterator[Row]:
    """id|text|normalised text, without header or quoting; the first text is the written form."""
    with table.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\r\n").split("|")
            if len(fields) < 2:
                yield Row(number, fault="not of the form id|text")
            else:
                yield Row(number, path=f"{fields[0].strip()}.wav", transcript=fields[1].strip())


def _example(
    row: Row, layout: Layout, writer: DatasetWriter, shares: Mapping[Split, float], max_seconds: float
) -> Example | str:
    """The row as an Example with its recording stored, or why it is none."""
    if row.fault:
        return row.fault
    if not row.path:
        return "no recording named"
    if not row.transcript:
        return "no transcript"
    split = next((known for known in SPLITS if known == row.split), None)
    if row.split and split is None:
        return "unknown split"
    part = _store(layout.root, row.path, writer, max_seconds)
    if isinstance(part, str):
        return part
    return make_example(
        [user(part, INSTRUCTION)],
        row.transcript,
        answer=row.transcript,
        family="imported",
        template=text_id(row.transcript),
        split=split or split_of(row.speaker or text_id(row.transcript), shares),
        scorer=WER,
        source={"importer": "audio", "layout": layout.name, "line": row.line, "speaker": row.speaker[:64]},
    )


def _store(root: Path, relative: str, writer: DatasetWriter, max_seconds: float) -> AudioPart | str:
    """The recording in the dataset, or the reason why it cannot be used."""
    if "://" in relative:
        return "recording is an address, which is never fetched"
    try:
        path = (root / relative).resolve()
        if not path.is_relative_to(root.resolve()):
            return "recording lies outside the folder"
        content = encode_flac(read_audio(path, max_seconds))
    except DataError as error:
        return error.code
    except (OSError, ValueError):  # a name that no file can have
        return "recording is missing"
    return AudioPart(path=writer.add_media(content, ".flac"), sha256=sha256_bytes(content))


def _card(layout: Layout, name: str, mapping: Mapping[str, str] | None, seconds: float) -> Card:
    return Card(
        name=name,
        modality="audio",
        generator="import",
        spec={
            "files": {table.name: sha256_file(table) for table in layout.tables},
            "layout": layout.name,
            "mapping": dict(mapping or {}),
        },
        created=now_utc(),
        seconds=round(seconds, 3),
    )
