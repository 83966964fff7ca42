"""Random rows through every layout and container and back lose nothing; no bytes end an import otherwise than said."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import string
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth.dataset import DatasetDir
from synth.errors import UserError
from synth.importing.detect import detect
from synth.importing.importer import import_data
from synth.workspace import Workspace

pytestmark = pytest.mark.slow

# Surrogates are no text, and the marks of dialogues and of missing cells mean something; white space at the ends of a
# cell and NUL bytes are for tests of their own.
TEXT = (
    st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\n\t\"',;|<>"), min_size=1, max_size=30)
    .map(str.strip)
    .filter(
        lambda text: text and text not in ("nan", "NaN", "NAN") and ":" not in text and not text.startswith(("[", "{"))
    )
)
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6, unique_by=lambda pair: pair[0])


def chat(asked: str, said: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]


LAYOUTS: dict[str, Any] = {
    "columns": lambda q, a: {"question": q, "answer": a},
    "prompt_completion": lambda q, a: {"prompt": q, "completion": a},
    "instruction": lambda q, a: {"instruction": q, "input": "", "output": a},
    "messages": lambda q, a: {"messages": chat(q, a)},
    "parts": lambda q, a: {
        "messages": [{"role": t["role"], "content": [{"type": "text", "text": t["content"]}]} for t in chat(q, a)]
    },
    "sharegpt": lambda q, a: {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]},
    "trl": lambda q, a: {"prompt": chat(q, a)[:1], "completion": chat(q, a)[1:]},
    "preference": lambda q, a: {"prompt": q, "chosen": a, "rejected": f"not {a}"},
    "kto": lambda q, a: {"prompt": q, "completion": a, "label": True},
    "log": lambda q, a: {"messages": chat(q, a)[:1], "choices": [{"message": chat(q, a)[1]}]},
}


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_tsv(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join("\t".join(map(str, line)) for line in [[*rows[0]], *([*row.values()] for row in rows)]).encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def as_arrow(rows: list[dict[str, Any]], stream: bool = False) -> bytes:
    import pyarrow as pa

    table, out = pa.Table.from_pylist(rows), io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def as_xlsx(rows: list[dict[str, Any]]) -> bytes:
    import openpyxl

    book, out = openpyxl.Workbook(), io.BytesIO()
    for line in [[*rows[0]], *([*row.values()] for row in rows)]:
        book.active.append(line)
    book.save(out)
    return out.getvalue()


def as_jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def as_zip(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("__MACOSX/._rows.jsonl", b"junk")
        archive.writestr("in/rows.jsonl", as_jsonl(rows))
        archive.writestr("in/none.md", b"nothing")
    return out.getvalue()


def as_tar(rows: list[dict[str, Any]]) -> bytes:
    out, data = io.BytesIO(), as_jsonl(rows)
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo("in/rows.jsonl")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def as_zst(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa

    return bytes(pa.Codec("zstd").compress(as_jsonl(rows)))


def as_columns(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps({"data": {key: [row[key] for row in rows] for key in rows[0]}, "version": 1}).encode()


CONTAINERS: dict[str, Any] = {
    "r.jsonl": as_jsonl,
    "escaped.jsonl": lambda rows: "\r\n".join(json.dumps(row) for row in rows).encode(),
    "r.json": lambda rows: json.dumps(rows, ensure_ascii=False).encode(),
    "pretty.json": lambda rows: json.dumps({"data": rows, "by": "x"}, indent=1).encode("utf-16"),
    "index.json": lambda rows: json.dumps({str(n): row for n, row in enumerate(rows)}).encode("utf-8-sig"),
    "columns.json": as_columns,
    "r.parquet": as_parquet,
    "r.arrow": as_arrow,
    "stream.arrow": lambda rows: as_arrow(rows, stream=True),
    "r.csv": as_csv,
    "said.csv": lambda rows: b"sep=,\n" + as_csv(rows),
    "r.tsv": as_tsv,
    "r.xlsx": as_xlsx,
    "r.jsonl.gz": lambda rows: gzip.compress(as_jsonl(rows)),
    "r.csv.xz": lambda rows: lzma.compress(as_csv(rows)),
    "r.jsonl.zst": as_zst,
    "r.zip": as_zip,
    "r.tar.gz": as_tar,
}
FLAT = ("columns", "prompt_completion", "instruction", "preference", "kto")
TABLES = ("r.csv", "said.csv", "r.csv.xz", "r.tsv", "r.xlsx")
"""Containers whose rows have no lists and objects."""


def held(container: str, text: str) -> str:
    """What a container can hold of a text."""
    if container == "r.tsv":
        text = text.replace("\n", " ").replace("\t", " ")
    if container == "r.xlsx":  # XML has no such characters; the first of these begins a formula, the second an error
        text = "".join(c for c in text if c not in "\ufffe\uffff").lstrip("=#")
    return text.strip() or "x"


@pytest.mark.parametrize("container", CONTAINERS)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(pairs=PAIRS, data=st.data())
def test_random_rows_lose_nothing(
    container: str, pairs: list[tuple[str, str]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    layout = data.draw(st.sampled_from(FLAT if container in TABLES else sorted(LAYOUTS)))
    pairs = list({held(container, q): (held(container, q), held(container, a)) for q, a in pairs}.values())
    folder = tmp_path_factory.mktemp("rows")
    path = folder / container
    path.write_bytes(CONTAINERS[container]([LAYOUTS[layout](*pair) for pair in pairs]))
    report = import_data(path, "d", Workspace(folder / "workspace"))
    dataset = DatasetDir(folder / "workspace" / "datasets" / "d")
    kept = {(e.prompt[0].text, e.target) for split in dataset.splits() for e in dataset.examples(split)}
    assert report.kept + report.rejected_rows == len(pairs)
    other = [reason for _, reason in report.rejected if not reason.startswith("same prompt")]
    assert other == []  # of two that Unicode writes in two ways, one
    assert kept <= set(pairs) and len(kept) == report.kept


ROWS = [{"question": f"q{n}", "answer": f"a{n}"} for n in range(4)]


@pytest.mark.parametrize("container", CONTAINERS)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.floats(0, 1), taken=st.integers(0, 40), put=st.binary(max_size=12), cut=st.booleans())
def test_no_damage_to_a_file_breaks_the_import(
    container: str, place: float, taken: int, put: bytes, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = CONTAINERS[container](ROWS)
    at = int(place * len(whole))
    survives(whole[:at] + put + (b"" if cut else whole[at + taken :]), container, tmp_path_factory.mktemp("damage"))


NAMES = (
    "r.jsonl",
    "r.json",
    "r.csv",
    "r.tsv",
    "r.txt",
    "r.parquet",
    "r.arrow",
    "r.xlsx",
    "r.gz",
    "r.zip",
    "r.zst",
    "r.tar",
    "r.tgz",
    "r",
)
MAGIC = (b"", b"PAR1", b"ARROW1", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\x00",
         b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xff\xfe\x00\x00", b"\xff\xff\xff\xff")  # fmt: skip
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["messages", "role", "content", "prompt", "chosen", "rejected", "answer", "question", "choices",
                         "label", "from", "value", "tools", "tool_calls", "text", "input", "output", "response", "data",
                         "images", "split", "history", "columns", "function", "name", "system"]),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


def survives(content: bytes, name: str, folder: Path) -> None:
    """The import ends with rows that add up, or with one of our sentences and nothing left behind."""
    path = folder / name
    path.write_bytes(content)
    place = Workspace(folder / "workspace")
    try:
        detect(path)
        report = import_data(path, "mine", place)
    except UserError as error:
        assert error.remedy and "Error" not in error.message.split(":")[0]
        assert not list(place.datasets.glob("*"))
    else:
        assert DatasetDir(place.datasets / "mine").card.rows_in == report.kept + report.rejected_rows


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(head=st.sampled_from(MAGIC), body=st.binary(max_size=200), name=st.sampled_from(NAMES))
def test_no_bytes_break_the_import(
    head: bytes, body: bytes, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    survives(head + body, name, tmp_path_factory.mktemp("fuzz"))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(JSONISH, min_size=1, max_size=4), name=st.sampled_from(NAMES[:2]), whole=st.booleans())
def test_no_value_breaks_the_import(
    values: list[Any], name: str, whole: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = json.dumps(values) if whole else "\n".join(json.dumps(value) for value in values)
    survives(text.encode("utf-8", "replace"), name, tmp_path_factory.mktemp("fuzz"))
