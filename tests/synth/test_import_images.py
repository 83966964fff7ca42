"""Importing users' pictures: good rows kept, each fault a row error, nothing outside the folder read."""

from __future__ import annotations

import base64
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synth.dataset import DatasetDir
from synth.errors import DataError
from synth.importing.detect import detect, modality_of
from synth.importing.images import read_image
from synth.importing.importer import Options, import_data
from synth.importing.preview import columns_of, guess_roles, only_reading
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


def grey(folder: Path, name: str, mode: str, values: list[float]) -> Path:
    """A picture of one row in a mode of more than 8 bits."""
    kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    Image.fromarray(np.array([values], dtype=kind)).save(folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("name", "mode", "values", "seen"),
    [
        ("sixteen.png", "I;16", [0, 257 * 100, 65535], [0, 100, 255]),
        ("sixteen.tif", "I;16", [0, 32768, 65535], [0, 128, 255]),
        ("wide.tif", "I", [-100, 20, 100], [0, 153, 255]),
        ("share.tif", "F", [0.0, 0.5, 1.0], [0, 128, 255]),
        ("bytes.tif", "F", [0.0, 100.0, 255.0], [0, 100, 255]),
        ("free.tif", "F", [-2.0, 0.0, 2.0], [0, 128, 255]),
    ],
)
def test_more_than_8_bits_are_scaled_and_not_cut_off(
    name: str, mode: str, values: list[float], seen: list[int], tmp_path: Path
) -> None:
    image = read_image(grey(tmp_path, name, mode, values))
    assert image.mode == "RGB"
    assert [image.getpixel((x, 0))[0] for x in range(3)] == seen


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white_paper(mode: str, tmp_path: Path) -> None:
    if mode == "P":
        image = Image.new("P", (2, 1))
        image.putpalette([10, 20, 30, 0, 0, 0])
        image.putpixel((1, 0), 1)
        image.save(tmp_path / "p.png", transparency=0)
    else:
        image = Image.new(mode, (2, 1), (10, 20, 30, 0) if mode == "RGBA" else (10, 0))
        image.putpixel((1, 0), (0, 0, 0, 255) if mode == "RGBA" else (0, 255))
        image.save(tmp_path / "p.png")
    read = read_image(tmp_path / "p.png")
    assert [read.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (0, 0, 0)]


def test_a_picture_of_values_that_are_not_numbers_is_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not numbers"):
        read_image(grey(tmp_path, "nan.tif", "F", [0.0, float("nan")]))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<image>\nWhat?", ["image", "What?"]),
        ("Before <image> after", ["Before ", "image", " after"]),
        ("What?", ["image", "What?"]),
        ("<image>", ["image"]),
    ],
)
def test_a_mark_is_where_its_picture_goes(text: str, parts: list[str], tmp_path: Path, workspace: Workspace) -> None:
    chat = {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "a"}], "images": ["0.png"]}
    folder = write_folder(tmp_path / "in", [])
    (folder / "rows.jsonl").write_text(json.dumps(chat))
    assert import_data(folder / "rows.jsonl", "mine", workspace).modality == "vision"
    (example,) = (e for s in ("train", "val", "test") for e in DatasetDir(workspace.datasets / "mine").examples(s))
    assert [getattr(part, "text", part.type) for part in example.prompt[0].content] == parts


def test_several_pictures_stand_in_their_order_and_a_count_that_does_not_fit_is_set_aside(
    tmp_path: Path, workspace: Workspace
) -> None:
    def chat(text: str) -> dict[str, object]:
        turns = [{"from": "human", "value": text}, {"from": "gpt", "value": "a"}]
        return {"conversations": turns, "images": ["1.png", "0.png"]}

    folder = write_folder(tmp_path / "in", [])
    rows = [chat("<image><image> Which?"), chat("One <image> alone?"), chat("Two?")]
    (folder / "rows.json").write_text(json.dumps(rows))
    report = import_data(folder / "rows.json", "mine", workspace)
    assert report.rejected == [(2, "the <image> marks and the pictures are not equally many")]
    for example in (e for s in report.splits for e in DatasetDir(workspace.datasets / "mine").examples(s)):  # type: ignore[arg-type]
        first, second = example.prompt[0].content[:2]
        dataset = DatasetDir(workspace.datasets / "mine")
        assert read_image(dataset.media_path(first.path)).getpixel((0, 0))[0] == 50
        assert read_image(dataset.media_path(second.path)).getpixel((0, 0))[0] == 0


