"""Rows of Parquet, Arrow and Feather files, and of folders that `datasets` saved.

pyarrow reads them, in batches; here their values become those of JSON: numbers and dates keep their digits.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synth.errors import DataError, StorageError
from synth.importing import arrow_sizes
from synth.importing.raw import Digits, RawRow
from synth.media import resolve_inside
from synth.storage import read_json

BATCH_ROWS = 256
BATCH_BYTES = 64 << 20
"""Bytes of values that are unpacked at once, as far as a file says how large they are."""
MAX_VALUE = 64 << 20
"""Bytes of one text, picture or recording."""
MAX_COLUMN = 1 << 30
"""Bytes that a column may unpack to between two marks of a Parquet file, where it is packed unusually well."""
USUAL_PACKING = 50
MAX_BATCH = 512 << 20
"""Bytes that a batch of an Arrow file may unpack to where it is packed well: pyarrow unpacks a batch as a whole."""
USUAL_BATCH = 2


def arrow_rows(path: Path, notes: list[str] | None = None) -> Iterator[RawRow]:
    """Rows of a Parquet, Arrow or Feather file, batch by batch. Raises DataError.

    A column that `datasets` wrote as numbers of named classes has the names; `notes` says so.
    """
    import pyarrow as pa

    number, classes = 0, None
    try:
        for batch in _batches(path):
            columns = {name: _column(batch.column(place)) for place, name in enumerate(batch.schema.names)}
            if len(columns) < len(batch.schema.names):
                message = f"{path.name} has two columns of one name."
                raise DataError(message, "Give every column a name of its own.", "data.header")
            if classes is None:
                classes = _classes(batch.schema)
                if notes is not None:
                    notes += [
                        f"the numbers in '{column}' are written as the names of their classes: {', '.join(names[:10])}"
                        for column, feature in classes.items()
                        for names in _names_in(feature)
                    ]
            for column, feature in classes.items():
                columns[column] = [_named(value, feature) for value in columns[column]]
            for values in zip(*columns.values(), strict=True):
                number += 1
                yield RawRow(number, dict(zip(columns, values, strict=True)))
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path.name} cannot be read: {reason}.", "Write it again.", "data.unreadable") from error


def _classes(schema: Any) -> dict[str, Any]:
    """Column → its feature, of those with named classes inside, from what `datasets` keeps beside the columns."""
    try:
        kept = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = kept.get("info", {}).get("features", {}).items()
        return {name: feature for name, feature in features if name in schema.names and any(_names_in(feature))}
    except (ValueError, AttributeError, RecursionError):
        return {}


def _names_in(feature: Any) -> Iterator[list[str]]:
    """The names of every class label in a feature of `datasets`; those that are called by their numbers say nothing."""
    if isinstance(feature, list):
        yield from (names for item in feature for names in _names_in(item))
    elif isinstance(feature, dict) and isinstance(feature.get("names"), list):
        names = [str(item) for item in feature["names"]]
        if any(name != str(place) for place, name in enumerate(names)):
            yield names
    elif isinstance(feature, dict):
        yield from (names for item in feature.values() for names in _names_in(item))


def _named(value: Any, feature: Any) -> Any:
    """A value with the names of its classes. -1 is what `datasets` writes for a class that nobody knows."""
    if isinstance(feature, dict) and "feature" in feature:  # of a list
        feature = [feature["feature"]]
    if isinstance(value, list) and isinstance(feature, list) and feature:
        return [_named(item, feature[0]) for item in value]
    if isinstance(value, dict) and isinstance(feature, list) and feature and isinstance(feature[0], dict):
        return {key: _named(item, [feature[0].get(key)]) for key, item in value.items()}  # a list of objects, by column
    if isinstance(value, dict) and isinstance(feature, dict):
        return {key: _named(item, feature.get(key)) for key, item in value.items()}
    names = next(_names_in(feature), None)
    if names is None or not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None if value == -1 else value


def saved_tables(folder: Path) -> list[tuple[Path, str]]:
    """(file, split) of a folder that `save_to_disk` wrote; none when it is no such folder. Raises DataError."""
    splits = folder / "dataset_dict.json"
    if splits.is_file():
        named = [part for part in _listed(splits, "splits") if isinstance(part, str) and part.isprintable()]
        inside = {part.name: part for part in folder.iterdir() if part.is_dir()}  # no path, and not the folder itself
        return [(file, name) for name in named if name in inside for file, _ in saved_tables(inside[name])]
    state = folder / "state.json"
    if not state.is_file() or not (folder / "dataset_info.json").is_file():
        return []
    entries = [entry for entry in _listed(state, "_data_files") if isinstance(entry, dict)]
    try:
        files = [resolve_inside(folder, str(entry.get("filename", "")), "table") for entry in entries]
    except DataError as error:
        raise DataError(error.message, "Save the data set again.", "data.missing") from error
    return [(file, "") for file in files]


def _listed(file: Path, key: str) -> list[Any]:
    """The list under a key of a JSON file of `datasets`; empty where there is none. Raises DataError."""
    try:
        found = read_json(file)
    except StorageError as error:
        raise DataError(f"{file.name} cannot be read as JSON.", "Save the data set again.", "data.json") from error
    listed = found.get(key) if isinstance(found, dict) else None
    return listed if isinstance(listed, list) else []


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa

    with path.open("rb") as file:
        head = file.read(6)
    if head[:4] == b"PAR1":
        yield from _parquet_batches(path)
        return
    for size in arrow_sizes.sizes(path):
        if size.unpacked > max(MAX_BATCH, USUAL_BATCH * size.packed):
            message = f"{path.name} holds a batch that unpacks to {size.unpacked / 2**30:.3g} GiB."
            raise DataError(message, "Write it again as Parquet, or in batches of fewer rows.", "data.size")
    with pa.OSFile(str(path)) as source:  # a map would end the process where the file is cut meanwhile
        if head == arrow_sizes.MAGIC:
            reader = pa.ipc.open_file(source)
            batches = (reader.get_batch(place) for place in range(reader.num_record_batches))
        else:
            batches = iter(pa.ipc.open_stream(source))
        for batch in batches:
            batch.validate(full=True)  # offsets that lead outside their buffers would end the process
            for start in range(0, batch.num_rows, BATCH_ROWS):
                part = batch.slice(start, BATCH_ROWS)
                for name, column in zip(part.schema.names, part.columns, strict=True):
                    _refuse_repeated(path, name, column)
                yield from _decoded(part, path)


def _refuse_repeated(path: Path, name: str, column: Any) -> None:
    """Raise DataError for values that stand once in a file and many times in its rows, where these would be large."""
    import pyarrow as pa

    kinds = list(_kinds(column.type))
    never = (pa.types.is_run_end_encoded, pa.types.is_union, pa.types.is_list_view, pa.types.is_large_list_view)
    if any(test(kind) for kind in kinds for test in never):
        message = f"The column {name} of {path.name} is of the kind {column.type}, which is not read here."
        raise DataError(message, "Write the file again as Parquet.", "data.format")
    inner = (pa.types.is_dictionary, pa.types.is_string_view, pa.types.is_binary_view)
    if any(test(kind) for kind in kinds for test in inner) and not pa.types.is_dictionary(column.type):
        size = _repeated_bytes(column)
        if size > MAX_BATCH:
            message = f"{path.name} has rows of {size / 2**30:.3g} GiB in the column {name}."
            raise DataError(message, "Write it again with shorter values.", "data.size")


def _kinds(kind: Any) -> Iterator[Any]:
    yield kind
    for place in range(kind.num_fields):
        yield from _kinds(kind.field(place).type)


def _repeated_bytes(column: Any) -> int:
    """At most so many bytes are in the texts of a column that point to what is stored once."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        longest = pc.max(pc.binary_length(column.dictionary)).as_py() if _has_lengths(kind.value_type) else 0
        return len(column) * int(longest or 0)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        lengths = np.frombuffer(column.buffers()[1], np.int32)[::4]
        return int(lengths[column.offset : column.offset + len(column)].astype(np.int64).sum())
    if pa.types.is_map(kind):
        column = pa.ListArray.from_arrays(column.offsets, pa.StructArray.from_arrays([column.keys, column.items], "ki"))
    parts = column.flatten() if kind.num_fields else []
    return sum(_repeated_bytes(part) for part in (parts if isinstance(parts, list) else [parts]))


