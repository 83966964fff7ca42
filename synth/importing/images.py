"""Users' own pictures with questions and answers: a folder with metadata.jsonl (imagefolder), or a CSV.

    import_images("photos/", "mine", workspace)            # photos/metadata.jsonl: file_name, question, answer
    import_images("questions.csv", "mine", workspace)      # columns path, question, answer (paths beside the CSV)

Each picture is decoded once, checked and stored as PNG under its hash. A row that cannot be used is set aside with line
and reason; nothing outside the folder is read, and addresses found in data are never fetched.
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from synth.build import check_name, now_utc
from synth.curation import leakage
from synth.dataset import Card, DatasetWriter
from synth.errors import DataError
from synth.example import SPLITS, Example, ImagePart, Split, make_example, user
from synth.importing.files import RawRow, read_rows, sample_rows
from synth.importing.rows import first_text, guess_mapping, role_columns
from synth.importing.table import SHARES, Guess, ImportReport, check_mapping, columns_of, split_of
from synth.progress import Meter, ProgressFn, silent
from synth.scoring.names import EXACT
from synth.storage import atomic_dir, sha256_bytes, sha256_file
from synth.workspace import Workspace

METADATA = "metadata.jsonl"
MAX_PIXELS = 50_000_000
"""Pixels of the largest picture that is decoded (150 MB as RGB); Pillow's own warning starts at 89 million."""
MAX_FILE_BYTES = 64 * 2**20
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
ROLES: dict[str, tuple[str, ...]] = {
    "path": ("file_name", "path", "image", "file"),
    "question": ("question", "query", "prompt", "text"),
    "answer": ("answer", "label", "response", "target"),
    "split": ("split",),
}
"""What a column can be, and the names under which it is found without a mapping."""


class Row(NamedTuple):
    """A readable row: its fields by role, "" where absent."""

    path: str
    question: str
    answer: str
    split: str


def read_image(path: Path) -> Any:
    """The decoded picture, RGB and upright. Raises DataError for what is no picture, broken, or dangerously large."""
    from PIL import Image, ImageOps

    name = path.name
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{name} has more than {MAX_FILE_BYTES >> 20} MB.", "Shrink it.", "picture is too large")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    size = f"{image.width} x {image.height}"
                    raise DataError(f"{name} has {size} pixels, too many.", "Shrink it.", "picture is too large")
                image.load()
                return ImageOps.exif_transpose(image).convert("RGB")
    except FileNotFoundError as error:
        raise DataError(f"There is no picture {name}.", "Check the path.", "picture is missing") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{name} claims far too many pixels.", "Shrink it.", "picture is too large") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{name} is no readable picture: {reason}.", "Replace it.", "picture is broken") from error


def detect(source: str | Path) -> Guess:
    """The columns of the table or of the folder's metadata, and which role each seems to have. Raises DataError."""
    table, _ = _table(Path(source))
    columns = columns_of(table)
    return Guess(f"rows of {table.name}", tuple(columns), guess_mapping(columns, ROLES), sample_rows(table)[:5])


def import_images(
    source: str | Path,
    name: str,
    workspace: Workspace,
    mapping: Mapping[str, str] | None = None,
    shares: Mapping[Split, float] = SHARES,
    scorer: str = EXACT,
    on_progress: ProgressFn = silent,
) -> ImportReport:
    """Make the dataset `name` of a folder with metadata.jsonl, or of a table with paths.

    Args:
        mapping: role (`ROLES`) -> column, "" for none; roles that are not in it are found by the usual names.
        shares: share of each split for rows that name none; questions about one picture stay together.

    Raises:
        DataError: there is no metadata, the mapping is wrong, or no row is left.
        StorageError: the name is taken, or the disk refuses.
    """
    table, root = _table(Path(source))
    if mapping:
        check_mapping(table, mapping, list(ROLES))
    columns = role_columns(ROLES, mapping)
    start = time.monotonic()
    rejected: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    pictures: dict[str, ImagePart | str] = {}
    with atomic_dir(workspace.datasets / check_name(name)) as folder:
        writer = DatasetWriter(folder)
        meter = Meter(f"import {name}", None, "rows", on_progress)
        for count, raw in enumerate(read_rows(table), start=1):
            example = _example(raw, columns, root, pictures, writer, shares, scorer, table.name)
            if not isinstance(example, str) and example.id in seen:
                example = "same picture and question as an earlier line"
            if isinstance(example, str):
                rejected.append((raw.line, example))
                writer.reject({"line": raw.line, "row": str(raw.value or raw.text)[:2000]}, example)
            else:
                seen[example.id] = raw.line
                writer.keep(example)
            meter.update(count, f"{len(rejected)} set aside")
        if not seen:
            first = f"; the first, line {rejected[0][0]}: {rejected[0][1]}" if rejected else ", it has none"
            remedy = "Fix the rows, or map the columns: path, question, answer."
            raise DataError(f"No row of {table.name} can be used{first}.", remedy, "data.nothing_left")
        card = writer.finish(_card(table, name, mapping, time.monotonic() - start))
        leaks = leakage.record(folder).faults
    return ImportReport(len(seen), rejected, dict(card.splits), leaks)


def _table(source: Path) -> tuple[Path, Path]:
    """The file with the rows, and the folder that paths start from."""
    if source.is_dir():
        if not (source / METADATA).is_file():
            remedy = "Write one line per question: file_name, question, answer."
            raise DataError(f"{source} has no {METADATA}.", remedy, "data.metadata")
        return source / METADATA, source
    return source, source.parent


def _example(
    raw: RawRow,
    columns: Mapping[str, tuple[str, ...]],
    root: Path,
    pictures: dict[str, ImagePart | str],
    writer: DatasetWriter,
    shares: Mapping[Split, float],
    scorer: str,
    file: str,
) -> Example | str:
    """The row as an Example with its picture stored, or why it is none."""
    if raw.value is None:
        return raw.fault
    row = Row(*(first_text(raw.value, columns[role]) for role in Row._fields))
    for role in ("path", "question", "answer"):
        if not getattr(row, role):
            return f"no {role}"
    split = next((known for known in SPLITS if known == row.split), None)
    if row.split and split is None:
        return "unknown split"
    if row.path not in pictures:
        pictures[row.path] = _store(root, row.path, writer)
    part = pictures[row.path]
    if isinstance(part, str):
        return part
    return make_example(
        [user(part, row.question)],
        row.answer,
        family="imported",
        template=f"image-{part.sha256[:24]}",
        answer=row.answer,
        split=split or split_of(part.sha256, shares),
        scorer=scorer,
        source={"importer": "images", "file": file, "line": raw.line},
    )


def _store(root: Path, relative: str, writer: DatasetWriter) -> ImagePart | str:
    """The picture in the dataset, or the reason why it cannot be used."""
    if "://" in relative:
        return "picture is an address, which is never fetched"
    try:
        path = (root / relative).resolve()
        if not path.is_relative_to(root.resolve()):
            return "picture lies outside the folder"
        image = read_image(path)
    except DataError as error:
        return error.code
    except (OSError, ValueError):  # a name that no file can have
        return "picture is missing"
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    data = buffer.getvalue()
    return ImagePart(path=writer.add_media(data, ".png"), sha256=sha256_bytes(data))


def _card(table: Path, name: str, mapping: Mapping[str, str] | None, seconds: float) -> Card:
    return Card(
        name=name,
        modality="vision",
        generator="import",
        spec={"file": table.name, "sha256": sha256_file(table), "mapping": dict(mapping or {})},
        created=now_utc(),
        seconds=round(seconds, 3),
    )
