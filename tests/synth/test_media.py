"""Media are reached in one way: references that lead out are refused when made, files that are none when opened."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from synth.errors import DataError
from synth.example import AudioPart, ImagePart
from synth.media import read_inside, resolve_inside


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../a.png", "media/../../a.png", "..", "C:/a.png", "c:a.png", "media\\..\\a.png", "a\0.png"],
)
@pytest.mark.parametrize("kind", [ImagePart, AudioPart])
def test_parts_refuse_paths_that_are_not_below_the_dataset(kind: type[ImagePart], path: str) -> None:
    with pytest.raises(ValidationError):
        kind(path=path, sha256="0")


def test_ordinary_paths_are_kept_as_they_are() -> None:
    for path in ("media/a.png", "a..b.png", "media/ü ö.flac", "x/y/z.wav"):
        assert ImagePart(path=path, sha256="0").path == path


def test_links_that_leave_and_files_that_are_none_are_refused(tmp_path: Path) -> None:
    folder, outside = tmp_path / "d", tmp_path / "secret"
    folder.mkdir()
    outside.write_text("x")
    (folder / "good").write_bytes(b"yes")
    (folder / "inside").symlink_to(folder / "good")
    (folder / "leaves").symlink_to(outside)
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    (folder / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
        for name, code in (
            ("leaves", "medium.outside"),
            ("../secret", "medium.outside"),
            ("device", "medium.outside"),
            ("pipe", "medium.irregular"),
            ("socket", "medium.irregular"),
            (".", "medium.irregular"),
            ("loop", "medium.missing"),
            ("gone", "medium.missing"),
            ("n\0ul", "medium.missing"),
        ):
            with pytest.raises(DataError) as caught:
                resolve_inside(folder, name)
            assert caught.value.code == code, name
            assert caught.value.remedy
    assert read_inside(folder, "inside") == read_inside(folder, "good") == b"yes"
