"""A dataset written into a folder of another form, with its splits apart: `datasets.load_dataset(folder)` reads it.

export_dataset(dataset, "trl", Path("out"))      # out/train.jsonl … and out/README.md with the splits
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from synth.dataset import DatasetDir, front_matter
from synth.errors import DataError, did_you_mean
from synth.example import Example, media_parts
from synth.exporting.formats import FORMATS, Format, Unheld
from synth.storage import atomic_dir

ROWS_AT_ONCE = 1000


def export_dataset(dataset: DatasetDir, form: str, folder: Path) -> dict[str, int]:
    """Write all rows into `folder`, which must not exist; returns rows of each split.

    Raises DataError for an unknown form, or when the form cannot hold every row: nothing is left out.
    """
    if form not in FORMATS:
        known = ", ".join(FORMATS)
        raise DataError(f"There is no form '{form}'{did_you_mean(form, list(FORMATS))}.", f"Choose one of {known}.")
    chosen = FORMATS[form]
    refused: Counter[str] = Counter()
    for split in dataset.splits():
        for example in dataset.examples(split):
            try:
                chosen.row(example)
            except Unheld as fault:
                refused[str(fault)] += 1
    if refused:
        reasons = "; ".join(f"{rows} rows have {what}" for what, rows in refused.items())
        raise DataError(f"{form} cannot hold this dataset: {reasons}.", "Export it as messages.", "data.export")
    files: dict[str, str] = {}
    rows: dict[str, int] = {}
    with atomic_dir(folder) as place:
        for split in dataset.splits():
            files[split] = _write(dataset, split, chosen, place)
            rows[split] = dataset.count(split)
        (place / "README.md").write_text(_readme(dataset, form, files), "utf-8")
    return rows


def _write(dataset: DatasetDir, split: Any, chosen: Format, place: Path) -> str:
    """Write a split's table and media; returns the path of its table, or of its folder, for the card."""
    beside = place / split if chosen.media_beside else place
    beside.mkdir(exist_ok=True)
    table = beside / ("metadata.jsonl" if chosen.media_beside else f"{split}.{chosen.file}")
    if chosen.file == "parquet":
        _parquet(dataset, split, chosen, table)
    else:
        with table.open("w", encoding="utf-8") as file:
            for example in dataset.examples(split):
                file.write(json.dumps(chosen.row(example), ensure_ascii=False) + "\n")
    for example in dataset.examples(split):
        for part in media_parts(example):
            target = beside / (PurePosixPath(part.path).name if chosen.media_beside else part.path)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(dataset.media_path(part.path), target)
    return f"{split}/**" if chosen.media_beside else table.name


def _parquet(dataset: DatasetDir, split: Any, chosen: Format, table: Path) -> None:
    """Chats as lists of structs, where every content is text; else, like tools and their calls, as JSON texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    nested = any(media_parts(example) for example in dataset.examples(split))
    turn = pa.struct([(name, pa.int8() if name == "weight" else pa.string()) for name in _TURN])
    kinds = {"label": pa.bool_(), "accepted_answers": pa.list_(pa.string())}
    if not nested:
        kinds |= dict.fromkeys(("messages", "chosen", "rejected"), pa.list_(turn))
    names = list(dict.fromkeys(name for example in dataset.examples(split) for name in chosen.row(example)))
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    with pq.ParquetWriter(table, schema) as writer:
        for rows in _batches(dataset.examples(split)):
            made = [chosen.row(example) for example in rows]
            columns = {name: [_cell(row.get(name), name in kinds) for row in made] for name in names}
            writer.write_table(pa.table(columns, schema=schema))


_TURN = ("role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name", "weight")


def _cell(value: Any, typed: bool) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if not typed:
        return json.dumps(value, ensure_ascii=False)
    return [
        {k: json.dumps(v, ensure_ascii=False) if k == "tool_calls" else v for k, v in turn.items()}
        if isinstance(turn, dict)
        else turn
        for turn in value
    ]


def _batches(examples: Iterator[Example]) -> Iterator[list[Example]]:
    while rows := list(islice(examples, ROWS_AT_ONCE)):
        yield rows


def _readme(dataset: DatasetDir, form: str, files: dict[str, str]) -> str:
    title = f"# {dataset.name}\n\nThe rows of {dataset.name} as {FORMATS[form].what}."
    return f"{front_matter(files)}\n{title}\n"
