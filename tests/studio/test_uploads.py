"""Uploads keep their names, lose none of them, and write nowhere else."""

from __future__ import annotations

import json
import os
import time

import pytest

from studio.state import uploads
from synth.errors import DataError
from synth.workspace import Workspace


def test_files_keep_their_names_and_old_folders_go(workspace: Workspace) -> None:
    first = uploads.keep(workspace, [("rows.csv", b"1"), ("ä b.png", b"2")])
    assert {f.name: f.read_bytes() for f in first.iterdir()} == {"rows.csv": b"1", "ä b.png": b"2"}
    long_ago = time.time() - uploads.KEPT_SEC - 1
    os.utime(first, (long_ago, long_ago))
    second = uploads.keep(workspace, [("rows.csv", b"3")])
    assert not first.exists()
    uploads.forget(workspace, second / "rows.csv")
    assert not second.exists()


def test_what_a_run_reads_again_when_it_goes_on_is_kept(workspace: Workspace) -> None:
    read, left = (uploads.keep(workspace, [("examples.csv", b"a;b")]) for _ in range(2))
    run = workspace.pipelines / "triage"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"inputs": {"examples": str(read / "examples.csv"), "seeds": str(read)}}))
    long_ago = time.time() - uploads.KEPT_SEC - 1
    for folder in (read, left):
        os.utime(folder, (long_ago, long_ago))
    uploads.keep(workspace, [("rows.csv", b"3")])
    assert read.is_dir() and not left.exists()


def test_two_of_a_name_are_refused_instead_of_one_being_lost(workspace: Workspace) -> None:
    with pytest.raises(DataError, match="2 of the files are called"):
        uploads.keep(workspace, [("a.png", b"1"), ("A.PNG", b"2")])
    assert not (workspace.path / "uploads").exists()


NAMES = [
    "",
    ".",
    "..",
    "../a",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "..\\a",
    "a\0b",
    "a\nb",
    "a\x1bb",
    "\u202egnp.exe",
    "ä" * 150,
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_more_than_a_name_are_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(DataError, match="cannot be a file's name"):
        uploads.keep(workspace, [("rows.csv", b"1"), (name, b"2")])
    assert not (workspace.path / "uploads").exists()


@pytest.mark.parametrize("tables", [(), ("a.csv", "b.jsonl")])
def test_pictures_come_with_one_table(workspace: Workspace, tables: tuple[str, ...]) -> None:
    folder = uploads.keep(workspace, [(name, b"1") for name in ("a.png", *tables)])
    with pytest.raises(DataError, match=rf"There are {len(tables)} tables among the files\. Upload one table"):
        uploads.table_of(folder, ("csv", "jsonl"))
