"""Small files that unpack to much: what they claim is looked at before it is unpacked, and memory stays bounded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from studio.state import uploads
from synth.audio.files import decode
from synth.errors import DataError
from synth.importing import archives, images, sheets, tables
from synth.importing.detect import detect
from synth.importing.images import decode_image
from synth.importing.importer import import_data
from synth.importing.preview import MAX_BYTES, columns_of, size_bytes
from synth.importing.sheets import xlsx_rows
from synth.importing.tables import arrow_rows
from synth.workspace import Workspace


def workbook(folder: Path, **parts: Any) -> Path:
    """A sheet of two rows; `parts` change its parts; `texts` are shared texts, as Excel has them."""
    texts = parts.pop("texts", "")
    book = openpyxl.Workbook()
    book.active.append(["question", "answer"])
    book.active.append(["q1", "a1"])
    whole, file = io.BytesIO(), folder / "book.xlsx"
    book.save(whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            text = old.read(name).decode()
            for part, (right, wrong) in parts.items():
                if part in name:
                    assert right in text
                    text = text.replace(right, wrong)
            if name == "[Content_Types].xml" and texts:
                kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
                text = text.replace("</Types>", f'<Override PartName="/xl/texts.xml" ContentType="{kind}" /></Types>')
            new.writestr(name, text)
        if texts:
            space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
            new.writestr("xl/texts.xml", f'<sst xmlns="{space}"><si><t>q2</t></si>{texts}</sst>')
    return file


MUCH = 40_000
BOMBS: dict[str, dict[str, Any]] = {
    "a row of many cells": {"sheet1": ("</row></sheetData>", "<c><v>1</v></c>" * MUCH + "</row></sheetData>")},
    "much beside the rows": {"sheet1": ("</sheetData>", "</sheetData><x>" + "<y/>" * MUCH + "</x>")},
    "many rows": {"sheet1": ("</sheetData>", "<row/>" * MUCH + "</sheetData>")},
    "many shared texts": {"texts": "<si><t>ab</t></si>" * MUCH},
    "one shared text of many parts": {"texts": f"<si>{'<r><t>a</t></r>' * MUCH}</si>"},
    "many styles": {"styles": ("</styleSheet>", "<x/>" * MUCH + "</styleSheet>")},
    "a row far below": {"sheet1": ("</sheetData>", '<row r="9999999999"><c><v>1</v></c></row></sheetData>')},
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_workbook_that_unpacks_to_too_much_is_a_sentence(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = workbook(tmp_path, **BOMBS[what])
    for name, value in (("MAX_PART", 100_000), ("MAX_STRINGS", 200_000), ("MAX_ROWS", 1000), ("_CHUNK", 5000)):
        monkeypatch.setattr(sheets, name, value)
    with pytest.raises(DataError, match="Save it as CSV") as caught:
        list(xlsx_rows(file))
    assert caught.value.code == "data.size"


def test_a_large_sheet_of_ordinary_rows_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MAX_PART", 20_000)
    rows = "".join(f"<row><c><v>{n}</v></c><c><v>{n}</v></c></row>" for n in range(5000))
    shared = '<row><c t="s"><v>0</v></c><c><v>1</v></c></row>'
    changed = ("</sheetData>", f"{shared}{rows}</sheetData>")
    found = list(xlsx_rows(workbook(tmp_path, sheet1=changed, texts="<si><t>ab</t></si>" * 5000)))
    assert len(found) == 5002 and found[1].value == {"question": "q2", "answer": 1}


@pytest.mark.parametrize("said", ["A1", "A1:A1", "A1:XFD1048576", "B2:B2"])
def test_a_sheet_that_says_a_wrong_size_is_read_whole(said: str, tmp_path: Path) -> None:
    file = workbook(tmp_path, sheet1=('ref="A1:B2"', f'ref="{said}"'))
    assert [row.value for row in xlsx_rows(file)] == [{"question": "q1", "answer": "a1"}]


def test_cells_that_a_row_lacks_are_missing_and_not_left_out(tmp_path: Path) -> None:
    file = workbook(tmp_path, sheet1=("</sheetData>", "<row><c><v>7</v></c></row></sheetData>"))
    assert [row.value for row in xlsx_rows(file)][1] == {"question": 7, "answer": None}


def parquet(folder: Path, values: list[str], **how: Any) -> Path:
    file = folder / "rows.parquet"
    pq.write_table(pa.table({"question": values, "n": list(range(len(values)))}), file, compression="zstd", **how)
    return file


def test_values_packed_as_one_are_unpacked_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH_BYTES", 10_000)
    sizes: list[int] = []
    decoded = tables._decoded
    monkeypatch.setattr(tables, "_decoded", lambda batch, path: (noted(sizes, part) for part in decoded(batch, path)))
    values = ["x" * 2000, "y" * 2000, None, "z"] * 30
    rows = list(arrow_rows(parquet(tmp_path, values)))
    assert [row.value["question"] for row in rows if row.value] == values
    assert max(sizes) < 30_000 and len(rows) == 120


def arrow(folder: Path, table: Any, packing: str | None, file_format: bool) -> Path:
    file, how = folder / "rows.arrow", pa.ipc.IpcWriteOptions(compression=packing)
    make = pa.ipc.new_file if file_format else pa.ipc.new_stream
    with pa.OSFile(str(file), "wb") as out, make(out, table.schema, options=how) as writer:
        writer.write_table(table)
    return file


@pytest.mark.parametrize("file_format", [True, False])
@pytest.mark.parametrize("packing", ["zstd", "lz4"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_an_arrow_batch_that_unpacks_to_too_much_is_refused_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: str, file_format: bool, dictionary: bool
) -> None:
    texts = pa.array(["x" * 1_000_000 + str(n) for n in range(8)])
    table = pa.table({"question": texts.dictionary_encode() if dictionary else texts})
    file = arrow(tmp_path, table, packing, file_format)
    assert file.stat().st_size < 200_000
    opened: list[int] = []
    monkeypatch.setattr(tables, "MAX_BATCH", 4_000_000)
    for opening in ("open_file", "open_stream"):
        monkeypatch.setattr(pa.ipc, opening, lambda *_: opened.append(1))
    with pytest.raises(DataError, match=r"a batch that unpacks to 0\.00745 GiB") as caught:
        list(arrow_rows(file))
    assert caught.value.code == "data.size" and not opened


@pytest.mark.parametrize("file_format", [True, False])
@pytest.mark.parametrize("packing", ["zstd", "lz4", None])
def test_arrow_files_are_read_however_they_are_packed(tmp_path: Path, packing: str | None, file_format: bool) -> None:
    texts = ["x" * 1000 + str(n % 7) for n in range(600)]
    columns = {"question": pa.array(texts).dictionary_encode(), "answer": pa.array(texts), "n": list(range(600))}
    views = {"view": pa.array(texts, pa.string_view()), "deep": pa.array([{"a": [t]} for t in texts])}
    named = pa.array([[("k", t)] for t in texts], pa.map_(pa.string(), pa.string_view()))
    rows = list(arrow_rows(arrow(tmp_path, pa.table({**columns, **views, "map": named}), packing, file_format)))
    assert [row.value for row in rows] == [
        {"question": t, "answer": t, "n": n, "view": t, "deep": {"a": [t]}, "map": {"k": t}}
        for n, t in enumerate(texts)
    ]


LONG = "x" * 100_000
REPEATED = {
    "a dictionary in a list": pa.ListArray.from_arrays([0, 100], pa.array([LONG] * 100).dictionary_encode()),
    "a dictionary in an object": pa.StructArray.from_arrays([pa.array([LONG] * 100).dictionary_encode()], ["a"]),
    "views of one text": pa.array([LONG] * 100, pa.string_view()),
    "views in a map": pa.array([[("k", LONG)] * 100], pa.map_(pa.string(), pa.string_view())),
    "a list of what was seen before": pa.array([["a"]], pa.list_view(pa.string())),
    "runs": pa.RunEndEncodedArray.from_arrays([100], [LONG]),
    "a union": pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([LONG])]),
}


@pytest.mark.parametrize("what", REPEATED)
def test_a_value_that_stands_once_and_is_meant_often_is_a_sentence(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MAX_BATCH", 5_000_000)
    monkeypatch.setattr(tables, "USUAL_BATCH", 1000)
    file = arrow(tmp_path, pa.table({"question": REPEATED[what]}), None, True)
    with pytest.raises(DataError, match="question") as caught:
        list(arrow_rows(file))
    assert caught.value.code in ("data.size", "data.format") and "again" in caught.value.remedy


@pytest.mark.parametrize("file_format", [True, False])
def test_a_torn_head_of_an_arrow_file_is_a_sentence(tmp_path: Path, file_format: bool) -> None:
    whole = arrow(tmp_path, pa.table({"question": ["a" * 50] * 20}), "zstd", file_format).read_bytes()
    refused = 0
    for place in range(len(whole)):
        file = tmp_path / "torn.arrow"
        for torn in (whole[:place], whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]):
            file.write_bytes(torn)
            try:
                list(arrow_rows(file))
            except DataError as error:
                refused += 1
                assert error.remedy
    assert refused > len(whole) / 2


def noted(sizes: list[int], batch: Any) -> Any:
    sizes.append(batch.nbytes)
    return batch


def test_a_value_that_is_too_long_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_VALUE", 1 << 20)
    with pytest.raises(DataError, match="a value of 2 MiB in the column question") as caught:
        list(arrow_rows(parquet(tmp_path, ["x" * (2 << 20)] * 3)))
    assert caught.value.code == "data.size"


def test_a_column_that_is_packed_to_nothing_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_COLUMN", 1 << 20)
    file = parquet(tmp_path, [f"{'x' * 100_000}{n}" for n in range(100)], use_dictionary=False)
    with pytest.raises(DataError, match="in the column question") as caught:
        list(arrow_rows(file))
    assert caught.value.code == "data.size"


def test_a_recording_of_many_channels_and_samples_is_refused_before_it_is_decoded() -> None:
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", 384_000, 8, "PCM_16", format="FLAC") as file:
        for _ in range(25):
            file.write(np.zeros((384_000, 8), "int16"))
    with pytest.raises(DataError, match="77 million samples") as caught:
        decode(out.getvalue(), "a.flac")
    assert caught.value.code == "recording.too_large"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "F", "L", "CMYK", "1"])
def test_a_picture_in_strips_is_the_picture_at_once(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    if mode == "F":
        picture = Image.fromarray(rng.normal(size=(40, 30)).astype(np.float32))
    elif mode == "I;16":
        picture = Image.fromarray(rng.integers(0, 65536, (40, 30), dtype=np.uint16))
    else:
        picture = Image.fromarray(rng.integers(0, 256, (40, 30, 4), dtype=np.uint8), "RGBA").convert(mode)
    if mode == "P":
        picture.info["transparency"] = 7
    at_once = images._rgb(picture)
    monkeypatch.setattr(images, "STRIP_PIXELS", 70)
    in_strips = images._rgb(picture)
    assert at_once.size == (30, 40) and np.array_equal(np.asarray(at_once), np.asarray(in_strips))


MEASURE = """
import io, sys
from pathlib import Path
from PIL import Image
from synth.importing.images import decode_image
out = io.BytesIO()
Image.new(sys.argv[1], (7000, 7000)).save(out, sys.argv[2], compress_level=1)
data = out.getvalue()
decode_image(data, "first")
status = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss begins with that of whoever started this
print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:")))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "form"), [("RGBA", "PNG"), ("I;16", "PNG")])
def test_the_largest_picture_takes_a_bounded_amount_of_memory(mode: str, form: str) -> None:
    found = subprocess.run([sys.executable, "-c", MEASURE, mode, form], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 700, "MB, of which 200 are the picture and 150 what becomes of it"


def test_a_picture_of_too_many_pixels_is_refused_by_its_head() -> None:
    out = io.BytesIO()
    Image.new("1", (40_000, 2_000)).save(out, "PNG")
    with pytest.raises(DataError, match="too many") as caught:
        decode_image(out.getvalue(), "a.png")
    assert caught.value.code == "picture.too_large"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst", "zip", "parquet"])
def test_a_packed_file_is_previewed_by_the_size_that_it_unpacks_to(kind: str, tmp_path: Path) -> None:
    data = b'{"question": "q", "answer": "a"}\n' * (2 * MAX_BYTES // 33)
    file = tmp_path / f"rows.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("rows.jsonl", data)
    elif kind == "parquet":
        file = parquet(tmp_path, [f"{'x' * 1000}{n}" for n in range(2 * MAX_BYTES // 1000)], use_dictionary=False)
    elif kind == "zst":
        with pa.output_stream(str(file), compression="zstd") as out:
            out.write(data)
    else:
        file.write_bytes({"gz": gzip, "bz2": bz2, "xz": lzma}[kind].compress(data))
    assert file.stat().st_size < MAX_BYTES / 10 and size_bytes(file) > MAX_BYTES


def archive(file: Path, sizes: list[int]) -> Path:
    """An archive of files of so many zeros, which a zip file only claims to hold."""
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w") as made:
            for number, size in enumerate(sizes):
                made.writestr(f"{number}.csv", b"question,answer\nq,a\n")
                made.infolist()[-1].file_size = size
    else:
        with tarfile.open(file, "w:gz") as packed:
            for number, size in enumerate(sizes):
                entry = tarfile.TarInfo(f"{number}.csv")
                entry.size = size
                packed.addfile(entry, io.BytesIO(bytes(size)))
    return file


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tgz"])
def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    file = archive(tmp_path / name, [100_000] * 30)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "made"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "made"))
    (tmp_path / "made").mkdir()
    for what, value, said in (
        ("MAX_SWOLLEN", 1_000_000, "unpacks to more than"), ("MAX_UNPACKED", 1_000_000, "unpacks to more than"),
        ("MAX_MEMBERS", 20, "more than 20 files"), ("SPARE", 1 << 62, "has"),
    ):  # fmt: skip
        with monkeypatch.context() as context:
            context.setattr(archives, what, value)
            for read in (detect, lambda path: import_data(path, "mine", workspace), columns_of):
                with pytest.raises(DataError, match=said) as caught:
                    read(file)
                assert caught.value.code == "data.size" and caught.value.remedy
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_uploaded_archive_may_unpack_to_less(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    monkeypatch.setattr(uploads, "MAX_UNPACKED", 1_000_000)
    file = archive(tmp_path / name, [100_000] * 30)
    with pytest.raises(DataError, match="unpacks to more than") as caught:
        uploads.keep(workspace, [("b.csv", b"question,answer\n"), (name, file.read_bytes())])
    assert caught.value.code == "data.size" and "by its path" in caught.value.remedy
    assert list((workspace.path / "uploads").iterdir()) == []
    assert uploads.keep(workspace, [(name, archive(tmp_path / name, [10, 10]).read_bytes())]).is_dir()


def test_what_is_only_called_an_archive_is_kept_as_it_is(workspace: Workspace) -> None:
    assert uploads.keep(workspace, [("a.zip", b"question,answer\n"), ("b.xlsx", b"PK\x03\x04")]).is_dir()
    with pytest.raises(DataError, match="cannot be read"):
        uploads.keep(workspace, [("a.tar", b"no archive")])
