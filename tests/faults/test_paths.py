"""No path of a row, an archive, an upload or a name leads out of its folder, however it is spelt."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.cli import app
from studio.engines.engine import Work
from studio.engines.local import LocalEngine
from studio.state import uploads
from synth.build import check_name
from synth.dataset import DatasetDir
from synth.errors import DataError, StorageError, UserError
from synth.importing.importer import import_data
from synth.jobdir import JobDir
from synth.media import resolve_inside
from synth.storage import Journal
from synth.workspace import Workspace

UPS = ("..", "../..", "./..", "a/../..", "...", "..;", "%2e%2e", "%252e%252e", "..%2f..", "..%5c..", "．．", "‥")
SEPARATORS = ("/", "//", "\\", "/./", "%2f", "∕", "\x00/", "\n/")
ENDS = ("secret.txt", "etc/passwd", "secret.txt\x00.png", "secret.txt .png")
ROOTS = ("/etc/passwd", "//etc/passwd", "/proc/self/environ", "~/secret.txt", "C:\\secret.txt", "C:secret.txt",
         "\\\\host\\share\\secret.txt", "file:///etc/passwd", "http://127.0.0.1/secret", "/dev/zero", "/dev/stdin",
         "", ".", "/", "\\", "~", "-", "CON", "a" * 5000, "a/" * 2000 + "a", "\udcff", "ä" * 200)  # fmt: skip
PATHS = [*(up + way + end for up, way, end in itertools.product(UPS, SEPARATORS, ENDS)), *ROOTS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, a secret beside it and above it, and links that lead there."""
    inside = tmp_path / "outer" / "folder"
    (inside / "a").mkdir(parents=True)
    for secret in (tmp_path / "secret.txt", tmp_path / "outer" / "secret.txt"):
        secret.write_text("secret")
    (inside / "good.txt").write_text("good")
    (inside / "link").symlink_to(tmp_path)
    return inside


def test_there_are_hundreds_of_spellings() -> None:
    assert len(set(PATHS)) > 400


def test_no_spelling_of_a_path_leads_out_of_a_datasets_folder(folder: Path) -> None:
    for path in (*PATHS, "link/secret.txt", "a/../link/secret.txt"):
        with pytest.raises(DataError) as caught:
            resolve_inside(folder, path)
        assert caught.value.code.startswith("medium.") and caught.value.remedy, path
    assert resolve_inside(folder, "a/../good.txt").read_text() == "good"