def test_parts_and_bytes_of_pictures_are_read_and_addresses_never_fetched(tmp_path: Path, workspace: Workspace) -> None:
    folder = write_folder(tmp_path / "in", [])
    inline = "data:image/png;base64," + base64.b64encode((folder / "2.png").read_bytes()).decode()
    said = {"role": "assistant", "content": "a"}

    def asked(part: dict[str, object], number: int) -> dict[str, object]:
        return {"messages": [{"role": "user", "content": [part, {"type": "text", "text": f"q{number}"}]}, said]}

    parts = [
        {"type": "image", "image": "0.png"},
        {"type": "image_url", "image_url": {"url": inline, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}},
    ]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(asked(part, n)) for n, part in enumerate(parts)))
    report = import_data(folder / "rows.jsonl", "mine", workspace)
    assert (report.kept, report.rejected) == (2, [(3, "picture is an address, which is never fetched")])


@pytest.mark.parametrize("splits", [(), ("train", "test"), ("training", "validation")])
def test_pictures_in_one_folder_for_each_class_are_read(
    splits: tuple[str, ...], tmp_path: Path, workspace: Workspace
) -> None:
    for number, place in enumerate(splits or (".",)):
        for name in ("cat", "dog"):
            (tmp_path / "in" / place / name).mkdir(parents=True)
            colour = (number * 90, 80, 200 if name == "cat" else 20)
            Image.new("RGB", (8, 8), colour).save(tmp_path / "in" / place / name / "a.png")
    report = import_data(tmp_path / "in", "mine", workspace)
    assert (report.modality, report.kept) == ("vision", 2 * len(splits or (".",)))
    if splits:
        assert set(report.splits) == {"train", "test" if "test" in splits else "val"}
    dataset = DatasetDir(workspace.datasets / "mine")
    assert {e.target for s in dataset.splits() for e in dataset.examples(s)} == {"cat", "dog"}


def test_an_archive_of_a_folder_is_read_like_the_folder(tmp_path: Path, workspace: Workspace) -> None:
    folder = write_folder(tmp_path / "in", [row(f"{n}.png") for n in range(4)])
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"top/{file.name}")
        archive.writestr("../escape.txt", "no")
    assert import_data(tmp_path / "in.zip", "mine", workspace).kept == 4
    assert not (tmp_path.parent / "escape.txt").exists()


def receipts(folder: Path, header: str = "Datei;Summe;Händler") -> Path:
    folder.mkdir()
    for n in range(12):
        Image.new("RGB", (8, 8), (n, 0, 0)).save(folder / f"bon_{n}.png")
    rows = [f"bon_{n}.png;{n},10;{('Edeka', 'Rewe')[n % 2]}" for n in range(12)]
    (folder / "bons.csv").write_text("\n".join([header, *rows]), "utf-8")
    return folder


def test_a_column_of_files_that_are_there_makes_pictures_whatever_it_is_called(
    tmp_path: Path, workspace: Workspace
) -> None:
    folder = receipts(tmp_path / "bons")
    assert modality_of(folder) == "vision" and only_reading(folder, "vision") == {"path": "Datei"}
    with pytest.raises(DataError, match=r"map answer=COLUMN\): one of Summe, Händler"):
        import_data(folder, "rows", workspace, Options(mapping={"path": "Datei"}, question="What is the total?"))
    asked = Options(mapping={"path": "Datei", "answer": "Summe"}, question="What is the total?")
    report = import_data(folder, "rows", workspace, asked)
    assert report.kept == 12 and report.modality == "vision"


def test_file_names_are_never_offered_as_a_question(tmp_path: Path, workspace: Workspace) -> None:
    folder = receipts(tmp_path / "bons")
    assert only_reading(folder, "text") == {} and "Datei" not in guess_roles(columns_of(folder), {}).values()
    with pytest.raises(DataError, match=r"'Datei' names pictures: .* --modality vision") as refused:
        import_data(folder, "rows", workspace, Options("text"))
    assert "question=" not in str(refused.value)


def test_no_grouping_is_suggested_that_leaves_no_test_row(tmp_path: Path, workspace: Workspace) -> None:
    asked = Options(mapping={"path": "Datei", "answer": "Summe"}, question="What is the total?")
    report = import_data(receipts(tmp_path / "bons"), "rows", workspace, asked)
    left = [grouping for grouping in report.groupings if not grouping.splits.get("test")]
    assert left and "--group-by" not in "\n".join(report.lines())
