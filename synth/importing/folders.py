"""What a file or folder holds: its tables with rows, where their media lie, which split each table is.

Folders: one that `datasets` saved; a dataset of ours; Common Voice; LJSpeech; imagefolder and audiofolder with
metadata.csv, .jsonl or .parquet, also one in each split's folder; pictures in one folder a class; recordings beside
their subtitles; data files, of which the names may tell the split.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from synth.errors import DataError
from synth.example import SPLITS
from synth.importing import excerpts, streams, tables
from synth.importing.files import DATA_SUFFIXES, read_rows
from synth.importing.json_rows import parse
from synth.importing.kinds import CLASS_QUESTION, PICTURE_SUFFIXES, SOUND_SUFFIXES, file_columns
from synth.importing.layouts import MOST_NUMBERED
from synth.importing.raw import SPLIT_NAMES, RawRow
from synth.media import resolve_inside

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
COMMON_VOICE = {"train.tsv": "train", "dev.tsv": "val", "test.tsv": "test"}
_OF_COMMON_VOICE = ("train", "dev", "test", "validated", "other", "invalidated")
_IN_NAMES = [name for name in SPLIT_NAMES if name != "tr"]  # in a file's name that is Turkish
_SPLIT_IN_NAME = re.compile(rf"(?:^|[-_.])({'|'.join(_IN_NAMES)})(?:[-_.]|$)", re.IGNORECASE)


class Table(NamedTuple):
    """A table: how to read its rows (notes are added to the list), the folder that its paths start from, its split."""

    name: str
    path: Path
    root: Path
    rows: Callable[[list[str]], Iterator[RawRow]]
    split: str = ""


class Source(NamedTuple):
    """What was recognised. `modality` is "" when only the rows can tell; `named` is False for columns without names."""

    layout: str
    tables: tuple[Table, ...]
    modality: str = ""
    named: bool = True


def recognise(path: Path) -> Source:
    """The tables of a file or folder. Raises DataError when there are none."""
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"There is no file {path}.", "Check the path.", "data.missing")
        clips = path.parent / "clips"
        if path.suffix == ".tsv" and path.stem in _OF_COMMON_VOICE and clips.is_dir():
            return Source(path.name, (_table(path, root=clips),), "audio")
        return Source(path.name, (_table(path),))
    for find in (_saved, _own, _common_voice, _ljspeech, _metadata, _data_files, _subtitles, _classes):
        found = find(path)
        if found is not None:
            return found
    inner = [item for item in path.iterdir() if not item.name.startswith(".")]
    if len(inner) == 1 and inner[0].is_dir() and not inner[0].is_symlink():
        return recognise(inner[0])
    remedy = "Name the file with the rows, or put a metadata.jsonl or metadata.csv (file_name, question, answer; or "
    raise DataError(
        f"{path.name} has no layout that is known here.", f"{remedy}file_name, transcription) in.", "data.metadata"
    )


def _table(path: Path, split: str = "", root: Path | None = None, name: str = "") -> Table:
    return Table(name or path.name, path, root or path.parent, lambda notes: read_rows(path, notes), split)


def _saved(folder: Path) -> Source | None:
    found = tables.saved_tables(folder)
    if not found:
        return None
    parts = [
        _table(file, SPLIT_NAMES.get(split, ""), folder, f"{split}/{file.name}".strip("/")) for file, split in found
    ]
    return Source(f"{folder.name} (save_to_disk)", tuple(parts))


def _own(folder: Path) -> Source | None:
    if not (folder / "dataset.json").is_file():
        return None
    return Source(
        folder.name, tuple(_table(folder / f"{s}.jsonl") for s in SPLITS if (folder / f"{s}.jsonl").is_file())
    )


def _common_voice(folder: Path) -> Source | None:
    if not (folder / "clips").is_dir():
        return None
    found = [_table(folder / name, split, folder / "clips") for name, split in COMMON_VOICE.items()]
    there = tuple(table for table in found if table.path.is_file())
    if not there and (folder / "validated.tsv").is_file():
        there = (_table(folder / "validated.tsv", "", folder / "clips"),)
    return Source("the Common Voice tables", there, "audio") if there else None


def _ljspeech(folder: Path) -> Source | None:
    table = folder / "metadata.csv"
    if not table.is_file() or not (folder / "wavs").is_dir():
        return None
    with table.open("rb") as file:
        if not file.readline(10_000).count(b"|"):
            return None
    parts = Table(table.name, table, folder / "wavs", lambda _: _ljspeech_rows(table))
    return Source("metadata.csv", (parts,), "audio", named=False)


def _ljspeech_rows(table: Path) -> Iterator[RawRow]:
    """id|text|normalised text, without header or quoting; the first text is the written form."""
    text = streams.open_text(table)
    with text.file as lines:
        for number, raw in enumerate(lines, start=1):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            fields = line.split("|")
            if "\ufffd" in line:
                yield RawRow(number, None, "not UTF-8", line[:2000])
            elif len(fields) < 2:
                yield RawRow(number, None, "not of the form id|text", line[:2000])
            else:
                names = ("file_name", "transcription", "normalised")
                values = dict(zip(names, (f"{fields[0].strip()}.wav", *(f.strip() for f in fields[1:])), strict=False))
                yield RawRow(number, values)


def _metadata(folder: Path) -> Source | None:
    own = next((folder / name for name in METADATA if (folder / name).is_file()), None)
    if own is not None:
        return Source(own.name, (_table(own),))
    parts = []
    for part in sorted(p for p in folder.iterdir() if p.is_dir() and p.name.lower() in SPLIT_NAMES):
        table = next((part / name for name in METADATA if (part / name).is_file()), None)
        if table is not None:
            parts.append(_table(table, SPLIT_NAMES[part.name.lower()], part, f"{part.name}/{table.name}"))
    return Source(f"{len(parts)} folders with metadata", tuple(parts)) if parts else None


def _data_files(folder: Path) -> Source | None:
    apart = [p for p in sorted(folder.iterdir()) if p.is_dir() and p.name.lower() in SPLIT_NAMES]
    places = [folder, *(p for p in (folder / "data",) if p.is_dir()), *apart]
    files = [
        file
        for place in places
        for file in sorted(place.iterdir())
        if file.is_file()
        and not file.name.startswith(".")
        and (set(DATA_SUFFIXES) & {s.lower() for s in file.suffixes})
        and file.name not in ("dataset_infos.json", "dataset_info.json", "README.txt", "LICENSE.txt", "state.json")
    ]
    plain = [f for f in files if f.parent not in apart]  # a note among the pictures of a split is no table
    tables_only = [f for f in files if ".txt" not in f.suffixes] or plain
    if not tables_only:
        return None
    parts = [
        _table(file, SPLIT_NAMES[file.parent.name.lower()], file.parent, f"{file.parent.name}/{file.name}")
        if file.parent in apart
        else _table(file, _split_of_name(file.name), folder)
        for file in tables_only
    ]
    return Source(folder.name, tuple(parts))


def _split_of_name(name: str) -> str:
    found = _SPLIT_IN_NAME.search(name)
    return SPLIT_NAMES[found[1].lower()] if found else ""


def _subtitles(folder: Path) -> Source | None:
    """Recordings with subtitles beside them, in folders for each split or not."""
    splits = [p for p in sorted(folder.iterdir()) if p.is_dir() and p.name.lower() in SPLIT_NAMES]
    parts = []
    for place in splits or [folder]:
        if found := excerpts.subtitled(place, SOUND_SUFFIXES):
            rows = functools.partial(excerpts.subtitle_rows, found)
            split = SPLIT_NAMES.get(place.name.lower(), "") if splits else ""
            parts.append(Table(place.name, place, place, lambda _, rows=rows: rows(), split))  # type: ignore[misc]
    return Source(f"{folder.name}: recordings with subtitles", tuple(parts), "audio") if parts else None


def _classes(folder: Path) -> Source | None:
    """Pictures in one folder for each class, in folders for each split or not."""
    splits = [p for p in sorted(folder.iterdir()) if p.is_dir() and p.name.lower() in SPLIT_NAMES]
    parts = [
        Table(place.name, place, folder, _class_rows(folder, place), SPLIT_NAMES.get(place.name.lower(), ""))
        for place in (splits or [folder])
        if any(_pictures(group) for group in place.iterdir() if group.is_dir())
    ]
    return Source(f"{folder.name}: pictures by class", tuple(parts), "vision") if parts else None


def _class_rows(root: Path, place: Path) -> Callable[[list[str]], Iterator[RawRow]]:
    def rows(_: list[str]) -> Iterator[RawRow]:
        number = 0
        for group in sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")):
            for file in _pictures(group):
                number += 1
                path = str(file.relative_to(root))
                yield RawRow(number, {"file_name": path, "question": CLASS_QUESTION, "label": group.name})

    return rows


def _pictures(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in PICTURE_SUFFIXES]


def modality_of(source: Source, asked: bool = False) -> str:
    """text, vision or audio: by the layout, else by what the first rows name or hold. Raises DataError.

    `asked`: whether one question is given for all pictures; rows of which nothing is recognised are pictures then.
    """
    from itertools import islice

    if source.modality:
        return source.modality
    for table in source.tables:
        rows = list(islice(table.rows([]), 50))
        values = [raw.value for raw in rows if raw.value]
        if kind := next((kind for value in values if (kind := _media_in(value))), "") or _named_files(values, table):
            return kind
        if rows:  # an empty table says nothing
            break
    return "vision" if asked else "text"


def _named_files(rows: Sequence[Mapping[str, Any]], table: Table) -> str:
    """The modality of a column that names files, whatever it is called, of which one is there; "" without one."""
    for modality, column in file_columns(rows):
        for row in rows:
            with contextlib.suppress(DataError):
                resolve_inside(table.root, str(row.get(column) or "").strip())
                return modality
    return ""


def _media_in(value: object, key: str = "", depth: int = 6) -> str:
    """The modality of the first medium that a row names or holds; "" when there is none."""
    if depth == 0:
        return ""
    if isinstance(value, str):
        if key in _CHAT_KEYS and value.lstrip()[:2] == "[{" and '"type"' in value:
            turns, _ = parse(value)  # chats in a table are often JSON texts
            return _media_in(turns, key, depth - 1)
        last = value[-8:].lower()
        if "\n" in value or len(value) > 4000 or not (value.startswith("data:") or "." in last):
            return ""
        if value.startswith("data:image/") or (last.endswith(PICTURE_SUFFIXES) and key in _PICTURE_KEYS):
            return "vision"
        return "audio" if last.endswith(SOUND_SUFFIXES) and key in _SOUND_KEYS else ""
    if isinstance(value, dict):
        kind = value.get("type")
        if kind in ("image", "image_url", "input_image", "audio", "input_audio", "audio_url"):
            return "audio" if "audio" in str(kind) else "vision"
        if isinstance(value.get("bytes"), bytes):
            return "audio" if "audio" in key or str(value.get("path") or "").endswith(SOUND_SUFFIXES) else "vision"
        items = [(str(name).lower(), item) for name, item in value.items()]
    elif isinstance(value, list):
        items = [(key, item) for item in value[:20]]
    else:
        return ""
    return next((found for name, item in items if (found := _media_in(item, name, depth - 1))), "")


_CHAT_KEYS = {"messages", "conversations", "prompt", "chosen"}
_PICTURE_KEYS = {
    *("file_name", "file_names", "image", "images", "path", "image_path", "file", "url"),
    *(f"image_{number}" for number in range(MOST_NUMBERED + 1)),
}
_SOUND_KEYS = {"file_name", "audio", "audios", "audio_filepath", "audio_path", "path", "wav", "file", "url"}