def test_no_row_brings_a_file_from_elsewhere_into_a_dataset(tmp_path: Path, workspace: Workspace) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "secret.txt", "PNG")
    source = tmp_path / "outer" / "rows"
    source.mkdir(parents=True)
    Image.new("RGB", (4, 4), "red").save(source / "good.png")
    (source / "link.png").symlink_to(tmp_path / "secret.txt")
    paths = [path for path in PATHS if path.isprintable() and path.strip()]
    rows = [{"file_name": path, "question": f"What {n}?", "answer": "a"} for n, path in enumerate([*paths, "link.png"])]
    rows.append({"file_name": "good.png", "question": "What?", "answer": "a"})
    (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = import_data(source, "mine", workspace)
    assert (report.kept, len(report.rejected)) == (1, len(rows) - 1)
    assert len(list((workspace.datasets / "mine" / "media").iterdir())) == 1


def test_no_name_of_a_dataset_run_or_upload_leads_out_of_the_workspace(workspace: Workspace, tmp_path: Path) -> None:
    for path in PATHS:
        with contextlib.suppress(UserError):
            assert (workspace.path / check_name(path)).resolve().parent == workspace.path, path
        if uploads.is_plain(path):
            assert uploads.kept(workspace, f"{path}/{path}") is None
            stored = uploads.keep(workspace, [(path, b"x")])
            assert [file.read_bytes() for file in stored.iterdir()] == [b"x"]
            assert stored.parent == workspace.path / "uploads"
        else:
            with pytest.raises(DataError):
                uploads.keep(workspace, [(path, b"x")])
    assert {path.name for path in tmp_path.iterdir()} <= {"workspace"}


def test_no_command_takes_a_path_for_a_name(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("../outside", "/tmp/outside", "..", "a/b", "a\\b", "\x1b[2J", ".hidden", "%2e%2e"):
        for command in (["synth", "math", "-n", name, "train=1"], ["runs", "delete", name], ["runs", "restore", name],
                        ["data", "show", name], ["report", name], ["pipeline", "take", name]):  # fmt: skip
            with pytest.raises((UserError, SystemExit)), contextlib.redirect_stdout(io.StringIO()):
                app(command, standalone_mode=False)
    assert {path.name for path in tmp_path.iterdir()} <= {"workspace"}


# --- archives

LINES = b'{"question": "q", "answer": "a"}\n'


def zipped(file: Path, members: dict[str, bytes], link: str = "") -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        if link:
            entry = zipfile.ZipInfo("link.jsonl")
            entry.create_system, entry.external_attr = 3, 0o120777 << 16
            archive.writestr(entry, link)


def tarred(file: Path, members: dict[str, bytes], kind: bytes = b"", link: str = "") -> None:
    with tarfile.open(file, "w:gz") as archive:
        if kind:  # first, so that what comes after it would be written through it
            entry = tarfile.TarInfo("link")
            entry.type, entry.linkname = kind, link
            archive.addfile(entry)
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def files_of(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.fixture
def unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where archives are unpacked: a temporary folder deep in a place of which every file is known."""
    place = tmp_path / "place" / "deep" / "tmp"
    place.mkdir(parents=True)
    (tmp_path / "place" / "victim.jsonl").write_bytes(b"mine")
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return tmp_path / "place"


@pytest.mark.parametrize("make", [zipped, tarred])
def test_no_member_of_an_archive_is_written_outside_its_folder(
    make: Any, unpacking: Path, workspace: Workspace, tmp_path: Path
) -> None:
    names = [
        "../victim.jsonl", "../../../../victim.jsonl", "a/../../../victim.jsonl", str(unpacking / "victim.jsonl"),
        "..\\..\\victim.jsonl", "./../victim.jsonl", "//victim.jsonl", "C:\\victim.jsonl", "~/victim.jsonl",
        "a" * 300 + ".jsonl", "../" * 40 + str(unpacking)[1:] + "/victim.jsonl",
    ]  # fmt: skip
    before = files_of(unpacking)
    for number, name in enumerate(names):
        file = tmp_path / f"a{number}.{'zip' if make is zipped else 'tar.gz'}"
        make(file, {"train.jsonl": LINES, name: LINES})
        with contextlib.suppress(DataError):
            import_data(file, f"d{number}", workspace)
        assert files_of(unpacking) == before, name
        assert not list(Path("/").glob("victim.jsonl"))


LINKS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"Z"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [b"zip", *LINKS])
def test_links_and_devices_in_archives_are_never_followed(
    kind: bytes, unpacking: Path, workspace: Workspace, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "rows.jsonl").write_text('{"question": "secret", "answer": "secret"}\n')
    through = {"train.jsonl": LINES, "link/written.jsonl": LINES}
    for number, target in enumerate((secret, secret / "rows.jsonl", "../../../../secret/rows.jsonl", "/dev/zero")):
        file = tmp_path / f"a{number}.{'zip' if kind == b'zip' else 'tar.gz'}"
        if kind == b"zip":
            zipped(file, {"train.jsonl": LINES}, str(target))
        else:
            tarred(file, through, kind, str(target))
        with contextlib.suppress(DataError):
            import_data(file, f"d{number}", workspace)
            found = DatasetDir(workspace.datasets / f"d{number}")
            texts = [row.prompt[0].text for split in found.splits() for row in found.examples(split)]
            assert texts and "secret" not in texts
    assert [path.name for path in secret.iterdir()] == ["rows.jsonl"]
    assert set(files_of(unpacking)) == {"victim.jsonl"}


LINKED: dict[str, Callable[[JobDir], Any]] = {
    "queued": lambda job: job.expect(3),
    "stop": lambda job: job.request_stop(),
    "events.jsonl": lambda job: job.emit("phase"),
    "exit.json": lambda job: job.finish("done"),
    "lock": lambda job: job.hold().__enter__(),
    "predictions.jsonl": lambda job: Journal(job.path / "predictions.jsonl").append({"a": 1}),
    "worker.log": lambda job: LocalEngine().submit(Work(job, "this", ())),
}


@pytest.mark.parametrize("name", LINKED)
def test_a_link_in_a_folder_of_work_lets_nothing_be_written_where_it_leads(name: str, tmp_path: Path) -> None:
    """Folders of runs and comparisons are handed around; whoever goes on with one writes into its files."""
    victim, missing = tmp_path / "victim", tmp_path / "missing"
    victim.write_text("mine\nwithout an end of line")
    for target in (victim, missing):
        job = JobDir(tmp_path / f"of-{target.name}")
        job.path.mkdir()
        (job.path / name).symlink_to(target)
        with contextlib.suppress(StorageError):
            LINKED[name](job)
    assert victim.read_text() == "mine\nwithout an end of line"
    assert not missing.exists()
