"""Archives of several files, unpacked into a temporary folder; what they claim to hold is looked at before that.

A tar file, packed or not, or a zip file of several files. A zip file of one file is for `synth.importing.streams`.
"""

from __future__ import annotations

import contextlib
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from synth.errors import DataError
from synth.importing import sheets, streams
from synth.importing.files import DATA_SUFFIXES
from synth.importing.raw import SPLIT_NAMES

MAX_UNPACKED = 8 << 30
MAX_MEMBERS = 1_000_000
MAX_SWOLLEN = 1 << 30
"""Bytes that an archive may unpack to where it is packed unusually well: texts take a tenth, pictures all."""
USUAL_PACKING = 50
SPARE = 1 << 30
"""Bytes of the disk that unpacking leaves free."""


class Claims:
    """Counts what an archive says that it holds. Raises DataError as soon as that is too much."""

    def __init__(self, path: Path, most: int = 0) -> None:
        """`most`: bytes; what is uploaded may be allowed less than what somebody has on their own disk."""
        self.path, self.files, self.size = path, 0, 0
        self.most = most or MAX_UNPACKED
        self.usual = max(MAX_SWOLLEN, USUAL_PACKING * path.stat().st_size)
        self.room = None if most else max(0, shutil.disk_usage(tempfile.gettempdir()).free - SPARE)

    def add(self, size: int) -> None:
        """Another file of so many bytes."""
        self.files, self.size = self.files + 1, self.size + size
        name = self.path.name
        if self.files > MAX_MEMBERS:
            message = f"{name} holds more than {MAX_MEMBERS:,} files."
            raise DataError(message, "Unpack it yourself, and import the folder that has the rows.", "data.size")
        if self.size > min(self.most, self.usual):
            message = f"{name} unpacks to more than {min(self.most, self.usual) / 2**30:.3g} GiB."
            remedy = "Unpack it on the machine that smolstudio runs on, and import the folder by its path."
            raise DataError(message, remedy, "data.size")
        if self.room is not None and self.size > self.room:
            message = f"{name} unpacks to more than the {self.room / 2**30:.1f} GiB that {tempfile.gettempdir()} has."
            raise DataError(message, "Free some space, or name a folder with more room in TMPDIR.", "data.size")


def refuse_large(path: Path, most: int) -> None:
    """Raise DataError where an archive of several files would unpack to more than `most` bytes; unpacks nothing."""
    claims = Claims(path, most)
    if _is_tar(path):
        for entry in _entries(path):
            claims.add(entry.size)
    elif _is_zip(path):
        for member in _members(path):
            claims.add(member.file_size)


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The path itself; of a tar file, or a zip file of several files, a temporary folder. Raises DataError."""
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe would be waited for, a device has no end
        raise DataError(f"{path} is no plain file.", "Copy what it holds into one.", "data.unreadable")
    if path.is_file() and _is_tar(path):
        with _beside(path) as folder:
            claims = Claims(path)
            for entry in _entries(path, folder):
                claims.add(entry.size)
            yield _inner(folder)
        return
    if path.is_dir() or not path.exists() or not _is_zip(path) or len(files := _members(path)) == 1:
        yield path
        return
    claims = Claims(path)
    for member in files:
        claims.add(member.file_size)
    with _beside(path) as folder:
        with streams.readable(path), zipfile.ZipFile(path) as archive:
            for member in files:
                archive.extract(member, folder)  # zipfile keeps names inside the folder
        yield _inner(folder)


def _is_tar(path: Path) -> bool:
    return ".tar" in path.suffixes[-2:] or path.suffix == ".tgz"


def _is_zip(path: Path) -> bool:
    return zipfile.is_zipfile(path) and not sheets.is_xlsx(path)


def _members(path: Path) -> list[zipfile.ZipInfo]:
    with streams.readable(path), zipfile.ZipFile(path) as archive:
        return streams.members(archive)


def _entries(path: Path, folder: Path | None = None) -> Iterator[tarfile.TarInfo]:
    """Files and folders of a tar file; each is unpacked into `folder`, where one is given, when the next is asked."""
    try:
        with streams.readable(path), tarfile.open(path) as archive:
            for entry in archive:
                yield entry
                if folder is not None and (entry.isfile() or entry.isdir()):
                    archive.extract(entry, folder, filter="data")  # nothing outside the folder
    except tarfile.TarError as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read: {reason}.", "Pack the file again.", "data.unreadable") from error


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary folder that is called as the archive, as sentences about it will be."""
    with tempfile.TemporaryDirectory(prefix="smolstudio-import-") as made:
        folder = Path(made) / (path.name.split(".")[0] or "archive")
        folder.mkdir()
        yield folder


def _inner(folder: Path) -> Path:
    """What was unpacked, without a folder around all of it."""
    inner = [item for item in folder.iterdir() if not item.name.startswith((".", "__MACOSX"))]
    alone = len(inner) == 1 and inner[0].name not in SPLIT_NAMES
    return inner[0] if alone and (inner[0].is_dir() or inner[0].suffix in DATA_SUFFIXES) else folder