def unpacked_bytes(path: Path) -> int:
    """What the values of a Parquet file take, as its own figures say. Raises DataError for a torn one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_metadata(path)
        return sum(found.row_group(place).total_byte_size for place in range(found.num_row_groups))
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path.name} cannot be read: {reason}.", "Write it again.", "data.unreadable") from error


def _parquet_batches(path: Path) -> Iterator[Any]:
    """Rows of a Parquet file; so few at once that their values, which may be packed to nothing, fit into memory.

    Texts that are packed as a dictionary are left so until their lengths are known. Raises DataError.
    """
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    texts = [field.name for field in schema if _has_lengths(field.type)]
    file = pq.ParquetFile(path, read_dictionary=texts)
    rows = BATCH_ROWS
    for place in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(place)
        columns = [group.column(n) for n in range(group.num_columns)]
        for one in columns:
            if one.total_uncompressed_size > max(MAX_COLUMN, USUAL_PACKING * one.total_compressed_size):
                message = f"{path.name} unpacks to over {MAX_COLUMN >> 30} GiB in the column {one.path_in_schema}."
                raise DataError(message, "Save it as CSV or JSONL.", "data.size")
        bytes_per_row = sum(one.total_uncompressed_size for one in columns) // max(1, group.num_rows)
        rows = max(1, min(rows, BATCH_BYTES // max(1, bytes_per_row)))
    for batch in file.iter_batches(rows):
        yield from _decoded(batch, path)


def _decoded(batch: Any, path: Path) -> Iterator[Any]:
    """Dictionaries as their values, few rows at once where these are long. Raises DataError for one too long."""
    import pyarrow as pa
    import pyarrow.compute as pc

    longest = 0
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type) and len(column.dictionary) and _has_lengths(column.dictionary.type):
            size = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
            if size > MAX_VALUE:
                message = f"{path.name} has a value of {size >> 20} MiB in the column {name}."
                raise DataError(message, f"Cut it to at most {MAX_VALUE >> 20} MiB.", "data.size")
            longest += size
    step = max(1, min(batch.num_rows, BATCH_BYTES // max(1, longest)))
    for start in range(0, batch.num_rows, step):
        part = batch.slice(start, step)
        columns = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in part.columns]
        yield pa.RecordBatch.from_arrays(columns, part.schema.names).replace_schema_metadata(part.schema.metadata)


def _has_lengths(kind: Any) -> bool:
    import pyarrow as pa

    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _column(column: Any) -> list[Any]:
    """The values of a column as JSON would hold them."""
    import pyarrow as pa

    if pa.types.is_floating(column.type):  # of a 32-bit number its own digits, not those of the 64-bit one nearest
        return [
            None if text is None or text in ("nan", "inf", "-inf") else Digits(text)
            for text in (str(value) if valid else None for value, valid in _numbers(column))
        ]
    if pa.types.is_nested(column.type):
        return [plain(_own_digits(value, column.type)) for value in column.to_pylist(maps_as_pydicts="strict")]
    values = column.to_pylist()
    simple = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean)
    return values if any(test(column.type) for test in simple) else [plain(value) for value in values]


def _own_digits(value: Any, kind: Any) -> Any:
    """A nested value in which numbers of 32 and 16 bits have their own digits, not those of the 64-bit one nearest."""
    import numpy as np
    import pyarrow as pa

    if isinstance(value, float) and (pa.types.is_float32(kind) or pa.types.is_float16(kind)):
        return Digits(str(np.float32(value) if pa.types.is_float32(kind) else np.float16(value)))
    if isinstance(value, list) and not pa.types.is_map(kind):
        return [_own_digits(item, kind.value_type) for item in value]
    if isinstance(value, dict):
        is_map = pa.types.is_map(kind)
        return {k: _own_digits(item, kind.item_type if is_map else kind.field(k).type) for k, item in value.items()}
    return value


def _numbers(column: Any) -> Iterator[tuple[Any, bool]]:
    valid = column.is_valid().to_pylist()
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    return zip(values, valid, strict=True)


def plain(value: Any) -> Any:
    """A value of pyarrow or a sheet as JSON has it: dates as ISO text, decimals by their digits, NaN as None.

    Bytes stay: they are of pictures and recordings.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return Digits(repr(value)) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bytes):
        return value
    if isinstance(value, datetime.datetime) and value.time() == datetime.time() and value.tzinfo is None:
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)
