"""Importing users' pictures: good rows kept, each fault a row error, nothing outside the folder read."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.importing.detect import detect
from synth.importing.images import read_image
from synth.importing.importer import Options, import_data
from synth.importing.report import ImportReport
from synth.workspace import Workspace


def import_images(
    path: Path, name: str, workspace: Workspace, mapping: dict[str, str] | None = None, **options: Any
) -> ImportReport:
    return import_data(path, name, workspace, Options("vision", mapping, **options))


def write_folder(folder: Path, rows: list[object]) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(4):
        Image.new("RGB", (40, 30), (number * 50, 80, 120)).save(folder / f"{number}.png")
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def row(name: str, **more: str) -> dict[str, str]:
    return {"file_name": name, "question": "What colour?", "answer": "blue", **more}


def bomb(path: Path, side: int = 30_000) -> None:
    """A PNG header that claims side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 99))]
    packed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def test_an_imagefolder_becomes_a_dataset(tmp_path: Path, workspace: Workspace) -> None:
    source = write_folder(tmp_path / "in", [row(f"{n}.png", split="test" if n == 3 else "train") for n in range(4)])
    report = import_images(source, "mine", workspace)
    dataset = DatasetDir(workspace.datasets / "mine")
    assert (report.kept, report.rejected) == (4, [])
    assert [e.answer for e in dataset.examples("test")] == ["blue"]
    assert dataset.card.modality == "vision"
    assert len(list((dataset.path / "media").iterdir())) == 4
    assert not dataset.verify()


def test_a_csv_of_path_question_answer_is_read(tmp_path: Path, workspace: Workspace) -> None:
    folder = write_folder(tmp_path / "in", [])
    (folder / "rows.csv").write_text('Path,Question,Answer\n0.png,How many?,3\n1.png,"Red, or blue?",blue\n')
    report = import_images(folder / "rows.csv", "mine", workspace)
    assert report.kept == 2


def test_named_columns_are_mapped(tmp_path: Path, workspace: Workspace) -> None:
    source = write_folder(tmp_path / "in", [{"bild": "0.png", "frage": "Was?", "antwort": "Rot"}])
    mapping = {"path": "bild", "question": "frage", "answer": "antwort"}
    assert import_images(source, "mine", workspace, mapping).kept == 1
    with pytest.raises(DataError, match="did you mean 'answer'"):
        import_images(source, "other", workspace, {"anser": "antwort"})


def test_a_mapping_is_guessed_and_a_wrong_one_is_a_sentence(tmp_path: Path, workspace: Workspace) -> None:
    source = write_folder(tmp_path / "in", [])
    (source / "rows.csv").write_text("Image,frage,label,split\n0.png,Was?,Rot,test\n1.png,Wer?,Ada,test\n")
    guess = detect(source / "rows.csv")
    assert guess.columns == ("Image", "frage", "label", "split")
    assert guess.mapping == {"path": "Image", "answer": "label", "split": "split"}
    with pytest.raises(DataError, match=r"no question.*map the columns"):
        import_images(source / "rows.csv", "mine", workspace)
    with pytest.raises(DataError, match="did you mean 'frage'"):
        import_images(source / "rows.csv", "mine", workspace, {"question": "fragen"})
    report = import_images(source / "rows.csv", "mine", workspace, {"question": "frage", "split": ""})
    assert report.kept == 2
    assert report.splits != {"test": 2}


def test_each_fault_is_a_row_error_with_its_line(tmp_path: Path, workspace: Workspace) -> None:
    folder = write_folder(
        tmp_path / "in",
        [
            row("0.png"),
            row("truncated.png"),
            row("bomb.png"),
            row("note.txt"),
            row("gone.png"),
            row("../secret.png"),
            row("https://example.org/x.png"),
            "{torn",
            {"file_name": "1.png", "question": "", "answer": "x"},
            row("1.png", split="exam"),
            row("0.png"),
            row("a\0b.png"),
        ],
    )
    (folder / "truncated.png").write_bytes((folder / "0.png").read_bytes()[:60])
    bomb(folder / "bomb.png")
    (folder / "note.txt").write_text("not a picture")
    Image.new("RGB", (5, 5)).save(tmp_path / "secret.png")
    report = import_images(folder, "mine", workspace)
    reasons = dict(report.rejected)
    assert report.kept == 1
    assert reasons[2] == reasons[4] == "picture is broken"
    assert reasons[3] == "picture is too large"
    assert reasons[5] == "picture is missing"
    assert reasons[6] == "picture lies outside the folder"
    assert reasons[7] == "picture is an address, which is never fetched"
    assert reasons[9] == "no question"
    assert reasons[10] == "unknown split"
    assert reasons[11] == "same picture and question as line 1"
    assert sorted(reasons) == list(range(2, 13))
    assert sum(DatasetDir(workspace.datasets / "mine").card.rejected.values()) == 11


def test_questions_about_one_picture_stay_in_one_split(tmp_path: Path, workspace: Workspace) -> None:
    rows = [{"file_name": f"{n}.png", "question": f"Q{q}?", "answer": "a"} for n in range(4) for q in range(5)]
    import_images(write_folder(tmp_path / "in", rows), "mine", workspace)
    dataset = DatasetDir(workspace.datasets / "mine")
    homes: dict[str, set[str]] = {}
    for split in dataset.splits():
        for example in dataset.examples(split):
            homes.setdefault(example.template, set()).add(split)
    assert len(homes) == 4
    assert all(len(home) == 1 for home in homes.values())


def test_nothing_usable_leaves_nothing_behind(tmp_path: Path, workspace: Workspace) -> None:
    source = write_folder(tmp_path / "in", [row("gone.png")])
    with pytest.raises(DataError, match="line 1: picture is missing"):
        import_images(source, "mine", workspace)
    assert not (workspace.datasets / "mine").exists()


def test_a_folder_without_metadata_says_what_to_write(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(DataError, match="file_name, question, answer"):
        import_images(tmp_path, "mine", workspace)


def test_pillows_bomb_warning_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (60, 60)).save(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.raises(DataError, match="far too many pixels"):
        read_image(tmp_path / "big.png")


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").size == (20, 40)
